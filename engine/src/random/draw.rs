//! Single draws, and the same as vectors of sixteen.

use super::Stream;
use super::chacha::{GROUP, LANES, one_block};
use crate::error::{Error, Result};
use crate::math::normal_quantile;
use crate::simd::{Bits, Tier, Vector};

/// `2^-24`.
const UNIT_F32: f32 = 1.0 / (1u32 << 24) as f32;
/// `2^-53`.
const UNIT_F64: f64 = 1.0 / (1u64 << 53) as f64;

impl Stream {
    /// The 32 random bits of `index`.
    #[must_use]
    pub fn u32_at(&self, index: u64) -> u32 {
        const WIDE: u64 = LANES as u64;
        let counter = WIDE * (index / GROUP as u64) + index % WIDE;
        one_block(&self.key, self.step, counter)[(index / WIDE) as usize % 16]
    }

    /// The 64 random bits of `index`.
    #[must_use]
    pub fn u64_at(&self, index: u64) -> u64 {
        const WIDE: u64 = LANES as u64;
        let counter = WIDE * (index / (GROUP as u64 / 2)) + index % WIDE;
        let word = 2 * ((index / WIDE) as usize % 8);
        let block = one_block(&self.key, self.step, counter);
        u64::from(block[word]) | u64::from(block[word + 1]) << 32
    }

    /// A number of 24 bits, uniform in [0, 1).
    #[must_use]
    pub fn uniform_at(&self, index: u64) -> f32 {
        (self.u32_at(index) >> 8) as f32 * UNIT_F32
    }

    /// A number of 53 bits, uniform in [0, 1).
    #[must_use]
    pub fn uniform_f64_at(&self, index: u64) -> f64 {
        (self.u64_at(index) >> 11) as f64 * UNIT_F64
    }

    /// An integer uniform in 0, ..., `n - 1`; 0 for `n = 0`, where there is no choice.
    ///
    /// Without rejection, so that it uses one word and no draw depends on another. Of the 2^64 words, each result has
    /// `2^64 / n` rounded up or down: its probability is off by less than `2^-64`, its expected count in a sample by a
    /// factor of less than `1 + n / 2^64`.
    #[must_use]
    pub fn below_at(&self, index: u64, n: u64) -> u64 {
        multiply_high(self.u64_at(index), n)
    }

    /// True with probability `p`, rounded to a multiple of `2^-32`.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `0 <= p <= 1`.
    pub fn bernoulli_at(&self, index: u64, p: f64) -> Result<bool> {
        Ok(u64::from(self.u32_at(index)) < threshold("bernoulli_at", p)?)
    }
}

/// `floor(word n / 2^64)`.
#[inline]
pub(super) fn multiply_high(word: u64, n: u64) -> u64 {
    ((u128::from(word) * u128::from(n)) >> 64) as u64
}

/// `floor(p 2^32 + 1/2)`, for `p` in [0, 1].
pub(super) fn threshold(op: &'static str, p: f64) -> Result<u64> {
    if !(0.0..=1.0).contains(&p) {
        let (what, requirement) = ("p", "a probability, from 0 to 1");
        return Err(Error::Argument { op, what, requirement, actual: p.to_string() });
    }
    let scaled = p * 4_294_967_296.0; // exact: a power of two (a subnormal p rounds, far below a half)
    let floor = scaled as u64;
    Ok(floor + u64::from(scaled - floor as f64 >= 0.5))
}

/// A distribution as a function of one random word, on lanes.
pub(super) trait Draw: Copy + Sync {
    /// Sixteen values from sixteen words. Must be `#[inline(always)]`.
    fn lanes<S: Tier>(self, tier: S, words: <S::F32 as Vector>::Bits) -> S::F32;
}

/// The words themselves, in the bits of the floats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words;
impl Draw for Words {
    #[inline(always)]
    fn lanes<S: Tier>(self, _: S, words: <S::F32 as Vector>::Bits) -> S::F32 {
        words.to_float()
    }
}

/// Uniform in [`low`, `high`); `last` is the float below `high`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uniform {
    pub low: f32,
    pub width: f32,
    pub high: f32,
    pub last: f32,
}
impl Draw for Uniform {
    #[inline(always)]
    fn lanes<S: Tier>(self, tier: S, words: <S::F32 as Vector>::Bits) -> S::F32 {
        type B<S> = <<S as Tier>::F32 as Vector>::Bits;
        let bits = |x: f32| B::<S>::splat(tier, u64::from(x.to_bits()));
        // The upper 23 bits behind the exponent of one, less one; then the 24th bit as 2^-24 or nothing. Both exact.
        let upper = (words.shr::<9>() | bits(1.0)).to_float() - S::F32::splat(tier, 1.0);
        let all = B::<S>::splat(tier, 0) - (words.shr::<8>() & B::<S>::splat(tier, 1));
        let unit = upper + (all & bits(UNIT_F32)).to_float();
        let x = unit.fma(S::F32::splat(tier, self.width), S::F32::splat(tier, self.low));
        let inside = x.lt(S::F32::splat(tier, self.high));
        S::F32::select(inside, x, S::F32::splat(tier, self.last))
    }
}

/// Normal with the given mean and standard deviation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normal {
    pub mean: f32,
    pub std: f32,
}
impl Draw for Normal {
    #[inline(always)]
    fn lanes<S: Tier>(self, tier: S, words: <S::F32 as Vector>::Bits) -> S::F32 {
        normal_quantile(tier, words).fma(S::F32::splat(tier, self.std), S::F32::splat(tier, self.mean))
    }
}

/// `value` where the word lies below the threshold, else `+0`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bernoulli {
    /// At most 2^32.
    pub threshold: u64,
    pub value: f32,
}
impl Draw for Bernoulli {
    #[inline(always)]
    fn lanes<S: Tier>(self, tier: S, words: <S::F32 as Vector>::Bits) -> S::F32 {
        type B<S> = <<S as Tier>::F32 as Vector>::Bits;
        let (zero, ones) = (B::<S>::splat(tier, 0), B::<S>::splat(tier, u64::from(u32::MAX)));
        let t = B::<S>::splat(tier, self.threshold);
        // The bit that `words - t` borrows: set where words < t. A threshold of 2^32, whose low bits are zero, is
        // above every word.
        let not_words = words ^ ones;
        let borrow = ((not_words & t) | ((not_words | t) & (words - t))).shr::<31>();
        let certain = B::<S>::splat(tier, self.threshold >> 32);
        let mask = zero - (borrow | certain);
        (mask & B::<S>::splat(tier, u64::from(self.value.to_bits()))).to_float()
    }
}
