//! The golden of an experiment: one line for each thing that must not change.
//!
//! ```text
//! numerics version 1
//! configuration <digest>
//! data cifar10 <digest>
//! setting epochs = 3
//! claim T1 reproduced
//! parameters small-s1 <digest>
//! metric small-s1 test_accuracy @12 f32 3f000000 0.5
//! series small-s1 train_loss 400 <digest>
//! ```
//!
//! A metric of up to [`SHORT`] points is there point by point, in bits with the decimal beside them. A longer one is there
//! as the digest over all its points, and point by point at [`SHORT`] of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Snapshot;
use crate::config::Profile;
use crate::error::{Error, Result};
use crate::record::{ClaimEntry, Manifest, Records, Value};

/// The most points of a metric that are listed.
pub const SHORT: usize = 16;

/// What a golden holds of a run.
#[derive(Debug, Clone, Copy)]
pub struct Outline<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// The claims.
    pub claims: &'a [ClaimEntry],
    /// The metrics.
    pub records: &'a Records,
}

/// A line that is not as the golden has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deviation {
    /// What the line is about: `metric small-s1 test_accuracy @12`.
    pub what: String,
    /// What the golden says; None if it does not have the line.
    pub golden: Option<String>,
    /// What the run says; None if it does not have the line.
    pub run: Option<String>,
    /// The distance of the two numbers in units in the last place, if they are numbers of one type.
    pub ulps: Option<u64>,
}

/// The golden file of an experiment and profile; external data has a golden of its own.
#[must_use]
pub fn golden_path(folder: &Path, experiment: &str, profile: Profile, external_data: Option<&str>) -> PathBuf {
    let name = external_data.map_or_else(|| format!("{profile}.snap"), |data| format!("{profile}-{data}.snap"));
    folder.join(experiment).join(name)
}

impl Outline<'_> {
    /// The golden file of this run.
    #[must_use]
    pub fn path(&self, folder: &Path) -> PathBuf {
        let configuration = &self.manifest.configuration;
        let external = self.manifest.data.as_ref().filter(|d| d.external).map(|d| d.name.as_str());
        golden_path(folder, &configuration.experiment, configuration.profile, external)
    }

    /// The body of the golden that this run asks for.
    ///
    /// # Errors
    /// None in practice.
    pub fn body(&self) -> Result<String> {
        let Self { manifest, claims, records } = self;
        let mut lines = vec![
            format!("numerics version {}", manifest.numerics_version),
            format!("configuration {}", manifest.configuration_digest),
        ];
        if let Some(data) = &manifest.data {
            lines.push(format!("data {} {}", data.name, data.digest.as_deref().unwrap_or("-")));
        }
        lines.extend(manifest.configuration.canonical().lines().map(|line| format!("setting {line}")));
        lines.extend(claims.iter().map(|claim| format!("claim {} {}", claim.id, claim.verdict)));
        for task in &records.tasks {
            let id = task.id();
            lines.push(format!("parameters {id} {}", task.parameters));
            for (name, series) in &task.series {
                let points = series.points();
                let n = points.len();
                if n > SHORT {
                    lines.push(format!("series {id} {name} {n} {}", series.digest(name)?));
                }
                // All of them if there are few; else the first, the last, and evenly between.
                let indices = (0..n.min(SHORT)).map(|i| if n > SHORT { i * (n - 1) / (SHORT - 1) } else { i });
                for (step, value) in indices.map(|i| points[i]) {
                    lines.push(format!("metric {id} {name} @{step} {} {} {value}", value.dtype(), value.bits()));
                }
            }
        }
        lines.push(format!("outcome {}", manifest.digest));
        Ok(lines.join("\n") + "\n")
    }

    /// The golden with its reason.
    ///
    /// # Errors
    /// As [`body`](Self::body).
    pub fn snapshot(&self, reason: &str) -> Result<Snapshot> {
        let configuration = &self.manifest.configuration;
        let expression = format!("{} {}", configuration.experiment, configuration.profile);
        Ok(Snapshot { expression, description: reason.to_owned(), body: self.body()? })
    }
}

