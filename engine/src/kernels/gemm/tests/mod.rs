//! The product against the reference, bit for bit, from many sides.
//!
//! `REGULARITY_TEST_SCALE=small` cuts the number of cases about twentyfold, for emulated CPUs.
#![allow(clippy::unwrap_used)] // a test may panic

mod edges;
mod epilogue;
mod invariance;
pub(crate) mod mutation;
mod order;
mod sums;

use std::sync::OnceLock;

use super::{Bias, Blocking, Options, gemm};
use crate::kernels::Scalar;
use crate::memory::Buffer;
use crate::parallel::Context;
use crate::reference;
use crate::simd::{Isa, Real};
use crate::tensor::{MatMut, MatRef};

/// `count` cases, or a twentieth of them on an emulated CPU.
fn scaled(count: usize) -> usize {
    // A test may look at the environment; the engine may not.
    let small = std::env::var("REGULARITY_TEST_SCALE").is_ok_and(|scale| scale == "small");
    if small { count.div_ceil(20) } else { count }
}

/// A context for every tier of this CPU and every number of threads.
fn contexts() -> &'static [Context] {
    static CONTEXTS: OnceLock<Vec<Context>> = OnceLock::new();
    CONTEXTS.get_or_init(|| {
        let tiers = Isa::available().into_iter();
        tiers.flat_map(|isa| [1, 2, 3, 5, 8].map(|threads| Context::new(isa, threads).unwrap())).collect()
    })
}

/// The single-threaded ones.
fn tiers() -> impl Iterator<Item = &'static Context> {
    contexts().iter().filter(|context| context.threads() == 1)
}

/// SplitMix64: the same inputs everywhere.
#[derive(Debug, Clone)]
struct Rng(u64);

impl Rng {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
    fn pick<X: Copy>(&mut self, from: &[X]) -> X {
        from[self.below(from.len())]
    }
    fn signed<T: Scalar>(&mut self) -> T {
        T::from_f64((self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
    }
}

/// What the numbers of a problem look like.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Uniform from -1 to 1.
    Uniform,
    /// Over forty powers of two, each followed by almost its negative.
    Cancelling,
    /// Subnormals, zeros of both signs, and numbers whose products underflow.
    Tiny,
    /// Near overflow, with small ones between.
    Huge,
    /// Integers from -3 to 3, whose products are exact.
    Integers,
    /// Uniform, with an infinity or a NaN here and there.
    Special,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Uniform, Kind::Cancelling, Kind::Tiny, Kind::Huge, Kind::Integers, Kind::Special];

    fn draw<T: Scalar>(self, rng: &mut Rng, previous: T) -> T {
        let (smallest, subnormal, largest) = if T::NAME == "f32" { (1, 1 << 20, 126) } else { (1, 1 << 48, 1022) };
        let power = |e: i32| T::from_f64(f64::from_bits(((e + 1023) as u64) << 52));
        match self {
            Kind::Uniform => rng.signed(),
            Kind::Cancelling if rng.below(2) == 0 => -previous * T::from_f64(1.0 + 1e-6),
            Kind::Cancelling => rng.signed::<T>() * power(rng.below(40) as i32 - 20),
            Kind::Tiny => match rng.below(7) {
                0 => T::ZERO,
                1 => -T::ZERO,
                2 => T::from_bits_u64(smallest),
                3 => -T::from_bits_u64(smallest),
                4 => T::from_bits_u64(rng.bits() % subnormal),
                5 => rng.signed::<T>() * power(-largest / 2),
                _ => rng.signed(),
            },
            Kind::Huge if rng.below(3) == 0 => rng.signed::<T>() * power(largest - rng.below(4) as i32),
            Kind::Huge => rng.signed(),
            Kind::Integers => T::from_f64(rng.below(7) as f64 - 3.0),
            Kind::Special => match rng.below(150) {
                0 => T::from_f64(f64::INFINITY),
                1 => T::from_f64(f64::NEG_INFINITY),
                2 => T::from_f64(f64::NAN),
                3 => -T::ZERO,
                _ => rng.signed(),
            },
        }
    }

    fn values<T: Scalar>(self, rng: &mut Rng, len: usize) -> Vec<T> {
        let mut previous = T::ONE;
        (0..len)
            .map(|_| {
                previous = self.draw(rng, previous);
                previous
            })
            .collect()
    }
}

