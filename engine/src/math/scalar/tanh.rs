//! `tanh x` in `f64`.
//!
//! # Outline
//! With `e = e^(-2|x|) - 1` in two parts, `tanh |x| = -e / (2 + e)`, and one correction of the quotient.
//!
//! # Error
//! 0.6 units in the last place.

use super::double::{quick_two_sum, two_product};
use super::exp::expm1_double;

/// `2^-28`: below, the cubic term is under a quarter of a unit.
const TINY: f64 = 1.0 / (1u64 << 28) as f64;
/// From here on `tanh x` rounds to 1.
const SATURATED: f64 = 20.0;

/// `tanh x`; keeps the sign of a zero.
#[must_use]
pub fn tanh(x: f64) -> f64 {
    let magnitude = x.abs();
    if x.is_nan() || magnitude < TINY {
        return x;
    }
    if magnitude > SATURATED {
        return f64::copysign(1.0, x);
    }
    let e = expm1_double(-2.0 * magnitude);
    let divisor = quick_two_sum(2.0, e.high);
    let divisor_low = divisor.low + e.low;
    let quotient = -e.high / divisor.high;
    let product = two_product(quotient, divisor.high);
    // What the quotient leaves of the numerator.
    let rest = ((-e.high - product.high) - product.low) - e.low - quotient * divisor_low;
    f64::copysign(quotient + rest / divisor.high, x)
}
