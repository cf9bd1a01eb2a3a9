//! `regularity sweep`: a grid of settings and seeds, on one machine or many.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use super::request::{Machine, Settings, profile_parser};
use super::run::{as_json, nothing};
use super::terminal::{Terminal, Tone};
use super::watch::{Bar, stop_flag, stopped};
use crate::config::{Override, Profile};
use crate::error::{Error, Result};
use crate::experiments::{Registered, Registry, find};
use crate::run::{Finished, Prepared, Request};

/// Run an experiment over a grid of settings and seeds
///
/// A sweep is a list of runs, numbered by its flags alone: every machine that is given the same flags sees the same list
/// and can run its part of it. `collect` puts the finished ones side by side.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example, on machine 2 of 4:\n  regularity sweep run self-distillation --profile smoke \
                        --grid 'epsilon=[0.043, 0.045, 0.05]' --seeds 5 --shard 2/4")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the runs of the sweep
    Plan(PlanArgs),
    /// Run one of them, a share of them, or all
    Run(RunArgs),
    /// Put the finished ones side by side
    Collect(PlanArgs),
}

#[derive(Debug, clap::Args)]
struct Grid {
    /// The experiment
    experiment: String,
    /// How large each run
    #[arg(long, value_name = "PROFILE", value_parser = profile_parser(), default_value = "quick")]
    profile: Profile,
    /// Values of a setting; several settings span a grid
    #[arg(long, value_name = "KEY=[VALUES]")]
    grid: Vec<String>,
    /// How many first seeds, from --seed on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    seeds: u64,
    #[command(flatten)]
    settings: Settings,
    /// Where the folders of runs are
    #[arg(long, value_name = "DIR", default_value = "runs/sweep")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct PlanArgs {
    #[command(flatten)]
    grid: Grid,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    #[command(flatten)]
    grid: Grid,
    #[command(flatten)]
    machine: Machine,
    /// The number of the one run to run, from 0
    #[arg(long, value_name = "I", conflicts_with = "shard")]
    task: Option<usize>,
    /// The share to run: part I of N, from 1
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<(usize, usize)>,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

/// One run of a sweep.
#[derive(Debug, Serialize)]
struct Point {
    index: usize,
    seed: u64,
    set: Vec<String>,
    #[serde(skip)]
    request: Request,
}

fn parse_shard(text: &str) -> std::result::Result<(usize, usize), String> {
    let read = || {
        let (i, n) = text.split_once('/')?;
        let (i, n) = (i.parse::<usize>().ok()?, n.parse::<usize>().ok()?);
        (1 <= i && i <= n).then_some((i, n))
    };
    read().ok_or_else(|| "a share is I/N with 1 <= I <= N, such as 2/4".to_owned())
}

impl Grid {
    /// The runs, the last setting fastest, seeds faster still.
    fn points(&self, experiment: &dyn Registered) -> Result<Vec<Point>> {
        let base = self.settings.request(self.profile)?;
        let mut rows: Vec<Vec<Override>> = vec![Vec::new()];
        for text in &self.grid {
            let Override { key, value } = text.parse()?;
            let toml::Value::Array(values) = value else {
                return Err(Error::Usage {
                    message: format!("`{text}` is no list of values"),
                    help: "write for example --grid 'epsilon=[0.04, 0.05]'".to_owned(),
                });
            };
            let longer = |row: &Vec<Override>| {
                let with =
                    |value: &toml::Value| [&row[..], &[Override { key: key.clone(), value: value.clone() }]].concat();
                values.iter().map(with).collect::<Vec<_>>()
            };
            rows = rows.iter().flat_map(longer).collect();
        }
        let mut points = Vec::new();
        for row in rows {
            let set: Vec<_> = row.iter().map(|o| format!("{}={}", o.key, o.value)).collect();
            for seed in (self.settings.seed..).take(usize::try_from(self.seeds).unwrap_or(usize::MAX)) {
                let overrides = [&base.overrides[..], &row[..]].concat();
                let request = Request { seed, overrides, ..base.clone() };
                // A value that does not fit is told before the first run.
                experiment.plan(&request.configuration(experiment)?)?;
                points.push(Point { index: points.len(), seed, set: set.clone(), request });
            }
        }
        if points.is_empty() { Err(nothing("sweep: a list of values is empty")) } else { Ok(points) }
    }
}

pub fn run(args: &Args, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    match &args.what {
        What::Plan(args) => plan(args, registry, terminal),
        What::Run(args) => run_share(args, registry, terminal),
        What::Collect(args) => collect(args, registry, terminal),
    }
}

fn plan(args: &PlanArgs, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    let points = args.grid.points(find(registry, &args.grid.experiment)?)?;
    if args.json {
        return terminal.json(&points);
    }
    points.iter().try_for_each(|p| terminal.line(format_args!("{:>4}  seed {}  {}", p.index, p.seed, p.set.join("  "))))
}

fn run_share(args: &RunArgs, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    let experiment = find(registry, &args.grid.experiment)?;
    let points = args.grid.points(experiment)?;
    if let Some(task) = args.task.filter(|&task| task >= points.len()) {
        return Err(Error::Usage {
            message: format!("there is no run {task}: the sweep has {}, from 0", points.len()),
            help: "`regularity sweep plan` lists them".to_owned(),
        });
    }
    let mine = |index: usize| match (args.task, args.shard) {
        (Some(task), _) => index == task,
        // In turns, so that shares of a grid that grows along one setting take alike.
        (None, Some((i, n))) => index % n == i - 1,
        (None, None) => true,
    };
    let (context, pace, stop) = (args.machine.context()?, args.machine.pace(), stop_flag()?);
    for point in points.iter().filter(|point| mine(point.index)) {
        let prepared = Prepared::new(experiment, &point.request, &context)?;
        let bar = Bar::new(&format!("{} {}", point.index, point.set.join(" ")), &prepared.tasks, args.quiet);
        // A sweep that is started again goes on where it was.
        let finished = prepared.run(&args.grid.out, true, &pace, &stop, &bar);
        bar.clear();
        let finished = finished?;
        terminal.line(format_args!("{:>4}  {}", point.index, finished.path.display()))?;
        terminal.flush()?;
        if stopped(&stop) {
            return Err(Error::Interrupted { help: "run the same command again to go on".to_owned() });
        }
    }
    Ok(())
}

fn collect(args: &PlanArgs, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    let experiment = find(registry, &args.grid.experiment)?;
    let points = args.grid.points(experiment)?;
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for point in points {
        match finished(&args.grid.out, experiment, &point)? {
            Some(run) => found.push((point, run)),
            None => missing.push(point.index.to_string()),
        }
    }
    if args.json {
        let row = |(point, run): &(Point, Finished)| json!({ "index": point.index, "seed": point.seed, "set": point.set, "run": as_json(run) });
        terminal.json(&found.iter().map(row).collect::<Vec<_>>())?;
    } else {
        for (point, run) in &found {
            terminal.line(format_args!("{:>4}  seed {}  {}", point.index, point.seed, point.set.join("  ")))?;
            for claim in &run.claims {
                let verdict = super::run::verdict(claim, terminal);
                let measured = claim.measured["text"].as_str().unwrap_or_default();
                terminal.line(format_args!("      {:<4} {verdict} {measured}", claim.id))?;
            }
        }
    }
    if !missing.is_empty() {
        terminal.note(Some(Tone::Dim), format_args!("not finished: {}", missing.join(" ")));
    }
    Ok(())
}

/// The finished run of a point, if there is one: among the folders below `out`, the one with its settings.
fn finished(out: &std::path::Path, experiment: &dyn Registered, point: &Point) -> Result<Option<Finished>> {
    let wanted = point.request.configuration(experiment)?;
    let prefix = format!("{}-{}-", wanted.experiment, wanted.profile);
    let Ok(entries) = std::fs::read_dir(out) else { return Ok(None) };
    for entry in entries.flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(&prefix) || !path.join("manifest.json").exists() {
            continue;
        }
        let run = Finished::read(&path)?;
        let configuration = &run.manifest.configuration;
        if configuration.seed == wanted.seed && configuration.settings == wanted.settings {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_from_1() {
        assert_eq!(parse_shard("2/4"), Ok((2, 4)));
        for text in ["0/4", "5/4", "1", "a/2", "1/0"] {
            assert!(parse_shard(text).is_err(), "{text}");
        }
    }
}
