//! Sums over the columns and rows of a finished C.

use std::ops::Range;

use super::Sums;
use super::plan::SHARD_ROWS;
use crate::error::{Error, Result};
use crate::memory::Scratch;
use crate::parallel::{Context, Shards, TreeFold, left_size};
use crate::simd::{Kernel, Real, Tier, Vector};
use crate::tensor::MatRef;

/// One partial sum, and one of squares, for each column and each shard of rows.
#[derive(Clone, Copy)]
pub(super) struct ColumnSums<'a, T> {
    partials: Shards<'a, T>,
    m: usize,
    n: usize,
}

fn wanted<T>(sums: &Sums<'_, T>) -> bool {
    sums.columns.is_some() || sums.column_squares.is_some()
}

impl<'a, T: Real> ColumnSums<'a, T> {
    /// Room for the partial sums: all sums, then all sums of squares; shard by shard.
    pub(super) fn scratch<'c>(context: &'c Context, m: usize, n: usize, sums: &Sums<'_, T>) -> Result<Scratch<'c, T>> {
        let len = if wanted(sums) { m.div_ceil(SHARD_ROWS) } else { 0 };
        let len = len.checked_mul(n).and_then(|len| len.checked_mul(2));
        context.scratch(len.ok_or(Error::Overflow { op: "gemm", what: "the partial column sums" })?)
    }

    pub(super) fn over(partials: &'a mut [T], m: usize, n: usize, sums: &Sums<'_, T>) -> Option<Self> {
        wanted(sums).then(|| Self { partials: Shards::new(partials), m, n })
    }

    /// Sums `columns` over the shards that the rows of C up to `rows.end` complete and those up to `rows.start` did
    /// not.
    ///
    /// # Safety
    /// `c` points to a finished C of these strides; nobody else sums these shards of these columns.
    #[inline(always)]
    pub(super) unsafe fn add<S: Tier>(
        &self,
        tier: S,
        c: *const T,
        row_stride: usize,
        col_stride: usize,
        rows: Range<usize>,
        columns: Range<usize>,
    ) {
        let all = self.m.div_ceil(SHARD_ROWS);
        let complete = |row: usize| if row == self.m { all } else { row / SHARD_ROWS };
        for shard in complete(rows.start)..complete(rows.end) {
            let rows = shard * SHARD_ROWS..((shard + 1) * SHARD_ROWS).min(self.m);
            let place = |part: usize| (part * all + shard) * self.n;
            // SAFETY: each shard's range of these columns is summed once, by the caller's promise.
            let (sums, squares) = unsafe {
                (
                    self.partials.slice(place(0) + columns.start..place(0) + columns.end),
                    self.partials.slice(place(1) + columns.start..place(1) + columns.end),
                )
            };
            let lanes = T::V::<S>::LANES;
            for (v, (sums, squares)) in sums.chunks_mut(lanes).zip(squares.chunks_mut(lanes)).enumerate() {
                let first = c.wrapping_add((columns.start + v * lanes) * col_stride);
                let mut sum = T::V::<S>::zero(tier);
                let mut square = sum;
                for i in rows.clone() {
                    let from = first.wrapping_add(i * row_stride);
                    // SAFETY: these elements of C exist.
                    let x = unsafe {
                        if col_stride != 1 {
                            let mut x = [T::ZERO; 16];
                            for (j, x) in x[..sums.len()].iter_mut().enumerate() {
                                *x = from.add(j * col_stride).read();
                            }
                            T::V::<S>::load(tier, &x)
                        } else if sums.len() == lanes {
                            T::V::<S>::load_ptr(tier, from)
                        } else {
                            T::V::<S>::load_partial_ptr(tier, from, sums.len())
                        }
                    };
                    sum = sum + x;
                    square = x.fma(x, square);
                }
                sum.store_partial(sums);
                square.store_partial(squares);
            }
        }
    }

    /// Folds the partial sums into the results.
    pub(super) fn finish(partials: &mut [T], m: usize, n: usize, sums: &mut Sums<'_, T>) {
        let shards = m.div_ceil(SHARD_ROWS);
        let half = partials.len() / 2;
        let (first, second) = partials.split_at_mut(half);
        for (partials, result) in [(first, &mut sums.columns), (second, &mut sums.column_squares)] {
            if let Some(result) = result {
                if shards == 0 {
                    result.fill(T::ZERO);
                } else {
                    fold_rows(partials, shards, n);
                    for (result, partial) in result.iter_mut().zip(&partials[..n]) {
                        *result = T::ZERO + *partial;
                    }
                }
            }
        }
    }
}

