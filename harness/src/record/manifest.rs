//! The files of a finished run, except for its tensors.

use std::collections::BTreeMap;
use std::path::Path;

use regularity_engine::digest::{Digest, Digester};
use serde::{Deserialize, Serialize};

use super::records::{Records, Series, TaskRecord};
use super::value::Value;
use crate::config::Configuration;
use crate::error::{Error, Result};
use crate::files;

/// The version of the files of a run.
pub const SCHEMA: u32 = 1;

/// `manifest.json`: what a run was and what it gave. It is written last: a run that has it is finished.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the run's files.
    pub schema: u32,
    /// All settings, resolved.
    pub configuration: Configuration,
    /// Their digest.
    pub configuration_digest: String,
    /// The version of the numerics contract.
    pub numerics_version: u32,
    /// The data, if any.
    pub data: Option<DataEntry>,
    /// The tasks, in the order of the plan.
    pub tasks: Vec<TaskEntry>,
    /// The digest of the whole outcome: metrics and final tensors of all tasks, and the verdicts. The same everywhere.
    pub digest: String,
    /// Facts about the machine and the run on it; nothing here can reach a result.
    pub host: Host,
}

/// The data of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataEntry {
    /// Its name.
    pub name: String,
    /// Whether it came from files of the user.
    pub external: bool,
    /// The digest over the selected records.
    pub digest: Option<String>,
}

/// One task of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskEntry {
    /// The arm.
    pub arm: String,
    /// The seed, if it draws at random.
    pub seed: Option<u64>,
    /// The digest of its final tensors.
    pub parameters: String,
    /// The file that holds them.
    pub file: String,
}

/// Where and how a run took place.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Host {
    /// When it was finished, UTC.
    pub finished: String,
    /// Seconds of the last process that worked on it.
    pub seconds: f64,
    /// How often it was resumed.
    pub resumed: u64,
    /// The instruction-set tier.
    pub isa: String,
    /// Threads.
    pub threads: usize,
    /// The CPU, if it has a name.
    pub cpu: Option<String>,
    /// Its architecture.
    pub architecture: String,
    /// The operating system.
    pub system: String,
    /// The version of this program.
    pub version: String,
}

/// One claim in `claims.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimEntry {
    /// Its id.
    pub id: String,
    /// The claim.
    pub statement: String,
    /// What the paper says.
    pub paper: PaperEntry,
    /// What was measured: a phrase, and the numbers by name.
    pub measured: serde_json::Value,
    /// How far it varies; null if that cannot be told.
    pub spread: Option<serde_json::Value>,
    /// `reproduced`, `not-reproduced` or `not-tested`.
    pub verdict: String,
}

/// What the paper says of a claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PaperEntry {
    /// The figure.
    pub figure: String,
    /// How it is known.
    pub status: String,
}

/// One line of `metrics.jsonl`: what a task recorded for a step.
#[derive(Debug, Serialize, Deserialize)]
struct MetricLine {
    arm: String,
    seed: Option<u64>,
    step: u64,
    values: BTreeMap<String, Value>,
}

/// The text of `metrics.jsonl`.
///
/// # Errors
/// [`Error::Write`] for a number that JSON cannot hold, which the recorder does not let through.
pub fn metrics_text(path: &Path, records: &Records) -> Result<String> {
    let mut text = String::new();
    for task in &records.tasks {
        let mut steps: BTreeMap<u64, BTreeMap<String, Value>> = BTreeMap::new();
        for (name, series) in &task.series {
            for &(step, value) in series.points() {
                steps.entry(step).or_default().insert(name.clone(), value);
            }
        }
        for (step, values) in steps {
            let line = MetricLine { arm: task.arm.clone(), seed: task.seed, step, values };
            let line = serde_json::to_string(&line);
            text += &line.map_err(|e| Error::Write { path: path.to_owned(), source: e.into() })?;
            text.push('\n');
        }
    }
    Ok(text)
}

/// Reads `metrics.jsonl`; the manifest tells the tasks.
///
/// # Errors
/// [`Error::Read`], [`Error::Damaged`].
pub fn read_metrics(path: &Path, manifest: &Manifest) -> Result<Records> {
    let mut tasks: Vec<TaskRecord> = manifest
        .tasks
        .iter()
        .map(|t| TaskRecord {
            arm: t.arm.clone(),
            seed: t.seed,
            parameters: t.parameters.clone(),
            series: BTreeMap::new(),
        })
        .collect();
    for (number, line) in files::read_text(path)?.lines().enumerate() {
        let damaged =
            |reason: String| Error::Damaged { path: path.to_owned(), reason: format!("line {}: {reason}", number + 1) };
        let line: MetricLine = serde_json::from_str(line).map_err(|e| damaged(e.to_string()))?;
        let task = tasks.iter_mut().find(|t| t.arm == line.arm && t.seed == line.seed);
        let task = task.ok_or_else(|| damaged("the manifest does not have its task".to_owned()))?;
        for (name, value) in line.values {
            let series: &mut Series = task.series.entry(name.clone()).or_default();
            series.push(&name, line.step, value).map_err(|e| damaged(e.to_string()))?;
        }
    }
    Ok(Records { tasks })
}

/// The digest of a whole outcome: of results alone.
///
/// # Errors
/// None in practice.
pub fn outcome_digest(records: &Records, claims: &[ClaimEntry]) -> Result<Digest> {
    let mut digester = Digester::new();
    let text = |digester: Digester, name: &str, text: &str| digester.tensor(name, &[text.len()], text.as_bytes());
    for task in &records.tasks {
        let id = task.id();
        digester = text(digester, &format!("{id}/parameters"), &task.parameters)?;
        for (name, series) in &task.series {
            digester = text(digester, &format!("{id}/{name}"), &series.digest(name)?.to_string())?;
        }
    }
    for claim in claims {
        digester = text(digester, &format!("claim/{}", claim.id), &claim.verdict)?;
    }
    Ok(digester.finish())
}
