//! `A = Q T Q'` with T tridiagonal, by Householder reflectors.
//!
//! # Outline
//! Reflector `k` is `H_k = I - tau_k v_k v_k'` with `v_k` zero up to element k and 1 at k + 1; it brings row k of the
//! matrix to tridiagonal form. With `w = tau (A v) - (tau^2 / 2) (v' A v) v` the matrix becomes `A - v w' - w v'`. Inside a
//! panel of [`BLOCK`] reflectors only the row that is wanted next is brought up to date (`combine`); the products
//! `A v` use the matrix from before the panel and subtract what the panel has done. After a panel one matrix product
//! brings the rest up to date (J. J. Dongarra, S. J. Hammarling and D. C. Sorensen, "Block reduction of matrices to
//! condensed forms", 1989).
//!
//! Only the upper triangle is used, row after row, so that a reflector and all that is done with it runs along rows.

use super::kernels::{LANES, combine, product_scratch, row_dots, symmetric_product};
use crate::error::Result;
use crate::kernels::{elementwise, gemm, reduce};
use crate::memory::Buffer;
use crate::parallel::Context;
use crate::tensor::{MatMut, MatRef};

/// Reflectors in a panel. Part of the contract.
const BLOCK: usize = 32;
/// Reflectors that are applied back together. Part of the contract.
const BACK_BLOCK: usize = 64;
/// Rows in a product that brings the triangle up to date. Bit-neutral.
const UPDATE_ROWS: usize = 256;

/// A matrix in tridiagonal form, and how it came there.
pub(super) struct Tridiagonal {
    /// Rows of the matrix.
    pub n: usize,
    /// `n` rounded up to whole vectors: the pitch of `reflectors`.
    size: usize,
    /// The diagonal of T, `n` elements.
    pub diagonal: Vec<f64>,
    /// The elements beside it, `n - 1` of them (one more, zero, at the end).
    pub beside: Vec<f64>,
    /// Row k is `v_k`.
    reflectors: Buffer<f64>,
    /// `tau_k`.
    factors: Vec<f64>,
}

impl Tridiagonal {
    /// Reduces the symmetric matrix `scale * a`, of which the upper triangle is read.
    pub(super) fn new(context: &Context, a: MatRef<'_, f64>, scale: f64) -> Result<Self> {
        let n = a.rows();
        let size = n.next_multiple_of(LANES);
        let mut upper = Buffer::zeroed(size * size)?;
        for i in 0..n {
            for j in i..n {
                upper[i * size + j] = scale * a.at(i, j);
            }
        }
        let mut work = Work::new(size)?;
        let (mut diagonal, mut beside, mut factors) = (vec![0.0; size], vec![0.0; n], vec![0.0; n]);
        let reflections = n.saturating_sub(2);
        for start in (0..reflections).step_by(BLOCK) {
            let end = (start + BLOCK).min(reflections);
            hide_diagonal(&mut upper, &mut diagonal, start, size);
            for k in start..end {
                let row = &mut upper[k * size..(k + 1) * size];
                row[k] = diagonal[k];
                work.bring_up_to_date(context, k, k - start, row)?;
                diagonal[k] = row[k];
                row[..=k].fill(0.0);
                (beside[k], factors[k]) = reflector(context, &mut row[k + 1..])?;
                work.v.copy_from_slice(row);
                work.extend(context, &upper, &diagonal, k, k - start, factors[k])?;
            }
            show_diagonal(&mut upper, &diagonal, end, size);
            work.update(context, &mut upper, n, end, end - start)?;
        }
        // What is left is two by two.
        for k in reflections..n {
            diagonal[k] = upper[k * size + k];
            if k + 1 < n {
                beside[k] = upper[k * size + k + 1];
            }
        }
        diagonal.truncate(n);
        Ok(Self { n, size, diagonal, beside, reflectors: upper, factors })
    }

    /// `rows = rows Q'`, for an n x n matrix that holds vectors as rows: eigenvectors of T become eigenvectors of A.
    pub(super) fn apply_back(&self, context: &Context, rows: &mut [f64]) -> Result<()> {
        let (n, size) = (self.n, self.size);
        let reflections = n.saturating_sub(2);
        let mut product = Buffer::zeroed(n * BACK_BLOCK)?;
        let mut weighted = Buffer::zeroed(n * BACK_BLOCK)?;
        for start in (0..reflections).step_by(BACK_BLOCK).rev() {
            let count = BACK_BLOCK.min(reflections - start);
            let (left, length) = (start + 1, n - start - 1);
            let v = MatRef::with_strides(&self.reflectors[start * size + left..], count, length, size, 1)?;
            let t = self.triangle(context, v, start)?;
            let x = MatRef::with_strides(&rows[left..], n, length, n, 1)?;
            let options = gemm::Options::default();
            gemm::gemm(context, x, v.transposed(), MatMut::new(&mut product, n, count)?, &options)?;
            let (p, t) = (MatRef::new(&product, n, count)?, MatRef::new(&t, count, count)?);
            gemm::gemm(context, p, t.transposed(), MatMut::new(&mut weighted, n, count)?, &options)?;
            let subtract = gemm::Options { alpha: -1.0, beta: 1.0, ..options };
            let x = MatMut::with_strides(&mut rows[left..], n, length, n, 1)?;
            gemm::gemm(context, MatRef::new(&weighted, n, count)?, v, x, &subtract)?;
        }
        Ok(())
    }

