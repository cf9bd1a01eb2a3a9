//! The elementary functions of one number, for the reference kernels.

use crate::math;
use crate::simd::{Portable, Real, Vector};

/// Elementary functions of one number. For `f32` they are the lane functions of [`crate::math`], lane 0 on the portable
/// tier; for `f64`, in which no kernel is offered, the scalar ones of [`crate::math::scalar`].
pub trait Elementary: Real {
    /// `e^x`.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// `ln(1 + e^x)`.
    fn softplus(self) -> Self;
    /// `1 / (1 + e^-x)`.
    fn sigmoid(self) -> Self;
}

type Lanes = <f32 as Real>::V<Portable>;

fn lane(f: impl Fn(Portable, Lanes) -> Lanes, x: f32) -> f32 {
    let mut lanes = [0.0; 16];
    f(Portable, Lanes::splat(Portable, x)).store(&mut lanes);
    lanes[0]
}

impl Elementary for f32 {
    fn exp(self) -> Self {
        lane(math::exp, self)
    }
    fn ln(self) -> Self {
        lane(math::ln, self)
    }
    fn softplus(self) -> Self {
        lane(math::softplus, self)
    }
    fn sigmoid(self) -> Self {
        lane(math::sigmoid, self)
    }
}

impl Elementary for f64 {
    fn exp(self) -> Self {
        math::scalar::exp(self)
    }
    fn ln(self) -> Self {
        math::scalar::ln(self)
    }
    fn softplus(self) -> Self {
        let tail = math::scalar::ln_1p(math::scalar::exp(-self.abs()));
        Self::ZERO.max_select(self) + tail
    }
    fn sigmoid(self) -> Self {
        let e = math::scalar::exp(-self.abs());
        if self < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
    }
}
