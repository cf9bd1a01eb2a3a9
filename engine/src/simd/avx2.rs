//! AVX2 with FMA: two registers hold the lanes, the first the lower half.

use core::arch::x86_64::*;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

use pulp::NullaryFnOnce;
use pulp::x86::V3;

use super::operators::{binary, unary};
use super::{Bits, Isa, Mask, Tier, Vector};

/// The token of AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(V3);

impl Avx2 {
    /// The token, if this CPU has the instructions.
    #[must_use]
    #[inline]
    pub fn new() -> Option<Self> {
        V3::try_new().map(Self)
    }
}

/// A closure as pulp wants it.
pub(super) struct Closure<F>(pub F);

impl<R, F: FnOnce() -> R> NullaryFnOnce for Closure<F> {
    type Output = R;
    #[inline(always)]
    fn call(self) -> R {
        (self.0)()
    }
}

/// Sixteen `f32` in two registers.
#[derive(Debug, Clone, Copy)]
pub struct F32([__m256; 2]);
/// Eight `f64` in two registers.
#[derive(Debug, Clone, Copy)]
pub struct F64([__m256d; 2]);
/// Sixteen `u32` in two registers.
#[derive(Debug, Clone, Copy)]
pub struct U32([__m256i; 2]);
/// Eight `u64` in two registers.
#[derive(Debug, Clone, Copy)]
pub struct U64([__m256i; 2]);
/// All bits of a lane set or clear, sixteen lanes.
#[derive(Debug, Clone, Copy)]
pub struct M16([__m256; 2]);
/// All bits of a lane set or clear, eight lanes.
#[derive(Debug, Clone, Copy)]
pub struct M8([__m256d; 2]);

/// Runs register-only intrinsics.
macro_rules! avx2 {
    ($e:expr) => {{
        // SAFETY: a value of this module's types or the token is at hand, or it is the caller's promise; the values exist
        // only on a CPU with AVX2 and FMA.
        unsafe { $e }
    }};
}

/// Applies an intrinsic to both registers.
macro_rules! both {
    ($f:ident($($a:expr),*)) => { avx2!([$f($($a[0]),*), $f($($a[1]),*)]) };
    ($f:ident::<$i:ident>($($a:expr),*)) => { avx2!([$f::<$i>($($a[0]),*), $f::<$i>($($a[1]),*)]) };
}

impl Tier for Avx2 {
    const ISA: Isa = Isa::Avx2;
    const VECTOR_REGISTERS: usize = 8;
    type F32 = F32;
    type F64 = F64;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        self.0.vectorize(Closure(f))
    }
    #[inline(always)]
    fn widen(self, F32([low, high]): F32) -> [F64; 2] {
        avx2!([
            F64([_mm256_cvtps_pd(_mm256_castps256_ps128(low)), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(low))]),
            F64([_mm256_cvtps_pd(_mm256_castps256_ps128(high)), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(high))]),
        ])
    }
    #[inline(always)]
    fn narrow(self, [F64(low), F64(high)]: [F64; 2]) -> F32 {
        avx2!(F32([
            _mm256_set_m128(_mm256_cvtpd_ps(low[1]), _mm256_cvtpd_ps(low[0])),
            _mm256_set_m128(_mm256_cvtpd_ps(high[1]), _mm256_cvtpd_ps(high[0])),
        ]))
    }
    #[inline(always)]
    fn widen_bits(self, U32([low, high]): U32) -> [U64; 2] {
        avx2!([
            U64([
                _mm256_cvtepu32_epi64(_mm256_castsi256_si128(low)),
                _mm256_cvtepu32_epi64(_mm256_extracti128_si256::<1>(low)),
            ]),
            U64([
                _mm256_cvtepu32_epi64(_mm256_castsi256_si128(high)),
                _mm256_cvtepu32_epi64(_mm256_extracti128_si256::<1>(high)),
            ]),
        ])
    }
    #[inline(always)]
    fn prefetch<T>(self, address: *const T) {
        avx2!(_mm_prefetch::<_MM_HINT_T0>(address.cast()));
    }
    #[inline(always)]
    fn prefetch_far<T>(self, address: *const T) {
        avx2!(_mm_prefetch::<_MM_HINT_T1>(address.cast()));
    }
    #[inline(always)]
    fn stream_fence(self) {
        // SAFETY: SSE is part of the tier.
        unsafe { _mm_sfence() };
    }
}

