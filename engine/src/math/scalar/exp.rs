//! `e^x` and `e^x - 1` in `f64`.
//!
//! # Outline
//! `x = k ln 2 + r`; `ln 2` is cut so that `k LN_2_HIGH` is exact, and `r` has two parts. `e^r - 1 = r + r^2/2 + r^3 R(r)`
//! with `r^2/2` exact in two parts, so only the last term, at most `2^-7`, is rounded: `e^x` and `e^x - 1` come out in two
//! parts with about 57 bits. The factor `2^k` is applied in two halves, so that a subnormal result is rounded by the last.
//!
//! # Error
//! 0.55 units in the last place (1 for subnormal results, which are rounded twice).

use super::double::{Double, polynomial, quick_two_sum, two_product, two_sum};

/// `ln 2` cut to 41 bits behind the point: its product with an exponent is exact.
pub(super) const LN_2_HIGH: f64 = 0.693147180559663;
/// `ln 2 - LN_2_HIGH`.
pub(super) const LN_2_LOW: f64 = 2.8235290563031577e-13;
/// `1.5 * 2^52`: adding it rounds to an integer.
pub(super) const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// Above this `e^x` is infinite.
const HIGHEST: f64 = 710.0;
/// Below this `e^x` rounds to `+0`.
const LOWEST: f64 = -746.0;
/// Below this magnitude `e^x - 1` and its like round to `x`.
pub(super) const TINY: f64 = 1.0 / (1u64 << 54) as f64;
/// `R(r) = (e^r - 1 - r - r^2/2) / r^3` on `|r| <= ln 2 / 2`; relative error of `e^r - 1` `2^-59`.
const R: [f64; 10] = [
    0.16666666666666677,
    0.041666666666666435,
    0.00833333333332096,
    0.0013888888888688312,
    0.00019841269889684545,
    2.480158828182827e-05,
    2.7557238919127636e-06,
    2.755606251418783e-07,
    2.51113693096042e-08,
    2.138583509276434e-09,
];

/// `2^k` for `-1022 <= k <= 1023`.
fn power_of_two(k: i64) -> f64 {
    f64::from_bits(((k + 1023) as u64) << 52)
}

/// `e^x = 2^k (high + low)`, for `|x| < 800`.
fn reduce(x: f64) -> (i64, Double) {
    let k = (x * std::f64::consts::LOG2_E + ROUNDER) - ROUNDER;
    let r = two_sum(x - k * LN_2_HIGH, -(k * LN_2_LOW));
    let square = two_product(r.high, r.high);
    let cubic = r.high * square.high * polynomial(r.high, &R);
    // The halves of an exact square are exact.
    let s = quick_two_sum(r.high, 0.5 * square.high);
    let rest = s.low + (0.5 * square.low + (cubic + (r.low + r.low * r.high)));
    let one = two_sum(1.0, s.high);
    (k as i64, Double { high: one.high, low: one.low + rest })
}

/// `e^x`.
#[must_use]
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > HIGHEST {
        return f64::INFINITY;
    }
    if x < LOWEST {
        return 0.0;
    }
    let (k, e) = reduce(x);
    let half = k / 2;
    e.value() * power_of_two(half) * power_of_two(k - half)
}

/// `e^x - 1` in two parts, for `2^-54 <= |x| <= 45`.
pub(super) fn expm1_double(x: f64) -> Double {
    let (k, e) = reduce(x);
    let scale = power_of_two(k);
    let difference = two_sum(e.high * scale, -1.0);
    quick_two_sum(difference.high, difference.low + e.low * scale)
}

/// `e^x - 1`; keeps the sign of a zero.
#[must_use]
pub fn expm1(x: f64) -> f64 {
    if x.is_nan() || x.abs() < TINY {
        return x;
    }
    if x > 45.0 {
        // 1 is below 2^-64 of the power.
        return exp(x);
    }
    if x < -45.0 {
        return -1.0;
    }
    expm1_double(x).value()
}
