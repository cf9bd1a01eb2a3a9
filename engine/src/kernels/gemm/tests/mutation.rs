//! Planted faults: the comparison of these tests catches each of them, so it would catch the like in the kernel.
//!
//! [`Mutant`] is a tier like any other, its vectors those of the portable tier with a fault. The micro-kernel is
//! compiled for it from the same source as for the real ones.

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Sub};

use super::super::kernel::{Errand, Finish, RowMajor, Start, Tile, pitch, select};
use super::super::pack::{PackedLayout, pack_a_panel, pack_b_block};
use super::*;
use crate::simd::{Bits, Portable, Tier, Vector};

/// No fault.
pub(crate) const NONE: u8 = 0;
/// One step of each chain rounds the product before it adds.
pub(crate) const SPLIT: u8 = 1;
/// One step of each chain is kept back and added after the others.
const LATE: u8 = 2;
/// Two chains, of even and of odd steps, added at the end.
const TWO_CHAINS: u8 = 3;
/// `+0 + x` gives x.
const NO_CANONICAL_ZERO: u8 = 4;
/// The maximum of a number and NaN is the number.
const MAX_DROPS_NAN: u8 = 5;
/// Subnormal results of a step become zero.
const FLUSH: u8 = 6;
/// The step of a chain that a fault is at.
const STEP: usize = 3;

/// The portable tier with a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mutant<const FAULT: u8>;

/// A vector of it: the lanes, and what the fault remembers of the chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lanes<V, const FAULT: u8> {
    v: V,
    /// Steps that the chain has taken.
    steps: usize,
    /// Factors that wait, or the other chain.
    late: Option<(V, V)>,
    odd: Option<V>,
    /// Whether this is the constant `+0`.
    zero: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Ints<B, const FAULT: u8>(B);

impl<V: Vector<Tier = Portable>, const FAULT: u8> Lanes<V, FAULT> {
    fn of(v: V) -> Self {
        Self { v, steps: 0, late: None, odd: None, zero: false }
    }
    /// The lanes after what waits.
    fn settled(self) -> V {
        let mut v = self.v;
        if let Some((a, b)) = self.late {
            v = a.fma(b, v);
        }
        if let Some(odd) = self.odd {
            v = v + odd;
        }
        v
    }
}

macro_rules! operator {
    ($($Op:ident $op:ident),*) => {$(
        impl<V: Vector<Tier = Portable>, const FAULT: u8> $Op for Lanes<V, FAULT> {
            type Output = Self;
            fn $op(self, o: Self) -> Self {
                if FAULT == NO_CANONICAL_ZERO && self.zero {
                    return Self::of(o.settled());
                }
                Self::of(self.settled().$op(o.settled()))
            }
        }
    )*};
}
operator!(Add add, Sub sub, Mul mul, Div div);
impl<V: Vector<Tier = Portable>, const FAULT: u8> Neg for Lanes<V, FAULT> {
    type Output = Self;
    fn neg(self) -> Self {
        Self::of(-self.settled())
    }
}

