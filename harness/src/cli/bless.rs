//! `regularity bless`: what comes out now becomes golden. A deliberate act of a person, with a reason.

use std::path::{Path, PathBuf};

use regularity_engine::Isa;

use super::request::{Machine, profile_parser};
use super::terminal::{Terminal, Tone};
use super::watch::{Bar, stop_flag};
use crate::config::Profile;
use crate::error::{Error, Result};
use crate::experiments::{Registry, find};
use crate::golden::Snapshot;
use crate::run::{Prepared, Request, RunFolder};
use crate::{files, host, selftest};

/// Write a golden anew, with the reason why
///
/// `selftest` runs every kernel on every tier of this CPU with 1, 3 and all threads, and refuses if any of them disagree.
/// A change of a line that exists there breaks the numerics contract: it needs a new numerics version. An experiment is
/// run anew with a profile. Refuses to run where the environment variable CI is set.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  regularity bless selftest --reason \"add the kernel softmax\"\n  \
                        regularity bless self-distillation --profile smoke --reason \"a new claim\"")]
pub struct Args {
    /// `selftest`, or the experiment
    #[arg(value_name = "EXPERIMENT")]
    what: String,
    /// How large a run; not for `selftest`
    #[arg(long, value_name = "PROFILE", value_parser = profile_parser())]
    profile: Option<Profile>,
    /// Why the golden changes; it is kept in the file
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The folder with real data
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
    /// Where the run is put
    #[arg(long, value_name = "DIR", default_value = "runs/check")]
    out: PathBuf,
    /// The folder with goldens; for `selftest` the file [default: golden, golden/selftest.snap]
    #[arg(long, value_name = "PATH")]
    golden: Option<PathBuf>,
}

pub fn run(args: &Args, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    if std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false") {
        return Err(Error::Usage {
            message: "a golden is not blessed by automation, and the environment variable CI is set".to_owned(),
            help: "bless on your own machine and commit the file, so that a person reads the diff".to_owned(),
        });
    }
    let reason = args.reason.trim();
    if reason.is_empty() {
        return Err(Error::Usage {
            message: "the reason is empty".to_owned(),
            help: "say in a sentence why the golden changes, e.g. --reason \"add the kernel softmax\"".to_owned(),
        });
    }
    if args.what == "selftest" {
        let path = args.golden.clone().unwrap_or_else(|| PathBuf::from("golden/selftest.snap"));
        let snapshot =
            Snapshot { expression: "selftest".to_owned(), description: reason.to_owned(), body: selftest_body()? };
        if write(&snapshot, &path, terminal)? {
            terminal.note(None, "build again, so that the program carries it");
        }
        return Ok(());
    }
    experiment(args, reason, registry, terminal)
}

fn experiment(args: &Args, reason: &str, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    let experiment = find(registry, &args.what)?;
    let profile = args.profile.ok_or_else(|| Error::Usage {
        message: "an experiment has a golden for each profile".to_owned(),
        help: "name one with --profile".to_owned(),
    })?;
    let request = Request { data: args.data.clone(), ..Request::of(profile) };
    let prepared = Prepared::new(experiment, &request, &args.machine.context()?)?;
    RunFolder::discard(&args.out, &prepared.identity)?;
    let stop = stop_flag()?;
    let bar = Bar::new(experiment.about().id, &prepared.tasks, false);
    let finished = prepared.run(&args.out, false, &args.machine.pace(), &stop, &bar);
    bar.clear();
    let finished = finished?;
    let path = finished.outline().path(args.golden.as_deref().unwrap_or(Path::new("golden")));
    if let Some(folder) = path.parent() {
        files::make_folder(folder)?;
    }
    write(&finished.outline().snapshot(reason)?, &path, terminal)?;
    Ok(())
}

/// Every digest of the selftest, the same on all tiers and thread counts.
fn selftest_body() -> Result<String> {
    let tiers = Isa::available();
    let mut body: Option<String> = None;
    for threads in [1, 3, host::threads()] {
        let outcomes = selftest::run(&tiers, threads)?;
        let again = selftest::body(&outcomes)?;
        if body.as_ref().is_some_and(|body| *body != again) {
            return Err(Error::Mismatch {
                message: format!("1 and {threads} threads give different digests"),
                help: "a golden holds at every number of threads, so nothing was written; compare \
                       `regularity selftest --threads N` for several N"
                    .to_owned(),
            });
        }
        body = Some(again);
    }
    Ok(body.unwrap_or_default())
}

/// Writes the golden if its lines changed, and shows which; tells whether it did.
fn write(snapshot: &Snapshot, path: &Path, terminal: &mut Terminal) -> Result<bool> {
    // None yet, or one that is to be replaced because it is damaged.
    let before = Snapshot::read(path).map_or_else(|_| String::new(), |snapshot| snapshot.body);
    if before == snapshot.body {
        terminal.note(Some(Tone::Good), "the golden holds as it is; nothing was written");
        return Ok(false);
    }
    snapshot.write(path)?;
    for line in snapshot.body.lines().filter(|line| !before.lines().any(|old| old == *line)) {
        terminal.line(format_args!("+ {line}"))?;
    }
    for line in before.lines().filter(|line| !snapshot.body.lines().any(|new| new == *line)) {
        terminal.line(format_args!("- {line}"))?;
    }
    terminal.note(None, format_args!("wrote {}", path.display()));
    Ok(true)
}
