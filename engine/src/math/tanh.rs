//! `tanh x`.
//!
//! # Outline
//! With `e = e^(-2|x|) - 1`, `tanh |x| = -e / (2 + e)`; `e` has full relative accuracy near zero, so the quotient has too.
//! The sign of `x` is put back in the bits.
//!
//! # Error
//! Before the narrowing below `2^-51.5` relative; after it no input is misrounded, see the [module](super).

use super::exp::expm1_f64;
use super::poly::{through_f64, with_sign_of};
use crate::simd::{Tier, Vector};

/// From here on `tanh x` rounds to 1 (the border is `9.02`).
const SATURATED: f32 = 10.0;

/// `tanh x`, correctly rounded. `tanh(±0) = ±0`.
#[inline(always)]
pub fn tanh<S: Tier>(tier: S, x: S::F32) -> S::F32 {
    // The constant comes first so that a NaN in `x` is what min returns.
    let magnitude = S::F32::splat(tier, SATURATED).min(x.abs());
    let y = through_f64(
        tier,
        magnitude,
        #[inline(always)]
        |a| {
            let minus_e = -expm1_f64(tier, a * S::F64::splat(tier, -2.0));
            minus_e / (S::F64::splat(tier, 2.0) - minus_e)
        },
    );
    with_sign_of(tier, y, x)
}
