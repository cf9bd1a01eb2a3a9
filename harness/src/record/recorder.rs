//! What a running task writes down.

use std::collections::BTreeMap;

use regularity_engine::digest::Digester;
use serde::{Deserialize, Serialize};

use super::records::Series;
use super::tensors::Element;
use super::value::Value;
use crate::error::{Error, Result};

/// A digest of a named tensor at a step, for `compare` to find where two runs part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLine {
    /// The step.
    pub step: u64,
    /// The tensor's name.
    pub tensor: String,
    /// Its SHA-256 digest in hexadecimal.
    pub digest: String,
}

/// Takes down the metrics of one task. They are saved with its checkpoints, and cut back to them on resume.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    series: BTreeMap<String, Series>,
    trace: Option<Vec<TraceLine>>,
}

impl Recorder {
    /// Nothing recorded yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from what was recorded before.
    #[must_use]
    pub fn resume(series: BTreeMap<String, Series>) -> Self {
        Self { series, trace: None }
    }

    /// Records a metric: `recorder.record("test_accuracy", epoch, accuracy)?`.
    ///
    /// Names are lower case, words joined by `_`, groups by `/`. A series keeps the type of its first value.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if the value is not a finite number; the run ends there, on every machine at the same step.
    /// [`Error::Defect`] if the step does not come after the last one of that metric.
    pub fn record(&mut self, metric: &str, step: u64, value: impl Into<Value>) -> Result<()> {
        let value = value.into();
        if !value.is_finite() {
            return Err(Error::NonFinite { what: format!("`{metric}` is {value}"), step });
        }
        match self.series.get_mut(metric) {
            Some(series) => series.push(metric, step, value),
            None => self.series.entry(metric.to_owned()).or_default().push(metric, step, value),
        }
    }

    /// Whether `regularity trace` is watching: then, and only then, digests of tensors are worth their time.
    #[must_use]
    pub fn is_tracing(&self) -> bool {
        self.trace.is_some()
    }

    /// Notes the digest of a tensor, if [traced](Self::is_tracing). What a task [saves](crate::experiments::Arm::save)
    /// is traced after each of its steps anyway; this is for what lies between, such as gradients and activations.
    ///
    /// # Errors
    /// [`Error::Engine`] if the shape does not fit.
    pub fn trace<T: Element>(&mut self, tensor: &str, step: u64, shape: &[usize], data: &[T]) -> Result<()> {
        if let Some(lines) = &mut self.trace {
            let digest = Digester::new().tensor(tensor, shape, data)?.finish().to_string();
            lines.push(TraceLine { step, tensor: tensor.to_owned(), digest });
        }
        Ok(())
    }

    /// Begins to trace.
    pub fn start_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// The lines traced since the last call.
    pub fn take_trace(&mut self) -> Vec<TraceLine> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// All metrics so far.
    #[must_use]
    pub fn series(&self) -> &BTreeMap<String, Series> {
        &self.series
    }

    /// All metrics.
    #[must_use]
    pub fn into_series(self) -> BTreeMap<String, Series> {
        self.series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_ends_the_run_and_steps_only_go_forward() {
        let mut recorder = Recorder::new();
        recorder.record("loss", 0, 0.5f32).unwrap();
        recorder.record("loss", 2, 0.25f32).unwrap();
        let nan = recorder.record("loss", 3, f32::NAN);
        assert!(matches!(nan, Err(Error::NonFinite { step: 3, .. })));
        assert!(matches!(recorder.record("loss", 2, 0.1f32), Err(Error::Defect { .. })));
        let series = &recorder.series()["loss"];
        assert_eq!((series.last(), series.at(0), series.first(|x| x < 0.3)), (Some(0.25), Some(0.5), Some(2)));
    }

    #[test]
    fn tensors_are_traced_only_when_asked() {
        let mut recorder = Recorder::new();
        recorder.trace("w", 1, &[2], &[1.0f32, 2.0]).unwrap();
        assert!(recorder.take_trace().is_empty());
        recorder.start_trace();
        recorder.trace("w", 1, &[2], &[1.0f32, 2.0]).unwrap();
        assert_eq!(recorder.take_trace().len(), 1);
    }
}
