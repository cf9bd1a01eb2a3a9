//! Dense linear algebra in `f64`: symmetric eigenproblems, Cholesky factors with triangular solves, singular values.
//!
//! ```
//! use regularity_engine::linalg::SymmetricEigen;
//! use regularity_engine::tensor::MatRef;
//! use regularity_engine::{Context, Isa};
//! let context = Context::new(Isa::detect(), 1)?;
//! let eigen = SymmetricEigen::new(&context, MatRef::new(&[2.0, 1.0, 1.0, 2.0], 2, 2)?)?;
//! assert!((eigen.values()[0] - 3.0).abs() < 1e-15 && (eigen.values()[1] - 1.0).abs() < 1e-15);
//! # Ok::<(), regularity_engine::Error>(())
//! ```
//!
//! # The same bits everywhere
//! Like all kernels, these give the same bits on every tier and at every number of threads. That is why they are here:
//! the usual libraries choose blocks, fused operations and the split of sums by the machine.
//!
//! | operation | what is part of the contract |
//! |---|---|
//! | [`SymmetricEigen`] | the matrix is scaled by a power of two to a largest element in [1, 2); Householder reflectors from the first row on, in panels of 32 whose updates are deferred; symmetric products over shards of 64 rows; implicit QL from the end with the smaller diagonal element; reflectors applied back in blocks of 64; canonical order and signs |
//! | [`cholesky`] | one chain of `fma(-l_ip, l_jp, .)` an element over ascending p, then the division: blocks cannot change a bit |
//! | [`solve_lower`] | the same chain |
//! | [`solve_upper`] | blocks of 32 rows from the last on: a chain over the solved blocks' columns in ascending order, then one inside of the block in descending order |
//! | [`svd`] | one-sided Jacobi, pairs in cyclic order; dot products by the rule of [`crate::kernels::reduce`] |
//!
//! The scalar twins of the vector loops are in [`crate::reference::linalg`].
//!
//! # Accuracy
//! The eigensolver and the Cholesky factor are backward stable: the results are exact for a matrix that differs from the
//! given one by a small multiple of `n 2^-53` of its norm (the tests hold them to it). The eigenvectors are orthonormal
//! to the same degree, also inside of clusters. One-sided Jacobi finds small singular values to high *relative* accuracy.
//!
//! # Method of the eigensolver
//! `A = Q T Q'` by Householder reflectors; the products of the panel with the rest of the matrix read each element above the
//! diagonal once and use it twice. `T = Z D Z'` by the implicit QL algorithm, whose plane rotations are noted down for
//! dozens of sweeps and then applied to panels of sixteen columns of Z, each in cache, by all threads (F. G. Van Zee,
//! R. A. van de Geijn and G. Quintana-Ortí, "Restructuring the tridiagonal and bidiagonal QR algorithms for performance",
//! 2014). `Q Z` by blocks of reflectors and matrix products.

mod cholesky;
mod eigen;
mod kernels;
mod svd;
#[cfg(test)]
mod tests;
mod tridiagonal;

pub use cholesky::{cholesky, solve_lower, solve_upper};
pub use eigen::SymmetricEigen;
pub use kernels::{SHARD_ROWS, Sweep};
pub use svd::{Svd, svd};

use crate::error::{Error, Result};
use crate::tensor::MatRef;

/// `2^-52`: the distance from 1 to the next `f64`.
const EPSILON: f64 = f64::EPSILON;

/// The matrix must be square.
fn check_square(op: &'static str, a: &MatRef<'_, f64>) -> Result<()> {
    if a.rows() == a.cols() {
        return Ok(());
    }
    Err(Error::Shape { op, what: "the number of columns", expected: a.rows(), actual: a.cols() })
}

/// All elements must be finite; gives the largest magnitude.
fn check_finite(op: &'static str, a: &MatRef<'_, f64>) -> Result<f64> {
    let mut largest = 0.0;
    for row in 0..a.rows() {
        for column in 0..a.cols() {
            let x = a.at(row, column).abs();
            if !x.is_finite() {
                return Err(Error::NotFinite { op, what: "the matrix", row, column });
            }
            if x > largest {
                largest = x;
            }
        }
    }
    Ok(largest)
}

/// `2^-k` with `2^k <= x < 2^(k+1)`, for a positive `x`; 1 for zero. Within the range of normal numbers.
fn power_scale(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    // A subnormal has the exponent field 0 and is treated as the smallest normal.
    let field = (x.to_bits() >> 52).clamp(1, 2045);
    f64::from_bits((2046 - field) << 52)
}
