//! Double-double arithmetic, about 100 bits: slow and plain, for the few inputs that `f64` cannot settle.

use std::ops::{Add, Div, Mul, Neg, Sub};

use regularity_engine::simd::Real;

/// The unevaluated sum `hi + lo`, `|lo| <= ulp(hi) / 2`.
#[derive(Debug, Clone, Copy)]
pub struct Dd {
    /// The sum rounded to `f64`.
    pub hi: f64,
    /// What is left.
    pub lo: f64,
}

fn two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    let b_part = hi - a;
    Dd { hi, lo: (a - (hi - b_part)) + (b - b_part) }
}

fn two_product(a: f64, b: f64) -> Dd {
    let hi = a * b;
    Dd { hi, lo: Real::fma(a, b, -hi) }
}

impl From<f64> for Dd {
    fn from(x: f64) -> Self {
        Dd { hi: x, lo: 0.0 }
    }
}

impl Add for Dd {
    type Output = Dd;
    fn add(self, o: Dd) -> Dd {
        let (s, t) = (two_sum(self.hi, o.hi), two_sum(self.lo, o.lo));
        let s = two_sum(s.hi, s.lo + t.hi);
        two_sum(s.hi, s.lo + t.lo)
    }
}

impl Neg for Dd {
    type Output = Dd;
    fn neg(self) -> Dd {
        Dd { hi: -self.hi, lo: -self.lo }
    }
}

impl Sub for Dd {
    type Output = Dd;
    fn sub(self, o: Dd) -> Dd {
        self + -o
    }
}

impl Mul for Dd {
    type Output = Dd;
    fn mul(self, o: Dd) -> Dd {
        let p = two_product(self.hi, o.hi);
        two_sum(p.hi, p.lo + (self.hi * o.lo + self.lo * o.hi))
    }
}

impl Div for Dd {
    type Output = Dd;
    fn div(self, o: Dd) -> Dd {
        let q0 = self.hi / o.hi;
        let r = self - o * Dd::from(q0);
        let q1 = r.hi / o.hi;
        let r = r - o * Dd::from(q1);
        let q2 = r.hi / o.hi;
        two_sum(q0, q1) + Dd::from(q2)
    }
}

impl Dd {
    /// 1.
    pub const ONE: Dd = Dd { hi: 1.0, lo: 0.0 };
    /// `ln 2`.
    const LN_2: Dd = Dd { hi: std::f64::consts::LN_2, lo: 2.3190468138462996e-17 };
    /// `2 / sqrt(pi)`.
    const TWO_OVER_SQRT_PI: Dd = Dd { hi: std::f64::consts::FRAC_2_SQRT_PI, lo: 1.533545961316588e-17 };
    /// `1 / sqrt 2`.
    pub const SQRT_HALF: Dd = Dd { hi: std::f64::consts::FRAC_1_SQRT_2, lo: -4.833646656726457e-17 };

    fn scale(self, factor: f64) -> Dd {
        Dd { hi: self.hi * factor, lo: self.lo * factor }
    }

    /// `e^self`, `|self| < 700`; relative error about `2^-94`.
    pub fn exp(self) -> Dd {
        let k = (self.hi * std::f64::consts::LOG2_E).round();
        // Divided by 256, the Taylor series of e^r needs 13 terms; eight squarings undo the division.
        let r = (self - Dd::LN_2 * Dd::from(k)).scale(1.0 / 256.0);
        let mut sum = Dd::ONE;
        for n in (1..=13).rev() {
            sum = Dd::ONE + sum * r / Dd::from(f64::from(n));
        }
        for _ in 0..8 {
            sum = sum * sum;
        }
        sum.scale(f64::from_bits(((k as i64 + 1023) as u64) << 52))
    }

    /// `ln(1 + self)` for `0 <= self <= 1`; relative error below `2^-74`.
    pub fn ln_1p(self) -> Dd {
        if self.hi < 1.0 / (1u64 << 20) as f64 {
            let mut sum = Dd::from(0.0);
            for n in (1..=6).rev() {
                sum = (Dd::ONE / Dd::from(f64::from(n))) - sum * self;
            }
            return sum * self;
        }
        // One step of Newton's method with its second-order term.
        let y = Dd::from(core_math::log1p(self.hi));
        let d = (Dd::ONE + self) * (-y).exp() - Dd::ONE;
        y + d - (d * d).scale(0.5)
    }

    /// `erf(self)` for `0 <= self < 5`; relative error about `2^-92`. The series has positive terms only.
    pub fn erf(self) -> Dd {
        let z2 = self * self;
        let mut term = self;
        let mut sum = self;
        let mut n = 1.0;
        while term.hi > sum.hi * f64::from_bits((1023 - 115) << 52) {
            term = term * z2.scale(2.0) / Dd::from(2.0 * n + 1.0);
            sum = sum + term;
            n += 1.0;
        }
        Dd::TWO_OVER_SQRT_PI * (-z2).exp() * sum
    }

    /// Rounded to `f32`, if a relative error of `2^-bits` leaves no doubt.
    pub fn to_f32(self, bits: u64) -> Option<f32> {
        let margin = self.hi.abs() * f64::from_bits((1023 - bits) << 52);
        let (a, b) = ((self - Dd::from(margin)).round_f32(), (self + Dd::from(margin)).round_f32());
        (a.to_bits() == b.to_bits()).then_some(a)
    }

    /// Rounded once: `hi` moves to the odd neighbour first if `lo` says that it is not exact.
    fn round_f32(self) -> f32 {
        let bits = self.hi.to_bits();
        if self.lo == 0.0 || bits & 1 == 1 {
            return self.hi as f32;
        }
        let away = (self.lo > 0.0) == (self.hi > 0.0);
        f64::from_bits(if away { bits + 1 } else { bits - 1 }) as f32
    }
}
