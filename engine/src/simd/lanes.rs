//! The traits that kernels are written against.

use std::fmt::Debug;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

use super::Isa;
use super::soft_fma;

/// Keeps a comparison and the choice that follows it apart, where the compiler would join them to another operation.
///
/// On AArch64 LLVM compiles `if a > 0 { a } else { 0 }` to FMAXNM, which is the same but for a signalling NaN: that comes
/// out as a quiet one, not as `0`. Elsewhere this is nothing (x86's MAX is defined as the written choice).
#[inline(always)]
fn as_written(comparison: bool) -> bool {
    if cfg!(target_arch = "aarch64") { std::hint::black_box(comparison) } else { comparison }
}

/// `f32` or `f64`: the element types of the engine.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// The vector of this element type on tier `S`.
    type V<S: Tier>: Vector<Elem = Self, Tier = S>;

    /// `+0`.
    const ZERO: Self;
    /// `1`.
    const ONE: Self;
    /// `f32` or `f64`, as digests and messages spell it.
    const NAME: &'static str;

    /// `self * b + c` rounded once, by [`soft_fma`]: the same on every platform.
    fn fma(self, b: Self, c: Self) -> Self;
    /// IEEE-754 square root.
    fn sqrt(self) -> Self;
    /// `if self > b { self } else { b }`, the lane operation `max`.
    #[inline(always)]
    fn max_select(self, b: Self) -> Self {
        if as_written(self > b) { self } else { b }
    }
    /// `if self < b { self } else { b }`, the lane operation `min`.
    #[inline(always)]
    fn min_select(self, b: Self) -> Self {
        if as_written(self < b) { self } else { b }
    }
    /// The value as `f64`, exactly.
    fn to_f64(self) -> f64;
    /// The nearest value to `x`, ties to even.
    fn from_f64(x: f64) -> Self;
    /// The bit pattern, zero-extended.
    fn bits(self) -> u64;
    /// The value with the given bit pattern; excess high bits are dropped.
    fn from_bits_u64(bits: u64) -> Self;
}

impl Real for f32 {
    type V<S: Tier> = S::F32;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NAME: &'static str = "f32";
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        soft_fma::fma_f32(self, b, c)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
    #[inline(always)]
    fn from_bits_u64(bits: u64) -> Self {
        f32::from_bits(bits as u32)
    }
}

impl Real for f64 {
    type V<S: Tier> = S::F64;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NAME: &'static str = "f64";
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        soft_fma::fma_f64(self, b, c)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn bits(self) -> u64 {
        self.to_bits()
    }
    #[inline(always)]
    fn from_bits_u64(bits: u64) -> Self {
        f64::from_bits(bits)
    }
}

/// One instruction set, as a token: a value of the type proves that this CPU has it.
pub trait Tier: Copy + Debug + Send + Sync + 'static {
    /// The name of the tier.
    const ISA: Isa;
    /// Vector registers that the architecture has, in units of one 16-lane `f32` vector: what a kernel may keep live.
    const VECTOR_REGISTERS: usize;
    /// Sixteen `f32` lanes.
    type F32: Vector<Elem = f32, Tier = Self>;
    /// Eight `f64` lanes.
    type F64: Vector<Elem = f64, Tier = Self>;

    /// Runs `f` compiled for this instruction set. `f` and all that it calls must be `#[inline(always)]`.
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;

    /// Lanes 0 to 7 and 8 to 15 of `x` as `f64`, exactly.
    fn widen(self, x: Self::F32) -> [Self::F64; 2];
    /// Both halves rounded to `f32`, to nearest even.
    fn narrow(self, x: [Self::F64; 2]) -> Self::F32;
    /// Lanes 0 to 7 and 8 to 15 of 32-bit integers, zero-extended to 64 bits.
    fn widen_bits(self, x: <Self::F32 as Vector>::Bits) -> [<Self::F64 as Vector>::Bits; 2];

    /// Asks for the cache line at `address` in the first-level cache; never faults, never changes a result.
    fn prefetch<T>(self, address: *const T);
    /// Asks for it in the second-level cache.
    fn prefetch_far<T>(self, address: *const T);

    /// Orders what this thread has written with [`Vector::stream_ptr`] before all that it writes later.
    #[inline(always)]
    fn stream_fence(self) {}
}

