//! Two-dimensional convolution (cross-correlation, as the field calls it), forward and backward.
//!
//! # Definition
//! Activations are `[n, h, w, c]`, channels innermost, weights `[c_out, c_in, kernel_h, kernel_w]`, both `f32`. For every
//! element of the result, where `fma(a, b, c)` rounds once:
//!
//! ```text
//! forward        acc = bias[oc] or +0
//!                acc = fma(x[n, oh s + kh - p, ow s + kw - p, ic], w[oc, ic, kh, kw], acc)    for ic, kh, kw ascending
//!                y[n, oh, ow, oc] = +0 + acc
//!
//! to data        acc = +0
//!                acc = fma(d_y[n, (ih + p - kh)/s, (iw + p - kw)/s, oc], w[oc, ic, kh, kw], acc)  for oc, kh, kw ascending
//!                d_x[n, ih, iw, ic] = +0 + acc
//! ```
//!
//! with stride s and padding p; kw runs fastest. A tap takes part only if what it reads exists: it lies within the image,
//! and, backward, the division by s is exact. A pixel that no tap reaches (backward, stride above the kernel) has the
//! gradient `+0`. What may be added to a gradient (that of another branch) is added after the chain, by a [`Sink`]. The
//! order never depends on the batch: an example has the same bits alone and among others.
//! [`crate::reference::conv`] is this text in code.
//!
//! # Method
//! Lanes are neighbouring channels of the result, so the width of the hardware cannot show. Pixels of the result are
//! sorted into classes of equal taps (the interior, each edge, each corner; backward with a stride each parity), and a tile
//! of the micro-kernel takes any pixels of one class, across rows and examples: padding costs nothing at all, and there is
//! one inner loop for every kernel size, stride and direction. Images are read where they lie, channels innermost; from
//! 128 channels on they are copied into planes of some channels first, since pixels that are 512 bytes or more apart
//! would meet in a few sets of the cache.
//!
//! Blocks: all tiles of a few examples pass over the weights of 16 channels of the result and of some channels that are
//! summed; unfinished outputs are carried from block to block in a small dense buffer, and each output is written once.
//! The examples of a unit stay in the second-level cache, into which the next unit and the next block of weights are
//! fetched meanwhile: where memory is slow, that decides. Where weights are few, several tiles are computed at the same
//! pixels, so that outputs are written in long runs; where pixels are few (the corners of one small image), tiles are wider.

pub mod backward_weight;
mod driver;
mod geometry;
mod images;
mod kernel;
mod packed;
mod plan;
mod taps;
#[cfg(test)]
mod tests;
mod walk;

pub use backward_weight::{
    VirtualShards, WeightBlocking, WeightGradient, WeightTask, backward_weight, backward_weight_by,
    backward_weight_with,
};
pub use geometry::Geometry;
pub(crate) use packed::{Packed, Prepared};
pub use packed::{PackedBackward, PackedForward};
pub use plan::Blocking;
pub(crate) use taps::Direction;

use crate::error::Result;
use crate::kernels::stage::{Sink, Source};
use crate::parallel::Context;

/// The forward pass of `n` examples: `y = conv(x, w) + bias`.
///
/// `source` gives x, `[n, h, w, c_in]`; `y` is `[n, out_h, out_w, c_out]`; `bias` has one value for each output channel.
/// `sink` gets each example of `y` when it is finished.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if a length does not fit, [`Error::OutOfMemory`](crate::Error::OutOfMemory) for
/// scratch space, [`Error::FloatEnvironment`](crate::Error::FloatEnvironment) if a thread does not compute as IEEE-754 says.
pub fn forward(
    context: &Context,
    weights: &PackedForward,
    n: usize,
    source: &dyn Source,
    bias: Option<&[f32]>,
    y: &mut [f32],
    sink: &dyn Sink,
) -> Result<()> {
    weights.packed().run(context, n, source, bias, y, sink)
}

/// The gradient of the input of `n` examples.
///
/// `source` gives d_y, `[n, out_h, out_w, c_out]`; `d_x` is `[n, h, w, c_in]` and is overwritten. `sink` gets each example
/// of `d_x` when it is finished.
///
/// # Errors
/// As [`forward`].
pub fn backward_data(
    context: &Context,
    weights: &PackedBackward,
    n: usize,
    source: &dyn Source,
    d_x: &mut [f32],
    sink: &dyn Sink,
) -> Result<()> {
    weights.packed().run(context, n, source, None, d_x, sink)
}

impl Packed<'_> {
    /// The convolution of `n` examples in its direction: [`forward`], or [`backward_data`] without a bias.
    ///
    /// # Errors
    /// As [`forward`].
    pub(crate) fn run(
        self,
        context: &Context,
        n: usize,
        source: &dyn Source,
        bias: Option<&[f32]>,
        y: &mut [f32],
        sink: &dyn Sink,
    ) -> Result<()> {
        driver::run(context, self, n, source, bias, y, sink)
    }
}

impl PackedForward {
    /// [`forward`] of the examples of `x` on the calling thread alone, for use inside of a task.
    ///
    /// # Errors
    /// As [`forward`].
    pub fn run_here(&self, context: &Context, x: &[f32], bias: Option<&[f32]>, y: &mut [f32]) -> Result<()> {
        driver::run_here(context, self.packed(), x, bias, y)
    }
}

impl PackedBackward {
    /// [`backward_data`] of the examples of `d_y` on the calling thread alone, for use inside of a task: after d_y has been
    /// computed once into scratch space, and while it is in the cache.
    ///
    /// # Errors
    /// As [`forward`].
    pub fn run_here(&self, context: &Context, d_y: &[f32], d_x: &mut [f32]) -> Result<()> {
        driver::run_here(context, self.packed(), d_y, None, d_x)
    }
}
