//! Elementary functions over slices: one mechanism for all of them.

use super::{cos, erf, exp, expm1, ln, ln_1p, normal_quantile, sigmoid, sin, softplus, tanh};
use crate::error::{Error, Result};
use crate::simd::{Isa, Kernel, Tier, Vector, dispatch};

/// A function of one `f32`, on lanes: one of the types in [`unary`](super::unary).
pub trait Unary: Copy {
    /// Its name, as messages spell it.
    const NAME: &'static str;
    /// The function, lane by lane. Must be `#[inline(always)]`.
    fn apply<S: Tier>(self, tier: S, x: S::F32) -> S::F32;
    /// [`map`] for slices of one length, as a method: so it is compiled here, and not in every crate that maps.
    #[doc(hidden)]
    fn map_slice(self, isa: Isa, src: &[f32], dst: &mut [f32]) -> Result<()>;
    /// The same for [`map_in_place`].
    #[doc(hidden)]
    fn map_slice_in_place(self, isa: Isa, x: &mut [f32]) -> Result<()>;
}

macro_rules! unary {
    ($($(#[$doc:meta])* $T:ident = $f:path;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default)]
        pub struct $T;
        impl Unary for $T {
            const NAME: &'static str = stringify!($f);
            #[inline(always)]
            fn apply<S: Tier>(self, tier: S, x: S::F32) -> S::F32 {
                $f(tier, x)
            }
            #[inline(never)]
            fn map_slice(self, isa: Isa, src: &[f32], dst: &mut [f32]) -> Result<()> {
                dispatch(isa, Map { f: self, src, dst })
            }
            #[inline(never)]
            fn map_slice_in_place(self, isa: Isa, x: &mut [f32]) -> Result<()> {
                dispatch(isa, MapInPlace { f: self, x })
            }
        }
    )*};
}
unary! {
    /// [`exp`](super::exp()).
    Exp = exp;
    /// [`expm1`](super::expm1()).
    Expm1 = expm1;
    /// [`ln`](super::ln()).
    Ln = ln;
    /// [`ln_1p`](super::ln_1p()).
    Ln1p = ln_1p;
    /// [`tanh`](super::tanh()).
    Tanh = tanh;
    /// [`sigmoid`](super::sigmoid()).
    Sigmoid = sigmoid;
    /// [`softplus`](super::softplus()).
    Softplus = softplus;
    /// [`erf`](super::erf()).
    Erf = erf;
    /// [`sin`](super::sin()).
    Sin = sin;
    /// [`cos`](super::cos()).
    Cos = cos;
}

/// `dst[i] = f(src[i])`.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, [`Error::IsaUnavailable`] if this CPU lacks the tier.
pub fn map<U: Unary>(isa: Isa, f: U, src: &[f32], dst: &mut [f32]) -> Result<()> {
    if src.len() != dst.len() {
        return Err(Error::Shape { op: U::NAME, what: "elements of dst", expected: src.len(), actual: dst.len() });
    }
    f.map_slice(isa, src, dst)
}

/// `x[i] = f(x[i])`.
///
/// # Errors
/// [`Error::IsaUnavailable`] if this CPU lacks the tier.
pub fn map_in_place<U: Unary>(isa: Isa, f: U, x: &mut [f32]) -> Result<()> {
    f.map_slice_in_place(isa, x)
}

/// `dst[i] = normal_quantile(words[i])`.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, [`Error::IsaUnavailable`] if this CPU lacks the tier.
pub fn map_normal_quantile(isa: Isa, words: &[u32], dst: &mut [f32]) -> Result<()> {
    if words.len() != dst.len() {
        let (expected, actual) = (words.len(), dst.len());
        return Err(Error::Shape { op: "normal_quantile", what: "elements of dst", expected, actual });
    }
    dispatch(isa, MapQuantile { words, dst })
}

struct Map<'a, U> {
    f: U,
    src: &'a [f32],
    dst: &'a mut [f32],
}

impl<U: Unary> Kernel for Map<'_, U> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let lanes = S::F32::LANES;
        let (mut src, mut dst) = (self.src.chunks_exact(lanes), self.dst.chunks_exact_mut(lanes));
        for (s, d) in (&mut src).zip(&mut dst) {
            self.f.apply(tier, S::F32::load(tier, s)).store(d);
        }
        let (s, d) = (src.remainder(), dst.into_remainder());
        if !s.is_empty() {
            self.f.apply(tier, S::F32::load_partial(tier, s)).store_partial(d);
        }
    }
}

struct MapInPlace<'a, U> {
    f: U,
    x: &'a mut [f32],
}

impl<U: Unary> Kernel for MapInPlace<'_, U> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let mut chunks = self.x.chunks_exact_mut(S::F32::LANES);
        for chunk in &mut chunks {
            self.f.apply(tier, S::F32::load(tier, chunk)).store(chunk);
        }
        let rest = chunks.into_remainder();
        if !rest.is_empty() {
            self.f.apply(tier, S::F32::load_partial(tier, rest)).store_partial(rest);
        }
    }
}

struct MapQuantile<'a> {
    words: &'a [u32],
    dst: &'a mut [f32],
}

impl Kernel for MapQuantile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        for (words, dst) in self.words.chunks(16).zip(self.dst.chunks_mut(16)) {
            // The words travel as floats with the same bits; nothing computes with them before `to_bits`.
            let mut block = [0.0; 16];
            for (b, &w) in block.iter_mut().zip(words) {
                *b = f32::from_bits(w);
            }
            let y = normal_quantile(tier, S::F32::load(tier, &block).to_bits());
            if dst.len() == 16 {
                y.store(dst);
            } else {
                y.store_partial(dst);
            }
        }
    }
}
