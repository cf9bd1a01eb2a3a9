//! Metrics of finished tasks: all that claims and figures may look at.

use std::collections::BTreeMap;

use regularity_engine::digest::{Digest, Digester};
use serde::{Deserialize, Serialize};

use super::value::Value;
use crate::error::{Error, Result};

/// One metric over the steps of a task, steps strictly ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Series {
    points: Vec<(u64, Value)>,
}

impl Series {
    /// Every step with its value.
    #[must_use]
    pub fn points(&self) -> &[(u64, Value)] {
        &self.points
    }

    /// Steps and values as coordinates of a figure.
    pub fn xy(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().map(|&(step, value)| (step as f64, value.get()))
    }

    /// The values alone.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.points.iter().map(|(_, value)| value.get()).collect()
    }

    /// The last value.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        self.points.last().map(|(_, value)| value.get())
    }

    /// The value at a step.
    #[must_use]
    pub fn at(&self, step: u64) -> Option<f64> {
        let index = self.points.binary_search_by_key(&step, |&(step, _)| step).ok()?;
        Some(self.points[index].1.get())
    }

    /// The first step at which a condition holds.
    #[must_use]
    pub fn first(&self, condition: impl Fn(f64) -> bool) -> Option<u64> {
        self.points.iter().find(|(_, value)| condition(value.get())).map(|&(step, _)| step)
    }

    /// Adds a point.
    ///
    /// # Errors
    /// [`Error::Defect`] if its step does not come after the last one.
    pub(super) fn push(&mut self, name: &str, step: u64, value: Value) -> Result<()> {
        if let Some(&(last, _)) = self.points.last()
            && last >= step
        {
            return Err(Error::Defect { what: format!("`{name}` was recorded for step {step} after step {last}") });
        }
        self.points.push((step, value));
        Ok(())
    }

    /// The SHA-256 digest over steps, types and bits.
    ///
    /// # Errors
    /// None in practice.
    pub fn digest(&self, name: &str) -> Result<Digest> {
        let steps: Vec<u64> = self.points.iter().map(|p| p.0).collect();
        let types: Vec<u8> = self.points.iter().flat_map(|p| p.1.dtype().bytes()).collect();
        let bits: Vec<u8> = self.points.iter().flat_map(|p| p.1.bits().into_bytes()).collect();
        Ok(Digester::new()
            .tensor(name, &[steps.len()], &steps)?
            .tensor("types", &[types.len()], &types)?
            .tensor("bits", &[bits.len()], &bits)?
            .finish())
    }
}

/// What one finished task left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The arm's name.
    pub arm: String,
    /// The seed, if the arm draws at random.
    pub seed: Option<u64>,
    /// The digest of its final tensors, in hexadecimal.
    pub parameters: String,
    /// Metrics by name.
    pub series: BTreeMap<String, Series>,
}

impl TaskRecord {
    /// The name of the task: of the arm, and of the seed if there is one.
    #[must_use]
    pub fn id(&self) -> String {
        task_id(&self.arm, self.seed)
    }

    /// A metric.
    ///
    /// # Errors
    /// [`Error::Defect`] if it was never recorded.
    pub fn series(&self, name: &str) -> Result<&Series> {
        let missing = || Error::Defect { what: format!("{} has no metric `{name}`", self.id()) };
        self.series.get(name).ok_or_else(missing)
    }

    /// The last value of a metric.
    ///
    /// # Errors
    /// [`Error::Defect`] if it was never recorded.
    pub fn last(&self, name: &str) -> Result<f64> {
        let missing = || Error::Defect { what: format!("{} has no value of `{name}`", self.id()) };
        self.series(name)?.last().ok_or_else(missing)
    }
}

/// The name of a task.
#[must_use]
pub fn task_id(arm: &str, seed: Option<u64>) -> String {
    seed.map_or_else(|| arm.to_owned(), |seed| format!("{arm}-s{seed}"))
}

/// What all finished tasks of a run left behind, in the order of the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// The tasks.
    pub tasks: Vec<TaskRecord>,
}

impl Records {
    /// The tasks of an arm, in the order of their seeds.
    pub fn arm<'a>(&'a self, arm: &'a str) -> impl Iterator<Item = &'a TaskRecord> {
        self.tasks.iter().filter(move |task| task.arm == arm)
    }

    /// The only or the first task of an arm.
    ///
    /// # Errors
    /// [`Error::Defect`] if there is none.
    pub fn first(&self, arm: &str) -> Result<&TaskRecord> {
        let task = self.tasks.iter().find(|task| task.arm == arm);
        task.ok_or_else(|| Error::Defect { what: format!("there is no arm `{arm}`") })
    }

    /// The last value of a metric for each seed of an arm.
    ///
    /// # Errors
    /// [`Error::Defect`] if a task of the arm lacks it, or if there is no such arm.
    pub fn last(&self, arm: &str, metric: &str) -> Result<Vec<f64>> {
        self.first(arm)?;
        self.arm(arm).map(|task| task.last(metric)).collect()
    }
}
