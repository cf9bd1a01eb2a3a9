//! `ln x`.
//!
//! # Outline
//! In `f64` every `f32` is normal: `x = 2^k m` with `m` in `[sqrt(1/2), sqrt 2)`, taken from the bits. `f = m - 1` is
//! exact, and `ln x = k ln 2 + f - f^2/2 + f^3 P(f)` with `P` a minimax polynomial. `k LN_2_HIGH` is exact; for `k = 0`
//! it is zero and the last sum has the relative accuracy of `f`.
//!
//! # Error
//! Before the narrowing below `2^-52.5` relative (polynomial `2^-58`); after it no input is misrounded, see the
//! [module](super).
//!
//! # Source
//! Own derivation; `P` by the Remez exchange algorithm in 200-bit arithmetic.

use super::poly::{bits64, even_odd, f32s, replace, through_f64};
use crate::simd::{Bits, Tier, Vector};

/// `ln 2` cut to 43 bits behind the point, so that its product with an exponent is exact.
pub(super) const LN_2_HIGH: f64 = 0.6931471805598903;
/// `ln 2 - LN_2_HIGH`.
pub(super) const LN_2_LOW: f64 = 5.497923018708371e-14;
/// The bits of `sqrt(1/2)`.
const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcd;
/// The bits of 1.
const ONE_BITS: u64 = 0x3ff0_0000_0000_0000;
/// The fraction field.
const FRACTION: u64 = (1 << 52) - 1;
/// `2^52`; an integer below it OR-ed into its bits gives `2^52 +` the integer.
const TWO_52: f64 = 4_503_599_627_370_496.0;
/// `P(f) = (ln(1 + f) - f + f^2/2) / f^3` on `sqrt(1/2) - 1 <= f <= sqrt 2 - 1`; relative error of the logarithm
/// `2^-58.6`.
pub(super) const P: [f64; 20] = [
    0.33333333333333454,
    -0.24999999999998943,
    0.19999999999945683,
    -0.1666666666687052,
    0.14285714294084878,
    -0.12499999988337719,
    0.111111104936519,
    -0.09999999984324363,
    0.09090934270212885,
    -0.08333359611232315,
    0.07691706576355405,
    -0.07141720176686316,
    0.0667500471290533,
    -0.06273018961284231,
    0.058223429416885734,
    -0.05308316012257801,
    0.05372241090805292,
    -0.06302569621363968,
    0.05844464339175796,
    -0.025363713154948474,
];

/// `x = 2^k (1 + f)` for a normal positive `x`: `(k, f)`, `1 + f` in `[sqrt(1/2), sqrt 2)`.
#[inline(always)]
pub(super) fn split<S: Tier>(tier: S, x: S::F64) -> (S::F64, S::F64) {
    // The exponent field becomes k + 1023, the fraction the distance of the mantissa from sqrt(1/2).
    let shifted = x.to_bits() + bits64(tier, ONE_BITS - SQRT_HALF_BITS);
    let m = ((shifted & bits64(tier, FRACTION)) + bits64(tier, SQRT_HALF_BITS)).to_float();
    let k = (shifted.shr::<52>() | bits64(tier, TWO_52.to_bits())).to_float() - S::F64::splat(tier, TWO_52 + 1023.0);
    (k, m - S::F64::splat(tier, 1.0))
}

/// `ln(1 + f) - f` for `1 + f` in `[sqrt(1/2), sqrt 2]`, plus `addend` (far below the result, or zero).
#[inline(always)]
pub(super) fn ln_tail<S: Tier>(tier: S, f: S::F64, addend: S::F64) -> S::F64 {
    let p = even_odd(tier, f, &P);
    (f * f).fma(p.fma(f, S::F64::splat(tier, -0.5)), addend)
}

/// `k ln 2 + ln(1 + f)`.
#[inline(always)]
pub(super) fn join<S: Tier>(tier: S, k: S::F64, f: S::F64) -> S::F64 {
    let tail = ln_tail(tier, f, k * S::F64::splat(tier, LN_2_LOW));
    k.fma(S::F64::splat(tier, LN_2_HIGH), f + tail)
}

/// Inputs whose result lies within `2^-53` of the middle between two `f32`, and that result.
const NEAR_TIES: [(u32, u32); 5] = [
    (0x3c41_3d3a, 0xc08e_158f),
    (0x4117_8feb, 0x400f_e5e7),
    (0x4c5d_65a5, 0x418f_034b),
    (0x65d8_90d3, 0x4254_d1f9),
    (0x6f31_a8ec, 0x4284_5a89),
];

/// `ln x`, correctly rounded. `ln(±0) = -inf`, NaN below zero.
#[inline(always)]
pub fn ln<S: Tier>(tier: S, x: S::F32) -> S::F32 {
    let y = through_f64(
        tier,
        x,
        #[inline(always)]
        |x| {
            let (k, f) = split(tier, x);
            join(tier, k, f)
        },
    );
    // What is not a positive finite number: NaN and +inf give themselves.
    let regular = f32s(tier, 0.0).lt(x) & x.lt(f32s(tier, f32::INFINITY));
    let zero_or_more = S::F32::select(x.eq(f32s(tier, 0.0)), f32s(tier, f32::NEG_INFINITY), x);
    let special = S::F32::select(x.lt(f32s(tier, 0.0)), f32s(tier, f32::NAN), zero_or_more);
    S::F32::select(regular, replace(tier, x, y, &NEAR_TIES), special)
}