/// How many words of a line say what it is about; the others are its value.
fn key_words(line: &str) -> usize {
    match line.split(' ').next() {
        Some("metric") => 4,
        Some("series") => 3,
        Some("claim" | "parameters" | "data" | "setting" | "numerics") => 2,
        _ => 1,
    }
}

fn split(line: &str) -> (String, String) {
    let words: Vec<_> = line.split(' ').collect();
    let (key, value) = words.split_at(key_words(line).min(words.len()));
    (key.join(" "), value.join(" "))
}

/// The number of a metric's value `f32 3f000000 0.5`.
fn number(value: &str) -> Option<Value> {
    let mut words = value.split(' ');
    Value::from_bits(words.next()?, words.next()?).ok()
}

/// Every line of a run that is not as the golden has it, in the order of the run, then what only the golden has.
#[must_use]
pub fn deviations(golden: &str, run: &str) -> Vec<Deviation> {
    let mut expected: BTreeMap<String, String> = golden.lines().map(split).collect();
    let mut found = Vec::new();
    for (what, value) in run.lines().map(split) {
        let golden = expected.remove(&what);
        if golden.as_deref() != Some(value.as_str()) {
            let ulps = golden.as_deref().and_then(number).zip(number(&value)).and_then(|(a, b)| a.ulps(b));
            found.push(Deviation { what, golden, run: Some(value), ulps });
        }
    }
    // In the order of the golden's own lines.
    let left = golden.lines().map(split).filter(|(what, _)| expected.contains_key(what));
    found.extend(left.map(|(what, value)| Deviation { what, golden: Some(value), run: None, ulps: None }));
    found
}

/// Nothing, or the error that tells where a run and its golden part.
///
/// # Errors
/// [`Error::Mismatch`] with the first differences; `how` is the command that finds the step.
pub fn judge(path: &Path, deviations: &[Deviation], how: &str) -> Result<()> {
    if deviations.is_empty() {
        return Ok(());
    }
    // The settings come first: if they differ, all else does.
    let shown = deviations.iter().filter(|d| d.what != "outcome").take(5);
    let lines: Vec<_> = shown
        .map(|d| {
            let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "(not there)".to_owned());
            let ulps = d.ulps.map_or_else(String::new, |n| format!("\n    apart   {n} ulps"));
            format!("\n  {}\n    golden  {}\n    run     {}{ulps}", d.what, side(&d.golden), side(&d.run))
        })
        .collect();
    Err(Error::Mismatch {
        message: format!("{} of its lines are not as in {}:{}", deviations.len(), path.display(), lines.concat()),
        help: format!(
            "every machine must give the same. If this is a change on purpose, `regularity bless` writes the golden \
             anew; otherwise find the step where the runs part: {how}"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str =
        "numerics version 1\nconfiguration aa\nclaim T1 reproduced\nmetric a-s1 loss @3 f32 3f800000 1.0\n";

    #[test]
    fn a_changed_number_is_told_with_its_distance() {
        let run = GOLDEN.replace("3f800000 1.0", "3f800002 1.0000002");
        let found = deviations(GOLDEN, &run);
        assert_eq!((found.len(), found[0].ulps, found[0].what.as_str()), (1, Some(2), "metric a-s1 loss @3"));
        let error = judge(Path::new("x.snap"), &found, "HOW").unwrap_err().to_string();
        for part in ["a-s1 loss @3", "3f800000 1.0", "3f800002 1.0000002", "2 ulps"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn lines_that_come_or_go_are_told_and_equal_ones_are_not() {
        assert!(deviations(GOLDEN, GOLDEN).is_empty());
        let run = GOLDEN.replace("claim T1 reproduced\n", "claim T2 not-tested\n");
        let found = deviations(GOLDEN, &run);
        let what: Vec<_> = found.iter().map(|d| (d.what.as_str(), d.golden.is_some(), d.run.is_some())).collect();
        assert_eq!(what, [("claim T2", false, true), ("claim T1", true, false)]);
    }

    #[test]
    fn external_data_has_a_golden_of_its_own() {
        let path = |data| golden_path(Path::new("golden"), "x", Profile::Quick, data);
        assert_eq!(path(None), Path::new("golden/x/quick.snap"));
        assert_eq!(path(Some("cifar10")), Path::new("golden/x/quick-cifar10.snap"));
    }
}
