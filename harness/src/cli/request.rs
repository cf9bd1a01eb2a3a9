//! The flags with which experiments are chosen and run, shared by every subcommand that runs them.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use regularity_engine::{Context, Isa};

use super::options::{isa_parser, threads_parser};
use crate::config::{DEFAULT_SEED, Override, Profile};
use crate::error::Result;
use crate::experiments::{Registered, Registry, find};
use crate::host;
use crate::run::{Pace, Request};

/// Reads the name of a profile.
pub fn profile_parser() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(Profile::ALL.map(Profile::name)).try_map(|name| name.parse::<Profile>())
}

/// Where results do not depend on it.
#[derive(Debug, clap::Args)]
pub struct Machine {
    /// Threads [default: as many as this process may run at once]; no result depends on it
    #[arg(long, value_name = "N", value_parser = threads_parser())]
    threads: Option<usize>,
    /// The instruction-set tier to run; no result depends on it
    #[arg(long, value_name = "TIER", value_parser = isa_parser(), default_value = "auto")]
    isa: Isa,
    /// Seconds between two checkpoints of a task: what a sudden end can lose
    #[arg(long, value_name = "SECONDS", default_value = "20", hide_short_help = true, value_parser = seconds_parser())]
    checkpoint_every: std::time::Duration,
}

fn seconds_parser() -> impl TypedValueParser<Value = std::time::Duration> {
    clap::builder::StringValueParser::new().try_map(|text| {
        let seconds = text.parse::<f64>().map_err(|e| e.to_string())?;
        std::time::Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
    })
}

impl Machine {
    /// How to run.
    pub fn pace(&self) -> Pace {
        Pace {
            isa: self.isa,
            threads: self.threads.unwrap_or_else(host::threads),
            interval: self.checkpoint_every,
            trace: false,
        }
    }

    /// A context with all threads.
    pub fn context(&self) -> Result<Context> {
        Ok(Context::new(self.isa, self.threads.unwrap_or_else(host::threads))?)
    }
}

/// What results depend on.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// The first seed; tasks use it and those that follow
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    pub seed: u64,
    /// Override a setting; `--dry-run` of `run` shows all of them. Can be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The folder with real data, such as CIFAR-10 as it is handed out [default: data that ships in the program]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl Settings {
    /// The request for a profile.
    pub fn request(&self, profile: Profile) -> Result<Request> {
        let overrides = self.set.iter().map(|text| text.parse::<Override>()).collect::<Result<_>>()?;
        Ok(Request { profile, seed: self.seed, overrides, data: self.data.clone() })
    }
}

/// The experiments of these names; all if none is named.
pub fn chosen(registry: &Registry, names: &[String]) -> Result<Vec<&'static dyn Registered>> {
    if names.is_empty() {
        return Ok(registry.to_vec());
    }
    names.iter().map(|name| find(registry, name)).collect()
}
