//! aarch64 Advanced SIMD: four registers hold the lanes, in ascending order.

use core::arch::aarch64::*;
use core::arch::asm;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

use pulp::NullaryFnOnce;

use super::operators::{binary, unary};
use super::{Bits, Isa, Mask, Tier, Vector};

/// The token of Advanced SIMD.
#[derive(Debug, Clone, Copy)]
pub struct Neon(pulp::aarch64::Neon);

impl Neon {
    /// The token, if this CPU has the instructions.
    #[must_use]
    #[inline]
    pub fn new() -> Option<Self> {
        pulp::aarch64::Neon::try_new().map(Self)
    }
}

/// A closure as pulp wants it.
struct Closure<F>(F);

impl<R, F: FnOnce() -> R> NullaryFnOnce for Closure<F> {
    type Output = R;
    #[inline(always)]
    fn call(self) -> R {
        (self.0)()
    }
}

/// Sixteen `f32` in four registers.
#[derive(Debug, Clone, Copy)]
pub struct F32([float32x4_t; 4]);
/// Eight `f64` in four registers.
#[derive(Debug, Clone, Copy)]
pub struct F64([float64x2_t; 4]);
/// Sixteen `u32` in four registers.
#[derive(Debug, Clone, Copy)]
pub struct U32([uint32x4_t; 4]);
/// Eight `u64` in four registers.
#[derive(Debug, Clone, Copy)]
pub struct U64([uint64x2_t; 4]);
/// All bits of a lane set or clear, sixteen lanes.
#[derive(Debug, Clone, Copy)]
pub struct M16([uint32x4_t; 4]);
/// All bits of a lane set or clear, eight lanes.
#[derive(Debug, Clone, Copy)]
pub struct M8([uint64x2_t; 4]);

/// Runs register-only intrinsics.
macro_rules! neon {
    ($e:expr) => {{
        // SAFETY: a value of this module's types, or the token, is at hand; either exists only on a CPU with Advanced
        // SIMD.
        #[allow(unused_unsafe)] // targets with Advanced SIMD in their baseline let safe code call the intrinsics
        unsafe {
            $e
        }
    }};
}

/// Applies an intrinsic to each of the four registers.
macro_rules! four {
    ($f:ident($($a:expr),*)) => {
        neon!([$f($($a[0]),*), $f($($a[1]),*), $f($($a[2]),*), $f($($a[3]),*)])
    };
}

impl Tier for Neon {
    const ISA: Isa = Isa::Neon;
    const VECTOR_REGISTERS: usize = 8;
    type F32 = F32;
    type F64 = F64;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        self.0.vectorize(Closure(f))
    }
    #[inline(always)]
    fn widen(self, F32(x): F32) -> [F64; 2] {
        neon!([
            F64([
                vcvt_f64_f32(vget_low_f32(x[0])),
                vcvt_high_f64_f32(x[0]),
                vcvt_f64_f32(vget_low_f32(x[1])),
                vcvt_high_f64_f32(x[1]),
            ]),
            F64([
                vcvt_f64_f32(vget_low_f32(x[2])),
                vcvt_high_f64_f32(x[2]),
                vcvt_f64_f32(vget_low_f32(x[3])),
                vcvt_high_f64_f32(x[3]),
            ]),
        ])
    }
    #[inline(always)]
    fn narrow(self, [F64(low), F64(high)]: [F64; 2]) -> F32 {
        neon!(F32([
            vcvt_high_f32_f64(vcvt_f32_f64(low[0]), low[1]),
            vcvt_high_f32_f64(vcvt_f32_f64(low[2]), low[3]),
            vcvt_high_f32_f64(vcvt_f32_f64(high[0]), high[1]),
            vcvt_high_f32_f64(vcvt_f32_f64(high[2]), high[3]),
        ]))
    }
    #[inline(always)]
    fn widen_bits(self, U32(x): U32) -> [U64; 2] {
        neon!([
            U64([
                vmovl_u32(vget_low_u32(x[0])),
                vmovl_high_u32(x[0]),
                vmovl_u32(vget_low_u32(x[1])),
                vmovl_high_u32(x[1]),
            ]),
            U64([
                vmovl_u32(vget_low_u32(x[2])),
                vmovl_high_u32(x[2]),
                vmovl_u32(vget_low_u32(x[3])),
                vmovl_high_u32(x[3]),
            ]),
        ])
    }
    #[inline(always)]
    fn prefetch<T>(self, address: *const T) {
        // SAFETY: PRFM is a hint; it faults on no address and changes no register or memory. (The intrinsic for it is
        // not stable.)
        unsafe {
            core::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(readonly, nostack, preserves_flags));
        }
    }
    #[inline(always)]
    fn prefetch_far<T>(self, address: *const T) {
        // SAFETY: as in `prefetch`.
        unsafe {
            core::arch::asm!("prfm pldl2keep, [{}]", in(reg) address, options(readonly, nostack, preserves_flags));
        }
    }
}

