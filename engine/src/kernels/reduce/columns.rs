//! Reductions over the columns and the rows of a row-major matrix.

use super::flat::{Span, sum_rows};
use super::{SHARD, SHARD_ROWS};
use crate::error::{Error, Result};
use crate::kernels::chunks::{Parts, for_each_part, tree_over};
use crate::kernels::compiled_once;
use crate::parallel::Context;
use crate::simd::{Kernel, Real, Tier, Vector};
use crate::tensor::MatRef;

/// Columns that one task takes at most. Bit-neutral.
const TASK_COLS: usize = 1024;
/// Rows of a shard at most that [`sum_rows`] folds together; a task has them. Bit-neutral.
const TOGETHER: usize = 16;
/// A task takes as many shards, a power of two, as give it about so many elements. Bit-neutral.
const TASK_ELEMENTS: usize = 1 << 16;

compiled_once! { ColumnEntries<T>:
/// `sums[j]` = the sum of column `j`, for every column of `x` (rows x cols).
///
/// # Errors
/// [`Error::Shape`] if `sums` has not one element for each column, [`Error::Argument`] if the elements of a row of `x`
/// do not follow each other, [`Error::OutOfMemory`] if there is no scratch space for the partial sums (one in 64 of the
/// elements), else as [`Context::tree`].
pub fn column_sums(context: &Context, x: MatRef<'_, T>, sums: &mut [T]) -> Result<()> {
    columns::<T, false>(context, "column_sums", SHARD_ROWS, x, sums, &mut [])
}

/// `sums[j]` = the sum and `squares[j]` = the sum of squares of column `j` of `x` (rows x cols), in one pass. `sums` is
/// what [`column_sums`] gives; a square is fused into its addition.
///
/// # Errors
/// As [`column_sums`], for both outputs.
pub fn column_moments(context: &Context, x: MatRef<'_, T>, sums: &mut [T], squares: &mut [T]) -> Result<()> {
    let op = "column_moments";
    check_len(op, "elements of squares", x.cols(), squares.len())?;
    columns::<T, true>(context, op, SHARD_ROWS, x, sums, squares)
}

/// `sums[i]` = the sum of row `i` of `x` (rows x cols), by the rule for flat reductions.
///
/// # Errors
/// [`Error::Shape`] if `sums` has not one element for each row, [`Error::Argument`] if the elements of a row of `x` do
/// not follow each other, else as [`Context::tasks`].
pub fn row_sums(context: &Context, x: MatRef<'_, T>, sums: &mut [T]) -> Result<()> {
    check_len("row_sums", "elements of sums", x.rows(), sums.len())?;
    check_rows("row_sums", &x)?;
    context.dispatch(RowSums { context, x, sums })?
}
}

fn check_len(op: &'static str, what: &'static str, expected: usize, actual: usize) -> Result<()> {
    if expected == actual { Ok(()) } else { Err(Error::Shape { op, what, expected, actual }) }
}

fn check_rows<T>(op: &'static str, x: &MatRef<'_, T>) -> Result<()> {
    if x.col_stride() == 1 || x.cols() <= 1 {
        return Ok(());
    }
    let (what, requirement) = ("the column stride", "1: the elements of a row follow each other");
    Err(Error::Argument { op, what, requirement, actual: x.col_stride().to_string() })
}

struct RowSums<'a, T> {
    context: &'a Context,
    x: MatRef<'a, T>,
    sums: &'a mut [T],
}

impl<T: Real> Kernel for RowSums<'_, T> {
    type Output = Result<()>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<()> {
        let Self { context, x, sums } = self;
        // Without columns there are no elements, and strides say nothing of where rows are.
        let (stride, cols) = (if x.cols() == 0 { 0 } else { x.row_stride() }, x.cols());
        let rows = (TASK_ELEMENTS / cols.max(1)).max(if cols <= SHARD { TOGETHER } else { 1 });
        for_each_part(context, sums, rows, |task, sums| {
            tier.vectorize(
                #[inline(always)]
                || sum_rows(tier, &x.data()[task * rows * stride..], cols, stride, sums),
            );
        })
    }
}

