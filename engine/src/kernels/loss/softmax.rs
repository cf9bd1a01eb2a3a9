//! Softmax, and its cross-entropy with three kinds of targets.

use super::{BLOCK, Examples, Gradient, LossSum, TASK, check, check_rows, row, run};
use crate::error::{Error, Result};
use crate::kernels::chunks::for_each_part;
use crate::kernels::reduce::{STRIPES, Span, indices, striped};
use crate::math;
use crate::parallel::Context;
use crate::simd::{Kernel, Mask, Tier, Vector};
use crate::tensor::MatRef;

/// What the probabilities of an example should be.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a> {
    /// 1 for the class of the example, 0 for the others.
    Hard(&'a [u32]),
    /// `on` for the class of the example, `off` for each of the others. Nothing asks for the sum to be 1.
    Smoothed {
        /// The classes.
        labels: &'a [u32],
        /// The target of an example's own class.
        on: f32,
        /// The target of each other class.
        off: f32,
    },
    /// A number for each example and class, n x k. The class of an example is the first of its largest targets.
    Soft(MatRef<'a, f32>),
}

impl<'a> Targets<'a> {
    /// Smoothing by `epsilon` towards the other classes: `1 - epsilon` for the example's own, `epsilon / (k - 1)` for
    /// each other one (0 if there is none). It is the expectation of labels which flip with probability `epsilon`.
    #[must_use]
    pub fn flipped(labels: &'a [u32], epsilon: f32, classes: usize) -> Self {
        let others = classes.saturating_sub(1);
        let off = if others == 0 { 0.0 } else { epsilon / others as f32 };
        Self::Smoothed { labels, on: 1.0 - epsilon, off }
    }
    /// Smoothing by `epsilon` towards all classes: `(1 - epsilon) + epsilon / k` for the example's own, `epsilon / k`
    /// for each other one.
    #[must_use]
    pub fn uniform(labels: &'a [u32], epsilon: f32, classes: usize) -> Self {
        let off = epsilon / classes as f32;
        Self::Smoothed { labels, on: (1.0 - epsilon) + off, off }
    }
}

/// Class numbers are compared as `f32` lanes, which are exact up to here.
const MAX_CLASSES: usize = 1 << 24;

/// Cross-entropy of the softmax of `logits` (n x k), its gradient if wanted, each example's loss if wanted.
///
/// `correct` counts the examples whose first largest logit is that of their class. [The module](super) has the formulas,
/// the order, and what logits that are not finite give.
///
/// # Errors
/// [`Error::Shape`] if targets, gradient or losses do not fit the logits, [`Error::Argument`] if a label is no class
/// (it names the row), if there are no classes or more than 2^24, or if the elements of a row do not follow each other;
/// else as [`Context::tree`].
pub fn softmax_cross_entropy(
    context: &Context,
    logits: MatRef<'_, f32>,
    targets: Targets<'_>,
    gradient: Option<Gradient<'_>>,
    losses: Option<&mut [f32]>,
) -> Result<LossSum> {
    let op = "softmax_cross_entropy";
    let (n, k) = (logits.rows(), logits.cols());
    check_rows(op, &logits)?;
    if n > 0 && (k == 0 || k > MAX_CLASSES) {
        let (what, requirement) = ("the number of classes", "from 1 to 2^24");
        return Err(Error::Argument { op, what, requirement, actual: k.to_string() });
    }
    let labelled = |labels: &[u32]| {
        check(op, "labels", n, labels.len())?;
        let Some(i) = labels.iter().position(|&y| y as usize >= k) else { return Ok(()) };
        let actual = format!("{} in row {i} (there are {k} classes)", labels[i]);
        Err(Error::Argument { op, what: "a label", requirement: "below the number of classes", actual })
    };
    match targets {
        Targets::Hard(labels) => {
            labelled(labels)?;
            run(context, op, CrossEntropy { logits, targets: Hard(labels) }, n, gradient, losses)
        }
        Targets::Smoothed { labels, on, off } => {
            labelled(labels)?;
            run(context, op, CrossEntropy { logits, targets: Smoothed { labels, on, off } }, n, gradient, losses)
        }
        Targets::Soft(targets) => {
            check(op, "rows of the targets", n, targets.rows())?;
            check(op, "columns of the targets", k, targets.cols())?;
            check_rows(op, &targets)?;
            run(context, op, CrossEntropy { logits, targets: Soft(targets) }, n, gradient, losses)
        }
    }
}

/// One kind of targets, on lanes.
trait Rows: Copy + Send + Sync {
    /// Whether the targets are one-hot.
    const HARD: bool;
    /// The class of example `i`.
    fn label(self, i: usize) -> Option<usize>;
    /// The targets of example `i` in the span; `+0` beyond it.
    fn lanes<S: Tier>(self, tier: S, i: usize, span: Span) -> S::F32;
}

/// `on` at the label, `off` elsewhere.
#[inline(always)]
fn one_hot<S: Tier>(tier: S, label: u32, on: f32, off: f32, span: Span) -> S::F32 {
    let here = S::F32::splat(tier, label as f32 - span.from as f32);
    let lanes = S::F32::select(indices::<S::F32>(tier).eq(here), S::F32::splat(tier, on), S::F32::splat(tier, off));
    span.keep(tier, lanes, 0.0)
}

#[derive(Clone, Copy)]
struct Hard<'a>(&'a [u32]);
impl Rows for Hard<'_> {
    const HARD: bool = true;
    #[inline(always)]
    fn label(self, i: usize) -> Option<usize> {
        Some(self.0[i] as usize)
    }
    #[inline(always)]
    fn lanes<S: Tier>(self, tier: S, i: usize, span: Span) -> S::F32 {
        one_hot(tier, self.0[i], 1.0, 0.0, span)
    }
}

