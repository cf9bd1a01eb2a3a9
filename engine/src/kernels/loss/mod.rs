//! Losses: the value and the gradient in one pass.
//!
//! # Shapes
//! n examples, k classes or outputs. Logits, outputs and soft targets are row-major n x k, gradients n x k without gaps.
//!
//! # The order (numerics version 1)
//! A *row sum* runs over 64 stripes, element `i` in stripe `i mod 64`, each stripe one chain in ascending order, and
//! halves them as [`crate::kernels::reduce`] says; `+0` is added at the end. (Up to 16,384 elements that is the rule for
//! flat reductions; a row has no shards.) The row maximum is the same with `max`.
//!
//! [`softmax_cross_entropy`], each line rounded as written, `exp` and `ln` from [`crate::math`]:
//!
//! ```text
//! m       = row maximum of x                 NaN are passed over
//! e[i]    = exp(x[i] - m)
//! s       = row sum of e                     chain step: s + e[i]
//! p[i]    = e[i] / s
//! loss    = ln(s) - (x[y] - m)                              for hard labels y
//! loss    = row sum of t[i] (ln(s) - (x[i] - m))            for targets t; chain step: fma(t[i], .., s)
//! d_x[i]  = (p[i] - t[i]) scale                             t is 1 at y and 0 elsewhere for hard labels
//! ```
//!
//! [`squared_error`]: `r[i] = x[i] - t[i]`, `loss = 0.5 (row sum of squares of r)`, `d_x[i] = r[i] scale`.
//!
//! [`logistic`]: `z = -y x`, `loss = softplus(z)`, `d_x = (-y sigmoid(z)) scale`.
//!
//! The loss of a batch is the left-balanced tree over the losses of its examples, divided by their number. An
//! example's row depends on nothing else in the batch. To give the gradient of the mean, `scale` is `1 / n`; a
//! micro-batch takes the `1 / n` of the whole batch, and [`LossSum::join`] puts the sums together.
//!
//! # Values that are not finite
//! Nothing panics. A row with a NaN or `+inf` among its logits, or with `-inf` alone, has the loss NaN and the gradient
//! NaN. A logit of `-inf` beside finite ones has probability 0; its loss is `inf` as a hard label, and a row with soft
//! or smoothed targets has the loss NaN or `inf`.

mod pointwise;
mod softmax;

pub use pointwise::{logistic, squared_error};
pub use softmax::{Targets, softmax_backward, softmax_cross_entropy, softmax_forward};

use super::chunks::{Parts, tree_over};
use crate::error::{Error, Result};
use crate::parallel::{Context, TreeFold};
use crate::simd::{Kernel, Tier};
use crate::tensor::MatRef;

/// The loss of a batch before it is divided by the number of examples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LossSum {
    /// The left-balanced tree over the examples' losses; `+0` for none.
    pub sum: f32,
    /// Examples.
    pub examples: usize,
    /// Examples that were classified right; zero for [`squared_error`], which does not classify.
    pub correct: usize,
}

impl LossSum {
    /// The sum divided by the number of examples (rounded to nearest, exact up to 2^24); NaN without examples.
    #[must_use]
    pub fn mean(&self) -> f32 {
        self.sum / self.examples as f32
    }
    /// The loss of two micro-batches, one after the other.
    ///
    /// Micro-batches which are subtrees of the batch (`self` has a power of two of examples, and at least as many as
    /// `right`) give the same bits as the whole batch.
    #[must_use]
    pub fn join(self, right: Self) -> Self {
        Self {
            sum: self.sum + right.sum,
            examples: self.examples + right.examples,
            correct: self.correct + right.correct,
        }
    }
}

/// The gradient, if one is wanted.
#[derive(Debug)]
pub struct Gradient<'a> {
    /// Where it goes: n x k without gaps.
    pub d: &'a mut [f32],
    /// What each element is multiplied by: `1 / n` for the gradient of the mean.
    pub scale: f32,
}

/// Examples whose losses are found together: one lane each. Bit-neutral.
const BLOCK: usize = 16;
/// Elements for one task, about. Bit-neutral.
const TASK: usize = 1 << 14;

