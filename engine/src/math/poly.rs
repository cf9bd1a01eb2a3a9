//! Polynomials on `f64` lanes.

use crate::simd::{Bits, Tier, Vector};

/// All `f32` lanes `x`.
#[inline(always)]
pub(super) fn f32s<S: Tier>(tier: S, x: f32) -> S::F32 {
    S::F32::splat(tier, x)
}

/// All `f64` lanes `x`.
#[inline(always)]
pub(super) fn f64s<S: Tier>(tier: S, x: f64) -> S::F64 {
    S::F64::splat(tier, x)
}

/// All 64-bit integer lanes `x`.
#[inline(always)]
pub(super) fn bits64<S: Tier>(tier: S, x: u64) -> <S::F64 as Vector>::Bits {
    <S::F64 as Vector>::Bits::splat(tier, x)
}

/// The polynomial with coefficients `c`, constant term first, at `x`: an even chain plus `x` times an odd chain, both
/// Horner in `x^2` with fused multiply-adds. Half the latency of one chain, for one product more.
#[inline(always)]
pub(super) fn even_odd<S: Tier, const N: usize>(tier: S, x: S::F64, c: &[f64; N]) -> S::F64 {
    const { assert!(N >= 4) };
    let x2 = x * x;
    let mut last = S::F64::splat(tier, c[N - 1]);
    let mut other = S::F64::splat(tier, c[N - 2]);
    // `last` holds the chain of c[N-1], c[N-3], ..., `other` that of c[N-2], c[N-4], ...
    for i in (0..N - 2).rev() {
        if (N - 1 - i).is_multiple_of(2) {
            last = last.fma(x2, S::F64::splat(tier, c[i]));
        } else {
            other = other.fma(x2, S::F64::splat(tier, c[i]));
        }
    }
    // c[0] sits in `last` where N is odd.
    let (even, odd) = if N % 2 == 1 { (last, other) } else { (other, last) };
    odd.fma(x, even)
}

/// Applies `f` to both halves of `x` in `f64` and rounds once.
#[inline(always)]
pub(super) fn through_f64<S: Tier>(tier: S, x: S::F32, f: impl Fn(S::F64) -> S::F64) -> S::F32 {
    let [low, high] = tier.widen(x);
    tier.narrow([f(low), f(high)])
}

/// `|magnitude|` with the sign bit of `sign`.
#[inline(always)]
pub(super) fn with_sign_of<S: Tier>(tier: S, magnitude: S::F32, sign: S::F32) -> S::F32 {
    let mask = <S::F32 as Vector>::Bits::splat(tier, 0x8000_0000);
    (magnitude.abs().to_bits() | (sign.to_bits() & mask)).to_float()
}

/// `y` with the lanes replaced whose `x` stands in `table`, a list of (bits of `x`, bits of the result).
///
/// The few inputs whose exact result lies so near to the middle between two `f32` that the accuracy of the `f64`
/// evaluation does not tell its side. A compare and a blend for sixteen lanes cost less than one more bit of accuracy.
#[inline(always)]
pub(super) fn replace<S: Tier, const N: usize>(tier: S, x: S::F32, y: S::F32, table: &[(u32, u32); N]) -> S::F32 {
    let mut y = y;
    for &(input, result) in table {
        y = S::F32::select(x.eq(f32s(tier, f32::from_bits(input))), f32s(tier, f32::from_bits(result)), y);
    }
    y
}
