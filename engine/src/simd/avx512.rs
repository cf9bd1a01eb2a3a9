//! AVX-512: one register holds the lanes.

use core::arch::x86_64::*;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

use pulp::x86::V4;

use super::avx2::{Closure, fold_256_pd, fold_256_ps, fold_max_256_pd, fold_max_256_ps};
use super::operators::{binary, unary};
use super::{Bits, Isa, Mask, Tier, Vector};

/// The token of AVX-512 F, BW, CD, DQ and VL.
#[derive(Debug, Clone, Copy)]
pub struct Avx512(V4);

impl Avx512 {
    /// The token, if this CPU has the instructions.
    #[must_use]
    #[inline]
    pub fn new() -> Option<Self> {
        V4::try_new().map(Self)
    }
}

/// Sixteen `f32` in a register.
#[derive(Debug, Clone, Copy)]
pub struct F32(__m512);
/// Eight `f64` in a register.
#[derive(Debug, Clone, Copy)]
pub struct F64(__m512d);
/// Sixteen `u32` in a register.
#[derive(Debug, Clone, Copy)]
pub struct U32(__m512i);
/// Eight `u64` in a register.
#[derive(Debug, Clone, Copy)]
pub struct U64(__m512i);
/// One bit for each of sixteen lanes.
#[derive(Debug, Clone, Copy)]
pub struct M16(__mmask16);
/// One bit for each of eight lanes.
#[derive(Debug, Clone, Copy)]
pub struct M8(__mmask8);

/// Runs register-only intrinsics.
macro_rules! avx512 {
    ($e:expr) => {{
        // SAFETY: a value of this module's types, or the token, is at hand; either exists only on a CPU with AVX-512.
        unsafe { $e }
    }};
}

impl Tier for Avx512 {
    const ISA: Isa = Isa::Avx512;
    const VECTOR_REGISTERS: usize = 32;
    type F32 = F32;
    type F64 = F64;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        self.0.vectorize(Closure(f))
    }
    #[inline(always)]
    fn widen(self, x: F32) -> [F64; 2] {
        avx512!([
            F64(_mm512_cvtps_pd(_mm512_castps512_ps256(x.0))),
            F64(_mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(x.0))),
        ])
    }
    #[inline(always)]
    fn narrow(self, [low, high]: [F64; 2]) -> F32 {
        avx512!(F32(_mm512_insertf32x8::<1>(_mm512_castps256_ps512(_mm512_cvtpd_ps(low.0)), _mm512_cvtpd_ps(high.0))))
    }
    #[inline(always)]
    fn widen_bits(self, x: U32) -> [U64; 2] {
        avx512!([
            U64(_mm512_cvtepu32_epi64(_mm512_castsi512_si256(x.0))),
            U64(_mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64::<1>(x.0))),
        ])
    }
    #[inline(always)]
    fn prefetch<T>(self, address: *const T) {
        avx512!(_mm_prefetch::<_MM_HINT_T0>(address.cast()));
    }
    #[inline(always)]
    fn prefetch_far<T>(self, address: *const T) {
        avx512!(_mm_prefetch::<_MM_HINT_T1>(address.cast()));
    }
    #[inline(always)]
    fn stream_fence(self) {
        // SAFETY: SSE is part of the tier.
        unsafe { _mm_sfence() };
    }
}

/// Which vector takes part where, so that the folds end up in order.
const EACH: [usize; 16] = [0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15];

/// [`Vector::fold_halves_each`] by transposing: the halves of two vectors meet in one addition, which leaves half as many
/// vectors, four times.
#[inline(always)]
fn fold_each_512_ps(vectors: [F32; 16]) -> F32 {
    // Loops and no closures: `map` is not always inlined, and each operation would be a call.
    let mut x = [avx512!(_mm512_setzero_ps()); 16];
    for (x, from) in x.iter_mut().zip(EACH) {
        *x = vectors[from].0;
    }
    for i in 0..8 {
        let (a, b) = (x[i], x[i + 8]);
        x[i] = avx512!(_mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b)));
    }
    for i in 0..4 {
        let (a, b) = (x[i], x[i + 4]);
        x[i] = avx512!(_mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b)));
    }
    for i in 0..2 {
        let (a, b) = avx512!((_mm512_castps_pd(x[i]), _mm512_castps_pd(x[i + 2])));
        let (low, high) = avx512!((_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b)));
        x[i] = avx512!(_mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high)));
    }
    let (a, b) = (x[0], x[1]);
    avx512!(F32(_mm512_add_ps(_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0xdd>(a, b))))
}

