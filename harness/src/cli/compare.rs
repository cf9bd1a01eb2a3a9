//! `regularity compare`: two runs side by side, and where they part.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::run::verdict;
use super::terminal::{Terminal, Tone};
use crate::error::{Error, Result};
use crate::files;
use crate::record::{TaskRecord, Value};
use crate::run::Finished;

/// Compare two finished runs: claims, metrics, digests, and the first step and tensor where they part
///
/// Steps and tensors are told for folders that `regularity trace` wrote; metrics and final digests for all.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of a finished run
    #[arg(value_name = "RUN")]
    first: PathBuf,
    /// The folder of another
    #[arg(value_name = "RUN")]
    second: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Where a metric of two runs first differs.
#[derive(Debug, Serialize)]
struct MetricDifference {
    task: String,
    metric: String,
    step: u64,
    first: Option<Value>,
    second: Option<Value>,
    ulps: Option<u64>,
    /// At how many steps they differ in all.
    differing_steps: usize,
}

/// Where the traces of a task first differ.
#[derive(Debug, Serialize)]
struct TraceDifference {
    task: String,
    step: u64,
    tensor: String,
}

#[derive(Debug, Serialize)]
struct Report {
    same: bool,
    digests: [String; 2],
    configuration: Vec<[Option<String>; 2]>,
    verdicts: Vec<(String, [Option<String>; 2])>,
    metrics: Vec<MetricDifference>,
    parameters: Vec<String>,
    traced: bool,
    trace: Vec<TraceDifference>,
}

/// A line of `trace.jsonl`.
#[derive(Debug, Deserialize, PartialEq)]
struct Traced {
    task: String,
    step: u64,
    tensor: String,
    digest: String,
}

pub fn run(args: &Args, terminal: &mut Terminal) -> Result<()> {
    let runs = [Finished::read(&args.first)?, Finished::read(&args.second)?];
    let report = compare(&runs)?;
    if args.json { terminal.json(&report) } else { print(&report, &runs, terminal) }
}

fn compare(runs: &[Finished; 2]) -> Result<Report> {
    let [a, b] = runs;
    let traces = [read_trace(&a.path)?, read_trace(&b.path)?];
    let (mut metrics, mut parameters) = (Vec::new(), Vec::new());
    for task in &a.records.tasks {
        let id = task.id();
        let Some(other) = b.records.tasks.iter().find(|other| other.id() == id) else { continue };
        metrics.extend(metric_differences(task, other));
        if task.parameters != other.parameters {
            parameters.push(id);
        }
    }
    let trace = match &traces {
        [Some(a), Some(b)] => trace_differences(a, b),
        _ => Vec::new(),
    };
    Ok(Report {
        same: a.manifest.digest == b.manifest.digest,
        digests: runs.each_ref().map(|run| run.manifest.digest.clone()),
        configuration: configuration_differences(a, b),
        verdicts: verdict_pairs(a, b),
        metrics,
        parameters,
        traced: traces.iter().all(Option::is_some),
        trace,
    })
}

fn configuration_differences(a: &Finished, b: &Finished) -> Vec<[Option<String>; 2]> {
    let lines = |run: &Finished| -> BTreeMap<String, String> {
        let text = run.manifest.configuration.canonical();
        text.lines().filter_map(|l| l.split_once(" = ")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    };
    let (a, b) = (lines(a), lines(b));
    let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let side = |side: &BTreeMap<String, String>, key: &str| side.get(key).map(|value| format!("{key} = {value}"));
    keys.into_iter().map(|key| [side(&a, key), side(&b, key)]).filter(|[a, b]| a != b).collect()
}

fn verdict_pairs(a: &Finished, b: &Finished) -> Vec<(String, [Option<String>; 2])> {
    let mut ids: Vec<&str> = a.claims.iter().map(|c| c.id.as_str()).collect();
    ids.extend(b.claims.iter().map(|c| c.id.as_str()).filter(|id| a.claims.iter().all(|c| c.id != *id)));
    let of = |run: &Finished, id: &str| run.claims.iter().find(|c| c.id == id).map(|c| c.verdict.clone());
    ids.into_iter().map(|id| (id.to_owned(), [of(a, id), of(b, id)])).collect()
}

fn metric_differences(a: &TaskRecord, b: &TaskRecord) -> Vec<MetricDifference> {
    let names: std::collections::BTreeSet<_> = a.series.keys().chain(b.series.keys()).collect();
    let points = |task: &TaskRecord, name: &str| -> BTreeMap<u64, Value> {
        task.series.get(name).map(|s| s.points().iter().copied().collect()).unwrap_or_default()
    };
    let difference = |name: &String| {
        let (a_points, b_points) = (points(a, name), points(b, name));
        let steps: std::collections::BTreeSet<_> = a_points.keys().chain(b_points.keys()).copied().collect();
        let apart: Vec<u64> = steps.into_iter().filter(|step| a_points.get(step) != b_points.get(step)).collect();
        let &step = apart.first()?;
        let (first, second) = (a_points.get(&step).copied(), b_points.get(&step).copied());
        let ulps = first.zip(second).and_then(|(a, b)| a.ulps(b));
        Some(MetricDifference {
            task: a.id(),
            metric: name.clone(),
            step,
            first,
            second,
            ulps,
            differing_steps: apart.len(),
        })
    };
    let mut found: Vec<_> = names.into_iter().filter_map(difference).collect();
    found.sort_by_key(|d| d.step);
    found
}

fn read_trace(folder: &Path) -> Result<Option<Vec<Traced>>> {
    let path = folder.join("trace.jsonl");
    if !path.exists() {
        return Ok(None);
    }
    let text = files::read_text(&path)?;
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|e| Error::Damaged { path: path.clone(), reason: format!("line {}: {e}", number + 1) })
    };
    text.lines().enumerate().map(line).collect::<Result<_>>().map(Some)
}