/// Lanes 0 + 4, then 0 + 2, then 0 + 1: the last three halvings of sixteen lanes.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
pub(super) unsafe fn fold_256_ps(x: __m256) -> f32 {
    avx2!({
        let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
    })
}
/// The same with `max`.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
pub(super) unsafe fn fold_max_256_ps(x: __m256) -> f32 {
    avx2!({
        let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)))
    })
}
/// Lanes 0 + 2, then 0 + 1: the last two halvings of eight lanes.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
pub(super) unsafe fn fold_256_pd(x: __m256d) -> f64 {
    avx2!({
        let x = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
        _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)))
    })
}
/// The same with `max`.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
pub(super) unsafe fn fold_max_256_pd(x: __m256d) -> f64 {
    avx2!({
        let x = _mm_max_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
        _mm_cvtsd_f64(_mm_max_sd(x, _mm_unpackhi_pd(x, x)))
    })
}

/// Ones, then as many zeros: a window of half the length is the mask of a partial load or store.
static MASK_32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
static MASK_64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

/// The mask whose first `min(n, 8)` of eight 32-bit lanes are set.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn mask_32(n: usize) -> __m256i {
    // SAFETY: the offset is at most 8, so eight integers follow; AVX2 by the caller's promise.
    unsafe { _mm256_loadu_si256(MASK_32.as_ptr().add(8 - n.min(8)).cast()) }
}
/// The mask whose first `min(n, 4)` of four 64-bit lanes are set.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn mask_64(n: usize) -> __m256i {
    // SAFETY: the offset is at most 4, so four integers follow; AVX2 by the caller's promise.
    unsafe { _mm256_loadu_si256(MASK_64.as_ptr().add(4 - n.min(4)).cast()) }
}

/// Which vector takes part where, so that the folds end up in order.
const EACH: [usize; 8] = [0, 2, 1, 3, 4, 6, 5, 7];

/// [`Vector::fold_halves_each`] of eight vectors, by transposing: the halves of two registers meet in one addition, which
/// leaves half as many registers, three times.
#[inline(always)]
fn fold_each_256_ps(vectors: [F32; 8]) -> __m256 {
    // Loops and no closures: `map` is not always inlined, and each operation would be a call.
    let mut x = [avx2!(_mm256_setzero_ps()); 8];
    for (x, from) in x.iter_mut().zip(EACH) {
        let [low, high] = vectors[from].0;
        *x = avx2!(_mm256_add_ps(low, high));
    }
    for i in 0..4 {
        let (a, b) = (x[i], x[i + 4]);
        x[i] = avx2!(_mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)));
    }
    for i in 0..2 {
        let (a, b) = avx2!((_mm256_castps_pd(x[i]), _mm256_castps_pd(x[i + 2])));
        let (low, high) = avx2!((_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b)));
        x[i] = avx2!(_mm256_add_ps(_mm256_castpd_ps(low), _mm256_castpd_ps(high)));
    }
    let (a, b) = (x[0], x[1]);
    avx2!(_mm256_add_ps(_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b)))
}

