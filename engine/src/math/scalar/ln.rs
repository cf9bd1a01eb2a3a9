//! `ln x` and `ln(1 + x)` in `f64`.
//!
//! # Outline
//! `x = 2^k (1 + f)` with `1 + f` in `[sqrt(1/2), sqrt 2)`, and `ln x = k ln 2 + f - f^2/2 + f^3 P(f)`, the polynomial of
//! the lane function. `k LN_2_HIGH`, `f` and `-f^2/2` are added with their rounding errors; only the cubic term, at most
//! 0.07 of the result, is rounded. For `ln(1 + x)` what `1 + x` loses comes back as a correction of `f`.
//!
//! # Error
//! 0.7 units in the last place.

use super::super::ln::P;
use super::double::{polynomial, two_product, two_sum};
use super::exp::{LN_2_HIGH, LN_2_LOW, TINY};

/// The bits of `sqrt(1/2)`.
const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcd;
/// The bits of 1.
const ONE_BITS: u64 = 0x3ff0_0000_0000_0000;
/// The fraction field.
const FRACTION: u64 = (1 << 52) - 1;
/// `2^54`.
const TWO_54: f64 = (1u64 << 54) as f64;

/// `ln(x + correction)` for a normal positive `x` and `|correction|` at most an ulp of it.
fn ln_corrected(x: f64, correction: f64, extra_exponent: f64) -> f64 {
    let shifted = x.to_bits() + (ONE_BITS - SQRT_HALF_BITS);
    let m = f64::from_bits((shifted & FRACTION) + SQRT_HALF_BITS);
    let k = (shifted >> 52) as i64 as f64 - 1023.0 + extra_exponent;
    let f = m - 1.0;

    let sum = two_sum(k * LN_2_HIGH, f);
    let square = two_product(f, f);
    let total = two_sum(sum.high, -0.5 * square.high);
    let cubic = f * square.high * polynomial(f, &P);
    let rest = (cubic - 0.5 * square.low) + (k * LN_2_LOW + correction / x);
    total.high + (total.low + (sum.low + rest))
}

/// `ln x`. `ln(±0) = -inf`, NaN below zero.
#[must_use]
pub fn ln(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x < 0.0 {
        return f64::NAN;
    }
    if !x.is_finite() {
        return x;
    }
    if x < f64::MIN_POSITIVE {
        return ln_corrected(x * TWO_54, 0.0, -54.0);
    }
    ln_corrected(x, 0.0, 0.0)
}

/// `ln(1 + x)`. `-inf` at -1, NaN below; keeps the sign of a zero.
#[must_use]
pub fn ln_1p(x: f64) -> f64 {
    if x == -1.0 {
        return f64::NEG_INFINITY;
    }
    if x < -1.0 {
        return f64::NAN;
    }
    if !x.is_finite() || x.abs() < TINY {
        return x;
    }
    let u = two_sum(1.0, x);
    ln_corrected(u.high, u.low, 0.0)
}
