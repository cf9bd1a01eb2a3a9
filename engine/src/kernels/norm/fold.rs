//! What examples gave, joined in the order of the contract; and a normalisation joined to a convolution.

use super::check;
use crate::error::Result;
use crate::reference::norm::{Moments as Merged, invstd};
use crate::simd::{Kernel, Tier};

/// The left-balanced tree of merges over the examples' moments; the root replaces the first example's.
pub(super) struct FoldMoments<'a> {
    pub partials: &'a mut [f64],
    pub n: usize,
    pub c: usize,
    pub pixels: usize,
}

impl Kernel for FoldMoments<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, _: S) {
        let Self { partials, n, c, pixels } = self;
        fold(
            partials,
            n,
            2 * c,
            #[inline(always)]
            |left, right, examples_left, examples_right| {
                let (mean_left, m2_left) = left.split_at_mut(c);
                let (mean_right, m2_right) = right.split_at(c);
                let (count_left, count_right) = ((examples_left * pixels) as f64, (examples_right * pixels) as f64);
                for i in 0..c {
                    let left = Merged { count: count_left, mean: mean_left[i], m2: m2_left[i] };
                    let right = Merged { count: count_right, mean: mean_right[i], m2: m2_right[i] };
                    let all = left.merge(right);
                    (mean_left[i], m2_left[i]) = (all.mean, all.m2);
                }
            },
        );
    }
}

/// The left-balanced tree of sums over rows of `width`; the root replaces the first row.
pub(super) struct FoldSums<'a> {
    pub partials: &'a mut [f64],
    pub n: usize,
    pub width: usize,
}

impl Kernel for FoldSums<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, _: S) {
        fold(
            self.partials,
            self.n,
            self.width,
            #[inline(always)]
            |left, right, _, _| left.iter_mut().zip(right.iter()).for_each(|(left, right)| *left += right),
        );
    }
}

/// `join(left, right, leaves in left, leaves in right)` over the nodes of the left-balanced tree, each subtree in its
/// first row.
#[inline(always)]
fn fold(rows: &mut [f64], n: usize, width: usize, join: impl Fn(&mut [f64], &[f64], usize, usize)) {
    let mut step = 1;
    while step < n {
        let mut i = 0;
        while i + step < n {
            let (left, right) = rows[i * width..].split_at_mut(step * width);
            join(&mut left[..width], &right[..width], step, (n - i - step).min(step));
            i += 2 * step;
        }
        step *= 2;
    }
}

/// Folds a normalisation with fixed statistics into the convolution before it: `weights` is `[c_out, taps]`, and with
/// `k = gamma invstd` in `f64`, each result rounded once,
///
/// ```text
/// folded = weights k          bias = beta - running_mean k
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if something does not have its shape.
pub fn fold_into_convolution(
    weights: &[f32],
    [gamma, beta, running_mean, running_var]: [&[f32]; 4],
    eps: f64,
    folded: &mut [f32],
    bias: &mut [f32],
) -> Result<()> {
    let (op, c) = ("fold a normalisation", gamma.len());
    for (what, row) in [
        ("elements of beta", beta),
        ("elements of running_mean", running_mean),
        ("elements of running_var", running_var),
        ("elements of the bias", bias),
    ] {
        check(op, what, c, row.len())?;
    }
    let taps = weights.len().checked_div(c).unwrap_or(0);
    check(op, "elements of the weights", c * taps, weights.len())?;
    check(op, "elements of the folded weights", weights.len(), folded.len())?;
    for channel in 0..c {
        let k = f64::from(gamma[channel]) * invstd(f64::from(running_var[channel]), eps);
        bias[channel] = (f64::from(beta[channel]) - f64::from(running_mean[channel]) * k) as f32;
        let taps = channel * taps..(channel + 1) * taps;
        for (folded, weight) in folded[taps.clone()].iter_mut().zip(&weights[taps]) {
            *folded = (f64::from(*weight) * k) as f32;
        }
    }
    Ok(())
}
