//! Sums and products with their rounding errors, without a fused multiply-add.

/// The unevaluated sum `high + low`, `low` at most a few units in the last place of `high`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Double {
    pub high: f64,
    pub low: f64,
}

impl Double {
    /// Both parts added: one rounding.
    pub fn value(self) -> f64 {
        self.high + self.low
    }
}

/// `a + b` exactly (D. E. Knuth).
pub(super) fn two_sum(a: f64, b: f64) -> Double {
    let high = a + b;
    let b_part = high - a;
    Double { high, low: (a - (high - b_part)) + (b - b_part) }
}

/// `a + b` exactly, for `|a| >= |b|` or `a = 0` (T. J. Dekker).
pub(super) fn quick_two_sum(a: f64, b: f64) -> Double {
    let high = a + b;
    Double { high, low: b - (high - a) }
}

/// `a b` exactly, while nothing comes near the ends of the exponent range (T. J. Dekker, G. W. Veltkamp).
pub(super) fn two_product(a: f64, b: f64) -> Double {
    let split = |x: f64| {
        let scaled = 134_217_729.0 * x; // 2^27 + 1
        let high = scaled - (scaled - x);
        (high, x - high)
    };
    let ((a_high, a_low), (b_high, b_low)) = (split(a), split(b));
    let high = a * b;
    Double { high, low: ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low }
}

/// The polynomial with coefficients `c`, constant term first, at `x`: even and odd chains, each product and sum rounded.
pub(super) fn polynomial<const N: usize>(x: f64, c: &[f64; N]) -> f64 {
    let x2 = x * x;
    let (mut even, mut odd) = (0.0, 0.0);
    for i in (0..N).rev() {
        if i % 2 == 0 {
            even = even * x2 + c[i];
        } else {
            odd = odd * x2 + c[i];
        }
    }
    even + odd * x
}
