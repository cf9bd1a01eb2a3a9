//! The logistic function `1 / (1 + e^-x)`.
//!
//! # Outline
//! The formula as it stands, in `f64`: `e^-x` is finite on the clamped range and the quotient keeps its relative accuracy
//! in the lower tail. One correction is needed. `1/2 + x/4` of an `f32` can lie exactly between two `f32`, and the next
//! term of the series, `-x^3/48`, which decides the rounding, is below `f64` for small `x`. Below [`NEARLY_LINEAR`] the
//! result is therefore taken as `1/2 + x (1/4 - 2^-28)`: on the right side of every such tie, and far closer to the line
//! than the distance of any other point from a tie (at least `2^-39`).
//!
//! # Error
//! Before the narrowing below `2^-52` relative; after it no input is misrounded, see the [module](super).

use super::exp::exp_f64;
use super::poly::{replace, through_f64};
use crate::simd::{Tier, Vector};

/// From here on downwards the result rounds to `+0`, upwards to 1.
const SATURATED: f32 = 104.0;
/// `2^-13`: below, the cubic term is under `2^-44`.
const NEARLY_LINEAR: f64 = 1.0 / 8192.0;
/// `1/4 - 2^-28`: the slope at zero, pulled towards zero just enough to break ties.
const SLOPE: f64 = 0.25 - 1.0 / 268_435_456.0;
/// Inputs whose result lies within `2^-53` of the middle between two `f32`, and that result.
const NEAR_TIES: [(u32, u32); 1] = [(0xba92_8601, 0x3eff_db5f)];

/// `1 / (1 + e^-x)`, correctly rounded.
#[inline(always)]
pub fn sigmoid<S: Tier>(tier: S, x: S::F32) -> S::F32 {
    // The constants come first so that a NaN in `x` is what max and min return.
    let x = S::F32::splat(tier, -SATURATED).max(x);
    let x = S::F32::splat(tier, SATURATED).min(x);
    let y = through_f64(
        tier,
        x,
        #[inline(always)]
        |x| {
            let one = S::F64::splat(tier, 1.0);
            let y = one / (one + exp_f64(tier, -x));
            let linear = x.fma(S::F64::splat(tier, SLOPE), S::F64::splat(tier, 0.5));
            S::F64::select(x.abs().lt(S::F64::splat(tier, NEARLY_LINEAR)), linear, y)
        },
    );
    replace(tier, x, y, &NEAR_TIES)
}
