//! `regularity run`: experiments, from data to the report.

use std::path::PathBuf;

use serde_json::json;

use super::estimate::{Speed, time_text};
use super::request::{Machine, Settings, chosen, profile_parser};
use super::terminal::{Terminal, Tone};
use super::watch::{Bar, stop_flag};
use crate::config::Profile;
use crate::error::{Error, Result};
use crate::experiments::Registry;
use crate::record::ClaimEntry;
use crate::run::{Finished, Prepared};

/// Run experiments, and judge what their papers claim
///
/// Each run has a folder of its own below --out, named by its settings, with metrics, claims, figures and a report. A
/// finished run is not run again. Ctrl-C saves and stops; --resume goes on to the same bits, even on another machine.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  regularity run\n  regularity run self-distillation --profile smoke --set epsilon=0.05"
)]
pub struct Args {
    /// The experiments to run, as `regularity list` names them [default: all]
    #[arg(value_name = "EXPERIMENT")]
    experiments: Vec<String>,
    /// How large a run
    #[arg(long, value_name = "PROFILE", value_parser = profile_parser(), default_value = "quick")]
    profile: Profile,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    machine: Machine,
    /// Where the folders of runs are
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Go on with runs that were interrupted
    #[arg(long)]
    resume: bool,
    /// Show what would be run, with every setting, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

pub fn run(args: &Args, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    let request = args.settings.request(args.profile)?;
    let all = args.experiments.is_empty();
    let chosen = chosen(registry, &args.experiments)?;
    // Of all experiments, those that have the profile; of those that are named, every one must have it.
    let chosen: Vec<_> = chosen.into_iter().filter(|e| !all || e.about().profiles.contains(&args.profile)).collect();
    if chosen.is_empty() {
        return Err(nothing(&format!("run with the profile {}", args.profile)));
    }
    let context = args.machine.context()?;
    let pace = args.machine.pace();
    if args.dry_run {
        let speed = Speed::measure(pace.isa, pace.threads)?;
        let mut plans = Vec::new();
        for experiment in chosen {
            let prepared = Prepared::new(experiment, &request, &context)?;
            plans.push((args.out.join(prepared.identity.name()?), speed.seconds(&prepared.tasks), prepared));
        }
        return show_plans(&plans, args.json, terminal);
    }
    let stop = stop_flag()?;
    let mut finished = Vec::new();
    for experiment in chosen {
        let prepared = Prepared::new(experiment, &request, &context)?;
        let bar = Bar::new(experiment.about().id, &prepared.tasks, args.quiet);
        let outcome = prepared.run(&args.out, args.resume, &pace, &stop, &bar);
        bar.clear();
        let outcome = outcome?;
        if !args.json {
            print(&outcome, experiment.about().title, terminal)?;
            terminal.flush()?;
            if outcome.before {
                terminal.note(Some(Tone::Dim), "it was finished before; nothing was run again");
            }
        }
        finished.push(outcome);
    }
    if args.json { terminal.json(&finished.iter().map(as_json).collect::<Vec<_>>()) } else { Ok(()) }
}

fn show_plans(plans: &[(PathBuf, Option<f64>, Prepared<'_>)], json: bool, terminal: &mut Terminal) -> Result<()> {
    if json {
        let plan = |(path, seconds, prepared): &(PathBuf, Option<f64>, Prepared<'_>)| {
            json!({
                "configuration": prepared.identity.configuration, "data": prepared.identity.data, "folder": path,
                "tasks": prepared.tasks, "estimated_s": seconds
            })
        };
        return terminal.json(&plans.iter().map(plan).collect::<Vec<_>>());
    }
    for (path, seconds, prepared) in plans {
        let heading = terminal.paint(Tone::Heading, prepared.experiment.about().id).to_string();
        terminal.line(format_args!("{heading}  about {} here", time_text(*seconds)))?;
        terminal.line(format_args!("folder    {}", path.display()))?;
        let tasks: Vec<_> = prepared.tasks.iter().map(crate::experiments::Task::id).collect();
        terminal.line(format_args!("tasks     {}", tasks.join(" ")))?;
        for line in prepared.identity.configuration.canonical().lines() {
            // As `--set` takes them.
            terminal.line(line.strip_prefix("settings.").unwrap_or(line))?;
        }
    }
    Ok(())
}

/// A claim's verdict with its colour.
pub fn verdict(claim: &ClaimEntry, terminal: &Terminal) -> String {
    let tone = match claim.verdict.as_str() {
        "reproduced" => Tone::Good,
        "not-reproduced" => Tone::Bad,
        _ => Tone::Dim,
    };
    terminal.paint(tone, &format!("{:<14}", claim.verdict)).to_string()
}

fn print(run: &Finished, title: &str, terminal: &mut Terminal) -> Result<()> {
    let configuration = &run.manifest.configuration;
    let heading = terminal.paint(Tone::Heading, &configuration.experiment).to_string();
    terminal
        .line(format_args!("{heading}  {title}  ({}, {:.1} s)", configuration.profile, run.manifest.host.seconds))?;
    for claim in &run.claims {
        terminal.line(format_args!("  {:<4} {} {}", claim.id, verdict(claim, terminal), claim.statement))?;
        let measured = claim.measured["text"].as_str().unwrap_or_default();
        terminal.line(format_args!("       {:<14} {measured}", "measured"))?;
        if !claim.paper.figure.is_empty() {
            let paper = format!("{} ({})", claim.paper.figure, claim.paper.status);
            let paper = terminal.paint(Tone::Dim, &paper).to_string();
            terminal.line(format_args!("       {:<14} {paper}", "paper"))?;
        }
    }
    terminal.line(format_args!("  digest {}", run.manifest.digest))?;
    terminal.line(format_args!("  report {}", run.path.join("report.html").display()))
}

/// A finished run for machines.
pub fn as_json(run: &Finished) -> serde_json::Value {
    json!({
        "experiment": run.manifest.configuration.experiment,
        "profile": run.manifest.configuration.profile,
        "folder": run.path,
        "configuration_digest": run.manifest.configuration_digest,
        "digest": run.manifest.digest,
        "finished_before": run.before,
        "seconds": run.manifest.host.seconds,
        "claims": run.claims,
    })
}

/// The error of a command that would do nothing.
pub fn nothing(what: &str) -> Error {
    Error::Usage { message: format!("there is nothing to {what}"), help: "see `regularity list`".to_owned() }
}
