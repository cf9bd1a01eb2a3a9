//! The vector loops of [`crate::linalg`], as the contract defines them.

use super::reduce::column_sums;
use crate::linalg::{SHARD_ROWS, Sweep};
use crate::simd::Real;
use crate::tensor::MatRef;

/// `y_i = A x` for a symmetric matrix of which the upper triangle of `a` is read, rows and columns `from..n`:
///
/// ```text
/// sum_j   = the column sums, by the rule of kernels::reduce, over the rows' shards (64, from row 0) of
///           one chain of fma(a_ij, x_i, .) over the rows i < j of the shard, ascending
/// dot_i   = eight chains of fma(a_ij, x_j, .) over the columns j > i with j mod 8 = 0, ..., 7, ascending; halved
/// y_i     = (sum_i + dot_i) + a_ii x_i
/// ```
pub fn symmetric_product<T: Real>(a: MatRef<'_, T>, from: usize, x: &[T]) -> Vec<T> {
    let n = a.rows();
    let (first, shards) = (from / SHARD_ROWS, n.div_ceil(SHARD_ROWS));
    let mut partials = vec![T::ZERO; (shards - first) * n];
    for i in from..n {
        let partial = &mut partials[(i / SHARD_ROWS - first) * n..][..n];
        for (j, sum) in partial.iter_mut().enumerate().skip(i + 1) {
            *sum = a.at(i, j).fma(x[i], *sum);
        }
    }
    let mut y = vec![T::ZERO; n];
    if let Ok(partials) = MatRef::new(&partials, shards - first, n) {
        column_sums(partials, &mut y);
    }
    for i in from..n {
        let mut dots = [T::ZERO; 8];
        for j in i + 1..n {
            dots[j % 8] = a.at(i, j).fma(x[j], dots[j % 8]);
        }
        for half in [4, 2, 1] {
            for lane in 0..half {
                dots[lane] = dots[lane] + dots[lane + half];
            }
        }
        y[i] = (y[i] + dots[0]) + a.at(i, i) * x[i];
    }
    y
}

/// `y_j = fma(-f_p, r_pj, y_j)` for p = 0, 1, ...
pub fn combine<T: Real>(factors: &[T], rows: MatRef<'_, T>, y: &mut [T]) {
    for (j, y) in y.iter_mut().enumerate() {
        for (p, &factor) in factors.iter().enumerate() {
            *y = (-factor).fma(rows.at(p, j), *y);
        }
    }
}

/// Plane rotations of neighbouring rows of a matrix of `columns` columns.
pub fn rotate<T: Real>(sweep: Sweep, rotations: &[[T; 2]], columns: usize, matrix: &mut [T]) {
    for (k, &[c, s]) in rotations.iter().enumerate() {
        for column in 0..columns {
            let (at_z, at_y) = (sweep.row(k) * columns + column, sweep.row(k + 1) * columns + column);
            let (z, y) = (matrix[at_z], matrix[at_y]);
            matrix[at_z] = s.fma(y, c * z);
            matrix[at_y] = (-s).fma(z, c * y);
        }
    }
}

/// `A = L L'`, one chain an element.
pub fn cholesky<T: Real>(a: &mut [T], n: usize) {
    for j in 0..n {
        for i in 0..n {
            if i < j {
                a[i * n + j] = T::ZERO;
                continue;
            }
            let mut acc = a[i * n + j];
            for p in 0..j {
                acc = (-a[i * n + p]).fma(a[j * n + p], acc);
            }
            acc = T::ZERO + acc;
            a[i * n + j] = if i == j { acc.sqrt() } else { acc / a[j * n + j] };
        }
    }
}

/// `L X = B`, one chain an element.
pub fn solve_lower<T: Real>(l: MatRef<'_, T>, b: &mut [T], columns: usize) {
    for column in 0..columns {
        for j in 0..l.rows() {
            let mut acc = b[j * columns + column];
            for p in 0..j {
                acc = (-l.at(j, p)).fma(b[p * columns + column], acc);
            }
            b[j * columns + column] = (T::ZERO + acc) / l.at(j, j);
        }
    }
}

/// `U X = B`: behind the block of `block` rows ascending, inside of it descending.
pub fn solve_upper<T: Real>(u: MatRef<'_, T>, block: usize, b: &mut [T], columns: usize) {
    let n = u.rows();
    for column in 0..columns {
        for j in (0..n).rev() {
            let end = ((j / block + 1) * block).min(n);
            let mut acc = b[j * columns + column];
            for p in (end..n).chain((j + 1..end).rev()) {
                acc = (-u.at(j, p)).fma(b[p * columns + column], acc);
            }
            b[j * columns + column] = (T::ZERO + acc) / u.at(j, j);
        }
    }
}