macro_rules! float_vector {
    ($V:ident, $elem:ty, $lanes:literal, $half:literal, $M:ident, $B:ident,
     $set1:ident, $loadu:ident, $storeu:ident, $stream:ident, $maskload:ident, $maskstore:ident, $mask_of:ident,
     $add:ident, $sub:ident, $mul:ident, $div:ident, $fmadd:ident, $sqrt:ident, $max:ident, $min:ident,
     $cmp:ident, $blendv:ident, $xor:ident, $andnot:ident, $to_int:ident, $fold:ident, $fold_max:ident, { $($fold_each:item)* }) => {
        binary! { $V:
            Add::add, |a, b| Self(both!($add(a.0, b.0)));
            Sub::sub, |a, b| Self(both!($sub(a.0, b.0)));
            Mul::mul, |a, b| Self(both!($mul(a.0, b.0)));
            Div::div, |a, b| Self(both!($div(a.0, b.0)));
        }
        unary! { $V: Neg::neg, |a| {
            let sign = avx2!([$set1(-0.0); 2]);
            Self(both!($xor(a.0, sign)))
        }}
        impl Vector for $V {
            type Elem = $elem;
            type Tier = Avx2;
            type Mask = $M;
            type Bits = $B;
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(_: Avx2, x: $elem) -> Self {
                avx2!(Self([$set1(x); 2]))
            }
            #[inline(always)]
            unsafe fn load_ptr(_: Avx2, src: *const $elem) -> Self {
                // SAFETY: valid for reads by the caller's promise; the token is at hand.
                unsafe { Self([$loadu(src), $loadu(src.add($half))]) }
            }
            #[inline(always)]
            unsafe fn load_partial_ptr(_: Avx2, src: *const $elem, n: usize) -> Self {
                let (low, high) = avx2!(($mask_of(n), $mask_of(n.saturating_sub($half))));
                // SAFETY: masked lanes are not touched, the others are valid by the caller's promise; `wrapping_add`
                // makes no promise about the address of a half of which nothing is read.
                unsafe { Self([$maskload(src, low), $maskload(src.wrapping_add($half), high)]) }
            }
            #[inline(always)]
            unsafe fn store_ptr(self, dst: *mut $elem) {
                // SAFETY: valid for writes by the caller's promise; a vector is at hand.
                unsafe {
                    $storeu(dst, self.0[0]);
                    $storeu(dst.add($half), self.0[1]);
                }
            }
            #[inline(always)]
            unsafe fn stream_ptr(self, dst: *mut $elem) {
                // SAFETY: valid for writes and on a boundary by the caller's promise; a vector is at hand.
                unsafe {
                    $stream(dst, self.0[0]);
                    $stream(dst.add($half), self.0[1]);
                }
            }
            #[inline(always)]
            unsafe fn store_partial_ptr(self, dst: *mut $elem, n: usize) {
                let (low, high) = avx2!(($mask_of(n), $mask_of(n.saturating_sub($half))));
                // SAFETY: as in `load_partial_ptr`, for writes.
                unsafe {
                    $maskstore(dst, low, self.0[0]);
                    $maskstore(dst.wrapping_add($half), high, self.0[1]);
                }
            }
            #[inline(always)]
            fn fma(self, b: Self, c: Self) -> Self {
                Self(both!($fmadd(self.0, b.0, c.0)))
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                Self(both!($sqrt(self.0)))
            }
            #[inline(always)]
            fn abs(self) -> Self {
                let sign = avx2!([$set1(-0.0); 2]);
                Self(both!($andnot(sign, self.0)))
            }
            #[inline(always)]
            fn lt(self, o: Self) -> $M {
                $M(both!($cmp::<_CMP_LT_OQ>(self.0, o.0)))
            }
            #[inline(always)]
            fn le(self, o: Self) -> $M {
                $M(both!($cmp::<_CMP_LE_OQ>(self.0, o.0)))
            }
            #[inline(always)]
            fn eq(self, o: Self) -> $M {
                $M(both!($cmp::<_CMP_EQ_OQ>(self.0, o.0)))
            }
            #[inline(always)]
            fn select(mask: $M, yes: Self, no: Self) -> Self {
                Self(both!($blendv(no.0, yes.0, mask.0)))
            }
            #[inline(always)]
            fn max(self, b: Self) -> Self {
                // The instruction returns its second operand for NaN and for two zeros, as the contract wants.
                Self(both!($max(self.0, b.0)))
            }
            #[inline(always)]
            fn min(self, b: Self) -> Self {
                Self(both!($min(self.0, b.0)))
            }
            #[inline(always)]
            fn to_bits(self) -> $B {
                $B(both!($to_int(self.0)))
            }
            #[inline(always)]
            fn fold_halves(self) -> $elem {
                avx2!($fold($add(self.0[0], self.0[1])))
            }
            $($fold_each)*
            #[inline(always)]
            fn fold_halves_max(self) -> $elem {
                avx2!($fold_max($max(self.0[0], self.0[1])))
            }
        }
    };
}

float_vector! {
    F32, f32, 16, 8, M16, U32, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_stream_ps, _mm256_maskload_ps,
    _mm256_maskstore_ps, mask_32, _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps, _mm256_div_ps, _mm256_fmadd_ps,
    _mm256_sqrt_ps, _mm256_max_ps, _mm256_min_ps, _mm256_cmp_ps, _mm256_blendv_ps, _mm256_xor_ps, _mm256_andnot_ps,
    _mm256_castps_si256, fold_256_ps, fold_max_256_ps,
    {
        #[inline(always)]
        fn fold_halves_each(_: Avx2, x: [Self; 16]) -> Self {
            let [x0, x1, x2, x3, x4, x5, x6, x7, high @ ..] = x;
            Self([fold_each_256_ps([x0, x1, x2, x3, x4, x5, x6, x7]), fold_each_256_ps(high)])
        }
    }
}
float_vector! {
    F64, f64, 8, 4, M8, U64, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_stream_pd, _mm256_maskload_pd,
    _mm256_maskstore_pd, mask_64, _mm256_add_pd, _mm256_sub_pd, _mm256_mul_pd, _mm256_div_pd, _mm256_fmadd_pd,
    _mm256_sqrt_pd, _mm256_max_pd, _mm256_min_pd, _mm256_cmp_pd, _mm256_blendv_pd, _mm256_xor_pd, _mm256_andnot_pd,
    _mm256_castpd_si256, fold_256_pd, fold_max_256_pd, {}
}

