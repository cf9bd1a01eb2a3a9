//! `sin x`.
//!
//! # Outline
//! `x = k pi + r`, `sin x = (-1)^k sin r`; the reduction and the polynomial stand in `trig`, for every finite `x`.
//!
//! # Error
//! Before the narrowing below `2^-51.5` relative; after it no input is misrounded, see the [module](super).

use super::poly::replace;
use super::trig::sine;
use crate::simd::{Tier, Vector};

/// Inputs whose result lies within `2^-53` of the middle between two `f32`, and that result.
const NEAR_TIES: [(u32, u32); 2] = [(0x4619_9998, 0xbeb1_fa5d), (0xc619_9998, 0x3eb1_fa5d)];

/// `sin x`, correctly rounded. `sin(±0) = ±0`, NaN for infinities.
#[inline(always)]
pub fn sin<S: Tier>(tier: S, x: S::F32) -> S::F32 {
    // The last sum of the polynomial turns -0 into +0.
    S::F32::select(x.eq(S::F32::zero(tier)), x, replace(tier, x, sine::<S, false>(tier, x), &NEAR_TIES))
}