#[derive(Clone, Copy)]
struct Smoothed<'a> {
    labels: &'a [u32],
    on: f32,
    off: f32,
}
impl Rows for Smoothed<'_> {
    const HARD: bool = false;
    #[inline(always)]
    fn label(self, i: usize) -> Option<usize> {
        Some(self.labels[i] as usize)
    }
    #[inline(always)]
    fn lanes<S: Tier>(self, tier: S, i: usize, span: Span) -> S::F32 {
        one_hot(tier, self.labels[i], self.on, self.off, span)
    }
}

#[derive(Clone, Copy)]
struct Soft<'a>(MatRef<'a, f32>);
impl Rows for Soft<'_> {
    const HARD: bool = false;
    #[inline(always)]
    fn label(self, i: usize) -> Option<usize> {
        let mut best: Option<(usize, f32)> = None;
        for (j, &t) in row(&self.0, i).iter().enumerate() {
            if !t.is_nan() && best.is_none_or(|(_, most)| t > most) {
                best = Some((j, t));
            }
        }
        best.map(|(j, _)| j)
    }
    #[inline(always)]
    fn lanes<S: Tier>(self, tier: S, i: usize, span: Span) -> S::F32 {
        span.load(tier, row(&self.0, i))
    }
}

/// Every span of a row.
#[inline(always)]
fn spans<S: Tier>(len: usize, mut f: impl FnMut(Span)) {
    let full = len - len % S::F32::LANES;
    let mut from = 0;
    while from < full {
        f(Span { from, count: S::F32::LANES });
        from += S::F32::LANES;
    }
    if from < len {
        f(Span { from, count: len - from });
    }
}

/// The row maximum.
#[inline(always)]
fn row_max<S: Tier>(tier: S, x: &[f32]) -> f32 {
    let stripes = striped::<S::F32, STRIPES>(
        x.len(),
        S::F32::splat(tier, f32::NEG_INFINITY),
        #[inline(always)]
        |acc, span| span.load_or::<S::F32>(tier, x, f32::NEG_INFINITY).max(acc),
        #[inline(always)]
        |left, right| left.max(right),
    );
    0.0 + stripes.fold_halves_max()
}

