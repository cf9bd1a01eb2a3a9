//! Speeds: the only module with a clock.
//!
//! A machine that others share, or that heats up, is slower at one moment than at the next. So things to be compared
//! are timed in turns (A B A B ...), each often, and every figure comes as the least, the middle and the greatest of
//! its [`Spread`].

#![allow(clippy::disallowed_methods)] // measurements of this machine are no results of the engine

mod bandwidth;
mod fma;
mod gemm;
mod step;

use std::sync::Barrier;
use std::time::Instant;

use serde::Serialize;

use crate::error::Result;

pub use bandwidth::{Bandwidth, CopyProbe, Level, Operation, bandwidths};
pub use fma::{FmaPeak, FmaProbe, fma_peaks};
pub use gemm::{GemmProblem, GemmSpeed};
pub use step::{LayerSpeed, StepProblem, StepSpeed, layer_speeds};

/// The least, middle and greatest of several measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one; of an even number, the mean of the middle two.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Summarises `samples`; None if there are none.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { min, median: f64::midpoint(low, high), max })
    }
}

/// Something that can be timed: one call is one sample, in units of work per second.
pub type Sample<'a> = Box<dyn FnMut() -> Result<f64> + 'a>;

/// Takes `rounds` samples of each, in turns; a first round warms up and is not counted.
///
/// # Errors
/// The first error of a sample.
pub fn in_turns(rounds: usize, samples: &mut [Sample<'_>]) -> Result<Vec<Vec<f64>>> {
    let mut taken = vec![Vec::with_capacity(rounds); samples.len()];
    for round in 0..=rounds {
        for (sample, taken) in samples.iter_mut().zip(&mut taken) {
            let value = sample()?;
            if round > 0 {
                taken.push(value);
            }
        }
    }
    Ok(taken)
}

/// Seconds that `work` takes.
///
/// # Errors
/// The error of `work`.
pub fn seconds<E>(work: impl FnOnce() -> std::result::Result<(), E>) -> std::result::Result<f64, E> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The repetitions of a work that last about `target` seconds: doubled until they do, then scaled.
///
/// # Errors
/// The error of `time`, which gives the seconds that a number of repetitions takes.
pub fn calibrate<E>(
    target: f64,
    mut time: impl FnMut(usize) -> std::result::Result<f64, E>,
) -> std::result::Result<usize, E> {
    let mut count = 1;
    loop {
        let taken = time(count)?;
        if taken >= target / 4.0 || count >= 1 << 40 {
            let scaled = (count as f64 * target / if taken > 1e-9 { taken } else { 1e-9 }).ceil();
            return Ok((scaled as usize).max(1));
        }
        count *= 2;
    }
}

/// Seconds from a common start until the last of `workers` has done its work, each on a thread of its own.
///
/// # Errors
/// The first error of a worker.
pub fn together<E: Send, W: FnOnce() -> std::result::Result<(), E> + Send>(
    workers: Vec<W>,
) -> std::result::Result<f64, E> {
    if workers.len() == 1 {
        return workers.into_iter().try_fold(0.0, |_, work| seconds(work));
    }
    let barrier = Barrier::new(workers.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .map(|work| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    let start = Instant::now();
                    work().map(|()| (start, Instant::now()))
                })
            })
            .collect();
        let mut span: Option<(Instant, Instant)> = None;
        for thread in threads {
            let (start, end) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            span = Some(span.map_or((start, end), |(s, e)| (s.min(start), e.max(end))));
        }
        Ok(span.map_or(0.0, |(start, end)| (end - start).as_secs_f64()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn the_spread_is_order_statistics() {
        assert_eq!(Spread::of(&[]), None);
        let cases: [(&[f64], [f64; 3]); 3] =
            [(&[3.0], [3.0, 3.0, 3.0]), (&[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]), (&[4.0, 1.0, 2.0, 3.0], [1.0, 2.5, 4.0])];
        for (samples, [min, median, max]) in cases {
            assert_eq!(Spread::of(samples), Some(Spread { min, median, max }), "{samples:?}");
        }
    }

    #[test]
    fn samples_are_taken_in_turns_after_a_round_that_does_not_count() {
        let log = RefCell::new(String::new());
        let sample = |name: char, value: f64| -> Sample<'_> {
            let log = &log;
            Box::new(move || {
                log.borrow_mut().push(name);
                Ok(value)
            })
        };
        let taken = in_turns(2, &mut [sample('a', 1.0), sample('b', 2.0)]).unwrap();
        assert_eq!(taken, [[1.0, 1.0], [2.0, 2.0]]);
        assert_eq!(*log.borrow(), "ababab");
    }

    #[test]
    fn calibration_reaches_its_target_with_a_clock_that_counts() {
        // A work of one microsecond a repetition.
        let count = calibrate(0.01, |n| Ok::<_, ()>(n as f64 * 1e-6)).unwrap();
        assert!((9_999..=10_001).contains(&count), "{count}");
        // A work that is longer than the target is done once.
        assert_eq!(calibrate(0.01, |n| Ok::<_, ()>(n as f64)), Ok(1));
    }

    #[test]
    fn an_error_of_a_worker_comes_back() {
        let workers: Vec<_> = (0..3).map(|i| move || if i == 1 { Err(i) } else { Ok(()) }).collect();
        assert_eq!(together(workers), Err(1));
    }
}
