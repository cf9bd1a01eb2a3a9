//! Sums and other reductions, in one fixed order each.
//!
//! # The order (numerics version 1)
//! **Flat reductions** ([`sum`], [`sum_of_squares`], [`dot`], [`squared_distance`], [`max`], [`max_abs`]) cut the
//! elements into shards of [`SHARD`] = 16,384. Inside a shard there are [`STRIPES`] = 64 stripes, and element `i` of the shard belongs to stripe
//! `i mod 64`. A stripe is one chain in ascending order:
//!
//! | reduction | chain starts at | step | joins two partial results, left and right |
//! |---|---|---|---|
//! | `sum` | `+0` | `s + x` | `left + right` |
//! | `sum_of_squares` | `+0` | `fma(x, x, s)` | `left + right` |
//! | `dot` | `+0` | `fma(a, b, s)` | `left + right` |
//! | `squared_distance` | `+0` | `fma(a - b, a - b, s)` | `left + right` |
//! | `max` | `-inf` | `if x > s { x } else { s }` | `if left > right { left } else { right }` |
//! | `max_abs` | `+0` | the same with the sign bit of `x` cleared | the same |
//!
//! Then the stripes halve: stripe `i` is joined with stripe `i + 32` for `i < 32`, then `i + 16`, 8, 4, 2, 1. Then the
//! left-balanced binary tree of [`crate::parallel`] joins the shards. The result is `+0 + acc`, so that a zero is always
//! `+0`; therefore an element that is not there and a zero element give the same bits. Without elements the result is
//! the start of the chain.
//!
//! [`mean`] divides the sum by the number of elements, [`norm`] is the square root of the sum of squares.
//!
//! **Row reductions** ([`row_sums`]) apply the flat rule to each row.
//!
//! **Column reductions** ([`column_sums`], [`column_moments`]) cut the rows into shards of [`SHARD_ROWS`] = 64. Inside a
//! shard each column is one chain from `+0` over ascending rows; the left-balanced tree joins the shards; the result is
//! `+0 + acc`.
//!
//! Threads take whole subtrees, so their number cannot change a bit; neither can the width of a register, because a
//! stripe never leaves its lane before the halving. A batch that is cut at a multiple of a power of two shards can be
//! put together again by the same tree.
//!
//! # Accuracy
//! An element passes at most 256 additions in its chain, 6 in the halving and one for each doubling of the shards: the
//! error bound grows like `262 + log2(n / 16384)` roundings instead of `n`.

mod columns;
mod flat;

pub use columns::{ColumnEntries, column_moments, column_sums, row_sums};

use crate::error::{Error, Result};
use crate::kernels::compiled_once;
use crate::parallel::Context;
use crate::simd::Real;
pub(crate) use flat::{Dot, Span, fold_in_place, indices, reduce_row, striped};
use flat::{Max, MaxAbs, SquaredDistance, Sum, SumOfSquares, flat};

/// Elements in a shard of a flat reduction. Part of the contract.
pub const SHARD: usize = 16_384;
/// Chains in a shard of a flat reduction. Part of the contract.
pub const STRIPES: usize = 64;
/// Rows in a shard of a column reduction. Part of the contract.
pub const SHARD_ROWS: usize = 64;

compiled_once! { Entries<T>:
/// The sum of all elements; `+0` without any.
///
/// # Errors
/// As [`Context::tree`].
pub fn sum(context: &Context, x: &[T]) -> Result<T> {
    flat::<T, _, STRIPES>(context, Sum, SHARD, x, x)
}

/// The sum divided by the number of elements, which is rounded to nearest if `T` cannot hold it (an `f32` can up to
/// 2^24).
///
/// # Errors
/// [`Error::Argument`] without elements, else as [`Context::tree`].
pub fn mean(context: &Context, x: &[T]) -> Result<T> {
    if x.is_empty() {
        let (what, requirement) = ("the number of elements", "at least 1");
        return Err(Error::Argument { op: "mean", what, requirement, actual: "0".to_owned() });
    }
    Ok(sum(context, x)? / T::from_f64(x.len() as f64))
}

/// The sum of the squares of all elements; `+0` without any.
///
/// # Errors
/// As [`Context::tree`].
pub fn sum_of_squares(context: &Context, x: &[T]) -> Result<T> {
    flat::<T, _, STRIPES>(context, SumOfSquares, SHARD, x, x)
}

/// The Euclidean norm: the square root of [`sum_of_squares`], not scaled. Squares that overflow make it infinite, and
/// those that underflow are lost.
///
/// # Errors
/// As [`Context::tree`].
pub fn norm(context: &Context, x: &[T]) -> Result<T> {
    Ok(sum_of_squares(context, x)?.sqrt())
}

/// The sum of `a[i] * b[i]`, each product fused into the addition; `+0` without elements.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tree`].
pub fn dot(context: &Context, a: &[T], b: &[T]) -> Result<T> {
    if a.len() != b.len() {
        return Err(Error::Shape { op: "dot", what: "elements of b", expected: a.len(), actual: b.len() });
    }
    flat::<T, _, STRIPES>(context, Dot, SHARD, a, b)
}

/// The sum of `(a[i] - b[i])^2`: the difference rounds, its square is fused into the addition; `+0` without elements.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tree`].
pub fn squared_distance(context: &Context, a: &[T], b: &[T]) -> Result<T> {
    if a.len() != b.len() {
        let op = "squared_distance";
        return Err(Error::Shape { op, what: "elements of b", expected: a.len(), actual: b.len() });
    }
    flat::<T, _, STRIPES>(context, SquaredDistance, SHARD, a, b)
}

/// The largest element; NaN are passed over. `-inf` if there is no other element.
///
/// # Errors
/// As [`Context::tree`].
pub fn max(context: &Context, x: &[T]) -> Result<T> {
    flat::<T, _, STRIPES>(context, Max, SHARD, x, x)
}

/// The largest magnitude; NaN are passed over. `+0` if there is no other element.
///
/// # Errors
/// As [`Context::tree`].
pub fn max_abs(context: &Context, x: &[T]) -> Result<T> {
    flat::<T, _, STRIPES>(context, MaxAbs, SHARD, x, x)
}

/// The index of the first element that is infinite or NaN.
///
/// # Errors
/// As [`Context::tree`].
pub fn first_non_finite(context: &Context, x: &[T]) -> Result<Option<usize>> {
    flat::first_non_finite(context, x)
}
}

#[cfg(test)]
mod tests;