macro_rules! bits {
    ($B:ident, $V:ident, $int:ty, $set1:ident, $add:ident, $sub:ident, $sll:ident, $srl:ident, $from_int:ident) => {
        binary! { $B:
            BitAnd::bitand, |a, b| Self(both!(_mm256_and_si256(a.0, b.0)));
            BitOr::bitor, |a, b| Self(both!(_mm256_or_si256(a.0, b.0)));
            BitXor::bitxor, |a, b| Self(both!(_mm256_xor_si256(a.0, b.0)));
            Add::add, |a, b| Self(both!($add(a.0, b.0)));
            Sub::sub, |a, b| Self(both!($sub(a.0, b.0)));
        }
        impl Bits for $B {
            type Float = $V;
            #[inline(always)]
            fn splat(_: Avx2, x: u64) -> Self {
                avx2!(Self([$set1(x as $int as _); 2]))
            }
            #[inline(always)]
            unsafe fn load_ptr(_: Avx2, src: *const u8) -> Self {
                // SAFETY: valid for reads by the caller's promise; the token is at hand.
                unsafe { Self([_mm256_loadu_si256(src.cast()), _mm256_loadu_si256(src.add(32).cast())]) }
            }
            #[inline(always)]
            fn shl<const N: i32>(self) -> Self {
                const { assert!(N >= 0 && N < <$int>::BITS as i32) };
                let count = avx2!([_mm_cvtsi32_si128(N); 2]);
                Self(both!($sll(self.0, count)))
            }
            #[inline(always)]
            fn shr<const N: i32>(self) -> Self {
                const { assert!(N >= 0 && N < <$int>::BITS as i32) };
                let count = avx2!([_mm_cvtsi32_si128(N); 2]);
                Self(both!($srl(self.0, count)))
            }
            #[inline(always)]
            fn to_float(self) -> $V {
                $V(both!($from_int(self.0)))
            }
        }
    };
}

bits! {
    U32, F32, u32, _mm256_set1_epi32, _mm256_add_epi32, _mm256_sub_epi32, _mm256_sll_epi32, _mm256_srl_epi32,
    _mm256_castsi256_ps
}
bits! {
    U64, F64, u64, _mm256_set1_epi64x, _mm256_add_epi64, _mm256_sub_epi64, _mm256_sll_epi64, _mm256_srl_epi64,
    _mm256_castsi256_pd
}

macro_rules! mask {
    ($M:ident, $and:ident, $or:ident, $xor:ident, $movemask:ident, $ones:expr, $all:literal) => {
        binary! { $M:
            BitAnd::bitand, |a, b| Self(both!($and(a.0, b.0)));
            BitOr::bitor, |a, b| Self(both!($or(a.0, b.0)));
        }
        unary! { $M: Not::not, |a| {
            let ones = avx2!([$ones; 2]);
            Self(both!($xor(a.0, ones)))
        }}
        impl Mask for $M {
            #[inline(always)]
            fn any(self) -> bool {
                avx2!($movemask($or(self.0[0], self.0[1])) != 0)
            }
            #[inline(always)]
            fn all(self) -> bool {
                avx2!($movemask($and(self.0[0], self.0[1])) == $all)
            }
        }
    };
}
mask!(
    M16,
    _mm256_and_ps,
    _mm256_or_ps,
    _mm256_xor_ps,
    _mm256_movemask_ps,
    _mm256_castsi256_ps(_mm256_set1_epi32(-1)),
    0xff
);
mask!(
    M8,
    _mm256_and_pd,
    _mm256_or_pd,
    _mm256_xor_pd,
    _mm256_movemask_pd,
    _mm256_castsi256_pd(_mm256_set1_epi64x(-1)),
    0xf
);
