//! The matrix product `C = alpha A B + beta C`, fused with what usually follows it.
//!
//! # Definition
//! For every element of C, in `f32` or `f64`, where `fma(a, b, c)` rounds once:
//!
//! ```text
//! acc  = +0                       if beta = 0 and there is no bias (C is not read)
//!      = bias                     if there is a bias (of the row or of the column; beta must be 0)
//!      = C[i,j]                   if beta = 1
//!      = beta * C[i,j]            otherwise
//! acc  = fma(alpha * A[i,p], B[p,j], acc)      for p = 0, 1, ..., k-1
//! acc  = +0 + acc
//! acc  = acc + residual[i,j]      if there is a residual
//! C[i,j] = relu(acc)              if asked for: if 0 > acc { +0 } else { acc }, so NaN stays NaN
//! ```
//!
//! `alpha * A[i,p]` is one rounding, and exact for alpha = 1. Sizes of zero are allowed: with k = 0 the chain is empty.
//! The order never depends on the shape: a row of a product has the same bits whether it is computed alone or with a
//! thousand others. [`crate::reference::gemm`] is this text in code.
//!
//! The sums ([`Sums`]) are taken of the stored C. Column sums run over shards of 64 rows, one ascending chain each
//! (`s + c`, `fma(c, c, s)`), then the left-balanced tree over shards, then `+0 + s`; row sums follow the rule of
//! [`crate::kernels::reduce`].
//!
//! # Method
//! Lanes are neighbouring columns, so a chain never crosses lanes and the width of the hardware cannot show. The
//! micro-kernel (`kernel`) holds a tile of C in registers for a block of k; between blocks C is stored and
//! loaded again, which changes nothing. Whichever of A and B is smaller is packed once and shared; the other is packed
//! by each task, a block at a time, and the block after it is prefetched meanwhile (`driver`). Where packing could not
//! pay, operands are read in place (`plan`).

mod driver;
mod kernel;
mod pack;
mod plan;
mod prepacked;
mod sums;
#[cfg(test)]
pub(crate) mod tests;

pub use plan::Blocking;
pub use prepacked::{PackedA, PackedB};

use crate::error::{Error, Result};
use crate::kernels::{Scalar, compiled_once};
use crate::parallel::Context;
use crate::simd::Real;
use crate::tensor::{MatMut, MatRef};

/// The left operand: a matrix, or one that was packed beforehand.
#[derive(Debug, Clone, Copy)]
pub enum Left<'a, T: Real> {
    /// As it lies in memory.
    Plain(MatRef<'a, T>),
    /// Packed for several products.
    Packed(&'a PackedA<T>),
}

/// The right operand: a matrix, or one that was packed beforehand.
#[derive(Debug, Clone, Copy)]
pub enum Right<'a, T: Real> {
    /// As it lies in memory.
    Plain(MatRef<'a, T>),
    /// Packed for several products.
    Packed(&'a PackedB<T>),
}

impl<'a, T: Real> From<MatRef<'a, T>> for Left<'a, T> {
    fn from(a: MatRef<'a, T>) -> Self {
        Self::Plain(a)
    }
}
impl<'a, T: Real> From<&'a PackedA<T>> for Left<'a, T> {
    fn from(a: &'a PackedA<T>) -> Self {
        Self::Packed(a)
    }
}
impl<'a, T: Real> From<MatRef<'a, T>> for Right<'a, T> {
    fn from(b: MatRef<'a, T>) -> Self {
        Self::Plain(b)
    }
}
impl<'a, T: Real> From<&'a PackedB<T>> for Right<'a, T> {
    fn from(b: &'a PackedB<T>) -> Self {
        Self::Packed(b)
    }
}

impl<T: Real> Left<'_, T> {
    fn shape(&self) -> (usize, usize) {
        match self {
            Self::Plain(a) => (a.rows(), a.cols()),
            Self::Packed(a) => a.shape(),
        }
    }
}
impl<T: Real> Right<'_, T> {
    fn shape(&self) -> (usize, usize) {
        match self {
            Self::Plain(b) => (b.rows(), b.cols()),
            Self::Packed(b) => b.shape(),
        }
    }
}

/// A value added to every element of a column or of a row: the start of its chain.
#[derive(Debug, Clone, Copy, Default)]
pub enum Bias<'a, T> {
    /// Chains start from `+0` or from C.
    #[default]
    None,
    /// One value for each of the n columns.
    Columns(&'a [T]),
    /// One value for each of the m rows.
    Rows(&'a [T]),
}

/// What a product does beside multiplying; [`Options::default`] is `C = A B`.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a, T: Real> {
    /// The factor of A.
    pub alpha: T,
    /// The factor of C; with zero C is not read, so it may hold anything.
    pub beta: T,
    /// What the chains start from, if not from C.
    pub bias: Bias<'a, T>,
    /// An m x n matrix to add at the end.
    pub residual: Option<MatRef<'a, T>>,
    /// Whether negative results become `+0`.
    pub relu: bool,
    /// Sizes of blocks and tasks; None chooses them. They never change a bit.
    pub blocking: Option<Blocking>,
}

impl<T: Real> Default for Options<'_, T> {
    fn default() -> Self {
        Self { alpha: T::ONE, beta: T::ZERO, bias: Bias::None, residual: None, relu: false, blocking: None }
    }
}

