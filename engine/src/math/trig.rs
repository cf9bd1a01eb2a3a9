//! What sine and cosine share: the reduction modulo pi and the polynomial.
//!
//! # Outline
//! Both are `± sin r` with `|r| <= pi / 2`: `x = k pi + r` for the sine and `x = (k + 1/2) pi + r` for the cosine, with the
//! sign from the parity of `k`. So one polynomial serves, and a result near zero always comes from an `r` near zero.
//!
//! *Up to [`FAR`]* the multiple of pi is subtracted in two parts. The first, `fma(-k, PI_HIGH, x)`, is **exact**: `x` and
//! the product are multiples of `2^-52`, and what is left of them is below 2. (Where `x` is no multiple of `2^-52`, `k` is
//! zero, or `x` is so small that the cosine does not see it.) The second, `k PI_LOW`, is rounded once; `PI_HIGH + PI_LOW`
//! misses pi by less than `2^-107`.
//!
//! *Beyond*, `x = m 2^e` with an integer `m < 2^24`, and `x / pi` modulo 2 is `m` times 128 bits of `1 / pi`, taken where
//! `e` says, all in integers (M. H. Payne and R. N. Hanek, "Radian reduction for trigonometric functions", 1983). The
//! fraction is good to `2^-103`; no `f32` comes nearer than about `2^-30` to a multiple of `pi / 2`.
//!
//! # Source
//! Own derivation from the paper named; the polynomial by the Remez exchange algorithm in 200-bit arithmetic.

use super::exp::ROUNDER;
use super::poly::{even_odd, f64s};
use crate::simd::{Bits, Mask, Tier, Vector};

/// `1 / pi`.
const FRAC_1_PI: f64 = std::f64::consts::FRAC_1_PI;
/// Pi rounded to `f64`.
const PI_HIGH: f64 = std::f64::consts::PI;
/// `pi - PI_HIGH`.
const PI_LOW: f64 = 1.2246467991473532e-16;
/// `2^24`: from here on the reduction is done in integers.
const FAR: f32 = 16_777_216.0;
/// The first 256 bits of `1 / pi` behind the point.
const FRAC_1_PI_BITS: [u64; 4] =
    [0x517c_c1b7_2722_0a94, 0xfe13_abe8_fa9a_6ee0, 0x6db1_4acc_9e21_c820, 0xff28_b1d5_ef5d_e2b0];
/// `pi 2^62`, rounded down.
const PI_62: u64 = 0xc90f_daa2_2168_c234;

/// `P(z) = (sin r - r) / r^3` for `z = r^2`, `|r| <= pi / 2`; relative error of the sine `2^-61`.
const P: [f64; 9] = [
    -0.16666666666666666,
    0.008333333333333215,
    -0.00019841269841218146,
    2.755731921300066e-06,
    -2.5052107089737313e-08,
    1.6058954506203586e-10,
    -7.643579615377043e-13,
    2.7337789646330635e-15,
    -1.1259088183036042e-18,
];

/// `sin x`, or `cos x` if `COSINE`.
#[inline(always)]
pub(super) fn sine<S: Tier, const COSINE: bool>(tier: S, x: S::F32) -> S::F32 {
    let [low, high] = tier.widen(x);
    let (low, high) = (reduce::<S, COSINE>(tier, low), reduce::<S, COSINE>(tier, high));
    // Infinities stay on this path, where they become NaN.
    let magnitude = x.abs();
    let far = S::F32::splat(tier, FAR).le(magnitude) & magnitude.lt(S::F32::splat(tier, f32::INFINITY));
    if !far.any() {
        return tier.narrow([sine_of_reduced(tier, low), sine_of_reduced(tier, high)]);
    }
    let (mut lanes, mut r) = ([0.0; 16], [0.0; 16]);
    x.store(&mut lanes);
    low.store(&mut r[..8]);
    high.store(&mut r[8..]);
    reduce_far(&lanes, &mut r, COSINE);
    let (low, high) = (S::F64::load(tier, &r[..8]), S::F64::load(tier, &r[8..]));
    tier.narrow([sine_of_reduced(tier, low), sine_of_reduced(tier, high)])
}