impl<V: Vector<Tier = Portable>, const FAULT: u8> Vector for Lanes<V, FAULT>
where
    Mutant<FAULT>: Tier,
{
    type Elem = V::Elem;
    type Tier = Mutant<FAULT>;
    type Mask = V::Mask;
    type Bits = Ints<V::Bits, FAULT>;
    const LANES: usize = V::LANES;

    fn splat(_: Mutant<FAULT>, x: V::Elem) -> Self {
        Self { zero: x.bits() == 0, ..Self::of(V::splat(Portable, x)) }
    }
    unsafe fn load_ptr(_: Mutant<FAULT>, src: *const V::Elem) -> Self {
        // SAFETY: the caller's promise, passed on.
        Self::of(unsafe { V::load_ptr(Portable, src) })
    }
    unsafe fn load_partial_ptr(_: Mutant<FAULT>, src: *const V::Elem, n: usize) -> Self {
        // SAFETY: the caller's promise, passed on.
        Self::of(unsafe { V::load_partial_ptr(Portable, src, n) })
    }
    unsafe fn store_ptr(self, dst: *mut V::Elem) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.settled().store_ptr(dst) }
    }
    unsafe fn store_partial_ptr(self, dst: *mut V::Elem, n: usize) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.settled().store_partial_ptr(dst, n) }
    }
    fn fma(self, b: Self, c: Self) -> Self {
        let (x, y) = (self.settled(), b.settled());
        let mut to = Self { steps: c.steps + 1, zero: false, ..c };
        match FAULT {
            SPLIT if c.steps == STEP => to.v = x * y + c.v,
            LATE if c.steps == STEP => to.late = Some((x, y)),
            TWO_CHAINS if c.steps % 2 == 1 => to.odd = Some(x.fma(y, c.odd.unwrap_or(V::zero(Portable)))),
            FLUSH => {
                let v = x.fma(y, c.v);
                let smallest = if V::LANES == 16 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
                let normal = V::splat(Portable, V::Elem::from_f64(smallest)).le(v.abs());
                // A NaN is not below anything and stays.
                let ordered = v.eq(v);
                to.v = V::select(normal, v, V::select(ordered, V::zero(Portable), v));
            }
            _ => to.v = x.fma(y, c.v),
        }
        to
    }
    fn sqrt(self) -> Self {
        Self::of(self.settled().sqrt())
    }
    fn abs(self) -> Self {
        Self::of(self.settled().abs())
    }
    fn lt(self, o: Self) -> V::Mask {
        self.settled().lt(o.settled())
    }
    fn le(self, o: Self) -> V::Mask {
        self.settled().le(o.settled())
    }
    fn eq(self, o: Self) -> V::Mask {
        self.settled().eq(o.settled())
    }
    fn select(mask: V::Mask, yes: Self, no: Self) -> Self {
        Self::of(V::select(mask, yes.settled(), no.settled()))
    }
    fn max(self, b: Self) -> Self {
        let (a, b) = (self.settled(), b.settled());
        Self::of(if FAULT == MAX_DROPS_NAN { b.max(a) } else { a.max(b) })
    }
    fn min(self, b: Self) -> Self {
        Self::of(self.settled().min(b.settled()))
    }
    fn to_bits(self) -> Ints<V::Bits, FAULT> {
        Ints(self.settled().to_bits())
    }
    fn fold_halves(self) -> V::Elem {
        self.settled().fold_halves()
    }
    fn fold_halves_max(self) -> V::Elem {
        self.settled().fold_halves_max()
    }
}

macro_rules! int_operator {
    ($($Op:ident $op:ident),*) => {$(
        impl<B: Bits, const FAULT: u8> $Op for Ints<B, FAULT> {
            type Output = Self;
            fn $op(self, o: Self) -> Self {
                Self(self.0.$op(o.0))
            }
        }
    )*};
}
int_operator!(BitAnd bitand, BitOr bitor, BitXor bitxor, Add add, Sub sub);

impl<B: Bits, const FAULT: u8> Bits for Ints<B, FAULT>
where
    B::Float: Vector<Tier = Portable>,
    Mutant<FAULT>: Tier,
{
    type Float = Lanes<B::Float, FAULT>;
    fn splat(_: Mutant<FAULT>, x: u64) -> Self {
        Self(B::splat(Portable, x))
    }
    unsafe fn load_ptr(_: Mutant<FAULT>, src: *const u8) -> Self {
        // SAFETY: the caller's promise, passed on.
        Self(unsafe { B::load_ptr(Portable, src) })
    }
    fn shl<const N: i32>(self) -> Self {
        Self(self.0.shl::<N>())
    }
    fn shr<const N: i32>(self) -> Self {
        Self(self.0.shr::<N>())
    }
    fn to_float(self) -> Self::Float {
        Lanes::of(self.0.to_float())
    }
}

type F32 = <Portable as Tier>::F32;
type F64 = <Portable as Tier>::F64;

impl<const FAULT: u8> Tier for Mutant<FAULT> {
    const ISA: Isa = Isa::Portable;
    const VECTOR_REGISTERS: usize = Portable::VECTOR_REGISTERS;
    type F32 = Lanes<F32, FAULT>;
    type F64 = Lanes<F64, FAULT>;

    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }
    fn widen(self, x: Self::F32) -> [Self::F64; 2] {
        Portable.widen(x.settled()).map(Lanes::of)
    }
    fn narrow(self, x: [Self::F64; 2]) -> Self::F32 {
        Lanes::of(Portable.narrow(x.map(Lanes::settled)))
    }
    fn widen_bits(self, x: Ints<<F32 as Vector>::Bits, FAULT>) -> [Ints<<F64 as Vector>::Bits, FAULT>; 2] {
        Portable.widen_bits(x.0).map(Ints)
    }
    fn prefetch<T>(self, _: *const T) {}
    fn prefetch_far<T>(self, _: *const T) {}
}

