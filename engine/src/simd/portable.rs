//! The portable tier: arrays, plain operators and the exact software FMA. It defines what every other tier must give.

use std::array::from_fn;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

use super::operators::{binary, unary};
use super::soft_fma::{fma_f32_lanes, fma_f64_lanes};
use super::{Bits, Isa, Mask, Real, Tier, Vector};

/// The token of the portable tier; every CPU has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Portable;

/// Sixteen `f32`.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct F32([f32; 16]);
/// Eight `f64`.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct F64([f64; 8]);
/// Sixteen `u32`.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct U32([u32; 16]);
/// Eight `u64`.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct U64([u64; 8]);
/// A truth value for each lane.
#[derive(Debug, Clone, Copy)]
pub struct Lanes<const N: usize>([bool; N]);

impl Tier for Portable {
    const ISA: Isa = Isa::Portable;
    const VECTOR_REGISTERS: usize = 4;
    type F32 = F32;
    type F64 = F64;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }
    #[inline(always)]
    fn widen(self, x: F32) -> [F64; 2] {
        [F64(from_fn(|i| f64::from(x.0[i]))), F64(from_fn(|i| f64::from(x.0[i + 8])))]
    }
    #[inline(always)]
    fn narrow(self, x: [F64; 2]) -> F32 {
        F32(from_fn(|i| x[i / 8].0[i % 8] as f32))
    }
    #[inline(always)]
    fn widen_bits(self, x: U32) -> [U64; 2] {
        [U64(from_fn(|i| u64::from(x.0[i]))), U64(from_fn(|i| u64::from(x.0[i + 8])))]
    }
    #[inline(always)]
    fn prefetch<T>(self, _: *const T) {}
    #[inline(always)]
    fn prefetch_far<T>(self, _: *const T) {}
}

macro_rules! float_vector {
    ($V:ident, $elem:ty, $lanes:literal, $B:ident, $fma:ident) => {
        binary! { $V:
            Add::add, |a, b| Self(from_fn(|i| a.0[i] + b.0[i]));
            Sub::sub, |a, b| Self(from_fn(|i| a.0[i] - b.0[i]));
            Mul::mul, |a, b| Self(from_fn(|i| a.0[i] * b.0[i]));
            Div::div, |a, b| Self(from_fn(|i| a.0[i] / b.0[i]));
        }
        unary! { $V: Neg::neg, |a| Self(a.0.map(|x| -x)) }
        impl Vector for $V {
            type Elem = $elem;
            type Tier = Portable;
            type Mask = Lanes<$lanes>;
            type Bits = $B;
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(_: Portable, x: $elem) -> Self {
                Self([x; $lanes])
            }
            #[inline(always)]
            unsafe fn load_ptr(_: Portable, src: *const $elem) -> Self {
                // SAFETY: valid for reads of all lanes by the caller's promise; an array of elements needs no more
                // alignment than one element.
                unsafe { Self(src.cast::<[$elem; $lanes]>().read()) }
            }
            #[inline(always)]
            unsafe fn load_partial_ptr(_: Portable, src: *const $elem, n: usize) -> Self {
                let mut lanes = [0.0; $lanes];
                // SAFETY: `n` elements are readable by the caller's promise, and the array holds as many.
                unsafe { std::ptr::copy_nonoverlapping(src, lanes.as_mut_ptr(), n) };
                Self(lanes)
            }
            #[inline(always)]
            unsafe fn store_ptr(self, dst: *mut $elem) {
                // SAFETY: as for `load_ptr`, for writes.
                unsafe { dst.cast::<[$elem; $lanes]>().write(self.0) }
            }
            #[inline(always)]
            unsafe fn store_partial_ptr(self, dst: *mut $elem, n: usize) {
                // SAFETY: as for `load_partial_ptr`, for writes.
                unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), dst, n) };
            }
            #[inline(always)]
            fn fma(self, b: Self, c: Self) -> Self {
                Self($fma(&self.0, &b.0, &c.0))
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                Self(self.0.map(<$elem>::sqrt))
            }
            #[inline(always)]
            fn abs(self) -> Self {
                Self(self.0.map(<$elem>::abs))
            }
            #[inline(always)]
            fn lt(self, o: Self) -> Lanes<$lanes> {
                Lanes(from_fn(|i| self.0[i] < o.0[i]))
            }
            #[inline(always)]
            fn le(self, o: Self) -> Lanes<$lanes> {
                Lanes(from_fn(|i| self.0[i] <= o.0[i]))
            }
            #[inline(always)]
            fn eq(self, o: Self) -> Lanes<$lanes> {
                Lanes(from_fn(|i| self.0[i] == o.0[i]))
            }
            #[inline(always)]
            fn select(mask: Lanes<$lanes>, yes: Self, no: Self) -> Self {
                Self(from_fn(|i| if mask.0[i] { yes.0[i] } else { no.0[i] }))
            }
            #[inline(always)]
            fn max(self, b: Self) -> Self {
                Self(from_fn(|i| self.0[i].max_select(b.0[i])))
            }
            #[inline(always)]
            fn min(self, b: Self) -> Self {
                Self(from_fn(|i| self.0[i].min_select(b.0[i])))
            }
            #[inline(always)]
            fn to_bits(self) -> $B {
                $B(self.0.map(<$elem>::to_bits))
            }
            #[inline(always)]
            fn fold_halves(self) -> $elem {
                let mut lanes = self.0;
                let mut half = $lanes / 2;
                while half > 0 {
                    for i in 0..half {
                        lanes[i] += lanes[i + half];
                    }
                    half /= 2;
                }
                lanes[0]
            }
            #[inline(always)]
            fn fold_halves_max(self) -> $elem {
                let mut lanes = self.0;
                let mut half = $lanes / 2;
                while half > 0 {
                    for i in 0..half {
                        lanes[i] = lanes[i].max_select(lanes[i + half]);
                    }
                    half /= 2;
                }
                lanes[0]
            }
        }
    };
}
float_vector!(F32, f32, 16, U32, fma_f32_lanes);
float_vector!(F64, f64, 8, U64, fma_f64_lanes);

