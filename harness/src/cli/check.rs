//! `regularity check`: runs against their goldens.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::request::{Machine, chosen, profile_parser};
use super::terminal::{Terminal, Tone};
use super::watch::{Bar, stop_flag};
use crate::config::Profile;
use crate::error::{Error, Result};
use crate::experiments::Registry;
use crate::golden::{Snapshot, deviations, golden_path, judge};
use crate::run::{Prepared, Request, RunFolder};

/// Run experiments anew and compare every number with the golden
///
/// Exits with 1 and the first differences if anything differs from golden/. Without --profile, every golden is checked
/// that needs no other data than is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The experiments to check [default: all]
    #[arg(value_name = "EXPERIMENT")]
    experiments: Vec<String>,
    /// One profile only
    #[arg(long, value_name = "PROFILE", value_parser = profile_parser())]
    profile: Option<Profile>,
    /// The folder with real data, whose goldens are checked instead of those of the data that ships in the program
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
    /// Where the runs are put
    #[arg(long, value_name = "DIR", default_value = "runs/check")]
    out: PathBuf,
    /// The folder with goldens
    #[arg(long, value_name = "DIR", default_value = "golden")]
    golden: PathBuf,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

pub fn run(args: &Args, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    let context = args.machine.context()?;
    let pace = args.machine.pace();
    let stop = stop_flag()?;
    let (mut results, mut verdict, mut checked) = (Vec::new(), Ok(()), 0);
    for experiment in chosen(registry, &args.experiments)? {
        let about = experiment.about();
        for &profile in about.profiles.iter().filter(|&&p| args.profile.is_none_or(|wanted| wanted == p)) {
            let asked_for = args.profile.is_some();
            if !asked_for && !may_have_golden(&args.golden, about.id, profile, args.data.is_some()) {
                continue;
            }
            let request = Request { data: args.data.clone(), ..Request::of(profile) };
            let prepared = Prepared::new(experiment, &request, &context)?;
            let external = prepared.identity.data.as_ref().filter(|d| d.external).map(|d| d.name.as_str());
            let path = golden_path(&args.golden, about.id, profile, external);
            if !path.exists() {
                if asked_for {
                    return Err(missing(&path, about.id, profile));
                }
                continue;
            }
            // Read before the run: a damaged one is told at once.
            let golden = Snapshot::read(&path)?;
            RunFolder::discard(&args.out, &prepared.identity)?;
            let bar = Bar::new(about.id, &prepared.tasks, args.quiet);
            let finished = prepared.run(&args.out, false, &pace, &stop, &bar);
            bar.clear();
            let finished = finished?;
            let found = deviations(&golden.body, &finished.outline().body()?);
            let holds = found.is_empty();
            checked += 1;
            if !args.json {
                let (tone, word) = if holds { (Tone::Good, "holds") } else { (Tone::Bad, "does not hold") };
                let word = terminal.paint(tone, word).to_string();
                let seconds = finished.manifest.host.seconds;
                terminal.line(format_args!("{} {profile}  {word}  ({seconds:.1} s)", about.id))?;
                terminal.flush()?;
            }
            if verdict.is_ok() {
                let how = format!(
                    "`regularity trace {} --profile {profile}` here and where it holds (or with another --isa or \
                     --threads and --out), then `regularity compare` on the two folders",
                    about.id
                );
                verdict = judge(&path, &found, &how);
            }
            results.push(json!({
                "experiment": about.id, "profile": profile, "golden": path, "holds": holds, "folder": finished.path,
                "deviations": found
            }));
        }
    }
    if args.json {
        terminal.json(&results)?;
    }
    if checked == 0 && verdict.is_ok() {
        return Err(Error::Usage {
            message: format!("there is no golden to check in {}", args.golden.display()),
            help: "run it in the root of the repository, or name the folder with --golden".to_owned(),
        });
    }
    verdict
}

/// Whether there is a golden of the profile at all, so that no data need be loaded to learn that there is none.
fn may_have_golden(folder: &Path, experiment: &str, profile: Profile, external: bool) -> bool {
    if !external {
        return golden_path(folder, experiment, profile, None).exists();
    }
    let Ok(entries) = std::fs::read_dir(folder.join(experiment)) else { return false };
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.flatten().map(name).any(|name| name.starts_with(profile.name()) && name.ends_with(".snap"))
}

fn missing(path: &Path, experiment: &str, profile: Profile) -> Error {
    Error::Mismatch {
        message: format!("there is no golden {}", path.display()),
        help: format!("write one with `regularity bless {experiment} --profile {profile} --reason \"...\"`"),
    }
}
