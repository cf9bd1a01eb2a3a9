//! The error function.
//!
//! # Outline
//! `erf |x| = 1 - e^(-u)` with `u = -ln erfc |x| = |x| Q(|x|)`. `Q` has no singularity nearer to the interval than the
//! complex zeros of `erfc`, so one polynomial serves the whole of it; an error of `u` enters the result multiplied by
//! `u e^(-u) / (1 - e^(-u))`, which is at most 1 and vanishes where `u` is large. The sign of `x` is put back in the bits.
//!
//! # Error
//! Before the narrowing below `2^-51.5` relative (polynomial `2^-55`); after it no input is misrounded, see the
//! [module](super).
//!
//! # Source
//! Own derivation; `Q` by the Remez exchange algorithm in 200-bit arithmetic, weighted with the factor above.

use super::exp::expm1_f64;
use super::poly::{even_odd, through_f64, with_sign_of};
use crate::simd::{Tier, Vector};

/// From here on `erf x` rounds to 1 (the border is `3.83`).
const SATURATED: f32 = 4.0;
/// `Q(x) = -ln(erfc x) / x` on `0 <= x <= 4`; relative error of `erf` `2^-55`.
const Q: [f64; 23] = [
    std::f64::consts::FRAC_2_SQRT_PI,
    0.6366197723675908,
    0.10277260330127538,
    -0.01912844699145711,
    -0.0002091948812176245,
    0.001696207925109309,
    -0.0005901339563389287,
    2.5910782198240536e-05,
    6.440179870602066e-05,
    -2.9534251652203015e-05,
    3.099504636503454e-06,
    3.2253043432166927e-06,
    -2.1327003289148712e-06,
    6.488679157385247e-07,
    -6.265804439464183e-08,
    -3.9344134810772275e-08,
    2.375145468304375e-08,
    -7.276314772769041e-09,
    1.4850037631921065e-09,
    -2.097856156386533e-10,
    1.989165898013544e-11,
    -1.1456650641051491e-12,
    3.0392894820518884e-14,
];

/// `erf x`, correctly rounded. `erf(±0) = ±0`.
#[inline(always)]
pub fn erf<S: Tier>(tier: S, x: S::F32) -> S::F32 {
    // The constant comes first so that a NaN in `x` is what min returns.
    let magnitude = S::F32::splat(tier, SATURATED).min(x.abs());
    let y = through_f64(
        tier,
        magnitude,
        #[inline(always)]
        |a| -expm1_f64(tier, -(a * even_odd(tier, a, &Q))),
    );
    with_sign_of(tier, y, x)
}
