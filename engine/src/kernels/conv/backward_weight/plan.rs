//! How the examples are cut into virtual shards, which is part of the contract, and how the work is cut into tasks,
//! groups and tiles, which is not.

use std::ops::Range;

use super::super::Geometry;
use super::kernel::max_height;
use crate::error::{Error, Result};
use crate::simd::{Tier, Vector};

/// Output pixels of a shard that is made of several examples, at least (unless that takes too many examples).
const SHARD_PIXELS: usize = 512;
/// Most examples in a shard: so that micro-batches of a multiple of 8 examples own whole shards.
const SHARD_EXAMPLES: usize = 8;
/// Output pixels of an example from which on it is cut into several shards.
const EXAMPLE_PIXELS: usize = 1024;

/// The virtual shards of a batch: what one chain of a weight runs over. Part of the numerics contract; a function of
/// the geometry alone.
///
/// With `pixels = out_h * out_w`:
/// - up to 1024 pixels, a shard is `examples = clamp(512 / pixels, 1, 8)` examples, rounded down to a power of two
///   (the last shard of a batch may have fewer);
/// - above, an example is cut into `parts` shards, the smallest power of two for which no shard has more than 1024
///   pixels, but at most as many as there are rows: part `p` has the output rows `p out_h / parts` to
///   `(p + 1) out_h / parts`, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualShards {
    /// Examples of a shard.
    pub examples: usize,
    /// Shards of an example. One of the two numbers is 1, and both are powers of two.
    pub parts: usize,
}

impl VirtualShards {
    /// The shards of a geometry.
    #[must_use]
    pub fn of(g: &Geometry) -> Self {
        let pixels = g.out_h() * g.out_w();
        if pixels <= EXAMPLE_PIXELS {
            let examples = (SHARD_PIXELS / pixels.max(1)).clamp(1, SHARD_EXAMPLES);
            return Self { examples: 1 << examples.ilog2(), parts: 1 };
        }
        let mut parts = 1;
        while g.out_h().div_ceil(parts) * g.out_w() > EXAMPLE_PIXELS && 2 * parts <= g.out_h() {
            parts *= 2;
        }
        Self { examples: 1, parts }
    }

    /// Shards of a batch of `n` examples.
    #[must_use]
    pub fn count(&self, n: usize) -> usize {
        n.div_ceil(self.examples) * self.parts
    }

    /// The examples of shard `s` of a batch of `n`.
    pub(super) fn examples_of(&self, s: usize, n: usize) -> Range<usize> {
        let from = s / self.parts * self.examples;
        from..(from + self.examples).min(n)
    }

    /// The output rows of shard `s`.
    pub(super) fn rows_of(&self, s: usize, out_h: usize) -> Range<usize> {
        let part = s % self.parts;
        part * out_h / self.parts..(part + 1) * out_h / self.parts
    }
}

/// Sizes of the pieces of the work. Any valid choice gives the same bits; the defaults are chosen for speed from the
/// geometry and the tier, and tests inject others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightBlocking {
    /// Most rows of a register tile; less if the tier has fewer registers.
    pub height: usize,
    /// Whether the rows of a tile are taps of all input channels, instead of input channels at one tap.
    pub tap_rows: bool,
    /// Whether x is copied into panels even where it could be read as it lies.
    pub pack_x: bool,
    /// Output pixels of a chunk, after which the next tap has its turn: panels of so many stay in the cache.
    pub pixels: usize,
    /// Shards whose panels are there at the same time; rounded up to a power of two.
    pub group: usize,
    /// Groups of a task; rounded up to a power of two. Ignored if tasks divide the weights.
    pub task_groups: usize,
    /// Whether tasks divide the weights, each over all examples, instead of the examples, each for all weights.
    pub divide_weights: bool,
}

