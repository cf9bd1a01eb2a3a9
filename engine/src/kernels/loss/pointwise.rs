//! Losses without a softmax.

use super::{Examples, Gradient, LossSum, check, check_rows, row, run};
use crate::error::{Error, Result};
use crate::kernels::reduce::{STRIPES, Span, striped};
use crate::math;
use crate::parallel::Context;
use crate::simd::{Tier, Vector};
use crate::tensor::MatRef;

/// Half the squared distance of `x` from `t` (both n x k), its gradient if wanted, each example's loss if wanted.
///
/// The mean over examples is `(1/n) sum over examples of (1/2) |x - t|^2`. [The module](super) has the order.
///
/// # Errors
/// [`Error::Shape`] if targets, gradient or losses do not fit, [`Error::Argument`] if the elements of a row do not
/// follow each other; else as [`Context::tree`].
pub fn squared_error(
    context: &Context,
    x: MatRef<'_, f32>,
    targets: MatRef<'_, f32>,
    gradient: Option<Gradient<'_>>,
    losses: Option<&mut [f32]>,
) -> Result<LossSum> {
    let op = "squared_error";
    check(op, "rows of the targets", x.rows(), targets.rows())?;
    check(op, "columns of the targets", x.cols(), targets.cols())?;
    check_rows(op, &x)?;
    check_rows(op, &targets)?;
    if x.cols() == 0 {
        // Rows without elements have no place in a slice; their losses are zero.
        if let Some(losses) = losses {
            check(op, "elements of losses", x.rows(), losses.len())?;
            losses.fill(0.0);
        }
        return Ok(LossSum { examples: x.rows(), ..LossSum::default() });
    }
    run(context, op, Squared { x, targets }, x.rows(), gradient, losses)
}

#[derive(Clone, Copy)]
struct Squared<'a> {
    x: MatRef<'a, f32>,
    targets: MatRef<'a, f32>,
}

impl Squared<'_> {
    /// One output for each example, and both without gaps: the examples are the lanes. The other stripes of each row are
    /// empty, so the square alone is the row sum.
    #[inline(always)]
    fn scalars<S: Tier>(self, tier: S, first: usize, losses: &mut [f32]) -> S::F32 {
        let span = Span { from: first, count: losses.len() };
        let r = span.load::<S::F32>(tier, self.x.data()) - span.load(tier, self.targets.data());
        let square = r.fma(r, S::F32::zero(tier));
        (S::F32::splat(tier, 0.5) * square).store_partial(losses);
        r
    }
}

impl Examples for Squared<'_> {
    #[inline(always)]
    fn width(self) -> usize {
        self.x.cols()
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
        let scale = S::F32::splat(tier, scale);
        let k = self.x.cols();
        if k == 1 && self.x.row_stride() == 1 && self.targets.row_stride() == 1 {
            let r = self.scalars(tier, first, losses);
            if GRADIENT {
                (r * scale).store_partial(d);
            }
            return 0;
        }
        for (i, loss) in losses.iter_mut().enumerate() {
            let (x, t) = (row(&self.x, first + i), row(&self.targets, first + i));
            let d = if GRADIENT { &mut d[i * k..][..k] } else { &mut d[..0] };
            let stripes = striped::<S::F32, STRIPES>(
                k,
                S::F32::zero(tier),
                #[inline(always)]
                |acc, span| {
                    let r = span.load::<S::F32>(tier, x) - span.load(tier, t);
                    if GRADIENT {
                        span.store(r * scale, d);
                    }
                    r.fma(r, acc)
                },
                #[inline(always)]
                |left, right| left + right,
            );
            *loss = 0.5 * (0.0 + stripes.fold_halves());
        }
        0
    }
}

/// Logistic loss `ln(1 + exp(-y x))` of the logits `x` with labels `y` of -1 or +1, its gradient if wanted, each
/// example's loss if wanted.
///
/// `correct` counts the examples with `y x > 0`. [The module](super) has the formulas and the order.
///
/// # Errors
/// [`Error::Shape`] if labels, gradient or losses do not fit the logits, [`Error::Argument`] if a label is neither -1 nor
/// +1 (it names the row); else as [`Context::tree`].
pub fn logistic(
    context: &Context,
    logits: &[f32],
    labels: &[f32],
    gradient: Option<Gradient<'_>>,
    losses: Option<&mut [f32]>,
) -> Result<LossSum> {
    let op = "logistic";
    check(op, "labels", logits.len(), labels.len())?;
    if let Some(i) = labels.iter().position(|&y| y != 1.0 && y != -1.0) {
        let actual = format!("{} in row {i}", labels[i]);
        return Err(Error::Argument { op, what: "a label", requirement: "-1 or +1", actual });
    }
    run(context, op, Logistic { logits, labels }, logits.len(), gradient, losses)
}

#[derive(Clone, Copy)]
struct Logistic<'a> {
    logits: &'a [f32],
    labels: &'a [f32],
}

impl Examples for Logistic<'_> {
    #[inline(always)]
    fn width(self) -> usize {
        1
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
        let span = Span { from: first, count: losses.len() };
        let minus_y = -span.load::<S::F32>(tier, self.labels);
        let z = minus_y * span.load(tier, self.logits);
        math::softplus(tier, z).store_partial(losses);
        if GRADIENT {
            ((minus_y * math::sigmoid(tier, z)) * S::F32::splat(tier, scale)).store_partial(d);
        }
        let mut margins = [0.0f32; 16];
        z.store(&mut margins);
        // Lanes beyond the examples are zero, which is not below zero.
        margins.iter().filter(|&&z| z < 0.0).count()
    }
}