/// Lanes 0 + 2, then 0 + 1: the last two halvings.
#[inline(always)]
fn fold_4(x: float32x4_t) -> f32 {
    neon!({
        let x = vadd_f32(vget_low_f32(x), vget_high_f32(x));
        vget_lane_f32::<0>(x) + vget_lane_f32::<1>(x)
    })
}
/// The same with the contract's maximum.
#[inline(always)]
fn fold_max_4(x: float32x4_t) -> f32 {
    let [x0, x1, x2, x3] =
        neon!([vgetq_lane_f32::<0>(x), vgetq_lane_f32::<1>(x), vgetq_lane_f32::<2>(x), vgetq_lane_f32::<3>(x),]);
    let (x0, x1) = (if x0 > x2 { x0 } else { x2 }, if x1 > x3 { x1 } else { x3 });
    if x0 > x1 { x0 } else { x1 }
}
/// Lanes 0 + 1: the last halving.
#[inline(always)]
fn fold_2(x: float64x2_t) -> f64 {
    neon!(vgetq_lane_f64::<0>(x) + vgetq_lane_f64::<1>(x))
}
/// The same with the contract's maximum.
#[inline(always)]
fn fold_max_2(x: float64x2_t) -> f64 {
    let [x0, x1] = neon!([vgetq_lane_f64::<0>(x), vgetq_lane_f64::<1>(x)]);
    if x0 > x1 { x0 } else { x1 }
}

/// Defines a function that gives the result of a comparison back, as something of which the compiler knows nothing: it
/// joins `select(0 < a, a, 0)` to FMAXNM otherwise, which is the same but for a signalling NaN.
macro_rules! as_written {
    ($name:ident, $mask:ty) => {
        #[inline(always)]
        fn $name(mut mask: $mask) -> $mask {
            // SAFETY: no instruction at all; the register holds what it held.
            unsafe { asm!("/* {0:v} */", inout(vreg) mask, options(pure, nomem, nostack, preserves_flags)) };
            mask
        }
    };
}
as_written!(as_written_32, uint32x4_t);
as_written!(as_written_64, uint64x2_t);

