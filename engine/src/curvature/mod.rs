//! Curvature of the loss of a network: exact Hessian-vector products, and what theory asks of them.
//!
//! | question | answer |
//! |---|---|
//! | `H v` | [`Hessian::apply`](Operator::apply): exact, by the R-operator |
//! | the largest eigenvalues of H | [`lanczos`], with error bounds |
//! | the trace of H | [`hutchinson_trace`], with its standard error |
//! | the trace of the Gauss-Newton matrix | [`label_noise_trace`]: one backward pass a draw |
//! | the norm of each example's gradient | [`example_gradient_norms`] |
//!
//! # Method
//! The derivative of a gradient along a direction v is found as B. A. Pearlmutter ("Fast Exact Multiplication by the
//! Hessian", 1994) did: a forward pass carries the tangent of every tensor, a backward pass carries the gradient of every
//! tensor and the tangent of that. Convolutions and linear layers are bilinear, so tangents run through the kernels of
//! training, two products for each: `y_t = conv(x_t, w) + conv(x, w_t)`, and so on backward. What is left are element-wise
//! maps and sums over channels; the second derivative of a normalisation, statistics of the batch included, is derived in
//! `norm.rs`. Where a rectifier or a maximum has no derivative, that of the side it took is used, as in training.
//!
//! A product costs seven convolutions for each of the network, of which a gradient takes three, and keeps four tensors
//! for each normalised convolution, where training keeps one: a small multiple of a gradient in time and memory. The
//! forward pass is made once for a point and serves all products there.
//!
//! # Numerics (version 1)
//! Convolutions and products as [`crate::kernels`] define them. Everything else is computed in `f64`, every operation
//! rounded, in the order of the formulas as they are written, and rounded once where a tensor is stored; sums over the
//! pixels of an example and over channels are chains from `+0`, sums over examples left-balanced trees, losses and their
//! gradients chains over classes. Sums over an arena are chains over runs of [`RUN`] elements, then the left-balanced tree.
//! So nothing depends on threads or tiers. The gradient is that of training up to rounding, not up to the bit, because
//! training fuses what here stands alone.

mod backward;
mod examples;
mod hessian;
mod lanczos;
mod loss;
mod maps;
mod network;
mod norm;
mod products;
#[cfg(test)]
mod tests;
mod trace;

pub use examples::{example_gradient_norms, label_noise_trace};
pub use hessian::Hessian;
pub use lanczos::{Spectrum, lanczos};
pub use loss::Loss;
pub use trace::{Estimate, hutchinson_trace};

use std::ops::Range;

use crate::error::{Error, Result};
use crate::parallel::Context;
use crate::random::Stream;

/// Elements of a run of a sum over an arena. Part of the contract.
pub const RUN: usize = 1 << 12;

/// The statistics that a batch normalisation uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Those of the batch, as in training: they vary with the parameters, and derivatives pass through them.
    Batch,
    /// The running ones, as in evaluation: constants.
    Running,
}

/// A symmetric linear map.
pub trait Operator {
    /// Elements of its vectors.
    fn size(&self) -> usize;

    /// The elements that take part, as ranges: the others stay zero.
    fn segments(&self) -> Vec<Range<usize>>;

    /// `product = H v`.
    ///
    /// # Errors
    /// [`Error::Shape`] if a length does not fit; else those of the computation.
    fn apply(&mut self, context: &Context, v: &[f32], product: &mut [f32]) -> Result<()>;
}

/// A sum over an arena of the products of two vectors' elements.
fn dot(context: &Context, a: &[f32], b: &[f32]) -> Result<f64> {
    let leaf = |i: usize| {
        let range = i * RUN..((i + 1) * RUN).min(a.len());
        a[range.clone()].iter().zip(&b[range]).fold(0.0, |sum, (a, b)| sum + f64::from(*a) * f64::from(*b))
    };
    Ok(context.tree(a.len().div_ceil(RUN), leaf, |a, b| a + b)?.unwrap_or(0.0))
}

/// A vector of random signs: element i is `+1` where bit 0 of draw i of `stream` is zero, else `-1`, and zero outside of
/// the segments.
fn signs(context: &Context, operator: &dyn Operator, stream: &Stream, v: &mut [f32]) -> Result<()> {
    v.fill(0.0);
    for segment in operator.segments() {
        let first = segment.start;
        context.chunks(&mut v[segment], RUN, |start, v| {
            for (i, v) in v.iter_mut().enumerate() {
                let draw = stream.u32_at((first + start + i) as u64);
                *v = if draw & 1 == 0 { 1.0 } else { -1.0 };
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn check_count(op: &'static str, what: &'static str, actual: usize) -> Result<()> {
    if actual > 0 {
        return Ok(());
    }
    Err(Error::Argument { op, what, requirement: "at least 1", actual: "0".to_owned() })
}