    /// The upper triangle T of `H_start H_(start+1) ... = I - V' T V`, V holding the reflectors as rows
    /// (R. Schreiber and C. Van Loan, 1989): column j is `-tau_j T (V v_j)` above `tau_j`.
    fn triangle(&self, context: &Context, v: MatRef<'_, f64>, start: usize) -> Result<Vec<f64>> {
        let count = v.rows();
        let mut products = vec![0.0; count * count];
        let options = gemm::Options::default();
        gemm::gemm(context, v, v.transposed(), MatMut::new(&mut products, count, count)?, &options)?;
        let mut t = vec![0.0; count * count];
        for j in 0..count {
            let tau = self.factors[start + j];
            for i in 0..j {
                let mut sum = 0.0;
                for p in i..j {
                    sum += t[i * count + p] * products[p * count + j];
                }
                t[i * count + j] = -tau * sum;
            }
            t[j * count + j] = tau;
        }
        Ok(t)
    }
}

/// Keeps the diagonal aside, and clears what shares a group of columns with it, as [`symmetric_product`] wants it.
fn hide_diagonal(upper: &mut [f64], diagonal: &mut [f64], from: usize, size: usize) {
    for i in from..size {
        diagonal[i] = upper[i * size + i];
        upper[i * size + i / LANES * LANES..=i * size + i].fill(0.0);
    }
}

/// Puts it back.
fn show_diagonal(upper: &mut [f64], diagonal: &[f64], from: usize, size: usize) {
    for i in from..size {
        upper[i * size + i] = diagonal[i];
    }
}

/// Makes `x` the reflector that brings it to `(beta, 0, ..., 0)`, with first element 1; gives `(beta, tau)`.
fn reflector(context: &Context, x: &mut [f64]) -> Result<(f64, f64)> {
    let (head, rest) = (x[0], reduce::norm(context, &x[1..])?);
    x[0] = 1.0;
    if rest == 0.0 {
        x[1..].fill(0.0);
        return Ok((head, 0.0));
    }
    let norm = (head * head + rest * rest).sqrt();
    let beta = if head > 0.0 { -norm } else { norm };
    elementwise::scale(context, 1.0 / (head - beta), &mut x[1..])?;
    Ok((beta, (beta - head) / beta))
}

/// The panel: its reflectors v and their partners w.
struct Work {
    size: usize,
    v: Buffer<f64>,
    w: Buffer<f64>,
    dots: Buffer<f64>,
    scratch: Buffer<f64>,
    /// Rows v_0, w_0, v_1, w_1, ... of the panel.
    vw: Buffer<f64>,
    /// Rows w_0, v_0, w_1, v_1, ...: row by row the partners of the others.
    wv: Buffer<f64>,
}

impl Work {
    fn new(size: usize) -> Result<Self> {
        Ok(Self {
            size,
            v: Buffer::zeroed(size)?,
            w: Buffer::zeroed(size)?,
            dots: Buffer::zeroed(2 * BLOCK)?,
            scratch: Buffer::zeroed(product_scratch(size))?,
            vw: Buffer::zeroed(2 * BLOCK * size)?,
            wv: Buffer::zeroed(2 * BLOCK * size)?,
        })
    }

    /// Takes from row k of the matrix what the `done` reflectors of the panel have done to it.
    fn bring_up_to_date(&mut self, context: &Context, k: usize, done: usize, row: &mut [f64]) -> Result<()> {
        for p in 0..2 * done {
            self.dots[p] = self.vw[p * self.size + k];
        }
        let left = k / LANES * LANES;
        combine(context, &self.dots[..2 * done], &self.wv[left..], self.size, &mut row[left..])
    }

    /// Computes w for the reflector `self.v` of row k, and notes both down as number `done` of the panel.
    fn extend(
        &mut self,
        context: &Context,
        upper: &[f64],
        diagonal: &[f64],
        k: usize,
        done: usize,
        tau: f64,
    ) -> Result<()> {
        let size = self.size;
        let (v, w) = (&self.v, &mut self.w);
        symmetric_product(context, upper, diagonal, k + 1, v, &mut self.scratch, w)?;
        // Whole vectors; v and so all that counts is zero to the left of k + 1.
        let left = (k + 1) / LANES * LANES;
        let (v, w) = (&v[left..], &mut w[left..]);
        w[..k + 1 - left].fill(0.0);
        let dots = &mut self.dots[..2 * done];
        row_dots(context, &self.wv[left..], size, v, dots)?;
        combine(context, dots, &self.vw[left..], size, w)?;
        w[..k + 1 - left].fill(0.0);
        elementwise::scale(context, tau, w)?;
        let half = -0.5 * tau * reduce::dot(context, v, w)?;
        elementwise::axpy(context, half, v, w)?;
        for (rows, even, odd) in [(&mut self.vw, v, &*w), (&mut self.wv, &*w, v)] {
            for (place, values) in [(2 * done, even), (2 * done + 1, odd)] {
                let row = &mut rows[place * size..(place + 1) * size];
                row[..left].fill(0.0);
                row[left..].copy_from_slice(values);
            }
        }
        Ok(())
    }

    /// Brings the rows and columns from `from` on up to date with all `count` reflectors.
    fn update(&mut self, context: &Context, upper: &mut [f64], n: usize, from: usize, count: usize) -> Result<()> {
        let size = self.size;
        let subtract = gemm::Options { alpha: -1.0, beta: 1.0, ..gemm::Options::default() };
        for top in (from..n).step_by(UPDATE_ROWS) {
            let (height, width) = (UPDATE_ROWS.min(n - top), n - top);
            let a = MatRef::with_strides(&self.vw[top..], 2 * count, height, size, 1)?.transposed();
            let b = MatRef::with_strides(&self.wv[top..], 2 * count, width, size, 1)?;
            let c = MatMut::with_strides(&mut upper[top * size + top..], height, width, size, 1)?;
            gemm::gemm(context, a, b, c, &subtract)?;
        }
        Ok(())
    }
}