macro_rules! float_vector {
    ($V:ident, $raw:ident, $elem:ty, $lanes:literal, $M:ident, $mask:ty, $B:ident, $int:ty,
     $set1:ident, $loadu:ident, $storeu:ident, $stream:ident, $maskz_loadu:ident, $mask_storeu:ident,
     $add:ident, $sub:ident, $mul:ident, $div:ident, $fmadd:ident, $sqrt:ident, $max:ident, $min:ident,
     $cmp:ident, $blend:ident, $abs:ident, $xor:ident, $to_int:ident, $from_int:ident, $low:ident,
     $extract_high:ident, $add256:ident, $max256:ident, $fold:ident, $fold_max:ident, { $($fold_each:item)* }) => {
        binary! { $V:
            Add::add, |a, b| avx512!(Self($add(a.0, b.0)));
            Sub::sub, |a, b| avx512!(Self($sub(a.0, b.0)));
            Mul::mul, |a, b| avx512!(Self($mul(a.0, b.0)));
            Div::div, |a, b| avx512!(Self($div(a.0, b.0)));
        }
        unary! { $V: Neg::neg, |a| avx512!(Self($xor(a.0, $set1(-0.0)))) }
        impl Vector for $V {
            type Elem = $elem;
            type Tier = Avx512;
            type Mask = $M;
            type Bits = $B;
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(_: Avx512, x: $elem) -> Self {
                avx512!(Self($set1(x)))
            }
            #[inline(always)]
            unsafe fn load_ptr(_: Avx512, src: *const $elem) -> Self {
                // SAFETY: valid for reads by the caller's promise; the token is at hand.
                unsafe { Self($loadu(src)) }
            }
            #[inline(always)]
            unsafe fn load_partial_ptr(_: Avx512, src: *const $elem, n: usize) -> Self {
                let mask = ((1u32 << n) - 1) as $mask;
                // SAFETY: masked lanes are not touched, the others are valid by the caller's promise.
                unsafe { Self($maskz_loadu(mask, src)) }
            }
            #[inline(always)]
            unsafe fn store_ptr(self, dst: *mut $elem) {
                // SAFETY: valid for writes by the caller's promise; a vector is at hand.
                unsafe { $storeu(dst, self.0) }
            }
            #[inline(always)]
            unsafe fn stream_ptr(self, dst: *mut $elem) {
                // SAFETY: valid for writes and on a boundary by the caller's promise; a vector is at hand.
                unsafe { $stream(dst, self.0) }
            }
            #[inline(always)]
            unsafe fn store_partial_ptr(self, dst: *mut $elem, n: usize) {
                let mask = ((1u32 << n) - 1) as $mask;
                // SAFETY: masked lanes are not touched, the others are valid by the caller's promise.
                unsafe { $mask_storeu(dst, mask, self.0) }
            }
            #[inline(always)]
            fn fma(self, b: Self, c: Self) -> Self {
                avx512!(Self($fmadd(self.0, b.0, c.0)))
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                avx512!(Self($sqrt(self.0)))
            }
            #[inline(always)]
            fn abs(self) -> Self {
                avx512!(Self($abs(self.0)))
            }
            #[inline(always)]
            fn lt(self, o: Self) -> $M {
                avx512!($M($cmp::<_CMP_LT_OQ>(self.0, o.0)))
            }
            #[inline(always)]
            fn le(self, o: Self) -> $M {
                avx512!($M($cmp::<_CMP_LE_OQ>(self.0, o.0)))
            }
            #[inline(always)]
            fn eq(self, o: Self) -> $M {
                avx512!($M($cmp::<_CMP_EQ_OQ>(self.0, o.0)))
            }
            #[inline(always)]
            fn select(mask: $M, yes: Self, no: Self) -> Self {
                avx512!(Self($blend(mask.0, no.0, yes.0)))
            }
            #[inline(always)]
            fn max(self, b: Self) -> Self {
                // The instruction returns its second operand for NaN and for two zeros, as the contract wants.
                avx512!(Self($max(self.0, b.0)))
            }
            #[inline(always)]
            fn min(self, b: Self) -> Self {
                avx512!(Self($min(self.0, b.0)))
            }
            #[inline(always)]
            fn to_bits(self) -> $B {
                avx512!($B($to_int(self.0)))
            }
            #[inline(always)]
            fn fold_halves(self) -> $elem {
                avx512!($fold($add256($low(self.0), $extract_high::<1>(self.0))))
            }
            $($fold_each)*
            #[inline(always)]
            fn fold_halves_max(self) -> $elem {
                avx512!($fold_max($max256($low(self.0), $extract_high::<1>(self.0))))
            }
        }
    };
}