/// How a matrix lies in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    /// Whether columns run through memory instead of rows.
    transposed: bool,
    /// Distance between neighbours along the inner direction.
    step: usize,
    /// Elements between the end of one line and the next.
    gap: usize,
    /// Distance of the first element from a cache line, in elements.
    offset: usize,
}

impl Layout {
    const PLAIN: Self = Self { transposed: false, step: 1, gap: 0, offset: 0 };

    fn random(rng: &mut Rng) -> Self {
        Self {
            transposed: rng.below(2) == 1,
            step: rng.pick(&[1, 1, 1, 2, 3]),
            gap: rng.pick(&[0, 0, 1, 7, 16]),
            offset: rng.below(17),
        }
    }
}

/// A matrix with its memory. What lies between its elements is NaN, so that a result shows if it was read.
struct Matrix<T: Scalar> {
    memory: Buffer<T>,
    layout: Layout,
    rows: usize,
    cols: usize,
}

impl<T: Scalar> Matrix<T> {
    /// From `rows * cols` values, row by row.
    fn new(layout: Layout, rows: usize, cols: usize, values: &[T]) -> Self {
        let mut matrix = Self { memory: Buffer::zeroed(0).unwrap(), layout, rows, cols };
        let (row, col) = matrix.strides();
        let reach = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row + (cols - 1) * col + 1 };
        matrix.memory = Buffer::zeroed(layout.offset + reach).unwrap();
        matrix.memory.fill(T::from_f64(f64::NAN));
        for i in 0..rows {
            for j in 0..cols {
                matrix.memory[layout.offset + i * row + j * col] = values[i * cols + j];
            }
        }
        matrix
    }
    fn strides(&self) -> (usize, usize) {
        let Layout { transposed, step, gap, .. } = self.layout;
        let line = if transposed { self.rows } else { self.cols } * step + gap;
        if transposed { (step, line) } else { (line, step) }
    }
    fn view(&self) -> MatRef<'_, T> {
        let (row, col) = self.strides();
        MatRef::with_strides(&self.memory[self.layout.offset..], self.rows, self.cols, row, col).unwrap()
    }
    fn view_mut(&mut self) -> MatMut<'_, T> {
        let (row, col) = self.strides();
        MatMut::with_strides(&mut self.memory[self.layout.offset..], self.rows, self.cols, row, col).unwrap()
    }
    /// The elements row by row; panics if anything between them was written.
    fn values(&self) -> Vec<T> {
        let (row, col) = self.strides();
        let mut outside: Vec<bool> = vec![true; self.memory.len()];
        let mut values = Vec::new();
        for i in 0..self.rows {
            for j in 0..self.cols {
                let place = self.layout.offset + i * row + j * col;
                outside[place] = false;
                values.push(self.memory[place]);
            }
        }
        let untouched = self.memory.iter().zip(outside).all(|(x, outside)| !outside || x.to_f64().is_nan());
        assert!(untouched, "written between the elements of C, {:?}", self.layout);
        values
    }
}

/// Which bias a problem has.
#[derive(Debug, Clone, Copy, PartialEq)]
enum With {
    Nothing,
    Columns,
    Rows,
}

/// A product with everything around it, as numbers in row order.
#[derive(Debug, Clone)]
struct Problem<T> {
    m: usize,
    n: usize,
    k: usize,
    a: Vec<T>,
    b: Vec<T>,
    c: Vec<T>,
    alpha: T,
    beta: T,
    with: With,
    bias: Vec<T>,
    residual: Option<Vec<T>>,
    relu: bool,
}