/// The left-balanced tree over `count` rows of `n` elements; the root replaces row 0.
fn fold_rows<T: Real>(rows: &mut [T], count: usize, n: usize) {
    if count <= 1 {
        return;
    }
    let left = left_size(count);
    let (left_rows, right_rows) = rows.split_at_mut(left * n);
    fold_rows(left_rows, left, n);
    fold_rows(right_rows, count - left, n);
    for (left, right) in left_rows[..n].iter_mut().zip(&right_rows[..n]) {
        *left = *left + *right;
    }
}

/// Elements of C that a task of [`row_sums`] reads, or one row if that is longer. Bit-neutral.
const ROW_TASK: usize = 1 << 16;
/// Elements in a shard of a row; part of the contract.
const SHARD: usize = 16_384;
/// Chains in a shard of a row; part of the contract.
const STRIPES: usize = 64;

/// Sums over the rows of C, by the flat rule: shards of [`SHARD`] elements, in each [`STRIPES`] chains that halve, the
/// left-balanced tree over shards, `+0 + s`.
pub(super) fn row_sums<T: Real>(context: &Context, c: MatRef<'_, T>, sums: &mut Sums<'_, T>) -> Result<()> {
    let results = [&mut sums.rows, &mut sums.row_squares];
    if results.iter().all(|result| result.is_none()) {
        return Ok(());
    }
    let results = results.map(|result| result.as_deref_mut().map(Shards::new));
    let task_rows = (ROW_TASK / c.cols().max(1)).max(1);
    let failed = std::sync::Mutex::new(Ok(()));
    context.tasks(c.rows().div_ceil(task_rows), |task| {
        let rows = task * task_rows..((task + 1) * task_rows).min(c.rows());
        let work = || {
            // A row that does not run along memory is copied, a shard at a time.
            let copied = if c.col_stride() == 1 { 0 } else { c.cols().min(SHARD) };
            let mut copy = context.scratch(copied)?;
            context.dispatch(Rows { c, rows, results, copy: &mut copy })
        };
        if let Err(error) = work() {
            *failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Err(error);
        }
    })?;
    failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Some rows of C, their sums and sums of squares.
struct Rows<'a, T> {
    c: MatRef<'a, T>,
    rows: Range<usize>,
    results: [Option<Shards<'a, T>>; 2],
    copy: &'a mut [T],
}

impl<T: Real> Kernel for Rows<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let (c, n) = (self.c, self.c.cols());
        for i in self.rows {
            let mut shard = |index: usize| {
                let columns = index * SHARD..((index + 1) * SHARD).min(n);
                let x = if c.col_stride() == 1 {
                    &c.data()[i * c.row_stride() + columns.start..i * c.row_stride() + columns.end]
                } else {
                    let copy = &mut self.copy[..columns.len()];
                    for (to, j) in copy.iter_mut().zip(columns) {
                        *to = c.at(i, j);
                    }
                    copy
                };
                if T::V::<S>::LANES == 16 { striped::<S, T, 4>(tier, x) } else { striped::<S, T, 8>(tier, x) }
            };
            let sums = match n.div_ceil(SHARD) {
                0 => [T::ZERO; 2],
                1 => shard(0),
                shards => {
                    let mut fold = TreeFold::new(|l: [T; 2], r: [T; 2]| [l[0] + r[0], l[1] + r[1]]);
                    (0..shards).for_each(|index| fold.push(shard(index)));
                    fold.finish().unwrap_or_default()
                }
            };
            for (result, sum) in self.results.iter().zip(sums) {
                if let Some(result) = result {
                    // SAFETY: each task has its own rows.
                    unsafe { result.slice(i..i + 1)[0] = T::ZERO + sum };
                }
            }
        }
    }
}

/// The sum and the sum of squares of one shard; `W` vectors hold the stripes. Missing lanes are `+0`, which no chain
/// from `+0` notices.
#[inline(always)]
fn striped<S: Tier, T: Real, const W: usize>(tier: S, x: &[T]) -> [T; 2] {
    let lanes = T::V::<S>::LANES;
    let mut sum = [T::V::<S>::zero(tier); W];
    let mut square = sum;
    let mut stripes = x.chunks_exact(STRIPES);
    for x in &mut stripes {
        for v in 0..W {
            let x = T::V::<S>::load(tier, &x[v * lanes..]);
            sum[v] = sum[v] + x;
            square[v] = x.fma(x, square[v]);
        }
    }
    for (v, x) in stripes.remainder().chunks(lanes).enumerate() {
        let x = T::V::<S>::load_partial(tier, x);
        sum[v] = sum[v] + x;
        square[v] = x.fma(x, square[v]);
    }
    let mut half = W / 2;
    while half > 0 {
        for v in 0..half {
            sum[v] = sum[v] + sum[v + half];
            square[v] = square[v] + square[v + half];
        }
        half /= 2;
    }
    [sum[0].fold_halves(), square[0].fold_halves()]
}