/// Elements of the weights up to which tasks divide the examples.
const SMALL_WEIGHTS: usize = 1 << 19;
/// Elements of the weights whose partial sums are no burden to the caches.
const TINY_WEIGHTS: usize = 1 << 14;
/// Output pixels of a group, where the weights are not tiny.
const GROUP_PIXELS: usize = 2048;
/// Elements of the panels of a group, about, where tasks divide the weights: every task reads some of them, so they are
/// to stay in a third-level cache that others use too.
const GROUP_ELEMENTS: usize = 1 << 20;
/// Tasks that divide the examples.
const TASKS: usize = 8;
/// Output pixels of a chunk.
const CHUNK_PIXELS: usize = 256;
/// Kernels that are higher or wider have taps as rows.
pub(super) const MOST_TAPS: usize = 16;
/// More shards than memory holds; a bound that keeps sizes from overflowing.
const MOST_SHARDS: usize = 1 << 30;
/// Bytes of partial sums that a block of weights may have between two chunks.
const BLOCK_BYTES: usize = 4096;

impl WeightBlocking {
    /// The default for `n` examples.
    #[must_use]
    pub fn of(g: &Geometry, n: usize) -> Self {
        let shards = VirtualShards::of(g);
        let (count, pixels) = (shards.count(n), g.out_h() * g.out_w() * shards.examples / shards.parts);
        let divide_weights = g.weight_len() > SMALL_WEIGHTS;
        let group = if g.weight_len() <= TINY_WEIGHTS {
            1
        } else if divide_weights {
            let panel = g.h * g.w * g.c_in.div_ceil(g.stride) + g.output_len();
            GROUP_ELEMENTS / (panel * shards.examples / shards.parts).max(1)
        } else {
            GROUP_PIXELS / pixels.max(1)
        };
        // A whole example at least, and no more than there is.
        let group = (1 << group.max(1).ilog2()).max(shards.parts).min(count.max(1).next_power_of_two());
        let tap_rows = g.c_in <= 4 && g.kernel_h * g.kernel_w > 1;
        Self {
            height: usize::MAX,
            tap_rows,
            pack_x: tap_rows || g.c_in > 16 || g.stride > 1,
            pixels: if !tap_rows && g.c_in <= 16 && g.stride == 1 { EXAMPLE_PIXELS } else { CHUNK_PIXELS },
            group,
            task_groups: count.div_ceil(group).div_ceil(TASKS).max(1),
            divide_weights,
        }
    }
}

/// How x lies while tiles read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Channels innermost, as the source has it; tiles are input channels at one tap.
    Plain,
    /// In panels of a tile's channels, rows sorted by their columns modulo the stride; tiles are input channels at one
    /// tap.
    Panels,
    /// Channels innermost; the rows of a tile are taps and channels, (kernel row, kernel column, channel).
    Taps,
}

/// Everything about the shapes of one gradient, without the examples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub g: Geometry,
    pub shards: VirtualShards,
    pub blocking: WeightBlocking,
    pub layout: Layout,
    pub bias: bool,
    /// Vectors of a tile's row, and lanes of them: the output channels of a block.
    pub vectors: usize,
    pub width: usize,
    /// Blocks of output channels.
    pub blocks: usize,
    /// Tiles of a block of output channels (for each tap, unless rows are taps).
    pub tiles: usize,
    /// Tiles that are worked on between two chunks.
    pub tile_group: usize,
    /// Most output rows and input rows of a shard.
    pub out_rows: usize,
    pub in_rows: usize,
    /// Pixels of an input row in a panel: the columns of each residue modulo the stride, padded to equal length.
    pub row_pixels: usize,
    /// Rows of a tile at least, and how many tiles have one more.
    tile_base: usize,
    tile_extra: usize,
    /// For each kernel column the output columns that it meets, unless rows are taps.
    pub columns: [Span; MOST_TAPS],
}

/// The output positions along one dimension that a tap meets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub start: usize,
    pub len: usize,
    /// Where the first one reads: for columns, its pixel within a row of a panel.
    pub read: usize,
}

