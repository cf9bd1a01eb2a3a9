//! `cos x`.
//!
//! # Outline
//! `x = (k + 1/2) pi + r`, `cos x = -(-1)^k sin r`; the reduction and the polynomial stand in `trig`, for every finite `x`.
//!
//! # Error
//! Before the narrowing below `2^-52` absolute, and `2^-51.5` relative near its zeros; after it no input is misrounded, see
//! the [module](super).

use super::poly::replace;
use super::trig::sine;
use crate::simd::{Tier, Vector};

/// Magnitudes whose cosine lies within `2^-53` of the middle between two `f32`, and that cosine.
const NEAR_TIES: [(u32, u32); 2] = [(0x6115_cb11, 0x3f78_142f), (0x7908_cd73, 0x3f79_8bb5)];

/// `cos x`, correctly rounded. NaN for infinities.
#[inline(always)]
pub fn cos<S: Tier>(tier: S, x: S::F32) -> S::F32 {
    replace(tier, x.abs(), sine::<S, true>(tier, x), &NEAR_TIES)
}