macro_rules! float_vector {
    ($V:ident, $elem:ty, $lanes:literal, $quarter:literal, $M:ident, $B:ident,
     $dup:ident, $ld1:ident, $st1:ident,
     $add:ident, $sub:ident, $mul:ident, $div:ident, $neg:ident, $fma:ident, $sqrt:ident, $abs:ident,
     $lt:ident, $le:ident, $eq:ident, $as_written:ident, $select:ident, $to_int:ident, $fold:ident,
     $fold_max:ident) => {
        binary! { $V:
            Add::add, |a, b| Self(four!($add(a.0, b.0)));
            Sub::sub, |a, b| Self(four!($sub(a.0, b.0)));
            Mul::mul, |a, b| Self(four!($mul(a.0, b.0)));
            Div::div, |a, b| Self(four!($div(a.0, b.0)));
        }
        unary! { $V: Neg::neg, |a| Self(four!($neg(a.0))) }
        impl Vector for $V {
            type Elem = $elem;
            type Tier = Neon;
            type Mask = $M;
            type Bits = $B;
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(_: Neon, x: $elem) -> Self {
                neon!(Self([$dup(x); 4]))
            }
            #[inline(always)]
            unsafe fn load_ptr(_: Neon, src: *const $elem) -> Self {
                // SAFETY: valid for reads of all lanes by the caller's promise; the token is at hand.
                unsafe {
                    Self([$ld1(src), $ld1(src.add($quarter)), $ld1(src.add(2 * $quarter)), $ld1(src.add(3 * $quarter))])
                }
            }
            #[inline(always)]
            unsafe fn load_partial_ptr(tier: Neon, src: *const $elem, n: usize) -> Self {
                // There is no masked load; the stack stands in for one.
                let mut lanes = [0.0; $lanes];
                // SAFETY: `n <= LANES` elements are readable by the caller's promise, and the array holds as many.
                unsafe {
                    std::ptr::copy_nonoverlapping(src, lanes.as_mut_ptr(), n);
                    Self::load_ptr(tier, lanes.as_ptr())
                }
            }
            #[inline(always)]
            unsafe fn store_ptr(self, dst: *mut $elem) {
                // SAFETY: valid for writes of all lanes by the caller's promise; a vector is at hand.
                unsafe {
                    $st1(dst, self.0[0]);
                    $st1(dst.add($quarter), self.0[1]);
                    $st1(dst.add(2 * $quarter), self.0[2]);
                    $st1(dst.add(3 * $quarter), self.0[3]);
                }
            }
            #[inline(always)]
            unsafe fn store_partial_ptr(self, dst: *mut $elem, n: usize) {
                let mut lanes = [0.0; $lanes];
                // SAFETY: the array holds all lanes; `n <= LANES` elements of `dst` are writable by the caller's promise.
                unsafe {
                    self.store_ptr(lanes.as_mut_ptr());
                    std::ptr::copy_nonoverlapping(lanes.as_ptr(), dst, n);
                }
            }
            #[inline(always)]
            fn fma(self, b: Self, c: Self) -> Self {
                Self(four!($fma(c.0, self.0, b.0)))
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                Self(four!($sqrt(self.0)))
            }
            #[inline(always)]
            fn abs(self) -> Self {
                Self(four!($abs(self.0)))
            }
            #[inline(always)]
            fn lt(self, o: Self) -> $M {
                $M(four!($lt(self.0, o.0)))
            }
            #[inline(always)]
            fn le(self, o: Self) -> $M {
                $M(four!($le(self.0, o.0)))
            }
            #[inline(always)]
            fn eq(self, o: Self) -> $M {
                $M(four!($eq(self.0, o.0)))
            }
            #[inline(always)]
            fn select(mask: $M, yes: Self, no: Self) -> Self {
                Self(four!($select(mask.0, yes.0, no.0)))
            }
            #[inline(always)]
            fn max(self, b: Self) -> Self {
                // Not FMAX: that returns NaN for NaN, and +0 of two zeros.
                Self::select($M(b.lt(self).0.map($as_written)), self, b)
            }
            #[inline(always)]
            fn min(self, b: Self) -> Self {
                Self::select($M(self.lt(b).0.map($as_written)), self, b)
            }
            #[inline(always)]
            fn to_bits(self) -> $B {
                $B(four!($to_int(self.0)))
            }
            #[inline(always)]
            fn fold_halves(self) -> $elem {
                let [x0, x1, x2, x3] = self.0;
                $fold(neon!($add($add(x0, x2), $add(x1, x3))))
            }
            #[inline(always)]
            fn fold_halves_max(self) -> $elem {
                let [x0, x1, x2, x3] = self.0;
                let (x0, x1) = neon!(($select($lt(x2, x0), x0, x2), $select($lt(x3, x1), x1, x3)));
                $fold_max(neon!($select($lt(x1, x0), x0, x1)))
            }
        }
    };
}

float_vector! {
    F32, f32, 16, 4, M16, U32,
    vdupq_n_f32, vld1q_f32, vst1q_f32,
    vaddq_f32, vsubq_f32, vmulq_f32, vdivq_f32, vnegq_f32, vfmaq_f32, vsqrtq_f32, vabsq_f32,
    vcltq_f32, vcleq_f32, vceqq_f32, as_written_32, vbslq_f32, vreinterpretq_u32_f32, fold_4, fold_max_4
}
float_vector! {
    F64, f64, 8, 2, M8, U64,
    vdupq_n_f64, vld1q_f64, vst1q_f64,
    vaddq_f64, vsubq_f64, vmulq_f64, vdivq_f64, vnegq_f64, vfmaq_f64, vsqrtq_f64, vabsq_f64,
    vcltq_f64, vcleq_f64, vceqq_f64, as_written_64, vbslq_f64, vreinterpretq_u64_f64, fold_2, fold_max_2
}