/// A row sum whose chains step by `step`.
#[inline(always)]
fn row_sum<S: Tier>(tier: S, len: usize, step: impl FnMut(S::F32, Span) -> S::F32) -> f32 {
    let stripes = striped::<S::F32, STRIPES>(
        len,
        S::F32::zero(tier),
        step,
        #[inline(always)]
        |left, right| left + right,
    );
    0.0 + stripes.fold_halves()
}

/// `e`, into `out` if `KEEP`, and its row sum.
#[inline(always)]
fn exponentials<S: Tier, const KEEP: bool>(tier: S, x: &[f32], m: f32, out: &mut [f32]) -> f32 {
    let maximum = S::F32::splat(tier, m);
    row_sum(
        tier,
        x.len(),
        #[inline(always)]
        |acc, span| {
            let e = math::exp(tier, span.load::<S::F32>(tier, x) - maximum);
            if KEEP {
                span.store(e, out);
            }
            acc + span.keep(tier, e, 0.0)
        },
    )
}

/// Whether the first element equal to the maximum `m` is element `label`.
#[inline(always)]
fn first_maximum_is<S: Tier>(tier: S, x: &[f32], m: f32, label: usize) -> bool {
    let maximum = S::F32::splat(tier, m);
    let mut earlier = false;
    spans::<S>(
        label,
        #[inline(always)]
        |span| {
            let x = span.load_or::<S::F32>(tier, x, f32::NAN);
            earlier |= x.eq(maximum).any();
        },
    );
    (x[label] == m) & !earlier
}

#[derive(Clone, Copy)]
struct CrossEntropy<'a, R> {
    logits: MatRef<'a, f32>,
    targets: R,
}

impl<R: Rows> Examples for CrossEntropy<'_, R> {
    #[inline(always)]
    fn width(self) -> usize {
        self.logits.cols()
    }
    #[inline(always)]
    fn block<S: Tier, const GRADIENT: bool>(
        self,
        tier: S,
        first: usize,
        scale: f32,
        losses: &mut [f32],
        d: &mut [f32],
    ) -> usize {
        let Self { logits, targets } = self;
        let k = logits.cols();
        let mut maxima = [0.0f32; BLOCK];
        // One logarithm for the whole block: lanes without an example keep the 1.
        let mut sums = [1.0f32; BLOCK];
        let mut correct = 0;
        for i in 0..losses.len() {
            let x = row(&logits, first + i);
            let m = row_max(tier, x);
            maxima[i] = m;
            let d = if GRADIENT { &mut d[i * k..][..k] } else { &mut d[..0] };
            sums[i] = exponentials::<S, GRADIENT>(tier, x, m, d);
            let right = |label| first_maximum_is(tier, x, m, label);
            correct += usize::from(targets.label(first + i).is_some_and(right));
        }
        let mut logarithms = [0.0f32; BLOCK];
        math::ln(tier, S::F32::load(tier, &sums)).store(&mut logarithms);

        let scale = S::F32::splat(tier, scale);
        for (i, loss) in losses.iter_mut().enumerate() {
            let x = row(&logits, first + i);
            if GRADIENT {
                let d = &mut d[i * k..][..k];
                let s = S::F32::splat(tier, sums[i]);
                spans::<S>(
                    k,
                    #[inline(always)]
                    |span| {
                        let p = span.load::<S::F32>(tier, d) / s;
                        span.store((p - targets.lanes(tier, first + i, span)) * scale, d);
                    },
                );
            }
            *loss = if R::HARD {
                targets.label(first + i).map_or(f32::NAN, |label| logarithms[i] - (x[label] - maxima[i]))
            } else {
                let (ln_s, m) = (S::F32::splat(tier, logarithms[i]), S::F32::splat(tier, maxima[i]));
                row_sum(
                    tier,
                    k,
                    #[inline(always)]
                    |acc, span| {
                        let surprise = span.keep(tier, ln_s - (span.load::<S::F32>(tier, x) - m), 0.0);
                        targets.lanes(tier, first + i, span).fma(surprise, acc)
                    },
                )
            };
        }
        correct
    }
}