/// The first line of each task at which two traces differ.
fn trace_differences(a: &[Traced], b: &[Traced]) -> Vec<TraceDifference> {
    let mut tasks: Vec<&str> = Vec::new();
    for line in a {
        if !tasks.contains(&line.task.as_str()) {
            tasks.push(&line.task);
        }
    }
    let of = |trace: &'_ [Traced], task: &str| -> Vec<usize> {
        (0..trace.len()).filter(|&i| trace[i].task == task).collect()
    };
    let mut found = Vec::new();
    for task in tasks {
        let (left, right) = (of(a, task), of(b, task));
        let apart = left.iter().zip(&right).find(|&(&i, &j)| a[i] != b[j]);
        // One may also end before the other.
        let line = match apart {
            Some((&i, _)) => Some(&a[i]),
            None if left.len() < right.len() => right.get(left.len()).map(|&j| &b[j]),
            None => left.get(right.len()).map(|&i| &a[i]),
        };
        if let Some(line) = line {
            found.push(TraceDifference { task: task.to_owned(), step: line.step, tensor: line.tensor.clone() });
        }
    }
    found
}

fn print(report: &Report, runs: &[Finished; 2], terminal: &mut Terminal) -> Result<()> {
    let word = if report.same {
        terminal.paint(Tone::Good, "the same results").to_string()
    } else {
        terminal.paint(Tone::Bad, "different results").to_string()
    };
    terminal.line(word)?;
    for (run, digest) in runs.iter().zip(&report.digests) {
        terminal.line(format_args!("  {digest}  {}", run.path.display()))?;
    }
    let none = || "(none)".to_owned();
    if !report.configuration.is_empty() {
        heading(terminal, "settings that differ")?;
        for [a, b] in &report.configuration {
            terminal.line(format_args!(
                "  {}  |  {}",
                a.clone().unwrap_or_else(none),
                b.clone().unwrap_or_else(none)
            ))?;
        }
    }
    heading(terminal, "claims")?;
    for (id, _) in &report.verdicts {
        let side = |run: &Finished, terminal: &Terminal| {
            let claim = run.claims.iter().find(|c| c.id == *id);
            let text = |c: &crate::record::ClaimEntry| c.measured["text"].as_str().unwrap_or_default().to_owned();
            claim.map_or_else(none, |c| format!("{} {}", verdict(c, terminal), text(c)))
        };
        let (a, b) = (side(&runs[0], terminal), side(&runs[1], terminal));
        terminal.line(format_args!("  {id:<4} {a}"))?;
        if a != b {
            terminal.line(format_args!("       {b}"))?;
        }
    }
    if report.metrics.is_empty() && report.parameters.is_empty() {
        return Ok(());
    }
    heading(terminal, "metrics that differ, where they first do")?;
    for d in &report.metrics {
        let value = |v: Option<Value>| v.map_or_else(none, |v| format!("{v} ({})", v.bits()));
        let ulps = d.ulps.map_or_else(String::new, |n| format!(", {n} ulps apart"));
        terminal.line(format_args!(
            "  {} {} @{}  {}  |  {}{ulps}",
            d.task,
            d.metric,
            d.step,
            value(d.first),
            value(d.second)
        ))?;
    }
    for task in &report.parameters {
        terminal.line(format_args!("  {task} final tensors"))?;
    }
    for TraceDifference { task, step, tensor } in &report.trace {
        terminal.line(format_args!("{task} parts at step {step}: {tensor}"))?;
    }
    if !report.traced && !report.same {
        terminal
            .note(None, "`regularity trace` records both runs step by step; then this command tells where they part");
    }
    Ok(())
}

fn heading(terminal: &mut Terminal, text: &str) -> Result<()> {
    let text = terminal.paint(Tone::Heading, text).to_string();
    terminal.line(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(task: &str, step: u64, tensor: &str, digest: &str) -> Traced {
        Traced { task: task.into(), step, tensor: tensor.into(), digest: digest.into() }
    }

    #[test]
    fn the_first_step_and_tensor_of_each_task_are_found() {
        let a = [line("x", 1, "w", "1"), line("y", 1, "w", "1"), line("x", 2, "w", "2"), line("x", 2, "m", "3")];
        let b = [line("y", 1, "w", "1"), line("x", 1, "w", "1"), line("x", 2, "w", "2"), line("x", 2, "m", "4")];
        let found = trace_differences(&a, &b);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].task.as_str(), found[0].step, found[0].tensor.as_str()), ("x", 2, "m"));
        let shorter = trace_differences(&a[..2], &b);
        assert_eq!((shorter.len(), shorter[0].step), (1, 2));
    }
}
