//! `cos x` in `f64`, for arguments up to `2^20`: schedules, phases, windows.
//!
//! # Outline
//! `x = k pi/2 + r`, with `pi/2` in three parts whose products with `k` are exact and a fourth that is rounded; `r` has two
//! parts. Then `1 - r^2/2 + r^4 C(r^2)` with `r^2/2` exact, or `r + r^3 S(r^2)`, by the parity of `k`.
//!
//! # Error
//! 0.6 units in the last place.

use super::double::{Double, polynomial, quick_two_sum, two_product, two_sum};
use super::exp::ROUNDER;

/// The largest magnitude served.
pub const COS_LIMIT: f64 = 1_048_576.0;
/// `pi/2` in 33, 33, 33 and 53 bits.
const FRAC_PI_2: [f64; 4] = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32];
/// `S(z) = (sin r - r) / r^3` for `z = r^2`, `|r| <= pi / 4`; relative error `2^-63`.
const S: [f64; 7] = [
    -0.16666666666666666,
    0.00833333333333304,
    -0.00019841269840959272,
    2.755731907186334e-06,
    -2.5052070276482847e-08,
    1.605421930349098e-10,
    -7.384470552323629e-13,
];
/// `C(z) = (cos r - 1 + r^2/2) / r^4` for `z = r^2`, `|r| <= pi / 4`; relative error `2^-69`.
const C: [f64; 7] = [
    0.041666666666666664,
    -0.0013888888888888389,
    2.480158730118083e-05,
    -2.755731906070006e-07,
    2.087672201676641e-09,
    -1.1466863214505722e-11,
    4.59277412187735e-14,
];

/// `cos x` for `|x| <= COS_LIMIT`; NaN beyond, where nothing here needs it.
#[must_use]
pub fn cos(x: f64) -> f64 {
    let x = x.abs();
    if x.is_nan() || x > COS_LIMIT {
        return f64::NAN;
    }
    let shifted = x * std::f64::consts::FRAC_2_PI + ROUNDER;
    let k = shifted - ROUNDER;
    let first = two_sum(x - k * FRAC_PI_2[0], -(k * FRAC_PI_2[1]));
    let second = two_sum(first.high, -(k * FRAC_PI_2[2]));
    let r = quick_two_sum(second.high, (first.low + second.low) - k * FRAC_PI_2[3]);
    // cos(r + k pi/2) is cos r, -sin r, -cos r, sin r for k = 0, 1, 2, 3 modulo 4.
    match shifted.to_bits() & 3 {
        0 => cos_reduced(r),
        1 => -sin_reduced(r),
        2 => -cos_reduced(r),
        _ => sin_reduced(r),
    }
}

fn cos_reduced(r: Double) -> f64 {
    let square = two_product(r.high, r.high);
    let head = quick_two_sum(1.0, -0.5 * square.high);
    let quartic = square.high * square.high * polynomial(square.high, &C);
    head.high + (head.low + ((quartic - 0.5 * square.low) - r.high * r.low))
}

fn sin_reduced(r: Double) -> f64 {
    let z = r.high * r.high;
    r.high + (r.high * z * polynomial(z, &S) + r.low * (1.0 - 0.5 * z))
}
