//! `e^x - 1`.
//!
//! # Outline
//! [`exp`](super::exp()) without its last step: `e^x - 1 = 2^k s + (2^k - 1)`, one fused multiply-add with an exact addend.
//! For `k = 0` that is `s`, which has full relative accuracy down to zero.
//!
//! # Error
//! Before the narrowing below `2^-52.5` relative; after it no input is misrounded, see the [module](super).

use super::exp::expm1_f64;
use super::poly::{through_f64, with_sign_of};
use crate::simd::{Tier, Vector};

/// Below this `e^x - 1` rounds to `-1`.
const LOWEST: f32 = -40.0;
/// Above this `e^x - 1` rounds to infinity.
const HIGHEST: f32 = 89.0;

/// `e^x - 1`, correctly rounded. `expm1(±0) = ±0`.
#[inline(always)]
pub fn expm1<S: Tier>(tier: S, x: S::F32) -> S::F32 {
    // The constants come first so that a NaN in `x` is what max and min return.
    let clamped = S::F32::splat(tier, LOWEST).max(x);
    let clamped = S::F32::splat(tier, HIGHEST).min(clamped);
    let y = through_f64(
        tier,
        clamped,
        #[inline(always)]
        |x| expm1_f64(tier, x),
    );
    // The result has the sign of x; this only matters for -0.
    with_sign_of(tier, y, x)
}