/// A loss as a sum over examples.
trait Examples: Copy + Send + Sync {
    /// Numbers of the gradient for each example.
    fn width(self) -> usize;
    /// The losses of at most [`BLOCK`] examples from `first` on, one for each of `losses`, and their gradient if
    /// `GRADIENT`; gives the number of examples that were classified right. Must be `#[inline(always)]`.
    fn block<S: Tier, const GRADIENT: bool>(
        self,
        tier: S,
        first: usize,
        scale: f32,
        losses: &mut [f32],
        d: &mut [f32],
    ) -> usize;
}

struct Batch<'a, L> {
    context: &'a Context,
    loss: L,
    examples: usize,
    gradient: Option<Gradient<'a>>,
    losses: Option<&'a mut [f32]>,
}

impl<L: Examples> Kernel for Batch<'_, L> {
    type Output = Result<LossSum>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<LossSum> {
        let Self { context, loss, examples, gradient, losses } = self;
        let width = loss.width();
        let task = (TASK / width.max(1)).next_power_of_two().max(BLOCK);
        let (scale, wanted) = (gradient.as_ref().map_or(0.0, |g| g.scale), gradient.is_some());
        let d = gradient.map_or(Parts::none(), |g| Parts::new(g.d, task.saturating_mul(width)));
        let losses = losses.map_or(Parts::none(), |losses| Parts::new(losses, task));
        let leaf = |i: usize, d: &mut [f32], losses: &mut [f32]| {
            let rows = i * task..((i + 1) * task).min(examples);
            tier.vectorize(
                #[inline(always)]
                || {
                    if wanted {
                        subtree::<S, L, true>(tier, loss, rows, scale, d, losses)
                    } else {
                        subtree::<S, L, false>(tier, loss, rows, scale, d, losses)
                    }
                },
            )
        };
        let root = tree_over(context, examples.div_ceil(task), d, losses, leaf, LossSum::join)?;
        Ok(root.unwrap_or_default())
    }
}

/// The examples of one task, a subtree of the batch.
#[inline(always)]
fn subtree<S: Tier, L: Examples, const GRADIENT: bool>(
    tier: S,
    loss: L,
    rows: std::ops::Range<usize>,
    scale: f32,
    d: &mut [f32],
    losses: &mut [f32],
) -> LossSum {
    let mut tree = TreeFold::new(LossSum::join);
    let mut from = 0;
    while from < rows.len() {
        let examples = (rows.len() - from).min(BLOCK);
        let mut values = [0.0; BLOCK];
        let d = if GRADIENT { &mut d[from * loss.width()..][..examples * loss.width()] } else { &mut d[..0] };
        let correct = loss.block::<S, GRADIENT>(tier, rows.start + from, scale, &mut values[..examples], d);
        if !losses.is_empty() {
            losses[from..from + examples].copy_from_slice(&values[..examples]);
        }
        let sum = super::reduce::fold_in_place(&mut values[..examples], |left, right| left + right);
        tree.push(LossSum { sum, examples, correct });
        from += examples;
    }
    tree.finish().unwrap_or_default()
}

/// Checks the outputs' sizes and runs the loss.
fn run<L: Examples>(
    context: &Context,
    op: &'static str,
    loss: L,
    examples: usize,
    gradient: Option<Gradient<'_>>,
    losses: Option<&mut [f32]>,
) -> Result<LossSum> {
    if let Some(gradient) = &gradient {
        // A product beyond the address space is no length that a slice can have.
        check(op, "elements of the gradient", examples.saturating_mul(loss.width()), gradient.d.len())?;
    }
    if let Some(losses) = &losses {
        check(op, "elements of losses", examples, losses.len())?;
    }
    context.dispatch(Batch { context, loss, examples, gradient, losses })?
}

fn check(op: &'static str, what: &'static str, expected: usize, actual: usize) -> Result<()> {
    if expected == actual { Ok(()) } else { Err(Error::Shape { op, what, expected, actual }) }
}

/// Rows whose elements follow each other.
fn check_rows(op: &'static str, x: &MatRef<'_, f32>) -> Result<()> {
    if x.col_stride() == 1 || x.cols() <= 1 {
        return Ok(());
    }
    let (what, requirement) = ("the column stride", "1: the elements of a row follow each other");
    Err(Error::Argument { op, what, requirement, actual: x.col_stride().to_string() })
}

/// Row `i`.
#[inline(always)]
fn row<'a>(x: &MatRef<'a, f32>, i: usize) -> &'a [f32] {
    let from = i * x.row_stride();
    &x.data()[from..from + x.cols()]
}

#[cfg(test)]
mod tests;