/// The problem by the micro-kernel of a tier, tile by tile and block by block, on packed operands.
fn by_tiles<S: Tier, T: Scalar>(tier: S, problem: &Problem<T>, height: usize, vectors: usize, depth: usize) -> Vec<T> {
    let Problem { m, n, k, .. } = *problem;
    let (a, b) = (MatRef::new(&problem.a, m, k).unwrap(), MatRef::new(&problem.b, k, n).unwrap());
    let width = vectors * T::V::<S>::LANES;
    let mut c = problem.c.clone();
    for first in (0..k.max(1)).step_by(depth) {
        let steps = first..(first + depth).min(k);
        for row in (0..m).step_by(height) {
            let rows = row..(row + height).min(m);
            let mut packed_a = vec![T::ZERO; height * pitch::<T>()];
            let layout = PackedLayout::RowMajor;
            pack_a_panel(tier, &a, rows.clone(), steps.clone(), problem.alpha, layout, &mut packed_a);
            for column in (0..n).step_by(width) {
                let columns = column..(column + width).min(n);
                let used = columns.len().div_ceil(T::V::<S>::LANES);
                let mut packed_b = vec![T::ZERO; steps.len() * width];
                let stride = packed_b.len();
                pack_b_block(tier, &b, steps.clone(), columns.clone(), width, stride, &mut packed_b);
                let start = match problem.with {
                    _ if first > 0 => Start::Load,
                    With::Columns => Start::ColumnBias(problem.bias[column..].as_ptr()),
                    With::Rows => Start::RowBias(problem.bias[row..].as_ptr()),
                    With::Nothing if problem.beta == T::ZERO => Start::Zero,
                    With::Nothing if problem.beta == T::ONE => Start::Load,
                    With::Nothing => Start::Scale(problem.beta),
                };
                let place = row * n + column;
                let finish = if steps.end == k {
                    let residual = problem.residual.as_ref().map_or(std::ptr::null(), |r| r[place..].as_ptr());
                    Finish::Last { residual, residual_row: n, relu: problem.relu }
                } else {
                    Finish::Continue
                };
                let mut errands = [Errand::NONE; 2];
                let tile = Tile {
                    a_row: 0,
                    depth: steps.len(),
                    a: packed_a.as_ptr(),
                    b: packed_b.as_ptr(),
                    b_step: width,
                    c: c[place..].as_mut_ptr(),
                    c_row: n,
                    c_next: std::ptr::null(),
                    last_columns: columns.len() - (used - 1) * T::V::<S>::LANES,
                    start,
                    finish,
                    b_ahead: 0,
                    errands: &raw mut errands,
                };
                let kernel = select::<S, T, RowMajor>(rows.len(), used).unwrap();
                // SAFETY: the panels are packed for these rows, steps and columns; C, the residual and the biases have
                // them too.
                unsafe { kernel(tier, &tile) };
            }
        }
    }
    c
}

/// How many of the problems of these tests show a fault, and of how many.
fn caught<const FAULT: u8, T: Scalar>() -> (usize, usize) {
    let mut rng = Rng(50);
    let count = scaled(240).max(60);
    let found = (0..count).filter(|round| {
        let kind = Kind::ALL[round % Kind::ALL.len()];
        let shape = (1 + rng.below(9), 1 + rng.below(40), rng.below(40));
        let problem = Problem::<T>::random(&mut rng, kind, shape);
        let (height, vectors) = rng.pick(&[(1, 1), (2, 1), (3, 1), (4, 1)]);
        let depth = rng.pick(&[7, 16, 40]);
        difference(&problem.expected(), &by_tiles(Mutant::<FAULT>, &problem, height, vectors, depth)).is_some()
    });
    (found.count(), count)
}

fn each_fault<T: Scalar>() {
    assert_eq!(caught::<NONE, T>().0, 0, "a fault was seen where there is none");
    let all = [
        ("a product rounded before it is added", caught::<SPLIT, T>(), 5),
        ("a step that comes late", caught::<LATE, T>(), 5),
        ("two chains", caught::<TWO_CHAINS, T>(), 5),
        ("no canonical zero", caught::<NO_CANONICAL_ZERO, T>(), 60),
        ("a maximum that drops NaN", caught::<MAX_DROPS_NAN, T>(), 60),
        ("subnormals flushed", caught::<FLUSH, T>(), 60),
    ];
    for (fault, (found, of), at_least_one_in) in all {
        assert!(found > 0 && found * at_least_one_in >= of, "{fault}: only {found} of {of} problems show it");
    }
}

#[test]
fn planted_faults_are_caught_f32() {
    each_fault::<f32>();
}
#[test]
fn planted_faults_are_caught_f64() {
    each_fault::<f64>();
}

/// Integers are exact in any order, so they alone would not do: the problems must be of many kinds.
#[test]
fn integers_alone_would_not_show_an_order() {
    let mut rng = Rng(51);
    let problem = Problem::<f32>::plain(&mut rng, Kind::Integers, (4, 40, 30));
    assert_eq!(difference(&problem.expected(), &by_tiles(Mutant::<LATE>, &problem, 4, 1, 30)), None);
}
