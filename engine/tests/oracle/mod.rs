//! Correctly rounded references for the elementary functions.
//!
//! Where CORE-MATH has the function in `f32`, that is the reference. The others are composed from its `f64` functions,
//! whose results are correctly rounded; when the error of the composition leaves the rounding to `f32` open, the value
//! is computed again in double-double.

// Each test and example uses its part of this module.
#![allow(dead_code)]
#![allow(clippy::disallowed_methods)] // an oracle is no result; its clamps only bound a search range

pub mod dd;
pub mod quantile;
pub mod scalar;

use dd::Dd;
use regularity_engine::error::Error;
use regularity_engine::math::{map, unary};
use regularity_engine::simd::Isa;

/// A function over a slice, on a tier.
pub type Map = fn(Isa, &[f32], &mut [f32]) -> Result<(), Error>;

/// A lane function and its reference.
pub struct Case {
    /// The name of the function.
    pub name: &'static str,
    /// The function over a slice.
    pub map: Map,
    /// The correctly rounded value.
    pub reference: fn(f32) -> f32,
}

macro_rules! cases {
    ($($name:literal, $unary:ident, $reference:expr;)*) => {
        /// Every unary lane function.
        pub const CASES: &[Case] = &[$(
            Case { name: $name, map: |isa, src, dst| map(isa, unary::$unary, src, dst), reference: $reference },
        )*];
    };
}
cases! {
    "exp", Exp, core_math::expf;
    "expm1", Expm1, core_math::expm1f;
    "ln", Ln, core_math::logf;
    "ln_1p", Ln1p, core_math::log1pf;
    "tanh", Tanh, core_math::tanhf;
    "sigmoid", Sigmoid, sigmoid;
    "softplus", Softplus, softplus;
    "erf", Erf, core_math::erff;
    "sin", Sin, core_math::sinf;
    "cos", Cos, core_math::cosf;
}

/// Whether two results are the same: the same bits, or both NaN.
pub fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Distance in units of the last place; infinity counts as the number after the largest.
pub fn ulps(a: f32, b: f32) -> u64 {
    let line = |x: f32| {
        let magnitude = i64::from(x.to_bits() & 0x7fff_ffff);
        if x.is_sign_negative() { -magnitude } else { magnitude }
    };
    if a.is_nan() && b.is_nan() {
        0
    } else if a.is_nan() != b.is_nan() {
        u64::MAX
    } else {
        line(a).abs_diff(line(b))
    }
}

/// `y` rounded to `f32`, if its relative error `2^-51` leaves no doubt.
fn settled(y: f64) -> Option<f32> {
    const MARGIN: f64 = 1.0 / (1u64 << 51) as f64;
    let (a, b) = ((y - y * MARGIN) as f32, (y + y * MARGIN) as f32);
    (a.to_bits() == b.to_bits()).then_some(a)
}

/// `1 / (1 + e^-x)`.
pub fn sigmoid(x: f32) -> f32 {
    let z = f64::from(x);
    if x.is_nan() {
        return x;
    }
    // The exponential saturates long before these borders in f32.
    let z = z.clamp(-300.0, 300.0);
    settled(1.0 / (1.0 + core_math::exp(-z)))
        .unwrap_or_else(|| (Dd::ONE / (Dd::ONE + Dd::from(-z).exp())).to_f32(85).expect("a tie beyond double-double"))
}

/// `ln(1 + e^x)`.
pub fn softplus(x: f32) -> f32 {
    let z = f64::from(x);
    // Above the border e^-x is below half a unit of x, at infinity included.
    if x.is_nan() || x > 1000.0 {
        return x;
    }
    let z = z.max(-300.0);
    let u = core_math::exp(-z.abs());
    settled(z.max(0.0) + core_math::log1p(u)).unwrap_or_else(|| {
        let value = Dd::from(z.max(0.0)) + Dd::from(-z.abs()).exp().ln_1p();
        value.to_f32(70).unwrap_or_else(|| panic!("softplus({x:e}): a tie beyond double-double"))
    })
}