/// How a matrix is cut into tasks: groups of shards by blocks of columns.
///
/// The partial results of a task are one region of scratch: for each shard of the group a row with the sums of the
/// block's columns, followed by their sums of squares if wanted.
#[derive(Clone, Copy)]
struct Cut {
    shard_rows: usize,
    /// Shards in a group, a power of two.
    group: usize,
    groups: usize,
    /// Columns in a block.
    block: usize,
    blocks: usize,
    /// Elements of a row of partial results.
    row: usize,
    /// Elements of a region.
    region: usize,
}

impl Cut {
    fn new(rows: usize, cols: usize, shard_rows: usize, squares: bool) -> Option<Self> {
        let block = cols.clamp(1, TASK_COLS);
        let shards = rows.div_ceil(shard_rows);
        let wanted = TASK_ELEMENTS / (shard_rows * block);
        let group = wanted.max(1).next_power_of_two().min(shards.next_power_of_two());
        let row = block * if squares { 2 } else { 1 };
        Some(Self {
            shard_rows,
            group,
            groups: shards.div_ceil(group),
            block,
            blocks: cols.div_ceil(block),
            row,
            region: group.checked_mul(row)?,
        })
    }
}

/// The sums, and with `SQUARES` the sums of squares, of all columns. `shard_rows` is a parameter only so that tests can
/// see what another one would give.
pub(super) fn columns<T: Real, const SQUARES: bool>(
    context: &Context,
    op: &'static str,
    shard_rows: usize,
    x: MatRef<'_, T>,
    sums: &mut [T],
    squares: &mut [T],
) -> Result<()> {
    check_len(op, "elements of sums", x.cols(), sums.len())?;
    check_rows(op, &x)?;
    sums.fill(T::ZERO);
    squares.fill(T::ZERO);
    if x.rows() == 0 || x.cols() == 0 {
        return Ok(());
    }
    let overflow = Error::Overflow { op, what: "the partial sums" };
    let cut = Cut::new(x.rows(), x.cols(), shard_rows, SQUARES).ok_or(overflow.clone())?;
    let tasks = cut.groups * cut.blocks;
    let mut partials = context.scratch::<T>(tasks.checked_mul(cut.region).ok_or(overflow)?)?;
    context.dispatch(Columns::<T, SQUARES> { context, x, cut, partials: &mut partials })??;

    // The tree over the groups, in the first row of each region; then the results.
    for block in 0..cut.blocks {
        let first = block * cut.block;
        let width = (x.cols() - first).min(cut.block);
        let stride = cut.blocks * cut.region;
        let root = fold_rows(&mut partials[block * cut.region..], cut.groups, stride, cut.row);
        for (result, partial) in sums[first..].iter_mut().zip(&root[..width]) {
            *result = T::ZERO + *partial;
        }
        if SQUARES {
            for (result, partial) in squares[first..].iter_mut().zip(&root[cut.block..][..width]) {
                *result = T::ZERO + *partial;
            }
        }
    }
    Ok(())
}

/// The left-balanced tree over `count` rows of `len` elements, a row at each multiple of `stride`; the root replaces
/// row 0 and is returned.
#[inline(always)]
fn fold_rows<T: Real>(rows: &mut [T], count: usize, stride: usize, len: usize) -> &[T] {
    let mut width = 1;
    while width < count {
        let mut i = 0;
        while i + width < count {
            let (left, right) = rows[i * stride..].split_at_mut(width * stride);
            for (left, right) in left[..len].iter_mut().zip(&right[..len]) {
                *left = *left + *right;
            }
            i += 2 * width;
        }
        width *= 2;
    }
    &rows[..len]
}

struct Columns<'a, T, const SQUARES: bool> {
    context: &'a Context,
    x: MatRef<'a, T>,
    cut: Cut,
    partials: &'a mut [T],
}