float_vector! {
    F32, __m512, f32, 16, M16, __mmask16, U32, u32, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_stream_ps,
    _mm512_maskz_loadu_ps, _mm512_mask_storeu_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps, _mm512_div_ps,
    _mm512_fmadd_ps, _mm512_sqrt_ps, _mm512_max_ps, _mm512_min_ps, _mm512_cmp_ps_mask, _mm512_mask_blend_ps,
    _mm512_abs_ps, _mm512_xor_ps, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_castps512_ps256,
    _mm512_extractf32x8_ps, _mm256_add_ps, _mm256_max_ps, fold_256_ps, fold_max_256_ps,
    {
        #[inline(always)]
        fn fold_halves_each(_: Avx512, vectors: [Self; 16]) -> Self {
            fold_each_512_ps(vectors)
        }
    }
}
float_vector! {
    F64, __m512d, f64, 8, M8, __mmask8, U64, u64, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_stream_pd,
    _mm512_maskz_loadu_pd, _mm512_mask_storeu_pd, _mm512_add_pd, _mm512_sub_pd, _mm512_mul_pd, _mm512_div_pd,
    _mm512_fmadd_pd, _mm512_sqrt_pd, _mm512_max_pd, _mm512_min_pd, _mm512_cmp_pd_mask, _mm512_mask_blend_pd,
    _mm512_abs_pd, _mm512_xor_pd, _mm512_castpd_si512, _mm512_castsi512_pd, _mm512_castpd512_pd256,
    _mm512_extractf64x4_pd, _mm256_add_pd, _mm256_max_pd, fold_256_pd, fold_max_256_pd, {}
}

macro_rules! bits {
    ($B:ident, $V:ident, $int:ty, $set1:ident, $add:ident, $sub:ident, $sll:ident, $srl:ident, $from_int:ident) => {
        binary! { $B:
            BitAnd::bitand, |a, b| avx512!(Self(_mm512_and_si512(a.0, b.0)));
            BitOr::bitor, |a, b| avx512!(Self(_mm512_or_si512(a.0, b.0)));
            BitXor::bitxor, |a, b| avx512!(Self(_mm512_xor_si512(a.0, b.0)));
            Add::add, |a, b| avx512!(Self($add(a.0, b.0)));
            Sub::sub, |a, b| avx512!(Self($sub(a.0, b.0)));
        }
        impl Bits for $B {
            type Float = $V;
            #[inline(always)]
            fn splat(_: Avx512, x: u64) -> Self {
                avx512!(Self($set1(x as $int as _)))
            }
            #[inline(always)]
            unsafe fn load_ptr(_: Avx512, src: *const u8) -> Self {
                // SAFETY: valid for reads by the caller's promise; the token is at hand.
                unsafe { Self(_mm512_loadu_si512(src.cast())) }
            }
            #[inline(always)]
            fn shl<const N: i32>(self) -> Self {
                const { assert!(N >= 0 && N < <$int>::BITS as i32) };
                avx512!(Self($sll(self.0, _mm_cvtsi32_si128(N))))
            }
            #[inline(always)]
            fn shr<const N: i32>(self) -> Self {
                const { assert!(N >= 0 && N < <$int>::BITS as i32) };
                avx512!(Self($srl(self.0, _mm_cvtsi32_si128(N))))
            }
            #[inline(always)]
            fn to_float(self) -> $V {
                avx512!($V($from_int(self.0)))
            }
        }
    };
}

bits! {
    U32, F32, u32, _mm512_set1_epi32, _mm512_add_epi32, _mm512_sub_epi32, _mm512_sll_epi32, _mm512_srl_epi32,
    _mm512_castsi512_ps
}
bits! {
    U64, F64, u64, _mm512_set1_epi64, _mm512_add_epi64, _mm512_sub_epi64, _mm512_sll_epi64, _mm512_srl_epi64,
    _mm512_castsi512_pd
}

macro_rules! mask {
    ($M:ident) => {
        binary! { $M:
            BitAnd::bitand, |a, b| Self(a.0 & b.0);
            BitOr::bitor, |a, b| Self(a.0 | b.0);
        }
        unary! { $M: Not::not, |a| Self(!a.0) }
        impl Mask for $M {
            #[inline(always)]
            fn any(self) -> bool {
                self.0 != 0
            }
            #[inline(always)]
            fn all(self) -> bool {
                self.0 == !0
            }
        }
    };
}
mask!(M16);
mask!(M8);
