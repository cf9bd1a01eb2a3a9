//! The trace of an operator, by random probes (M. F. Hutchinson, 1990).
//!
//! For a vector v of independent random signs the mean of `v' H v` is the trace of H; its variance is twice the sum of the
//! squares outside of the diagonal.

use super::{Operator, check_count, dot, signs};
use crate::error::Result;
use crate::memory::Buffer;
use crate::parallel::Context;
use crate::random::Stream;

/// A mean of independent draws.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The draws, in their order.
    pub draws: Vec<f64>,
}

impl Estimate {
    /// Their mean: a chain over the draws, divided by their number.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.draws.iter().fold(0.0, |sum, x| sum + x) / self.draws.len() as f64
    }

    /// The standard error of the mean; None for a single draw.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        let (mean, n) = (self.mean(), self.draws.len() as f64);
        let squares = self.draws.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
        (self.draws.len() > 1).then(|| (squares / (n * (n - 1.0))).sqrt())
    }
}

/// An unbiased estimate of the trace from `probes` products. Probe j has the signs of the stream `curvature/probe` at
/// step j.
///
/// # Errors
/// [`crate::Error::Argument`] for no probes; else as [`Operator::apply`].
pub fn hutchinson_trace(context: &Context, operator: &mut dyn Operator, seed: u64, probes: usize) -> Result<Estimate> {
    check_count("hutchinson_trace", "the number of probes", probes)?;
    let (mut v, mut product) = (Buffer::zeroed(operator.size())?, Buffer::zeroed(operator.size())?);
    let mut draws = Vec::with_capacity(probes);
    for probe in 0..probes {
        signs(context, operator, &Stream::new(seed, "curvature/probe", probe as u64), &mut v)?;
        operator.apply(context, &v, &mut product)?;
        draws.push(dot(context, &v, &product)?);
    }
    Ok(Estimate { draws })
}
