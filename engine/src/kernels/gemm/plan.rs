//! How a product is cut into tiles, blocks and tasks. Nothing here can change a bit of the result.

use std::ops::Range;

use super::kernel::{accumulators, max_depth, max_height, select_in_place};
use crate::error::{Error, Result};
use crate::simd::{Real, Tier, Vector};

/// Sizes of the pieces of a product, in elements. Any valid choice gives the same bits; the defaults are chosen for
/// speed from the shape and the tier, and tests inject others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocking {
    /// Most rows of a register tile.
    pub height: usize,
    /// Vectors of a register tile's row, each 16 `f32` or 8 `f64`.
    pub vectors: usize,
    /// Most steps of k between two visits of C.
    pub depth: usize,
    /// Rows of C in a task; rounded up to whole shards of the column sums.
    pub task_rows: usize,
    /// Columns of C in a task; rounded up to whole tiles.
    pub task_columns: usize,
}

/// Vectors of a tile when rows are plenty.
pub(super) const fn usual_vectors<S: Tier>() -> usize {
    if accumulators::<S>() >= 24 { 2 } else { 1 }
}

/// What is known of a product before its blocking is chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// A or B come packed already; B then says how many vectors its panels have.
    pub a_packed: bool,
    pub b_packed_vectors: Option<usize>,
    pub a_max_height: Option<usize>,
    pub a_depth: Option<usize>,
    /// The distance in elements between the rows of an A that can be read in place: unit stride along rows, and no factor
    /// to apply.
    pub a_row: Option<usize>,
    /// Whether B can be read in place: unit stride along rows, and no factor to apply.
    pub b_in_place: bool,
}

/// A product cut to pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub blocking: Blocking,
    /// Panels of A of the full height are read in place, since there is only one panel of columns.
    pub a_in_place: bool,
    /// B is read in place by the micro-kernel, since there is only one panel of rows.
    pub b_in_place: bool,
    /// Columns of a block of B that is packed at a time.
    pub block_columns: usize,
}

impl Plan {
    pub(super) fn new<S: Tier, T: Real>(r: &Request, forced: Option<Blocking>) -> Result<Self> {
        let lanes = T::V::<S>::LANES;
        // Without columns there is nothing to compute, but a plan all the same.
        let columns_in_vectors = r.n.div_ceil(lanes).max(1);
        let one_panel = r.m <= max_height::<S>(1);

        let vectors = if let Some(blocking) = forced {
            blocking.vectors
        } else if let Some(vectors) = r.b_packed_vectors {
            vectors
        } else if let Some(height) = r.a_max_height {
            (1..=4).rev().find(|&v| max_height::<S>(v) >= height).unwrap_or(1)
        } else if one_panel {
            // A single panel of rows: as many vectors as its height leaves registers for.
            let fitting = (1..=4).rev().find(|&v| max_height::<S>(v) >= r.m.max(1)).unwrap_or(1);
            fitting.min(columns_in_vectors)
        } else {
            usual_vectors::<S>().min(columns_in_vectors)
        };
        let tallest = max_height::<S>(vectors);
        let height = r.a_max_height.unwrap_or(forced.map_or(tallest, |b| b.height));
        if height == 0 || height > tallest {
            return Err(Error::Argument {
                op: "gemm",
                what: "the height of the blocking",
                requirement: "such that the tile fits into the registers of the tier",
                actual: format!("{height} rows of {vectors} vectors"),
            });
        }

        let width = vectors * lanes;
        let depth_limit = r.a_depth.or(forced.map(|b| b.depth)).unwrap_or(max_depth::<T>());
        if depth_limit == 0 || depth_limit > max_depth::<T>() {
            return Err(Error::Argument {
                op: "gemm",
                what: "the depth of the blocking",
                requirement: "from 1 to 384 f32 or 192 f64",
                actual: depth_limit.to_string(),
            });
        }
        // Blocks of equal depth, in whole cache lines; packed A has fixed its own.
        let blocks = r.k.div_ceil(depth_limit).max(1);
        let depth = if r.a_packed || forced.is_some() {
            depth_limit
        } else {
            r.k.div_ceil(blocks).max(1).next_multiple_of(lanes).min(depth_limit)
        };

        let even = |total: usize, most: usize| total.div_ceil(total.div_ceil(most).max(1));
        let (task_rows, task_columns) = match forced {
            Some(b) => (b.task_rows, b.task_columns),
            None => {
                let blocks = r.n.div_ceil(block_columns::<T>());
                // Two threads are to have something to do where that is worth their while. Not where k is long: each half
                // would read all of A, and parts of the same lines of B, which takes one thread twice as long.
                let work = r.m.saturating_mul(r.n).saturating_mul(r.k);
                let alone = r.m <= TASK_ROWS && r.n >= 4 * width && r.k <= LONG && work >= 1 << 22;
                let tasks = if r.n < 1 << 14 { blocks.clamp(1 + usize::from(alone), 4) } else { 8 };
                (even(r.m, TASK_ROWS), even(r.n, r.n.div_ceil(tasks.max(1)).max(1)))
            }
        };
        // A packed A has one set of panels, which tasks that divide rows would cut.
        let task_rows = if r.a_packed { r.m } else { task_rows };
        let blocking = Blocking {
            height,
            vectors,
            depth,
            // Cut to the product first: a caller's usize::MAX has no multiple above it.
            task_rows: task_rows.clamp(1, r.m.max(1)).next_multiple_of(SHARD_ROWS),
            task_columns: task_columns.clamp(1, r.n.max(1)).next_multiple_of(width),
        };
        Ok(Self {
            blocking,
            a_in_place: r.a_row.is_some_and(|row| stay_cached(row.saturating_mul(size_of::<T>()), height))
                && vectors == 1
                && r.n <= width
                && height == tallest
                && select_in_place::<S, T>().is_some(),
            // Only a B that is near: from far away it is better read in long runs than one cache line at a time.
            b_in_place: r.b_in_place && r.m <= height && r.n.saturating_mul(r.k) <= (1 << 20) / size_of::<T>(),
            block_columns: even(blocking.task_columns.min(r.n.max(1)), block_columns::<T>()).next_multiple_of(width),
        })
    }

