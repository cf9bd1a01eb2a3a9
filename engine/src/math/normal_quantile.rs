//! The inverse of the standard normal distribution function, of a random word.
//!
//! # Outline
//! A word `w` stands for the probability `p = (w + 1/2) / 2^32`; with `x = 2p - 1`, an exact `f64`, the result is
//! `sqrt 2 erfinv(x)`, an odd function of `x`, so that `w` and `!w` give opposite numbers. In `t = -ln(1 - x^2)` the
//! quotient `sqrt 2 erfinv(x) / x` is smooth and grows slowly (M. Giles, "Approximating the erfinv function", 2010): for
//! `t < 5`, all but 0.34 % of the words, it is a polynomial in `t`. The tail is a polynomial in `sqrt t`, computed only
//! when a lane needs it; each lane takes its result from its own `t` alone.
//!
//! `1 - x^2 = (1 - x)(1 + x)` has one rounding. The logarithm needs absolute accuracy only.
//!
//! # Error
//! Before the narrowing below `2^-52` relative in the centre and `2^-51.5` in the tail; after it no input is misrounded,
//! see the [module](super).
//!
//! # Source
//! The variable `t` from Giles; the polynomials are our own, by the Remez exchange algorithm in 160-bit arithmetic.

use super::ln;
use super::poly::{even_odd, f64s};
use crate::simd::{Bits, Mask, Tier, Vector};

/// `2^52`; an integer below it OR-ed into its bits gives `2^52 +` the integer.
const TWO_52: f64 = 4_503_599_627_370_496.0;
/// `2^32 - 1`.
const CENTRE: f64 = 4_294_967_295.0;
/// `2^-32`.
const UNIT: f64 = 1.0 / 4_294_967_296.0;
/// The centre lies below this `t`.
const TAIL_FROM: f64 = 5.0;
/// `sqrt(pi / 2)`, the slope at zero, rounded to `f64`.
const SLOPE_HIGH: f64 = 1.2533141373155003;
/// `sqrt(pi / 2) - SLOPE_HIGH`.
const SLOPE_LOW: f64 = -9.164289990229583e-17;
/// The one `|x|` whose quantile lies so near to the middle between two `f32` (`2^-54.3`, below it) that the nearest `f64`
/// is that middle: the words `0xb8172ade` and `!0xb8172ade`.
const NEAR_TIE: f64 = 1882084797.0 * UNIT;
/// A quotient `sqrt 2 erfinv(x) / x` that rounds to the right side there.
const NEAR_TIE_QUOTIENT: f64 = 1.32398693;
/// The point about which [`TAIL`] is expanded.
const TAIL_CENTRE: f64 = 3.4;
/// `(sqrt 2 erfinv(x) / x - sqrt(pi / 2)) / t` on `0 <= t <= 5`; relative error of the quantile `2^-58`.
const CENTRAL: [f64; 22] = [
    0.32811687386921695,
    0.016333236147012868,
    -0.003302332411142202,
    -0.00018108056295993943,
    6.59185299505149e-05,
    2.856698047189609e-06,
    -1.4319701978930683e-06,
    -5.2745893961538994e-08,
    3.2245997593890625e-08,
    1.0475759353280878e-09,
    -7.193443624871287e-10,
    -4.135420977309307e-11,
    2.8975534449138296e-11,
    -5.15514656190274e-12,
    1.7308085121400994e-12,
    -6.379737066890599e-13,
    1.4920425448259982e-13,
    -2.2397219371600503e-14,
    2.2215294788476013e-15,
    -1.4297465930240651e-16,
    5.467424376066866e-18,
    -9.503304647149171e-20,
];
/// `sqrt 2 erfinv(x)` as a polynomial in `sqrt t - 3.4` on `5 <= t <= 21.49`, the whole tail; relative error `2^-53.3`.
const TAIL: [f64; 23] = [
    4.5746532773985935,
    1.4237551579688892,
    0.005176353612216958,
    -0.002800642316454548,
    0.0009888709297309819,
    -0.00027508638313571284,
    4.914156010059709e-05,
    6.155155395390573e-06,
    -1.0850439401165516e-05,
    5.483491366350679e-06,
    -1.4048345113685e-06,
    -1.135689928125273e-07,
    2.8689041698234797e-07,
    -1.3027950989811998e-07,
    2.1806299618595414e-08,
    9.165707553736205e-09,
    -8.351786532592007e-09,
    2.510508316643805e-09,
    3.5382784799639407e-10,
    -4.3820123968548586e-10,
    5.063394154697909e-11,
    1.5589534655266994e-11,
    -2.1053256162181503e-13,
];

/// `Phi^-1((w + 1/2) / 2^32)`, correctly rounded; odd under `w -> !w`.
#[inline(always)]
pub fn normal_quantile<S: Tier>(tier: S, w: <S::F32 as Vector>::Bits) -> S::F32 {
    let [low, high] = tier.widen_bits(w);
    tier.narrow([quantile_f64(tier, low), quantile_f64(tier, high)])
}

/// The same in `f64` lanes.
#[inline(always)]
fn quantile_f64<S: Tier>(tier: S, w: <S::F64 as Vector>::Bits) -> S::F64 {
    // 2^52 + 2w, and from it 2w + 1 - 2^32 = 2^32 x: both exact.
    let doubled = (w.shl::<1>() | f64s(tier, TWO_52).to_bits()).to_float();
    let x = (doubled - f64s(tier, TWO_52 + CENTRE)) * f64s(tier, UNIT);
    let one = f64s(tier, 1.0);
    let (k, f) = ln::split(tier, (one - x) * (one + x));
    let t = -ln::join(tier, k, f);

    let correction = t.fma(even_odd(tier, t, &CENTRAL), f64s(tier, SLOPE_LOW));
    let central = x.fma(f64s(tier, SLOPE_HIGH), x * correction);
    let near_tie = x.abs().eq(f64s(tier, NEAR_TIE));
    let central = S::F64::select(near_tie, x * f64s(tier, NEAR_TIE_QUOTIENT), central);
    let in_tail = f64s(tier, TAIL_FROM).lt(t);
    if !in_tail.any() {
        return central;
    }
    let magnitude = even_odd(tier, t.sqrt() - f64s(tier, TAIL_CENTRE), &TAIL);
    let tail = S::F64::select(x.lt(f64s(tier, 0.0)), -magnitude, magnitude);
    S::F64::select(in_tail, tail, central)
}
