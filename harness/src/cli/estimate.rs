//! How long a run may take on this machine.

use regularity_engine::Isa;

use crate::error::Result;
use crate::experiments::Task;
use crate::measure::fma_peaks;

/// The share of the multiply-add peak that the training of convolutional networks reaches, as a rule of thumb; other
/// work is counted in operations of that speed.
const EFFICIENCY: f64 = 0.6;

/// The speed of this machine, measured within a tenth of a second.
#[derive(Debug, Clone, Copy)]
pub struct Speed {
    gflops: f64,
}

impl Speed {
    /// Measures.
    pub fn measure(isa: Isa, threads: usize) -> Result<Self> {
        // The best of some short samples: a program that runs beside for a moment is not part of the machine.
        let peaks = fma_peaks(&[isa], &[threads], 12, 0.004)?;
        Ok(Self { gflops: EFFICIENCY * peaks.first().map_or(1.0, |peak| peak.gflops.max) })
    }

    /// Estimated seconds for these tasks; None if the experiment does not estimate its work.
    pub fn seconds(self, tasks: &[Task]) -> Option<f64> {
        let work: f64 = tasks.iter().map(|task| task.gflop).sum();
        (work > 0.0).then_some(work / self.gflops)
    }
}

/// A time for people: `40 s`, `3 min`, `2.5 h`, `12 days`.
pub fn time_text(seconds: Option<f64>) -> String {
    match seconds {
        None => "seconds".to_owned(),
        Some(s) if s < 1.0 => "1 s".to_owned(),
        Some(s) if s < 90.0 => format!("{s:.0} s"),
        Some(s) if s < 5400.0 => format!("{:.0} min", s / 60.0),
        Some(s) if s < 48.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        Some(s) => format!("{:.0} days", s / 86400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_unit_that_people_would_use() {
        let cases = [(None, "seconds"), (Some(0.2), "1 s"), (Some(40.4), "40 s"), (Some(200.0), "3 min")];
        for (seconds, text) in cases.into_iter().chain([(Some(9000.0), "2.5 h"), (Some(1_036_800.0), "12 days")]) {
            assert_eq!(time_text(seconds), text);
        }
        let tasks = [Task::new("a").with_gflop(30.0), Task::new("b").with_gflop(10.0)];
        assert_eq!(Speed { gflops: 20.0 }.seconds(&tasks), Some(2.0));
        assert_eq!(Speed { gflops: 20.0 }.seconds(&[Task::new("a")]), None);
    }
}
