//! Is a number the correctly rounded normal quantile of a word?
//!
//! The quantile is monotone, so `y` is correct exactly if the distribution function, at the two midpoints between `y` and
//! its neighbours, lies on either side of the word's probability. That needs `erf` only, never its inverse.

use std::cmp::Ordering;

use super::dd::Dd;

/// A midpoint and the value there of `erf(m / sqrt 2)` below 1, of `erfc(m / sqrt 2)` above.
#[derive(Clone, Copy)]
struct Border {
    m: f64,
    value: f64,
}

/// Checks words; consecutive ones share work.
pub struct Oracle {
    low: Border,
    high: Border,
    /// How many comparisons needed double-double.
    pub escalations: u64,
}

impl Default for Oracle {
    fn default() -> Self {
        Oracle { low: border(0.0), high: border(0.0), escalations: 0 }
    }
}

fn border(m: f64) -> Border {
    // z + dz = m / sqrt 2 to about 100 bits; the derivative of erf carries dz over.
    let z = Dd::SQRT_HALF * Dd::from(m);
    let correction = std::f64::consts::FRAC_2_SQRT_PI * core_math::exp(-z.hi * z.hi) * z.lo;
    let value = if m < 1.0 { core_math::erf(z.hi) + correction } else { core_math::erfc(z.hi) - correction };
    Border { m, value }
}

impl Oracle {
    /// Whether `y = RN(Phi^-1((w + 1/2) / 2^32))`.
    pub fn accepts(&mut self, w: u32, y: f32) -> bool {
        // |Phi^-1| is the same for w and !w; x = |2p - 1| is exact.
        let negative = w >> 31 == 0;
        let upper = if negative { !w } else { w };
        let x = (2.0 * f64::from(upper) + 1.0 - 4_294_967_296.0) / 4_294_967_296.0;
        if y == 0.0 || !y.is_finite() || y.is_sign_negative() != negative {
            return false;
        }
        let y = y.abs();
        let middle = |a: u32, b: u32| (f64::from(f32::from_bits(a)) + f64::from(f32::from_bits(b))) / 2.0;
        let (below, above) = (middle(y.to_bits() - 1, y.to_bits()), middle(y.to_bits(), y.to_bits() + 1));
        if self.low.m != below {
            self.low = if self.high.m == below { self.high } else { border(below) };
        }
        if self.high.m != above {
            self.high = border(above);
        }
        let (low, high) = (self.low, self.high);
        self.compare(low, x) == Ordering::Less && self.compare(high, x) == Ordering::Greater
    }

    /// How `erf(m / sqrt 2)` compares with `x`.
    fn compare(&mut self, b: Border, x: f64) -> Ordering {
        const MARGIN: f64 = 1.0 / (1u64 << 51) as f64;
        // 1 - x is exact, as x has 33 bits.
        let (left, right) = if b.m < 1.0 { (b.value, x) } else { (1.0 - x, b.value) };
        if (left - right).abs() > right * MARGIN {
            return left.total_cmp(&right);
        }
        self.escalations += 1;
        let difference = (Dd::SQRT_HALF * Dd::from(b.m)).erf() - Dd::from(x);
        assert!(difference.hi.abs() > x * 1e-25, "a tie beyond double-double at {:e}", b.m);
        difference.hi.total_cmp(&0.0)
    }
}
