//! `regularity trace`: a run that notes the digest of everything after every step.

use std::path::PathBuf;

use super::request::{Machine, Settings, profile_parser};
use super::terminal::Terminal;
use super::watch::{Bar, stop_flag};
use crate::config::Profile;
use crate::error::Result;
use crate::experiments::{Registry, find};
use crate::run::Prepared;

/// Run an experiment and record digests of named tensors after every step, for `compare`
///
/// Two machines that should give the same bits and do not: trace the experiment on both, bring the folders together, and
/// `regularity compare` tells the first step and tensor where they part. A trace writes no checkpoints.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The experiment
    experiment: String,
    /// How large a run
    #[arg(long, value_name = "PROFILE", value_parser = profile_parser(), default_value = "smoke")]
    profile: Profile,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    machine: Machine,
    /// Where the folders of traced runs are
    #[arg(long, value_name = "DIR", default_value = "runs/trace")]
    out: PathBuf,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

pub fn run(args: &Args, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    let experiment = find(registry, &args.experiment)?;
    let prepared = Prepared::new(experiment, &args.settings.request(args.profile)?, &args.machine.context()?)?;
    let stop = stop_flag()?;
    let bar = Bar::new(experiment.about().id, &prepared.tasks, args.quiet);
    let finished = prepared.trace(&args.out, &args.machine.pace(), &stop, &bar);
    bar.clear();
    let finished = finished?;
    terminal.line(format_args!("digest {}", finished.manifest.digest))?;
    terminal.line(format_args!("folder {}", finished.path.display()))
}