/// An `r` with `sin r` equal to the sine or cosine of `x`, `|x| < FAR`.
#[inline(always)]
fn reduce<S: Tier, const COSINE: bool>(tier: S, x: S::F64) -> S::F64 {
    let rounder = f64s(tier, ROUNDER);
    let (shifted, k) = if COSINE {
        let shifted = x.fma(f64s(tier, FRAC_1_PI), f64s(tier, -0.5)) + rounder;
        (shifted, (shifted - rounder) + f64s(tier, 0.5))
    } else {
        let shifted = x.fma(f64s(tier, FRAC_1_PI), rounder);
        (shifted, shifted - rounder)
    };
    let minus_k = -k;
    let r = minus_k.fma(f64s(tier, PI_HIGH), x);
    let r = minus_k.fma(f64s(tier, PI_LOW), r);
    // sin(r + k pi) = (-1)^k sin r, and cos(r + (k + 1/2) pi) = -(-1)^k sin r.
    let r = if COSINE { -r } else { r };
    (r.to_bits() ^ shifted.to_bits().shl::<63>()).to_float()
}

/// `sin r` for `|r| <= pi / 2`.
#[inline(always)]
fn sine_of_reduced<S: Tier>(tier: S, r: S::F64) -> S::F64 {
    let z = r * r;
    (r * z).fma(even_odd(tier, z, &P), r)
}

/// Replaces the `r` of the lanes with `FAR <= |x| < inf`.
#[cold]
#[inline(never)]
fn reduce_far(x: &[f32; 16], r: &mut [f64; 16], cosine: bool) {
    for (&x, r) in x.iter().zip(r) {
        if x.abs() >= FAR && x.is_finite() {
            *r = reduce_one(x, cosine);
        }
    }
}

/// The reduction in integers, of one finite `x` with `|x| >= FAR`.
fn reduce_one(x: f32, cosine: bool) -> f64 {
    let bits = x.to_bits();
    let mantissa = u128::from((bits & 0x7f_ffff) | 0x80_0000);
    // |x| = mantissa 2^e, 1 <= e <= 104. Bits of 1/pi with weight above 2^-e give multiples of 2, which fall away.
    let e = ((bits >> 23) & 0xff) as usize - 150;
    let (word, shift) = ((e - 1) / 64, (e - 1) % 64);
    let pair = |i: usize| (u128::from(FRAC_1_PI_BITS[i]) << 64) | u128::from(FRAC_1_PI_BITS[i + 1]);
    let mut window = pair(word) << shift;
    if shift > 0 {
        window |= u128::from(FRAC_1_PI_BITS[word + 2]) >> (64 - shift);
    }
    // |x| / pi modulo 2: the top bit is the integer, 127 bits of fraction follow.
    let mut turns = mantissa.wrapping_mul(window);
    if cosine {
        turns = turns.wrapping_sub(1 << 126);
    }
    // The nearest integer's parity, and the signed rest in [-1/2, 1/2) as a fraction of 2^128.
    let odd = (turns.wrapping_add(1 << 126) >> 127) == 1;
    let rest = (turns << 1) as i128;
    let magnitude = rest.unsigned_abs();
    if magnitude == 0 {
        return 0.0; // no f32 leads here
    }
    // The product with pi of the top 64 bits; one rounding in the conversion, the scale is a power of two.
    let zeros = magnitude.leading_zeros();
    let product = ((magnitude << zeros) >> 64) * u128::from(PI_62);
    let scale = f64::from_bits(u64::from(1023 - 64 - 62 - zeros) << 52);
    let r = product as f64 * scale;
    // The cosine is even, and -(-1)^k sin r; the sine is odd, and (-1)^k sin r.
    let negative = (rest < 0) ^ odd ^ if cosine { true } else { x < 0.0 };
    if negative { -r } else { r }
}
