//! The singular value decomposition of small matrices.

use super::kernels::rotate_pair;
use super::{EPSILON, check_finite, power_scale};
use crate::error::{Error, Result};
use crate::kernels::{elementwise, reduce};
use crate::parallel::Context;
use crate::tensor::MatRef;

const OP: &str = "svd";
/// Sweeps over all pairs at most; six to ten are usual.
const MOST_SWEEPS: usize = 60;

/// `A = U' S V`: the thin decomposition of an m x n matrix, with k = min(m, n).
#[derive(Debug, Clone, PartialEq)]
pub struct Svd {
    /// k singular values, the largest first.
    pub values: Vec<f64>,
    /// k x m: the left singular vectors as rows. A row is zero where the singular value is.
    pub left: Vec<f64>,
    /// k x n: the right singular vectors as rows, an orthonormal set.
    pub right: Vec<f64>,
}

/// Decomposes `a` by one-sided Jacobi rotations (M. R. Hestenes, 1958), each pair of rows in turn until all are
/// orthogonal: `|x . y| <= 2^-52 n |x| |y|`.
///
/// Meant for matrices of up to some hundred rows: a sweep costs about `3 k^2 max(m, n)` operations on one thread. Small
/// singular values are found to high relative accuracy where the matrix determines them so. Of each right singular vector
/// (for m < n: of each left one) the first element whose magnitude is at least half of the largest is positive.
///
/// # Errors
/// [`Error::NotFinite`]; [`Error::NoConvergence`] after 60 sweeps (none is known).
pub fn svd(context: &Context, a: MatRef<'_, f64>) -> Result<Svd> {
    let scale = power_scale(check_finite(OP, &a)?);
    // The smaller side is made orthogonal: its vectors are rows here.
    let wide = a.rows() < a.cols();
    let a = if wide { a } else { a.transposed() };
    let (k, length) = (a.rows(), a.cols());
    let mut rows: Vec<f64> = (0..k * length).map(|i| scale * a.at(i / length, i % length)).collect();
    let mut turns = vec![0.0; k * k];
    (0..k).for_each(|i| turns[i * k + i] = 1.0);
    let tolerance = EPSILON * length as f64;
    let mut sweeps = 0;
    while orthogonalise(context, &mut rows, &mut turns, k, tolerance)? {
        sweeps += 1;
        if sweeps == MOST_SWEEPS {
            return Err(Error::NoConvergence { op: OP, iterations: sweeps });
        }
    }
    let norms = rows.chunks(length.max(1)).map(|row| reduce::norm(context, row)).collect::<Result<Vec<f64>>>()?;
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&i, &j| norms[j].total_cmp(&norms[i]));
    let (mut values, mut long, mut short) = (Vec::with_capacity(k), Vec::new(), Vec::new());
    for i in order {
        let (row, turn) = (&mut rows[i * length..(i + 1) * length], &mut turns[i * k..(i + 1) * k]);
        if norms[i] > 0.0 {
            row.iter_mut().for_each(|x| *x /= norms[i]);
        }
        let largest = reduce::max_abs(context, turn)?;
        if turn.iter().find(|x| x.abs() >= 0.5 * largest).is_some_and(|&x| x < 0.0) {
            elementwise::scale(context, -1.0, row)?;
            elementwise::scale(context, -1.0, turn)?;
        }
        values.push(norms[i] / scale);
        long.extend_from_slice(row);
        short.extend_from_slice(turn);
    }
    Ok(if wide { Svd { values, left: short, right: long } } else { Svd { values, left: long, right: short } })
}

/// One sweep over all pairs; whether a pair had to be turned.
fn orthogonalise(context: &Context, rows: &mut [f64], turns: &mut [f64], k: usize, tolerance: f64) -> Result<bool> {
    let length = rows.len().checked_div(k).unwrap_or(0);
    let mut turned = false;
    for i in 0..k {
        for j in i + 1..k {
            let (x, y) = pair(rows, length, i, j);
            let (xx, yy) = (reduce::sum_of_squares(context, x)?, reduce::sum_of_squares(context, y)?);
            let xy = reduce::dot(context, x, y)?;
            if xy.abs() <= tolerance * (xx.sqrt() * yy.sqrt()) {
                continue;
            }
            turned = true;
            // The smaller angle that makes the pair orthogonal.
            let half = (yy - xx) / (2.0 * xy);
            let root = if half.abs() > 1e150 { half.abs() } else { (1.0 + half * half).sqrt() };
            let t = 1.0 / if half < 0.0 { half - root } else { half + root };
            let c = 1.0 / (1.0 + t * t).sqrt();
            let s = c * t;
            // x = c x - s y, y = s x + c y
            rotate_pair(context, c, -s, x, y)?;
            let (x, y) = pair(turns, k, i, j);
            rotate_pair(context, c, -s, x, y)?;
        }
    }
    Ok(turned)
}

/// Rows i < j.
fn pair(rows: &mut [f64], length: usize, i: usize, j: usize) -> (&mut [f64], &mut [f64]) {
    let (head, tail) = rows.split_at_mut(j * length);
    (&mut head[i * length..(i + 1) * length], &mut tail[..length])
}
