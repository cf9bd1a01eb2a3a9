//! Inputs and references for the scalar `f64` functions.
//!
//! Three quarters of the inputs have a random exponent and fraction over the whole domain; one quarter lies near a
//! boundary or a hard place: multiples of `ln 2 / 2`, powers of two times `sqrt 2`, 1, multiples of `pi / 2`.

use regularity_engine::math::scalar;

/// A scalar function and its reference.
pub struct Case {
    /// The name of the function.
    pub name: &'static str,
    /// The function.
    pub function: fn(f64) -> f64,
    /// The correctly rounded value.
    pub reference: fn(f64) -> f64,
    /// An input from a random word, over the domain.
    input: fn(u64) -> f64,
    /// A hard input from a random word.
    hard: fn(u64) -> f64,
}

/// A number with the sign and fraction of `word` and a random exponent from `low..high`.
fn spread(word: u64, low: i64, high: i64) -> f64 {
    let span = (high - low) as u64;
    let exponent = ((word >> 52) & 0x7ff) % span;
    f64::from_bits((word & 0x800f_ffff_ffff_ffff) | (((low + 1023) as u64 + exponent) << 52))
}

/// `centre` moved by a random number of units in the last place, few more often than many.
fn near(centre: f64, word: u64) -> f64 {
    let distance = (word >> 8 & 0xffff_ffff) >> ((word & 31) as u32);
    let bits = centre.to_bits();
    f64::from_bits(if word & 128 == 0 { bits.wrapping_add(distance) } else { bits.wrapping_sub(distance) })
}

/// Every scalar function.
pub const CASES: &[Case] = &[
    Case {
        name: "exp",
        function: scalar::exp,
        reference: core_math::exp,
        input: |w| spread(w, -60, 10),
        hard: |w| near(((w >> 40) % 4300) as f64 * 0.34657359027997264 - 745.2, w),
    },
    Case {
        name: "expm1",
        function: scalar::expm1,
        reference: core_math::expm1,
        input: |w| spread(w, -60, 10),
        hard: |w| near(((w >> 40) % 400) as f64 * 0.34657359027997264 - 60.0, w),
    },
    Case {
        name: "ln",
        function: scalar::ln,
        reference: core_math::log,
        input: |w| f64::from_bits(w >> 1),
        hard: |w| {
            let x = near([1.0, std::f64::consts::SQRT_2][(w >> 62 & 1) as usize], w);
            if w >> 63 == 0 { x } else { x * spread(w & 0x7ff0_0000_0000_0000, -30, 30) }
        },
    },
    Case {
        name: "ln_1p",
        function: scalar::ln_1p,
        reference: core_math::log1p,
        input: |w| if w >> 63 == 1 { spread(w, -60, 0) } else { spread(w, -60, 1023) },
        hard: |w| near([-0.5, -0.2928932188134524, 0.41421356237309503, 1.0][(w >> 62) as usize], w),
    },
    Case {
        name: "tanh",
        function: scalar::tanh,
        reference: core_math::tanh,
        input: |w| spread(w, -30, 5),
        hard: |w| near(((w >> 40) % 110) as f64 * 0.17328679513998632 + 0.1, w),
    },
    Case {
        name: "cos",
        function: scalar::cos,
        reference: core_math::cos,
        input: |w| spread(w, -30, 20),
        hard: |w| near(((w >> 40) % 660_000) as f64 * std::f64::consts::FRAC_PI_2, w),
    },
    Case {
        name: "acos",
        function: scalar::acos,
        reference: core_math::acos,
        input: |w| spread(w, -60, 0),
        hard: |w| near([0.5, 1.0, -0.5, -1.0][(w >> 62) as usize], w),
    },
];

/// The output function of SplitMix64 (G. L. Steele, D. Lea and C. H. Flood, 2014) of a counter.
fn word(index: u64) -> u64 {
    let mut z = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Distance in units of the last place.
pub fn ulps(a: f64, b: f64) -> u64 {
    let line = |x: f64| {
        let magnitude = i128::from(x.to_bits() & (u64::MAX >> 1));
        if x.is_sign_negative() { -magnitude } else { magnitude }
    };
    match (a.is_nan(), b.is_nan()) {
        (true, true) => 0,
        (false, false) => line(a).abs_diff(line(b)) as u64,
        _ => u64::MAX,
    }
}

impl Case {
    /// The `i`-th input.
    pub fn sample(&self, i: u64) -> f64 {
        let w = word(i + 1);
        if i % 4 == 3 { (self.hard)(w) } else { (self.input)(w) }
    }
}