    /// Number of tasks.
    pub(super) fn tasks(&self, m: usize, n: usize) -> usize {
        m.div_ceil(self.blocking.task_rows) * n.div_ceil(self.blocking.task_columns)
    }

    /// The rows and columns of C that task `index` computes.
    pub(super) fn task(&self, index: usize, m: usize, n: usize) -> (Range<usize>, Range<usize>) {
        let down = m.div_ceil(self.blocking.task_rows);
        (piece(index % down, self.blocking.task_rows, m), piece(index / down, self.blocking.task_columns, n))
    }
}

/// Rows in a shard of the column sums; tasks that divide rows own whole shards.
pub(super) const SHARD_ROWS: usize = 64;
/// Steps of k beyond which columns are not divided for the sake of a second thread.
const LONG: usize = 4096;
/// Rows of C in a task at most: enough to make the packing of B cheap.
const TASK_ROWS: usize = 512;
/// Columns of a block of B at most: two blocks, one in use and one being packed, stay in the second-level cache.
const fn block_columns<T>() -> usize {
    1280 / size_of::<T>()
}

/// Whether as many cache lines, `distance` bytes apart, stay in the first-level cache together: a set holds eight of them
/// at least, and lines that are a multiple of 4 KiB apart share one.
fn stay_cached(distance: usize, lines: usize) -> bool {
    let sets = 64 >> (distance.trailing_zeros().clamp(6, 12) - 6);
    lines.div_ceil(sets) <= 8
}

fn piece(index: usize, size: usize, total: usize) -> Range<usize> {
    (index * size)..((index + 1) * size).min(total)
}

/// The rows of panel `index` when `rows` are cut into panels of `height` and a last one with what is left.
pub(super) fn whole_panel(index: usize, rows: &Range<usize>, height: usize) -> Range<usize> {
    let first = rows.start + index * height;
    first..(first + height).min(rows.end)
}

/// The rows of panel `index` when `rows` are cut into panels of at most `height`, as equal as can be: a last panel of
/// one or two rows would leave most of the multipliers idle.
pub(super) fn panel(index: usize, rows: &Range<usize>, height: usize) -> Range<usize> {
    let count = panels(rows.len(), height);
    rows.start + index * rows.len() / count..rows.start + (index + 1) * rows.len() / count
}

/// Panels of at most `height` rows that `rows` rows need.
pub(super) fn panels(rows: usize, height: usize) -> usize {
    rows.div_ceil(height)
}

#[cfg(test)]
mod tests {
    use super::stay_cached;

    #[test]
    fn rows_that_share_sets_of_the_cache_are_told_apart() {
        for (distance, lines, stay) in
            [(2048, 16, true), (4096, 16, false), (8192, 6, true), (12_288, 16, false), (40, 16, true), (0, 16, false)]
        {
            assert_eq!(stay_cached(distance, lines), stay, "{lines} lines, {distance} bytes apart");
        }
    }
}
