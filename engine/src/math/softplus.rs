//! `ln(1 + e^x)`.
//!
//! # Outline
//! `max(x, 0) + ln(1 + u)` with `u = e^(-|x|)` in `(0, 1]`. `1 + u` is at most 2, so the logarithm needs at most one halving:
//! for `u >= sqrt 2 - 1` it is `ln 2 + ln(1 + (u - 1)/2)`, both steps exact, else `f = u` and the relative accuracy of `u`
//! carries over to the lower tail.
//!
//! # Error
//! Before the narrowing below `2^-52` relative; after it no input is misrounded, see the [module](super).

use super::exp::exp_f64;
use super::ln::{LN_2_HIGH, LN_2_LOW, ln_tail};
use super::poly::{f64s, replace, through_f64};
use crate::simd::{Tier, Vector};

/// From here on downwards the result rounds to `+0` (the border is `-103.97`).
const LOWEST: f32 = -104.0;
/// From here on upwards `e^-x` no longer reaches `x`.
const FLAT: f64 = 104.0;
/// `sqrt 2 - 1`.
const HALVE_FROM: f64 = 0.41421356237309503;
/// Inputs whose result lies within `2^-53` of the middle between two `f32`, and that result.
const NEAR_TIES: [(u32, u32); 1] = [(0x39ea_41d0, 0x3f31_80bd)];

/// `ln(1 + e^x)`, correctly rounded.
#[inline(always)]
pub fn softplus<S: Tier>(tier: S, x: S::F32) -> S::F32 {
    // The constant comes first so that a NaN in `x` is what max returns.
    let x = S::F32::splat(tier, LOWEST).max(x);
    let y = through_f64(
        tier,
        x,
        #[inline(always)]
        |x| {
            let u = exp_f64(tier, f64s(tier, -FLAT).max(-x.abs()));
            let small = u.lt(f64s(tier, HALVE_FROM));
            let f = S::F64::select(small, u, (u - f64s(tier, 1.0)) * f64s(tier, 0.5));
            let high = S::F64::select(small, f64s(tier, 0.0), f64s(tier, LN_2_HIGH));
            let low = S::F64::select(small, f64s(tier, 0.0), f64s(tier, LN_2_LOW));
            // `max(x, 0)` with NaN kept: max returns its second operand.
            f64s(tier, 0.0).max(x) + (high + (f + ln_tail(tier, f, low)))
        },
    );
    replace(tier, x, y, &NEAR_TIES)
}
