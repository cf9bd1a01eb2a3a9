//! `ln(1 + x)`.
//!
//! # Outline
//! As [`ln`](super::ln()) of `u = 1 + x` computed in `f64`. The sum is exact where it matters: for `|x| >= 2^-29` an `f32`
//! and 1 share 53 bits, and above `2^29` what is lost is below the result's `2^-80`. Where `u` needs no power of two
//! (`k = 0`) `x` itself takes the place of `u - 1`, so small `x` keep their relative accuracy.
//!
//! # Error
//! Before the narrowing below `2^-52.5` relative; after it no input is misrounded, see the [module](super).

use super::ln::{join, split};
use super::poly::{f32s, f64s, replace, through_f64};
use crate::simd::{Tier, Vector};
/// Inputs whose result lies within `2^-53` of the middle between two `f32`, and that result.
const NEAR_TIES: [(u32, u32); 9] = [
    (0x3540_0003, 0x353f_ffff),
    (0x3710_001b, 0x370f_fff3),
    (0x3efd_81ad, 0x3ecd_eee1),
    (0x4107_8feb, 0x400f_e5e7),
    (0x65d8_90d3, 0x4254_d1f9),
    (0x6f31_a8ec, 0x4284_5a89),
    (0xb53f_fffd, 0xb540_0001),
    (0xb70f_ffe5, 0xb710_000d),
    (0xbb0e_c8c4, 0xbb0e_f0a5),
];

/// `ln(1 + x)`, correctly rounded. `-inf` at -1, NaN below; `ln_1p(±0) = ±0`.
#[inline(always)]
pub fn ln_1p<S: Tier>(tier: S, x: S::F32) -> S::F32 {
    let y = through_f64(
        tier,
        x,
        #[inline(always)]
        |x| {
            let (k, f) = split(tier, x + f64s(tier, 1.0));
            let f = S::F64::select(k.eq(f64s(tier, 0.0)), x, f);
            join(tier, k, f)
        },
    );
    // Signed zeros, +inf and NaN give themselves.
    let regular = f32s(tier, -1.0).lt(x) & x.lt(f32s(tier, f32::INFINITY)) & !x.eq(f32s(tier, 0.0));
    let at_pole = S::F32::select(x.eq(f32s(tier, -1.0)), f32s(tier, f32::NEG_INFINITY), x);
    let special = S::F32::select(x.lt(f32s(tier, -1.0)), f32s(tier, f32::NAN), at_pole);
    S::F32::select(regular, replace(tier, x, y, &NEAR_TIES), special)
}