impl Plan {
    pub(super) fn new<S: Tier>(g: &Geometry, n: usize, bias: bool, blocking: WeightBlocking) -> Result<Self> {
        g.check()?;
        let op = "convolution backward to weights";
        for (what, size) in [
            ("the height of the blocking", blocking.height),
            ("the pixels of the blocking", blocking.pixels),
            ("the group of the blocking", blocking.group),
            ("the groups of a task of the blocking", blocking.task_groups),
        ] {
            if size == 0 {
                return Err(Error::Argument { op, what, requirement: "at least 1", actual: "0".to_owned() });
            }
        }
        let shards = VirtualShards::of(g);
        // Whole examples, and no more than there is.
        let count = shards.count(n).clamp(1, MOST_SHARDS);
        let group = blocking.group.min(count).next_power_of_two().max(shards.parts);
        let task_groups = blocking.task_groups.min(count).next_power_of_two();
        let blocking = WeightBlocking { group, task_groups, ..blocking };
        let lanes = S::F32::LANES;
        let vectors = if g.c_out > lanes && max_height::<S>(2) > 0 { 2 } else { 1 };
        let width = vectors * lanes;
        let layout = match blocking {
            WeightBlocking { tap_rows: true, .. } => Layout::Taps,
            _ if g.kernel_h.max(g.kernel_w) > MOST_TAPS => Layout::Taps,
            WeightBlocking { pack_x: true, .. } => Layout::Panels,
            _ => Layout::Plain,
        };
        let taps = g.kernel_h * g.kernel_w;
        let rows = if layout == Layout::Taps { g.c_in * taps } else { g.c_in };
        let height = max_height::<S>(vectors).min(blocking.height);
        let tiles = rows.div_ceil(height);
        let tile_rows = rows.div_ceil(tiles) * if layout == Layout::Taps { 1 } else { taps };
        let out_rows = g.out_h().div_ceil(shards.parts);
        let mut plan = Self {
            g: *g,
            shards,
            blocking,
            layout,
            bias,
            vectors,
            width,
            blocks: g.c_out.div_ceil(width),
            tiles,
            tile_group: (BLOCK_BYTES / (tile_rows * width * size_of::<f32>())).clamp(1, tiles),
            out_rows,
            in_rows: ((out_rows - 1) * g.stride + g.kernel_h).min(g.h),
            row_pixels: if layout == Layout::Panels { g.w.div_ceil(g.stride) * g.stride } else { g.w },
            tile_base: rows / tiles,
            tile_extra: rows % tiles,
            columns: [Span::default(); MOST_TAPS],
        };
        if layout != Layout::Taps {
            for (kw, span) in plan.columns[..g.kernel_w].iter_mut().enumerate() {
                let columns = positions(kw, g.w, g, 0..g.out_w());
                let column = (columns.start * g.stride + kw).saturating_sub(g.padding);
                let sorted = column % g.stride * (plan.row_pixels / g.stride) + column / g.stride;
                let read = if layout == Layout::Panels { sorted } else { column };
                *span = Span { start: columns.start, len: columns.len(), read };
            }
        }
        // Everything that is multiplied without a check later on.
        let product = |sizes: &[usize]| sizes.iter().try_fold(4usize, |p, &s| p.checked_mul(s));
        for (what, sizes) in [
            ("the panels of x", [plan.blocking.group, shards.examples, plan.in_rows * plan.row_pixels, g.c_in]),
            ("the panels of d_y", [plan.blocking.group, shards.examples, out_rows * g.out_w(), plan.blocks * width]),
            ("the partial sums", [64, plan.blocks * width, g.c_in * taps + 1, 1]),
        ] {
            product(&sizes).ok_or(Error::Overflow { op, what })?;
        }
        Ok(plan)
    }

