//! The matrix product, as the contract defines it.

use crate::kernels::gemm::{Bias, Sums};
use crate::parallel::left_size;
use crate::simd::Real;
use crate::tensor::{MatMut, MatRef};

/// `C = alpha A B + beta C`; the definition stands at [`crate::kernels::gemm`].
///
/// Shapes: A is m x k, B is k x n, C and the residual are m x n, a bias has one value for each column or row.
///
/// # Panics
/// If the shapes do not fit.
pub fn gemm<T: Real>(
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    mut c: MatMut<'_, T>,
    bias: Bias<'_, T>,
    residual: Option<MatRef<'_, T>>,
    relu: bool,
) {
    for i in 0..c.rows() {
        for j in 0..c.cols() {
            let mut acc = match bias {
                Bias::Columns(bias) => bias[j],
                Bias::Rows(bias) => bias[i],
                Bias::None if beta == T::ZERO => T::ZERO,
                Bias::None if beta == T::ONE => *c.at_mut(i, j),
                Bias::None => beta * *c.at_mut(i, j),
            };
            for p in 0..a.cols() {
                acc = (alpha * a.at(i, p)).fma(b.at(p, j), acc);
            }
            acc = T::ZERO + acc;
            if let Some(residual) = residual {
                acc = acc + residual.at(i, j);
            }
            if relu {
                acc = T::ZERO.max_select(acc);
            }
            *c.at_mut(i, j) = acc;
        }
    }
}

/// The sums over the columns and rows of a finished C; the rules stand at [`crate::kernels::gemm`].
///
/// # Panics
/// If the lengths do not fit.
pub fn sums<T: Real>(c: MatRef<'_, T>, sums: Sums<'_, T>) {
    let (m, n) = (c.rows(), c.cols());
    let add = |s: T, x: T| s + x;
    let add_square = |s: T, x: T| x.fma(x, s);
    let column = |j: usize, step: &dyn Fn(T, T) -> T| {
        tree(m.div_ceil(64), &|shard| (shard * 64..m.min((shard + 1) * 64)).fold(T::ZERO, |s, i| step(s, c.at(i, j))))
    };
    let row = |i: usize, step: &dyn Fn(T, T) -> T| {
        tree(n.div_ceil(16_384), &|shard| {
            let mut stripes = [T::ZERO; 64];
            for j in shard * 16_384..n.min((shard + 1) * 16_384) {
                stripes[j % 64] = step(stripes[j % 64], c.at(i, j));
            }
            for half in [32, 16, 8, 4, 2, 1] {
                for stripe in 0..half {
                    stripes[stripe] = stripes[stripe] + stripes[stripe + half];
                }
            }
            stripes[0]
        })
    };
    if let Some(results) = sums.columns {
        results.iter_mut().enumerate().for_each(|(j, result)| *result = column(j, &add));
    }
    if let Some(results) = sums.column_squares {
        results.iter_mut().enumerate().for_each(|(j, result)| *result = column(j, &add_square));
    }
    if let Some(results) = sums.rows {
        results.iter_mut().enumerate().for_each(|(i, result)| *result = row(i, &add));
    }
    if let Some(results) = sums.row_squares {
        results.iter_mut().enumerate().for_each(|(i, result)| *result = row(i, &add_square));
    }
}

/// `+0` plus the left-balanced tree over `count` shards.
fn tree<T: Real>(count: usize, shard: &dyn Fn(usize) -> T) -> T {
    fn part<T: Real>(from: usize, count: usize, shard: &dyn Fn(usize) -> T) -> T {
        if count == 1 {
            return shard(from);
        }
        let left = left_size(count);
        part(from, left, shard) + part(from + left, count - left, shard)
    }
    if count == 0 { T::ZERO } else { T::ZERO + part(0, count, shard) }
}
