//! Cholesky factors, and solutions of triangular systems.

use super::kernels::solve_block;
use super::{check_finite, check_square};
use crate::error::{Error, Result};
use crate::kernels::gemm;
use crate::parallel::Context;
use crate::simd::Real;
use crate::tensor::{MatMut, MatRef};

/// Rows of a block on the diagonal. Part of the contract of [`solve_upper`] alone.
pub(crate) const BLOCK: usize = 32;

/// Replaces the lower triangle of `a` by L with `A = L L'`, L having a positive diagonal; the strict upper triangle
/// becomes zero. Only the lower triangle is read.
///
/// ```text
/// l_jj = sqrt(+0 + acc)            acc = a_jj, then fma(-l_jp, l_jp, acc) for p = 0, ..., j-1
/// l_ij = (+0 + acc) / l_jj         acc = a_ij, then fma(-l_ip, l_jp, acc) for p = 0, ..., j-1
/// ```
///
/// Shapes: `a` is an n x n matrix, row after row. Costs `n^3 / 3` operations.
///
/// # Errors
/// [`Error::Shape`] unless `a` has n^2 elements; [`Error::NotFinite`]; [`Error::NotPositive`] at the first pivot that is
/// not above zero, when `a` is left half done.
pub fn cholesky(context: &Context, a: &mut [f64], n: usize) -> Result<()> {
    let op = "cholesky";
    if a.len() != n * n {
        return Err(Error::Shape { op, what: "the number of elements", expected: n * n, actual: a.len() });
    }
    check_finite(op, &MatRef::new(a, n, n)?)?;
    let subtract = gemm::Options { alpha: -1.0, beta: 1.0, ..gemm::Options::default() };
    let (mut solved, mut panel) = (vec![0.0; n * BLOCK], vec![0.0; n * BLOCK]);
    for from in (0..n).step_by(BLOCK) {
        let width = BLOCK.min(n - from);
        let height = n - from;
        // The columns of this block as rows of `panel`: what the columns to the left leave of them.
        for (i, row) in a[from * n..].chunks(n).enumerate() {
            for j in 0..width {
                panel[j * height + i] = row[from + j];
            }
        }
        let rows = MatRef::with_strides(&a[from * n..], height, from, n, 1)?;
        let own = MatRef::with_strides(&a[from * n..], width, from, n, 1)?;
        gemm::gemm(context, own, rows.transposed(), MatMut::new(&mut panel, width, height)?, &subtract)?;
        let factor = &mut solved[..width * width];
        factor_block(op, from, factor, &panel, width, height)?;
        let triangle = MatRef::new(factor, width, width)?;
        let below = height - width;
        solve_block(context, triangle, false, &mut panel[width..], height, below)?;
        for (i, row) in a[from * n..].chunks_mut(n).enumerate() {
            for j in 0..width {
                row[from + j] = if i < width { factor[i * width + j] } else { panel[j * height + i] };
            }
            if i < width {
                row[from + width..].fill(0.0);
            }
        }
    }
    Ok(())
}

/// The factor of the block on the diagonal, `width` x `width`; `panel` holds its columns as rows.
fn factor_block(
    op: &'static str,
    from: usize,
    factor: &mut [f64],
    panel: &[f64],
    width: usize,
    height: usize,
) -> Result<()> {
    factor.fill(0.0);
    for j in 0..width {
        for i in j..width {
            let mut acc = panel[j * height + i];
            for p in 0..j {
                acc = (-factor[i * width + p]).fma(factor[j * width + p], acc);
            }
            acc += 0.0;
            if i > j {
                factor[i * width + j] = acc / factor[j * width + j];
            } else if acc > 0.0 {
                factor[j * width + j] = acc.sqrt();
            } else {
                return Err(Error::NotPositive { op, index: from + j, pivot: format!("{acc:e}") });
            }
        }
    }
    Ok(())
}

/// Solves `L X = B` in place: `x_j = (+0 + acc) / l_jj`, where `acc` is `b_j`, then `fma(-l_jp, x_p, acc)` for
/// p = 0, ..., j-1.
///
/// Shapes: `l` is n x n, its lower triangle is read; `b` is n x columns, row after row.
///
/// # Errors
/// [`Error::Shape`] if the shapes do not fit; [`Error::NotPositive`] if an element of the diagonal is zero or no number.
pub fn solve_lower(context: &Context, l: MatRef<'_, f64>, b: &mut [f64], columns: usize) -> Result<()> {
    let n = check_solve("solve_lower", &l, b, columns)?;
    for from in (0..n).step_by(BLOCK) {
        let width = BLOCK.min(n - from);
        let (solved, rest) = b.split_at_mut(from * columns);
        let x = MatRef::new(solved, from, columns)?;
        solve_step(context, &l, (from, width), (0, from), x, rest, columns, false)?;
    }
    Ok(())
}

/// Solves `U X = B` in place, in blocks of 32 rows that begin at multiples of 32: `x_j = (+0 + acc) / u_jj`, where `acc` is
/// `b_j`, then `fma(-u_jp, x_p, acc)` for p from the end of the block of j to n - 1, then for p from the end of the block
/// down to j + 1.
///
/// Shapes: `u` is n x n, its upper triangle is read, so that the transposed view of a Cholesky factor serves; `b` is
/// n x columns, row after row.
///
/// # Errors
/// As [`solve_lower`].
pub fn solve_upper(context: &Context, u: MatRef<'_, f64>, b: &mut [f64], columns: usize) -> Result<()> {
    let n = check_solve("solve_upper", &u, b, columns)?;
    for from in (0..n).step_by(BLOCK).rev() {
        let width = BLOCK.min(n - from);
        let (rest, solved) = b.split_at_mut((from + width) * columns);
        let x = MatRef::new(solved, n - from - width, columns)?;
        let own = &mut rest[from * columns..];
        solve_step(context, &u, (from, width), (from + width, n - from - width), x, own, columns, true)?;
    }
    Ok(())
}

/// Rows `from..from + width` of a system whose rows `x` (columns `left..left + count` of the matrix) are solved.
fn solve_step(
    context: &Context,
    t: &MatRef<'_, f64>,
    (from, width): (usize, usize),
    (left, count): (usize, usize),
    x: MatRef<'_, f64>,
    b: &mut [f64],
    columns: usize,
    backward: bool,
) -> Result<()> {
    let part = |row: usize, column: usize, rows: usize, columns: usize| {
        let at = (row * t.row_stride() + column * t.col_stride()).min(t.data().len());
        MatRef::with_strides(&t.data()[at..], rows, columns, t.row_stride(), t.col_stride())
    };
    let subtract = gemm::Options { alpha: -1.0, beta: 1.0, ..gemm::Options::default() };
    gemm::gemm(context, part(from, left, width, count)?, x, MatMut::new(b, width, columns)?, &subtract)?;
    solve_block(context, part(from, from, width, width)?, backward, b, columns, columns)
}

fn check_solve(op: &'static str, t: &MatRef<'_, f64>, b: &[f64], columns: usize) -> Result<usize> {
    check_square(op, t)?;
    let n = t.rows();
    if b.len() != n * columns {
        return Err(Error::Shape { op, what: "the number of elements of b", expected: n * columns, actual: b.len() });
    }
    for index in 0..n {
        let pivot = t.at(index, index);
        if pivot == 0.0 || !pivot.is_finite() {
            return Err(Error::NotPositive { op, index, pivot: format!("{pivot:e}") });
        }
    }
    Ok(n)
}