macro_rules! bits {
    ($B:ident, $V:ident, $int:ty, $lanes:literal, $elem:ty) => {
        binary! { $B:
            BitAnd::bitand, |a, b| Self(from_fn(|i| a.0[i] & b.0[i]));
            BitOr::bitor, |a, b| Self(from_fn(|i| a.0[i] | b.0[i]));
            BitXor::bitxor, |a, b| Self(from_fn(|i| a.0[i] ^ b.0[i]));
            Add::add, |a, b| Self(from_fn(|i| a.0[i].wrapping_add(b.0[i])));
            Sub::sub, |a, b| Self(from_fn(|i| a.0[i].wrapping_sub(b.0[i])));
        }
        impl Bits for $B {
            type Float = $V;
            #[inline(always)]
            fn splat(_: Portable, x: u64) -> Self {
                Self([x as $int; $lanes])
            }
            #[inline(always)]
            unsafe fn load_ptr(_: Portable, src: *const u8) -> Self {
                // SAFETY: valid for reads of all lanes by the caller's promise; the read needs no alignment.
                unsafe { Self(src.cast::<[$int; $lanes]>().read_unaligned()) }
            }
            #[inline(always)]
            fn shl<const N: i32>(self) -> Self {
                const { assert!(N >= 0 && N < <$int>::BITS as i32) };
                Self(self.0.map(|x| x << N))
            }
            #[inline(always)]
            fn shr<const N: i32>(self) -> Self {
                const { assert!(N >= 0 && N < <$int>::BITS as i32) };
                Self(self.0.map(|x| x >> N))
            }
            #[inline(always)]
            fn to_float(self) -> $V {
                $V(self.0.map(<$elem>::from_bits))
            }
        }
    };
}
bits!(U32, F32, u32, 16, f32);
bits!(U64, F64, u64, 8, f64);

impl<const N: usize> BitAnd for Lanes<N> {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, o: Self) -> Self {
        Self(from_fn(|i| self.0[i] & o.0[i]))
    }
}
impl<const N: usize> BitOr for Lanes<N> {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, o: Self) -> Self {
        Self(from_fn(|i| self.0[i] | o.0[i]))
    }
}
impl<const N: usize> Not for Lanes<N> {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        Self(self.0.map(|x| !x))
    }
}
impl<const N: usize> Mask for Lanes<N> {
    #[inline(always)]
    fn any(self) -> bool {
        self.0.contains(&true)
    }
    #[inline(always)]
    fn all(self) -> bool {
        !self.0.contains(&false)
    }
}
