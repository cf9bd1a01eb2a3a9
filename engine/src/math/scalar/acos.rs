//! `arccos x` in `f64`: angles between unit vectors.
//!
//! # Outline
//! `arcsin s = s + s^3 P(s^2)` for `|s| <= 1/2`. Up to there `arccos x = pi/2 - arcsin x`; beyond, with
//! `s = sqrt((1 - |x|) / 2)` and what the square root left over, `arccos |x| = 2 arcsin s` and
//! `arccos (-|x|) = pi - 2 arcsin s`. `pi/2` has two parts.
//!
//! # Error
//! 0.8 units in the last place.

use super::double::{polynomial, two_product};

/// `pi / 2`, and what it lacks.
const FRAC_PI_2: [f64; 2] = [std::f64::consts::FRAC_PI_2, 6.123233995736766e-17];
/// `P(z) = (arcsin s - s) / s^3` for `z = s^2 <= 1/4`; relative error of the arcsine `2^-57`.
const P: [f64; 13] = [
    0.16666666666666669,
    0.07499999999998433,
    0.04464285714635543,
    0.030381944138531247,
    0.02237217294214989,
    0.017352392720869973,
    0.013971212973552933,
    0.011479177415184906,
    0.01032281435018578,
    0.005457506718640358,
    0.01740087944269402,
    -0.014851887071247204,
    0.028757851367421566,
];

/// The angle from 0 to pi whose cosine is `x`; NaN unless `-1 <= x <= 1`.
#[must_use]
pub fn acos(x: f64) -> f64 {
    let magnitude = x.abs();
    if magnitude <= 0.5 {
        let z = x * x;
        return FRAC_PI_2[0] - (x - (FRAC_PI_2[1] - x * (z * polynomial(z, &P))));
    }
    if magnitude > 1.0 || x.is_nan() {
        return f64::NAN;
    }
    // Exact: a difference of neighbours, halved.
    let z = 0.5 * (1.0 - magnitude);
    let s = z.sqrt();
    if s == 0.0 {
        return if x > 0.0 { 0.0 } else { 2.0 * FRAC_PI_2[0] };
    }
    let square = two_product(s, s);
    let left_over = ((z - square.high) - square.low) / (2.0 * s);
    let rest = s * (z * polynomial(z, &P)) + left_over;
    if x > 0.0 { 2.0 * (s + rest) } else { 2.0 * (FRAC_PI_2[0] - (s - (FRAC_PI_2[1] - rest))) }
}