    /// The rows of tile `t`: input channels, or taps and channels.
    pub(super) fn tile(&self, t: usize) -> Range<usize> {
        let from = |t: usize| t * self.tile_base + t.min(self.tile_extra);
        from(t)..from(t + 1)
    }
    /// Taps that a tile is worked on for.
    pub(super) fn tile_taps(&self) -> usize {
        if self.layout == Layout::Taps { 1 } else { self.g.kernel_h * self.g.kernel_w }
    }
    /// Rows of a block of output channels in a region of partial sums: each is one input channel at one tap.
    pub(super) fn rows(&self) -> usize {
        self.g.c_in * self.g.kernel_h * self.g.kernel_w
    }
    /// Rows including that of the bias, which is the last.
    pub(super) fn all_rows(&self) -> usize {
        self.rows() + usize::from(self.bias)
    }
    /// Elements of a region that holds a partial sum of every weight: `[block][row][width]`.
    pub(super) fn region(&self) -> usize {
        self.blocks * self.all_rows() * self.width
    }
    /// Groups of tiles in a block of output channels.
    pub(super) fn tile_groups(&self) -> usize {
        self.tiles.div_ceil(self.tile_group)
    }
    /// The tiles of group `i`.
    pub(super) fn tiles_of(&self, i: usize) -> Range<usize> {
        i * self.tile_group..((i + 1) * self.tile_group).min(self.tiles)
    }
    /// Where a tile's rows start within a block of output channels.
    pub(super) fn tile_row(&self, t: usize) -> usize {
        self.tile(t).start * self.tile_taps()
    }
    /// The rows of a block of weights: those of a group of tiles, and that of the bias beside the last.
    pub(super) fn block_rows(&self, tiles: &Range<usize>) -> Range<usize> {
        let end = if tiles.end == self.tiles { self.all_rows() } else { self.tile_row(tiles.end) };
        self.tile_row(tiles.start)..end
    }
    /// Elements of the largest block of weights.
    pub(super) fn block_len(&self) -> usize {
        let rows = (0..self.tile_groups()).map(|i| self.block_rows(&self.tiles_of(i)).len());
        rows.max().unwrap_or(0) * self.width
    }
    /// Elements of the panels of x of one example of a shard.
    pub(super) fn x_example(&self) -> usize {
        self.in_rows * self.row_pixels * self.g.c_in
    }
    /// Elements of the panels of d_y of one example of a shard.
    pub(super) fn d_example(&self) -> usize {
        self.out_rows * self.g.out_w() * self.blocks * self.width
    }
    /// The input rows that the output rows `rows` meet.
    pub(super) fn in_rows_of(&self, rows: &Range<usize>) -> Range<usize> {
        let g = &self.g;
        let from = (rows.start * g.stride).saturating_sub(g.padding);
        let to = (rows.end.saturating_sub(1) * g.stride + g.kernel_h).saturating_sub(g.padding).min(g.h);
        from.min(to)..to
    }
}

/// The output positions, of those in `within`, for which tap `k` of a kernel meets an image of `size` pixels.
pub(super) fn positions(k: usize, size: usize, g: &Geometry, within: Range<usize>) -> Range<usize> {
    // o s + k - p lies in 0..size.
    let from = g.padding.saturating_sub(k).div_ceil(g.stride).max(within.start);
    let to = (size + g.padding).saturating_sub(k).div_ceil(g.stride).min(within.end);
    from..to.max(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(h: usize, w: usize) -> (usize, usize) {
        let g = Geometry { h, w, c_in: 1, c_out: 1, kernel_h: 1, kernel_w: 1, stride: 1, padding: 0 };
        let shards = VirtualShards::of(&g);
        // Every row of an example belongs to one part.
        let mut next = 0;
        for part in 0..shards.parts {
            let rows = shards.rows_of(part, h);
            assert!(rows.start == next && !rows.is_empty());
            next = rows.end;
        }
        assert_eq!(next, h);
        (shards.examples, shards.parts)
    }

    #[test]
    fn virtual_shards_are_those_of_the_contract() {
        for (h, w, expected) in [
            (1, 1, (8, 1)),
            (4, 4, (8, 1)),
            (8, 8, (8, 1)),
            (9, 9, (4, 1)),
            (16, 16, (2, 1)),
            (17, 16, (1, 1)),
            (32, 32, (1, 1)),
            (33, 32, (1, 2)),
            (56, 56, (1, 4)),
            (64, 64, (1, 4)),
            (112, 112, (1, 16)),
            (3, 4000, (1, 2)),
            (1, 4000, (1, 1)),
        ] {
            assert_eq!(shards(h, w), expected, "{h} x {w}");
        }
    }

    #[test]
    fn batches_of_eight_examples_are_whole_shards() {
        for h in 1..40 {
            let (examples, parts) = shards(h, h + 3);
            assert!(8 % examples == 0 && parts.is_power_of_two());
        }
    }
}