/// `p[i] = e[i] / s` for each row of `logits` (n x k), into `p` (n x k without gaps).
///
/// # Errors
/// [`Error::Shape`] if `p` does not fit, [`Error::Argument`] if the elements of a row of `logits` do not follow each
/// other, else as [`Context::tasks`].
pub fn softmax_forward(context: &Context, logits: MatRef<'_, f32>, p: &mut [f32]) -> Result<()> {
    let op = "softmax_forward";
    check_rows(op, &logits)?;
    check(op, "elements of p", logits.rows().saturating_mul(logits.cols()), p.len())?;
    context.dispatch(Forward { context, logits, p })?
}

struct Forward<'a> {
    context: &'a Context,
    logits: MatRef<'a, f32>,
    p: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = Result<()>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<()> {
        let Self { context, logits, p } = self;
        let k = logits.cols().max(1);
        let rows = (TASK / k).max(1);
        for_each_part(context, p, rows * k, |task, p| {
            tier.vectorize(
                #[inline(always)]
                || {
                    for (i, p) in p.chunks_exact_mut(k).enumerate() {
                        let x = row(&logits, task * rows + i);
                        let s = exponentials::<S, true>(tier, x, row_max(tier, x), p);
                        let s = S::F32::splat(tier, s);
                        spans::<S>(
                            k,
                            #[inline(always)]
                            |span| {
                                let quotient = span.load::<S::F32>(tier, p) / s;
                                span.store(quotient, p);
                            },
                        );
                    }
                },
            );
        })
    }
}

/// The gradient by the logits from that by the probabilities, in place: `d` (n x k without gaps) holds `d_p` before and
/// `d_logits` after.
///
/// `c = row sum of d_p[i] p[i]` with the chain step `fma(d_p[i], p[i], s)`; `d_logits[i] = p[i] (d_p[i] - c)`.
///
/// # Errors
/// [`Error::Shape`] if `d` does not fit, [`Error::Argument`] if the elements of a row of `p` do not follow each other,
/// else as [`Context::tasks`].
pub fn softmax_backward(context: &Context, p: MatRef<'_, f32>, d: &mut [f32]) -> Result<()> {
    let op = "softmax_backward";
    check_rows(op, &p)?;
    check(op, "elements of d", p.rows().saturating_mul(p.cols()), d.len())?;
    context.dispatch(Backward { context, p, d })?
}

struct Backward<'a> {
    context: &'a Context,
    p: MatRef<'a, f32>,
    d: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = Result<()>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<()> {
        let Self { context, p, d } = self;
        let k = p.cols().max(1);
        let rows = (TASK / k).max(1);
        for_each_part(context, d, rows * k, |task, d| {
            tier.vectorize(
                #[inline(always)]
                || {
                    for (i, d) in d.chunks_exact_mut(k).enumerate() {
                        let p = row(&p, task * rows + i);
                        let c = row_sum(
                            tier,
                            k,
                            #[inline(always)]
                            |acc: S::F32, span| span.load::<S::F32>(tier, d).fma(span.load(tier, p), acc),
                        );
                        let c = S::F32::splat(tier, c);
                        spans::<S>(
                            k,
                            #[inline(always)]
                            |span| {
                                let d_x = span.load::<S::F32>(tier, p) * (span.load::<S::F32>(tier, d) - c);
                                span.store(d_x, d);
                            },
                        );
                    }
                },
            );
        })
    }
}