/// Sums over the finished C, taken while it is still in the cache. None of them changes C.
#[derive(Debug)]
pub struct Sums<'a, T> {
    /// For n columns: the sums over the rows.
    pub columns: Option<&'a mut [T]>,
    /// For n columns: the sums of squares over the rows.
    pub column_squares: Option<&'a mut [T]>,
    /// For m rows: the sums over the columns.
    pub rows: Option<&'a mut [T]>,
    /// For m rows: the sums of squares over the columns.
    pub row_squares: Option<&'a mut [T]>,
}

impl<T> Sums<'_, T> {
    /// No sums.
    #[must_use]
    pub fn none() -> Self {
        Self { columns: None, column_squares: None, rows: None, row_squares: None }
    }
    fn is_empty(&self) -> bool {
        self.columns.is_none() && self.column_squares.is_none() && self.rows.is_none() && self.row_squares.is_none()
    }
}

/// `C = alpha A B + beta C` with the epilogue that `options` ask for; A is m x k, B is k x n, C is m x n.
///
/// Transposed operands are views ([`MatRef::transposed`]); any strides work, unit strides along one dimension are
/// fast. C cannot overlap A or B, since Rust does not lend it twice.
///
/// ```
/// use regularity_engine::kernels::gemm::{gemm, Options};
/// use regularity_engine::tensor::{MatMut, MatRef};
/// use regularity_engine::{Context, Isa};
/// let context = Context::new(Isa::detect(), 1)?;
/// let (a, b) = ([1.0f32, 2.0, 3.0, 4.0], [5.0, 6.0]);
/// let mut c = [0.0; 2];
/// gemm(&context, MatRef::new(&a, 2, 2)?, MatRef::new(&b, 2, 1)?, MatMut::new(&mut c, 2, 1)?, &Options::default())?;
/// assert_eq!(c, [17.0, 39.0]);
/// # Ok::<(), regularity_engine::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] if the shapes do not fit, [`Error::Argument`] for a bias beside a nonzero beta, for an alpha other
/// than one with a packed operand, or for a blocking that the tier has no tile for; [`Error::OutOfMemory`] for
/// scratch space; [`Error::FloatEnvironment`] if a thread does not compute as IEEE-754 says.
pub fn gemm<'a, T: Scalar>(
    context: &Context,
    a: impl Into<Left<'a, T>>,
    b: impl Into<Right<'a, T>>,
    c: MatMut<'_, T>,
    options: &Options<'_, T>,
) -> Result<()> {
    gemm_with_sums(context, a, b, c, options, Sums::none())
}

/// [`gemm`], and sums over the finished C.
///
/// # Errors
/// As [`gemm`], and [`Error::Shape`] if a sum has not one place for each column or row.
pub fn gemm_with_sums<'a, T: Scalar>(
    context: &Context,
    a: impl Into<Left<'a, T>>,
    b: impl Into<Right<'a, T>>,
    c: MatMut<'_, T>,
    options: &Options<'_, T>,
    sums: Sums<'_, T>,
) -> Result<()> {
    product(context, a.into(), b.into(), c, options, sums)
}

compiled_once! { Entries<T>:
fn product(
    context: &Context,
    a: Left<'_, T>,
    b: Right<'_, T>,
    c: MatMut<'_, T>,
    options: &Options<'_, T>,
    sums: Sums<'_, T>,
) -> Result<()> {
    check(&a, &b, &c, options, &sums)?;
    driver::run(context, a, b, c, options, sums)
}

fn pack_left(context: &Context, alpha: T, a: MatRef<'_, T>) -> Result<PackedA<T>> {
    prepacked::pack_left(context, alpha, a)
}

fn pack_right(context: &Context, b: MatRef<'_, T>) -> Result<PackedB<T>> {
    prepacked::pack_right(context, b)
}
}

fn check<T: Real>(
    a: &Left<'_, T>,
    b: &Right<'_, T>,
    c: &MatMut<'_, T>,
    o: &Options<'_, T>,
    s: &Sums<'_, T>,
) -> Result<()> {
    let op = "gemm";
    let same = |what: &'static str, expected: usize, actual: usize| {
        if expected == actual { Ok(()) } else { Err(Error::Shape { op, what, expected, actual }) }
    };
    let ((m, k), (b_rows, n)) = (a.shape(), b.shape());
    same("the number of rows of b", k, b_rows)?;
    same("the number of rows of c", m, c.rows())?;
    same("the number of columns of c", n, c.cols())?;
    match o.bias {
        Bias::None => {}
        Bias::Columns(bias) => same("the length of the column bias", n, bias.len())?,
        Bias::Rows(bias) => same("the length of the row bias", m, bias.len())?,
    }
    if let Some(residual) = o.residual {
        same("the number of rows of the residual", m, residual.rows())?;
        same("the number of columns of the residual", n, residual.cols())?;
    }
    let lengths = [
        ("the length of the column sums", n, &s.columns),
        ("the length of the column sums of squares", n, &s.column_squares),
        ("the length of the row sums", m, &s.rows),
        ("the length of the row sums of squares", m, &s.row_squares),
    ];
    for (what, expected, sums) in lengths {
        if let Some(sums) = sums {
            same(what, expected, sums.len())?;
        }
    }
    if !matches!(o.bias, Bias::None) && o.beta != T::ZERO {
        let actual = format!("{:?}", o.beta);
        return Err(Error::Argument { op, what: "beta", requirement: "0 beside a bias", actual });
    }
    if o.alpha != T::ONE && (matches!(a, Left::Packed(_)) || matches!(b, Right::Packed(_))) {
        let actual = format!("{:?}", o.alpha);
        return Err(Error::Argument { op, what: "alpha", requirement: "1 with a packed operand", actual });
    }
    Ok(())
}