impl<T: Real, const SQUARES: bool> Kernel for Columns<'_, T, SQUARES> {
    type Output = Result<()>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<()> {
        let Self { context, x, cut, partials } = self;
        let tasks = cut.groups * cut.blocks;
        let task = |i: usize, region: &mut [T]| {
            tier.vectorize(
                #[inline(always)]
                || {
                    let (group, block) = (i / cut.blocks, i % cut.blocks);
                    let rows = cut.group * cut.shard_rows;
                    let rows = group * rows..((group + 1) * rows).min(x.rows());
                    let shards = rows.len().div_ceil(cut.shard_rows);
                    let first = block * cut.block;
                    let width = (x.cols() - first).min(cut.block);
                    let part = Part {
                        data: &x.data()[rows.start * x.row_stride() + first..],
                        stride: x.row_stride(),
                        rows: rows.len(),
                        shard_rows: cut.shard_rows,
                    };
                    part.shards::<S, SQUARES>(tier, width, region, cut.row, cut.block);
                    fold_rows(region, shards, cut.row, cut.row);
                },
            );
        };
        tree_over(
            context,
            tasks,
            Parts::new(partials, cut.region),
            Parts::<T>::none(),
            |i, a, _| task(i, a),
            |_, ()| (),
        )
        .map(|_| ())
    }
}

/// The part of a matrix that a task reads.
#[derive(Clone, Copy)]
struct Part<'a, T> {
    data: &'a [T],
    stride: usize,
    rows: usize,
    shard_rows: usize,
}

impl<T: Real> Part<'_, T> {
    /// All shards of `width` columns. Row `s` of `partials` gets the sums of shard `s`, and from `squares` on its sums
    /// of squares.
    #[inline(always)]
    fn shards<S: Tier, const SQUARES: bool>(
        self,
        tier: S,
        width: usize,
        partials: &mut [T],
        row: usize,
        squares: usize,
    ) {
        let lanes = T::V::<S>::LANES;
        let full = width / lanes;
        let mut v = 0;
        while full - v >= 4 {
            self.tiles::<S, 1, 4, SQUARES>(tier, v * lanes, lanes, partials, row, squares);
            v += 4;
        }
        if full - v >= 2 {
            self.tiles::<S, 2, 2, SQUARES>(tier, v * lanes, lanes, partials, row, squares);
            v += 2;
        }
        if full - v >= 1 {
            self.tiles::<S, 4, 1, SQUARES>(tier, v * lanes, lanes, partials, row, squares);
        }
        if full * lanes < width {
            self.tiles::<S, 4, 1, SQUARES>(tier, full * lanes, width - full * lanes, partials, row, squares);
        }
    }

    /// The columns from `col` on, `W` vectors of `count` lanes: `G` shards side by side as long as they are complete, so
    /// that four chains are under way, then one by one.
    #[inline(always)]
    fn tiles<S: Tier, const G: usize, const W: usize, const SQUARES: bool>(
        self,
        tier: S,
        col: usize,
        count: usize,
        partials: &mut [T],
        row: usize,
        squares: usize,
    ) {
        let mut shard = 0;
        while (shard + G) * self.shard_rows <= self.rows {
            self.tile::<S, G, W, SQUARES>(tier, shard, col, count, partials, row, squares);
            shard += G;
        }
        while shard * self.shard_rows < self.rows {
            self.tile::<S, 1, W, SQUARES>(tier, shard, col, count, partials, row, squares);
            shard += 1;
        }
    }

    #[inline(always)]
    fn tile<S: Tier, const G: usize, const W: usize, const SQUARES: bool>(
        self,
        tier: S,
        shard: usize,
        col: usize,
        count: usize,
        partials: &mut [T],
        row: usize,
        squares: usize,
    ) {
        let lanes = T::V::<S>::LANES;
        let first = shard * self.shard_rows;
        let rows = self.shard_rows.min(self.rows - first);
        let mut sum = [[T::V::<S>::zero(tier); W]; G];
        let mut square = sum;
        for r in 0..rows {
            for g in 0..G {
                let from = (first + g * self.shard_rows + r) * self.stride + col;
                let x = &self.data[from..from + (W - 1) * lanes + count];
                for w in 0..W {
                    let x = Span { from: w * lanes, count }.load::<T::V<S>>(tier, x);
                    sum[g][w] = sum[g][w] + x;
                    if SQUARES {
                        square[g][w] = x.fma(x, square[g][w]);
                    }
                }
            }
        }
        for g in 0..G {
            let partials = &mut partials[(shard + g) * row..];
            for w in 0..W {
                Span { from: col + w * lanes, count }.store(sum[g][w], partials);
                if SQUARES {
                    Span { from: squares + col + w * lanes, count }.store(square[g][w], partials);
                }
            }
        }
    }
}
