//! Normalisation: of each channel over a batch ([`BatchNorm`]: batch normalisation and its stochastic kin), and of
//! groups of channels in each example ([`GroupNorm`]: group and layer normalisation).
//!
//! Activations are `[n, h, w, c]`, channels innermost. A normalised layer computes
//!
//! ```text
//! z = fma(x - center, scale, shift) [+ residual] [+ noise]          a = z, or relu(z) = 0 if 0 > z, else z
//! ```
//!
//! with the three coefficients of its channel. Residual and noise are added in this order, each sum rounded by itself.
//! The layer is hardly ever a pass over memory of its own: [`Forward`] is a [`Source`](super::stage::Source), by which
//! the next convolution computes `a` on its way in; [`Moments`] is a [`Sink`](super::stage::Sink), by which the
//! convolution before has its output measured while it is in the cache. Backward the roles change: [`GradientSums`]
//! receives `d_a`, masks it and takes the sums; [`Gradient`] computes `d_x` for whoever reads it. [`write()`] runs a
//! source over whole tensors; it and the fused forms call the same loops, so their bits agree.
//!
//! # Statistics (numerics version 1)
//! Inside an example the pixels, in row-major order, are cut into runs of [`MOMENT_RUN`] = 16. In a run, for each channel
//! and in the element's type, `shift` is the value at the run's first pixel, and over its pixels
//!
//! ```text
//! d = x - shift          s = s + d          q = fma(d, d, q)          chains from +0
//! ```
//!
//! From there on in `f64`, every operation rounded: `part = s (1 / count)`, `mean = shift + part`,
//! `m2 = q - s part`. Two sets of values, left and right, merge as
//!
//! ```text
//! delta = mean_right - mean_left                    mean = mean_left + delta (count_right / count)
//! m2 = (m2_left + m2_right) + (delta delta) (count_left count_right / count)
//! ```
//!
//! Runs of an example merge one after another; examples merge by the left-balanced tree of [`crate::parallel`]. So
//! nothing depends on threads or tiers, and the statistics of whole subtrees of examples can be taken apart. Groups of
//! channels merge the moments of their channels one after another, in ascending order.
//!
//! `var = m2 / count`, or 0 where rounding has made that negative; `invstd = 1 / sqrt(var + eps)`.
//!
//! *Accuracy.* A run's squares are taken around one of its own values, so that `m2` is at least `q / 16` whatever the
//! mean: cancellation can cost a factor of 16 over the rounding of a chain of 16 (an outlier at the head of each run does
//! that), and in practice costs nearly nothing. The relative error of the variance stays under 1e-5 for
//! `|mean| / std` up to 1000.
//!
//! # Coefficients
//! In `f64`, rounded once each: `center` = the mean, `scale = gamma invstd`, and
//! `shift = beta + scale (center - mean)`, which makes up for the rounding of `center`. [`crate::reference::norm`]
//! writes out the operations, for the mixed branches too.
//!
//! # Backward
//! `d_z = +0` where `z <= 0`, else `d_a` (NaN lets it pass). `s`, the sum of `d_z`, and `t`, that of
//! `d_z (x - center)`, are chains over the pixels of a run of [`RUN`] = 64 (`s + d`, `fma(d, x - center, t)`), then, in `f64`, chains
//! from `+0` over the runs of an example and the left-balanced tree over examples. From them come `d_gamma`, `d_beta`
//! and
//!
//! ```text
//! d_x = fma(d_z, scale, fma(x - center, p, q))
//!   of the batch's branch:   p = -gamma invstd^3 sum(d_z (x - mean)) / N          q = -gamma invstd sum(d_z) / N
//!   of the moving branch:    p = q = 0
//! ```
//!
//! # Values that are not finite
//! An infinity or NaN makes the statistics, the running statistics and all outputs of its channel (group) NaN. Nothing
//! is refused: whoever watches the loss stops there. Overflow of a square makes a variance infinite and the channel's
//! `scale` zero.

mod batch;
mod example;
mod fold;
mod forward;
mod gradient;
mod group;
mod rows;
#[cfg(test)]
mod tests;

pub use batch::{BackwardStatistics, BatchNorm, Branch, Moments, Running};
pub use fold::fold_into_convolution;
pub use forward::{Coefficients, Forward, Noise, Post, Residual, RowFlags, Storing, write};
pub use gradient::{Gradient, GradientSums};
pub use group::{GroupMoments, GroupNorm, GroupSums};

use crate::error::{Error, Result};
use crate::simd::{Isa, Kernel, dispatch};

/// Pixels in a run of the statistics. Part of the contract.
pub const MOMENT_RUN: usize = 16;
/// Pixels in a run of the gradients' sums. Part of the contract.
pub const RUN: usize = 64;

/// The shape of a tensor of images, `[n, h, w, c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of examples.
    pub n: usize,
    /// Height in pixels.
    pub h: usize,
    /// Width in pixels.
    pub w: usize,
    /// Number of channels.
    pub c: usize,
}

impl Shape {
    /// The shape, if its elements can be counted.
    ///
    /// # Errors
    /// [`Error::Argument`] if a size is zero, [`Error::Overflow`] if the elements exceed the address space.
    pub fn new(n: usize, h: usize, w: usize, c: usize) -> Result<Self> {
        let op = "shape of a batch";
        for (what, size) in
            [("the number of examples", n), ("the height", h), ("the width", w), ("the number of channels", c)]
        {
            if size == 0 {
                return Err(Error::Argument { op, what, requirement: "at least 1", actual: "0".to_owned() });
            }
        }
        // Sixteen bytes an element: two f64 for each channel are kept of an example.
        let bytes = [n, h, w, c].into_iter().try_fold(16usize, usize::checked_mul);
        bytes.ok_or(Error::Overflow { op, what: "a tensor" })?;
        Ok(Self { n, h, w, c })
    }
    /// The same images, another number of them.
    #[must_use]
    pub const fn with_examples(self, n: usize) -> Self {
        Self { n, ..self }
    }
    /// Pixels of an example.
    #[must_use]
    pub const fn pixels(&self) -> usize {
        self.h * self.w
    }
    /// Elements of an example.
    #[must_use]
    pub const fn example(&self) -> usize {
        self.h * self.w * self.c
    }
    /// Elements of the tensor.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // no size is zero
    pub const fn len(&self) -> usize {
        self.n * self.example()
    }
}

/// Whether a slice has as many elements as it should.
pub(super) fn check(op: &'static str, what: &'static str, expected: usize, actual: usize) -> Result<()> {
    if expected == actual { Ok(()) } else { Err(Error::Shape { op, what, expected, actual }) }
}

/// Runs a kernel from within a source or sink. The tier is that of a context, so the CPU has it.
pub(super) fn enter<K: Kernel<Output = ()>>(isa: Isa, kernel: K) {
    let outcome = dispatch(isa, kernel);
    debug_assert!(outcome.is_ok(), "a tier of no context");
}