macro_rules! bits {
    ($B:ident, $V:ident, $int:ty, $quarter:literal, $dup:ident, $ld1:ident,
     $and:ident, $or:ident, $xor:ident, $add:ident, $sub:ident,
     $shl:ident, $dup_count:ident, $from_int:ident) => {
        binary! { $B:
            BitAnd::bitand, |a, b| Self(four!($and(a.0, b.0)));
            BitOr::bitor, |a, b| Self(four!($or(a.0, b.0)));
            BitXor::bitxor, |a, b| Self(four!($xor(a.0, b.0)));
            Add::add, |a, b| Self(four!($add(a.0, b.0)));
            Sub::sub, |a, b| Self(four!($sub(a.0, b.0)));
        }
        impl Bits for $B {
            type Float = $V;
            #[inline(always)]
            fn splat(_: Neon, x: u64) -> Self {
                neon!(Self([$dup(x as $int); 4]))
            }
            #[inline(always)]
            unsafe fn load_ptr(_: Neon, src: *const u8) -> Self {
                let src = src.cast::<$int>();
                // SAFETY: valid for reads of all lanes by the caller's promise, and LD1 asks for no alignment in the
                // memory of a program; the token is at hand.
                unsafe {
                    Self([$ld1(src), $ld1(src.add($quarter)), $ld1(src.add(2 * $quarter)), $ld1(src.add(3 * $quarter))])
                }
            }
            #[inline(always)]
            fn shl<const N: i32>(self) -> Self {
                const { assert!(N >= 0 && N < <$int>::BITS as i32) };
                let count = neon!([$dup_count(N as _); 4]);
                Self(four!($shl(self.0, count)))
            }
            #[inline(always)]
            fn shr<const N: i32>(self) -> Self {
                const { assert!(N >= 0 && N < <$int>::BITS as i32) };
                // USHL shifts right by a negative count. (The immediate form cannot express a shift by zero.)
                let count = neon!([$dup_count(-N as _); 4]);
                Self(four!($shl(self.0, count)))
            }
            #[inline(always)]
            fn to_float(self) -> $V {
                $V(four!($from_int(self.0)))
            }
        }
    };
}
bits! {
    U32, F32, u32, 4, vdupq_n_u32, vld1q_u32,
    vandq_u32, vorrq_u32, veorq_u32, vaddq_u32, vsubq_u32,
    vshlq_u32, vdupq_n_s32, vreinterpretq_f32_u32
}
bits! {
    U64, F64, u64, 2, vdupq_n_u64, vld1q_u64,
    vandq_u64, vorrq_u64, veorq_u64, vaddq_u64, vsubq_u64,
    vshlq_u64, vdupq_n_s64, vreinterpretq_f64_u64
}

macro_rules! mask {
    ($M:ident, $and:ident, $or:ident, $xor:ident, $ones:expr, $to_u32:expr) => {
        binary! { $M:
            BitAnd::bitand, |a, b| Self(four!($and(a.0, b.0)));
            BitOr::bitor, |a, b| Self(four!($or(a.0, b.0)));
        }
        unary! { $M: Not::not, |a| {
            let ones = neon!([$ones; 4]);
            Self(four!($xor(a.0, ones)))
        }}
        impl Mask for $M {
            #[inline(always)]
            fn any(self) -> bool {
                let [x0, x1, x2, x3] = self.0;
                neon!(vmaxvq_u32($to_u32($or($or(x0, x1), $or(x2, x3)))) != 0)
            }
            #[inline(always)]
            fn all(self) -> bool {
                let [x0, x1, x2, x3] = self.0;
                neon!(vminvq_u32($to_u32($and($and(x0, x1), $and(x2, x3)))) == u32::MAX)
            }
        }
    };
}
mask!(M16, vandq_u32, vorrq_u32, veorq_u32, vdupq_n_u32(u32::MAX), std::convert::identity);
mask!(M8, vandq_u64, vorrq_u64, veorq_u64, vdupq_n_u64(u64::MAX), vreinterpretq_u32_u64);