impl<T: Scalar> Problem<T> {
    /// `C = A B`, where C holds NaN that nobody may read.
    fn plain(rng: &mut Rng, kind: Kind, (m, n, k): (usize, usize, usize)) -> Self {
        let (a, b) = (kind.values(rng, m * k), kind.values(rng, k * n));
        let c = vec![T::from_f64(f64::NAN); m * n];
        let bias = kind.values(rng, m.max(n));
        let with = With::Nothing;
        Self { m, n, k, a, b, c, alpha: T::ONE, beta: T::ZERO, with, bias, residual: None, relu: false }
    }
    /// One with a random epilogue.
    fn random(rng: &mut Rng, kind: Kind, shape: (usize, usize, usize)) -> Self {
        let mut problem = Self::plain(rng, kind, shape);
        problem.alpha = T::from_f64(rng.pick(&[1.0, 1.0, -1.0, 2.0, 0.7, 0.0]));
        problem.with = rng.pick(&[With::Nothing, With::Nothing, With::Columns, With::Rows]);
        if problem.with == With::Nothing {
            problem.beta = T::from_f64(rng.pick(&[0.0, 1.0, 3.0, -0.3]));
        }
        if problem.beta != T::ZERO {
            problem.c = kind.values(rng, problem.c.len());
        }
        problem.residual = (rng.below(3) == 0).then(|| kind.values(rng, problem.c.len()));
        problem.relu = rng.below(3) == 0;
        problem
    }
    fn bias(&self) -> Bias<'_, T> {
        match self.with {
            With::Nothing => Bias::None,
            With::Columns => Bias::Columns(&self.bias[..self.n]),
            With::Rows => Bias::Rows(&self.bias[..self.m]),
        }
    }
    /// What the contract says.
    fn expected(&self) -> Vec<T> {
        let mut c = self.c.clone();
        reference::gemm::gemm(
            self.alpha,
            MatRef::new(&self.a, self.m, self.k).unwrap(),
            MatRef::new(&self.b, self.k, self.n).unwrap(),
            self.beta,
            MatMut::new(&mut c, self.m, self.n).unwrap(),
            self.bias(),
            self.residual.as_ref().map(|r| MatRef::new(r, self.m, self.n).unwrap()),
            self.relu,
        );
        c
    }
    /// The operands in memory: A, B, C and the residual.
    fn placed(&self, layouts: [Layout; 4]) -> Placed<'_, T> {
        let [a, b, c, r] = layouts;
        Placed {
            problem: self,
            a: Matrix::new(a, self.m, self.k, &self.a),
            b: Matrix::new(b, self.k, self.n, &self.b),
            c,
            residual: self.residual.as_ref().map(|values| Matrix::new(r, self.m, self.n, values)),
        }
    }
}

/// A problem whose operands lie in memory.
struct Placed<'a, T: Scalar> {
    problem: &'a Problem<T>,
    a: Matrix<T>,
    b: Matrix<T>,
    c: Layout,
    residual: Option<Matrix<T>>,
}

impl<T: Scalar> Placed<'_, T> {
    fn options(&self, blocking: Option<Blocking>) -> Options<'_, T> {
        Options {
            alpha: self.problem.alpha,
            beta: self.problem.beta,
            bias: self.problem.bias(),
            residual: self.residual.as_ref().map(Matrix::view),
            relu: self.problem.relu,
            blocking,
        }
    }
    /// A fresh C.
    fn target(&self) -> Matrix<T> {
        Matrix::new(self.c, self.problem.m, self.problem.n, &self.problem.c)
    }
    fn run(&self, context: &Context, blocking: Option<Blocking>) -> crate::Result<Vec<T>> {
        let mut c = self.target();
        gemm(context, self.a.view(), self.b.view(), c.view_mut(), &self.options(blocking))?;
        Ok(c.values())
    }
}

/// The one comparison: the same bits, or both NaN, whose payload nobody promises. None if all agree.
fn difference<T: Scalar>(expected: &[T], actual: &[T]) -> Option<String> {
    if expected.len() != actual.len() {
        return Some(format!("{} elements instead of {}", actual.len(), expected.len()));
    }
    let same = |x: T, y: T| x.bits() == y.bits() || (x.to_f64().is_nan() && y.to_f64().is_nan());
    let i = (0..expected.len()).find(|&i| !same(expected[i], actual[i]))?;
    let (x, y) = (expected[i], actual[i]);
    Some(format!("element {i}: {x:?} ({:#x}) expected, {y:?} ({:#x}) found", x.bits(), y.bits()))
}

/// Panics with what the case was if two results differ.
#[track_caller]
fn assert_same<T: Scalar>(expected: &[T], actual: &[T], context: &Context, case: &dyn std::fmt::Debug) {
    if let Some(difference) = difference(expected, actual) {
        panic!("{}, {} with {} threads, {case:?}: {difference}", T::NAME, context.isa(), context.threads());
    }
}