/// A fixed number of lanes of one element type: 16 of `f32`, 8 of `f64`.
///
/// The edge cases of each operation stand in the table of the [module](super).
pub trait Vector:
    Copy + Debug + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// The type of one lane.
    type Elem: Real;
    /// The tier whose token makes values of this type.
    type Tier: Tier;
    /// The result of a comparison.
    type Mask: Mask;
    /// The lanes as unsigned integers of the same width.
    type Bits: Bits<Float = Self>;
    /// Number of lanes: 16 for `f32`, 8 for `f64`.
    const LANES: usize;

    /// All lanes `x`.
    fn splat(tier: Self::Tier, x: Self::Elem) -> Self;
    /// All lanes `+0`.
    #[inline(always)]
    fn zero(tier: Self::Tier) -> Self {
        Self::splat(tier, Self::Elem::ZERO)
    }

    /// Reads [`LANES`](Self::LANES) elements.
    ///
    /// # Safety
    /// `src` must be valid for reads of `LANES` elements. No alignment beyond the element's own is needed.
    unsafe fn load_ptr(tier: Self::Tier, src: *const Self::Elem) -> Self;
    /// Reads `n` elements, the other lanes are `+0`.
    ///
    /// # Safety
    /// `n <= LANES`, and `src` must be valid for reads of `n` elements.
    unsafe fn load_partial_ptr(tier: Self::Tier, src: *const Self::Elem, n: usize) -> Self;
    /// Writes [`LANES`](Self::LANES) elements.
    ///
    /// # Safety
    /// `dst` must be valid for writes of `LANES` elements.
    unsafe fn store_ptr(self, dst: *mut Self::Elem);
    /// Writes the first `n` lanes.
    ///
    /// # Safety
    /// `n <= LANES`, and `dst` must be valid for writes of `n` elements.
    unsafe fn store_partial_ptr(self, dst: *mut Self::Elem, n: usize);

    /// Writes all lanes, which are one cache line, past the caches where the hardware can.
    ///
    /// # Safety
    /// `dst` must be valid for writes of `LANES` elements and lie on a 64-byte boundary. Before another thread reads
    /// them, [`Tier::stream_fence`] must have been called on this one.
    #[inline(always)]
    unsafe fn stream_ptr(self, dst: *mut Self::Elem) {
        // SAFETY: valid for writes by the caller's promise.
        unsafe { self.store_ptr(dst) }
    }

    /// Reads the first [`LANES`](Self::LANES) elements of `src`, which must have as many.
    #[inline(always)]
    fn load(tier: Self::Tier, src: &[Self::Elem]) -> Self {
        let src = &src[..Self::LANES];
        // SAFETY: the slice has LANES elements.
        unsafe { Self::load_ptr(tier, src.as_ptr()) }
    }
    /// Reads all of `src`, at most [`LANES`](Self::LANES) elements; the other lanes are `+0`.
    #[inline(always)]
    fn load_partial(tier: Self::Tier, src: &[Self::Elem]) -> Self {
        assert!(src.len() <= Self::LANES);
        // SAFETY: the length was checked, and the slice has that many elements.
        unsafe { Self::load_partial_ptr(tier, src.as_ptr(), src.len()) }
    }
    /// Writes all lanes to the front of `dst`, which must have room for them.
    #[inline(always)]
    fn store(self, dst: &mut [Self::Elem]) {
        let dst = &mut dst[..Self::LANES];
        // SAFETY: the slice has LANES elements.
        unsafe { self.store_ptr(dst.as_mut_ptr()) }
    }
    /// Writes the first `dst.len()` lanes, at most [`LANES`](Self::LANES).
    #[inline(always)]
    fn store_partial(self, dst: &mut [Self::Elem]) {
        assert!(dst.len() <= Self::LANES);
        // SAFETY: the length was checked, and the slice has that many elements.
        unsafe { self.store_partial_ptr(dst.as_mut_ptr(), dst.len()) }
    }

    /// `self * b + c` with one rounding.
    fn fma(self, b: Self, c: Self) -> Self;
    /// IEEE-754 square root.
    fn sqrt(self) -> Self;
    /// The sign bit cleared.
    fn abs(self) -> Self;
    /// `self < o`.
    fn lt(self, o: Self) -> Self::Mask;
    /// `self <= o`.
    fn le(self, o: Self) -> Self::Mask;
    /// `self == o`.
    fn eq(self, o: Self) -> Self::Mask;
    /// Lanes of `yes` where the mask is set, of `no` elsewhere.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// `if self > b { self } else { b }`.
    fn max(self, b: Self) -> Self;
    /// `if self < b { self } else { b }`.
    fn min(self, b: Self) -> Self;

    /// The same bits as integers.
    fn to_bits(self) -> Self::Bits;

    /// The sum of all lanes: lane `i` plus lane `i + h`, for h = LANES/2, ..., 2, 1.
    fn fold_halves(self) -> Self::Elem;
    /// The same of [`LANES`](Self::LANES) vectors at once: lane `i` is `vectors[i].fold_halves()`; of eight lanes the
    /// last eight vectors have none.
    #[inline(always)]
    fn fold_halves_each(tier: Self::Tier, vectors: [Self; 16]) -> Self {
        let mut folds = [Self::Elem::ZERO; 16];
        for (fold, vector) in folds.iter_mut().zip(vectors).take(Self::LANES) {
            *fold = vector.fold_halves();
        }
        Self::load(tier, &folds)
    }
    /// The same fold with [`max`](Self::max), lane `i` as its `self`.
    fn fold_halves_max(self) -> Self::Elem;
}

/// The outcome of a lane-wise comparison.
pub trait Mask: Copy + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self> {
    /// Whether a lane is set.
    fn any(self) -> bool;
    /// Whether all lanes are set.
    fn all(self) -> bool;
}

/// Lanes as unsigned integers, 32 bits wide beside `f32` and 64 beside `f64`; arithmetic is modulo the width.
pub trait Bits:
    Copy
    + Debug
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
{
    /// The vector of floats with these bits.
    type Float: Vector<Bits = Self>;
    /// All lanes `x`; excess high bits are dropped.
    fn splat(tier: <Self::Float as Vector>::Tier, x: u64) -> Self;
    /// Reads as many integers as there are lanes.
    ///
    /// # Safety
    /// `src` must be valid for reads of `LANES` integers of the lane's width.
    unsafe fn load_ptr(tier: <Self::Float as Vector>::Tier, src: *const u8) -> Self;
    /// Shifts left by `N` bits; `N` from 0 to less than the width, or it does not compile.
    fn shl<const N: i32>(self) -> Self;
    /// Shifts right by `N` bits, zeros come in; `N` from 0 to less than the width, or it does not compile.
    fn shr<const N: i32>(self) -> Self;
    /// The same bits as floats.
    fn to_float(self) -> Self::Float;
}
