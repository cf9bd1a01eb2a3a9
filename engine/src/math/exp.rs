//! `e^x`.
//!
//! # Outline
//! `x = k ln 2 + r` with an integer `k` and `|r| <= ln 2 / 2`, so `e^x = 2^k (1 + s)` with `s = e^r - 1`. The two halves
//! of `ln 2` make `r` good to `2^-54`. `s = r + r^2 Q(r)`, where `Q` is the polynomial that minimises the largest
//! relative error of `e^r`. The factor `2^k` is an addition to the exponent field, exact because `x` was clamped to
//! where `f64` is normal; overflow, underflow and the one rounding happen in the narrowing.
//!
//! # Error
//! Before the narrowing below `2^-52.9` relative (polynomial `2^-63`, the rest rounding); after it no input is
//! misrounded, see the [module](super).
//!
//! # Source
//! Own derivation; `Q` by the Remez exchange algorithm in 200-bit arithmetic, each of the first coefficients rounded to
//! `f64` before the rest was fitted again.

use super::poly::{even_odd, f64s, through_f64};
use crate::simd::{Bits, Tier, Vector};

/// `1 / ln 2`.
const LOG2_E: f64 = std::f64::consts::LOG2_E;
/// `ln 2` rounded to `f64`.
const LN_2_HIGH: f64 = std::f64::consts::LN_2;
/// `ln 2 - LN_2_HIGH`.
const LN_2_LOW: f64 = 2.3190468138462996e-17;
/// `1.5 * 2^52`: adding it rounds to an integer, which then stands in the low bits of the sum.
pub(super) const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// Below this `e^x` rounds to `+0` (the border is `-150 ln 2 = -103.97`).
const LOWEST: f64 = -104.0;
/// Above this `e^x` rounds to infinity (the border is `88.72`).
const HIGHEST: f64 = 89.0;
/// `Q(r) = (e^r - 1 - r) / r^2` on `|r| <= ln 2 / 2`; relative error of `e^r` `2^-63.5`.
const Q: [f64; 11] = [
    0.5,
    0.16666666666666688,
    0.041666666666666824,
    0.008333333333313887,
    0.0013888888888777624,
    0.00019841269903403495,
    2.4801587560525975e-05,
    2.7557228629311038e-06,
    2.755706606617154e-07,
    2.5113956445257574e-08,
    2.0978394484696523e-09,
];

/// `e^x = 2^k (1 + s)`: `s`, and `k` in the low twelve bits of an integer whose other bits do not matter.
#[inline(always)]
pub(super) fn reduce<S: Tier>(tier: S, x: S::F64) -> (S::F64, <S::F64 as Vector>::Bits) {
    let shifted = x.fma(f64s(tier, LOG2_E), f64s(tier, ROUNDER));
    let minus_k = f64s(tier, ROUNDER) - shifted;
    let r = minus_k.fma(f64s(tier, LN_2_HIGH), x);
    let r = minus_k.fma(f64s(tier, LN_2_LOW), r);
    let s = (r * r).fma(even_odd(tier, r, &Q), r);
    (s, shifted.to_bits())
}

/// `e^x` in `f64` lanes, for `|x| <= 700` or NaN.
#[inline(always)]
pub(super) fn exp_f64<S: Tier>(tier: S, x: S::F64) -> S::F64 {
    let (s, k) = reduce(tier, x);
    let mantissa = S::F64::splat(tier, 1.0) + s;
    // A NaN keeps its bits: `k` is then the same NaN, whose low bits are clear because it came from an f32.
    (mantissa.to_bits() + k.shl::<52>()).to_float()
}

/// `e^x - 1` in `f64` lanes, for `|x| <= 700` or NaN, accurate near zero too.
#[inline(always)]
pub(super) fn expm1_f64<S: Tier>(tier: S, x: S::F64) -> S::F64 {
    let (s, k) = reduce(tier, x);
    let one = S::F64::splat(tier, 1.0);
    let scale = (one.to_bits() + k.shl::<52>()).to_float();
    // `2^k - 1` is zero for k = 0, so that s itself comes out.
    scale.fma(s, scale - one)
}

/// `e^x`, correctly rounded.
#[inline(always)]
pub fn exp<S: Tier>(tier: S, x: S::F32) -> S::F32 {
    // The constants come first so that a NaN in `x` is what max and min return.
    let x = S::F32::splat(tier, LOWEST as f32).max(x);
    let x = S::F32::splat(tier, HIGHEST as f32).min(x);
    through_f64(
        tier,
        x,
        #[inline(always)]
        |x| exp_f64(tier, x),
    )
}
