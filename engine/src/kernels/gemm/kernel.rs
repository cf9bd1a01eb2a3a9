//! The micro-kernel: one tile of C, `H` rows by `NV` vectors, held in registers over a block of k.
//!
//! The algorithm is written once over [`Vector`]; tiers differ in how many tiles fit into their registers. Lanes are
//! neighbouring columns of C, so each lane is one chain `acc = fma(a, b, acc)` over ascending k, whatever the tile.

use crate::simd::{Real, Tier, Vector};

/// Elements of A that a packed row holds at most (see [`RowMajor`]), in bytes. Twenty-five cache lines: an odd number,
/// so that the rows of a panel fall into different sets of the first-level cache.
const PITCH_BYTES: usize = 25 * 64;
/// Steps of k between two groups of prefetches.
const STEPS: usize = 4;
/// Steps of k between two runs of an errand: a run has a cost of its own.
const ERRAND_STEPS: usize = 16;
/// Vectors that an errand asks for before it copies them, or two rows of them: enough for main memory.
const AHEAD: usize = 64;
/// Vectors of arithmetic between asking for C and the end of a tile, in groups of steps: some hundred cycles, a trip to
/// the third-level cache and back.
const C_AHEAD: usize = 112;

/// Distance in elements between the rows of a panel of packed A.
pub(super) const fn pitch<T>() -> usize {
    PITCH_BYTES / size_of::<T>()
}
/// The longest block of k that a packed row can hold: one line is left unused, so that the pitch stays odd.
pub(super) const fn max_depth<T>() -> usize {
    (PITCH_BYTES - 64) / size_of::<T>()
}

/// Pointers into a panel of A that is read in place, one for four rows: all rows of the tallest tile are then within reach
/// of six registers. Other panels need one.
const QUADS: usize = 4;

/// What the chain of an element starts from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start<T> {
    /// `+0`.
    Zero,
    /// The element of C as it stands: beta = 1, or a later block of k.
    Load,
    /// beta times the element of C.
    Scale(T),
    /// The bias of the column; points to that of the tile's first column.
    ColumnBias(*const T),
    /// The bias of the row; points to that of the tile's first row.
    RowBias(*const T),
}

/// What happens to an element after the last k of a block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Finish<T> {
    /// Stored as it is; a later block goes on with it.
    Continue,
    /// `+0 + acc`, then the residual added, then ReLU.
    Last {
        /// The tile's first element in the residual matrix, or null; columns are adjacent.
        residual: *const T,
        /// Distance in elements between rows of the residual.
        residual_row: usize,
        /// Whether negative values become `+0`.
        relu: bool,
    },
}

/// One call of the micro-kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile<T> {
    /// Number of steps of k in this block.
    pub depth: usize,
    /// First element of A's panel.
    pub a: *const T,
    /// Distance in elements between the rows of an A that is read in place.
    pub a_row: usize,
    /// First element of B's panel; each step of k has `NV` whole vectors, adjacent.
    pub b: *const T,
    /// Distance in elements between steps of k in B.
    pub b_step: usize,
    /// First element of C; columns are adjacent.
    pub c: *mut T,
    /// Distance in elements between rows of C.
    pub c_row: usize,
    /// The first element of C of the tile that comes next, for prefetching; anything if there is none.
    pub c_next: *const T,
    /// Columns of the last vector that exist, 1 to LANES.
    pub last_columns: usize,
    pub start: Start<T>,
    pub finish: Finish<T>,
    /// The distance in elements from B's panel to what is read in place after it, to be prefetched; 0 for nothing.
    pub b_ahead: isize,
    /// What to copy meanwhile: the next panel of A and the next block of B.
    pub errands: *mut [Errand<T>; 2],
}

/// A rectangle of memory to be copied into packed form, a few vectors every [`ERRAND_STEPS`] steps of k: so the loads and
/// stores of packing, and the misses under them, hide beneath the arithmetic.
///
/// The errand goes on from tile to tile until it is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errand<T> {
    /// The first element of the current row in the source.
    pub from: *const T,
    pub from_stride: usize,
    /// Its place in the copy.
    pub to: *mut T,
    pub to_stride: usize,
    /// Rows to go.
    pub rows: usize,
    /// Vectors of a row, the last of which has `last` elements; the copy has room for whole ones.
    pub vectors: usize,
    pub last: usize,
    /// After so many vectors the copy jumps from panel to panel.
    pub panel_vectors: usize,
    /// From the first vector of a panel to the first of the next.
    pub panel_stride: usize,
    /// Vectors for each run, done by the micro-kernel.
    pub pace: usize,
    /// Vectors before each tile, done by the driver.
    pub burst: usize,
    /// Elements from what is copied to what is asked for meanwhile: the same place some rows on, so that [`AHEAD`] vectors
    /// are under way whatever the distance between rows is.
    pub ahead: usize,
    /// Vectors of the current row that are done.
    pub done: usize,
    /// Where the next panel's vectors go, relative to the row's place.
    pub offset: usize,
}

impl<T: Real> Errand<T> {
    pub(super) const NONE: Self = Self {
        from: std::ptr::null(),
        from_stride: 0,
        to: std::ptr::null_mut(),
        to_stride: 0,
        rows: 0,
        vectors: 0,
        last: 0,
        panel_vectors: 0,
        panel_stride: 0,
        pace: 0,
        burst: 0,
        ahead: 0,
        done: 0,
        offset: 0,
    };

    /// Sets the pace so that the errand is done within `tiles` tiles of `depth` steps, and asks for the first rows.
    #[inline(always)]
    pub(super) fn paced<S: Tier>(mut self, tier: S, tiles: usize, depth: usize) -> Self {
        let ahead = (AHEAD / self.vectors.max(1)).max(2);
        self.ahead = self.from_stride.wrapping_mul(ahead);
        for row in 0..self.rows.min(ahead) {
            for vector in 0..self.vectors {
                tier.prefetch_far(
                    self.from.wrapping_add(row.wrapping_mul(self.from_stride).wrapping_add(vector * T::V::<S>::LANES)),
                );
            }
        }
        let (total, runs) = (self.rows * self.vectors, depth / ERRAND_STEPS * tiles);
        if total < runs || runs == 0 {
            // Little to copy: a short run before each tile costs less than interrupting the arithmetic.
            (self.burst, self.pace) = (total.div_ceil(tiles.max(1)), 0);
        } else {
            (self.burst, self.pace) = (0, total.div_ceil(runs));
        }
        self
    }

    /// Does the next `count` vectors, and what is left of the last one's panel.
    ///
    /// # Safety
    /// The source is readable and the copy writable for all the rows, and nobody else uses the copy.
    #[inline(always)]
    pub(super) unsafe fn proceed<S: Tier>(&mut self, tier: S, mut count: usize) {
        let lanes = T::V::<S>::LANES;
        let ahead = self.ahead;
        let copy = |from: *const T, to: *mut T| {
            tier.prefetch(from.wrapping_add(ahead));
            // SAFETY: the caller's promise.
            unsafe { T::V::<S>::load_ptr(tier, from).store_ptr(to) }
        };
        while count > 0 && self.rows > 0 {
            // What there is of a panel in this row; the row's last vector may be partial.
            let left = self.vectors - self.done;
            let here = left.min(self.panel_vectors);
            let whole = if left == here && self.last < lanes { here - 1 } else { here };
            let from = self.from.wrapping_add(self.done * lanes);
            let to = self.to.wrapping_add(self.offset);
            if whole > 0 {
                copy(from, to);
            }
            for v in 1..whole {
                copy(from.wrapping_add(v * lanes), to.wrapping_add(v * lanes));
            }
            if whole < here {
                let from = from.wrapping_add(whole * lanes);
                tier.prefetch(from.wrapping_add(ahead));
                // SAFETY: the caller's promise.
                unsafe { T::V::<S>::load_partial_ptr(tier, from, self.last).store_ptr(to.wrapping_add(whole * lanes)) };
            }
            count = count.saturating_sub(here);
            self.done += here;
            self.offset += self.panel_stride;
            if self.done == self.vectors {
                self.from = self.from.wrapping_add(self.from_stride);
                self.to = self.to.wrapping_add(self.to_stride);
                self.rows -= 1;
                (self.done, self.offset) = (0, 0);
            }
        }
    }
}

/// How a panel of A lies in memory.
pub(super) trait ALayout {
    /// Whether it is the caller's matrix, which nobody has brought near.
    const IN_PLACE: bool = false;
    /// Distance in elements between the elements of row `i` and row `0` at one k, unless [`Tile::a_row`] tells.
    fn row<T>(i: usize) -> usize;
    /// Distance in elements between steps of k.
    fn step<const H: usize>() -> usize;
}

/// Packed, k adjacent within a row and the rows at a constant [`pitch`]: packing a row-major A is plain copying, and
/// the addresses of all rows are one register and constants.
#[derive(Debug)]
pub(super) struct RowMajor;
/// Packed, the `H` rows of one k adjacent: packing a column-major A is plain copying.
#[derive(Debug)]
pub(super) struct Interleaved;
/// The rows of a row-major A where they are. For products with so few columns that each element is used once: copying it
/// first would take a third of the time.
#[derive(Debug)]
pub(super) struct InPlace;
impl ALayout for RowMajor {
    #[inline(always)]
    fn row<T>(i: usize) -> usize {
        i * pitch::<T>()
    }
    #[inline(always)]
    fn step<const H: usize>() -> usize {
        1
    }
}
impl ALayout for Interleaved {
    #[inline(always)]
    fn row<T>(i: usize) -> usize {
        i
    }
    #[inline(always)]
    fn step<const H: usize>() -> usize {
        H
    }
}
impl ALayout for InPlace {
    const IN_PLACE: bool = true;
    #[inline(always)]
    fn row<T>(_: usize) -> usize {
        0
    }
    #[inline(always)]
    fn step<const H: usize>() -> usize {
        1
    }
}
/// A compiled micro-kernel.
///
/// # Safety of calls
/// The pointers of the tile are valid for the accesses that its fields describe: A for `H` rows and `depth` steps, B
/// for `depth` steps of `NV` whole vectors, C and the residual for `H` rows of `NV` vectors of which the last has
/// `last_columns` columns, the biases for `H` rows or those columns. C overlaps nothing else.
pub(super) type MicroKernel<S, T> = unsafe fn(S, &Tile<T>);

/// The micro-kernel for tiles of `h` rows and `nv` vectors, or None if the tier has no such tile.
pub(super) fn select<S: Tier, T: Real, A: ALayout>(h: usize, nv: usize) -> Option<MicroKernel<S, T>> {
    macro_rules! table {
        ($($nv:literal: $($h:literal)*;)*) => {
            match (nv, h) {
                $($(($nv, $h) if const { $h <= max_height::<S>($nv) } => Some(entry::<S, T, A, $h, $nv>),)*)*
                _ => None,
            }
        };
    }
    table! {
        1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16;
        2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
        3: 1 2 3 4;
        4: 1 2 3 4;
    }
}

/// The micro-kernel for the tallest tiles of one vector with A read in place, or None if the tier has none. Others are
/// not worth their code.
pub(super) fn select_in_place<S: Tier, T: Real>() -> Option<MicroKernel<S, T>> {
    match const { max_height::<S>(1) } {
        16 => Some(entry::<S, T, InPlace, 16, 1>),
        6 => Some(entry::<S, T, InPlace, 6, 1>),
        _ => None,
    }
}

/// Vectors of C that a tile may hold: what the registers leave beside one row of B and one broadcast element of A.
pub(super) const fn accumulators<S: Tier>() -> usize {
    match S::VECTOR_REGISTERS {
        0..8 => 4,
        8..32 => 6,
        _ => 28,
    }
}

/// Most rows of a tile with `vectors` vectors on tier `S`; 0 if there is none.
pub(super) const fn max_height<S: Tier>(vectors: usize) -> usize {
    let table = match vectors {
        0 => return 0,
        1 => 16,
        // A tier without vector registers gains nothing from wider tiles, and each is a kernel to compile.
        _ if S::VECTOR_REGISTERS < 8 => 0,
        2 => 14,
        3 | 4 => 4,
        _ => return 0,
    };
    let fit = accumulators::<S>() / vectors;
    if table < fit { table } else { fit }
}

/// # Safety
/// As said at [`MicroKernel`].
unsafe fn entry<S: Tier, T: Real, A: ALayout, const H: usize, const NV: usize>(tier: S, tile: &Tile<T>) {
    tier.vectorize(
        #[inline(always)]
        || {
            // SAFETY: the caller's promise, passed on.
            unsafe { run::<S, T, A, H, NV>(tier, tile) }
        },
    );
}

/// # Safety
/// As said at [`MicroKernel`].
#[inline(always)]
unsafe fn run<S: Tier, T: Real, A: ALayout, const H: usize, const NV: usize>(tier: S, tile: &Tile<T>) {
    // SAFETY: every access below is one that the caller promised to be valid.
    unsafe {
        // The largest tiles run errands under their arithmetic, and ask for C when it is nearly wanted, lest it is gone
        // again by then. The others, at the edges of a product and in skinny ones, have little to hide errands under, and
        // do what is due before it, which is far less code.
        let large = const { 2 * H * NV > accumulators::<S>() };
        let [first, second] = &mut *tile.errands;
        if !large {
            prefetch_tile::<S, T, H, NV>(tier, tile.c, tile.c_row);
            proceed_apart::<S, T>(tier, first, tile.depth / ERRAND_STEPS);
            proceed_apart::<S, T>(tier, second, tile.depth / ERRAND_STEPS);
        }
        let mut acc = begin::<S, T, H, NV>(tier, tile);
        let mut a = [tile.a; QUADS];
        if A::IN_PLACE {
            for (i, a) in a.iter_mut().enumerate() {
                *a = a.wrapping_add(i * 4 * tile.a_row);
            }
        }
        let mut b = tile.b;
        let groups = tile.depth / STEPS;
        let ask = groups.saturating_sub(const { C_AHEAD / (H * NV) });
        for group in 0..groups {
            if large && group % const { ERRAND_STEPS / STEPS } == 0 {
                if first.pace > 0 {
                    first.proceed(tier, first.pace);
                }
                if second.pace > 0 {
                    second.proceed(tier, second.pace);
                }
            }
            if large && group == ask {
                prefetch_tile::<S, T, H, NV>(tier, tile.c, tile.c_row);
                prefetch_tile::<S, T, H, NV>(tier, tile.c_next, tile.c_row);
            }
            if tile.b_ahead != 0 {
                for i in 0..STEPS {
                    for v in 0..NV {
                        tier.prefetch_far(
                            b.wrapping_offset(tile.b_ahead + (i * tile.b_step + v * T::V::<S>::LANES) as isize),
                        );
                    }
                }
            }
            if A::IN_PLACE {
                prefetch_rows::<S, T, H>(tier, a[0], tile.a_row, group);
            }
            for _ in 0..STEPS {
                step::<S, T, A, H, NV>(tier, tile, &mut a, &mut b, &mut acc);
            }
        }
        for _ in 0..tile.depth % STEPS {
            step::<S, T, A, H, NV>(tier, tile, &mut a, &mut b, &mut acc);
        }
        end::<S, T, H, NV>(tier, tile, acc);
    }
}

/// Asks for the lines of a tile of C.
#[inline(always)]
fn prefetch_tile<S: Tier, T: Real, const H: usize, const NV: usize>(tier: S, c: *const T, row: usize) {
    for i in 0..H {
        for v in 0..NV {
            tier.prefetch(c.wrapping_add(i * row + v * T::V::<S>::LANES));
        }
    }
}

/// Asks for the next lines of the rows of an A that is read in place, of some rows in each group of steps, so that the
/// groups of one line of k ask for a line of every row.
#[inline(always)]
fn prefetch_rows<S: Tier, T: Real, const H: usize>(tier: S, a: *const T, row: usize, group: usize) {
    let line = T::V::<S>::LANES;
    let groups = line / STEPS;
    let rows = H.div_ceil(groups);
    for i in 0..rows {
        tier.prefetch(a.wrapping_add((group % groups * rows + i) * row + 2 * line));
    }
}

/// What an errand owes for `runs` runs, as a call of its own.
///
/// # Safety
/// As for [`Errand::proceed`].
#[inline(never)]
unsafe fn proceed_apart<S: Tier, T: Real>(tier: S, errand: &mut Errand<T>, runs: usize) {
    let count = errand.pace * runs;
    if count > 0 {
        tier.vectorize(
            #[inline(always)]
            || {
                // SAFETY: the caller's promise, passed on.
                unsafe { errand.proceed(tier, count) }
            },
        );
    }
}

/// One step of k: every element of the tile takes one fused multiply-add.
///
/// # Safety
/// `a` and `b` point to a step of k that the tile has.
#[inline(always)]
unsafe fn step<S: Tier, T: Real, A: ALayout, const H: usize, const NV: usize>(
    tier: S,
    tile: &Tile<T>,
    a: &mut [*const T; QUADS],
    b: &mut *const T,
    acc: &mut [[T::V<S>; NV]; H],
) {
    let mut row = [T::V::<S>::zero(tier); NV];
    for (v, row) in row.iter_mut().enumerate() {
        // SAFETY: each step of B has NV whole vectors.
        *row = unsafe { T::V::<S>::load_ptr(tier, b.add(v * T::V::<S>::LANES)) };
    }
    for (i, acc) in acc.iter_mut().enumerate() {
        // SAFETY: the panel of A has H rows at each step.
        let a = unsafe { *if A::IN_PLACE { a[i / 4].add(i % 4 * tile.a_row) } else { a[0].add(A::row::<T>(i)) } };
        let a = T::V::<S>::splat(tier, a);
        for (acc, b) in acc.iter_mut().zip(row) {
            *acc = a.fma(b, *acc);
        }
    }
    for a in &mut a[..if A::IN_PLACE { H.div_ceil(4) } else { 1 }] {
        *a = a.wrapping_add(A::step::<H>());
    }
    *b = b.wrapping_add(tile.b_step);
}

/// The values that the chains start from.
///
/// # Safety
/// As said at [`MicroKernel`].
#[inline(always)]
unsafe fn begin<S: Tier, T: Real, const H: usize, const NV: usize>(tier: S, tile: &Tile<T>) -> [[T::V<S>; NV]; H] {
    let mut acc = [[T::V::<S>::zero(tier); NV]; H];
    // SAFETY: the caller promised C and the biases for exactly these places.
    unsafe {
        match tile.start {
            Start::Zero => {}
            Start::Load => {
                for (i, acc) in acc.iter_mut().enumerate() {
                    *acc = load_row::<S, T, NV>(tier, tile.c.add(i * tile.c_row), tile.last_columns);
                }
            }
            Start::Scale(beta) => {
                let beta = T::V::<S>::splat(tier, beta);
                for (i, acc) in acc.iter_mut().enumerate() {
                    let row = load_row::<S, T, NV>(tier, tile.c.add(i * tile.c_row), tile.last_columns);
                    for (acc, c) in acc.iter_mut().zip(row) {
                        *acc = beta * c;
                    }
                }
            }
            Start::ColumnBias(bias) => acc = [load_row::<S, T, NV>(tier, bias, tile.last_columns); H],
            Start::RowBias(bias) => {
                for (i, acc) in acc.iter_mut().enumerate() {
                    *acc = [T::V::<S>::splat(tier, *bias.add(i)); NV];
                }
            }
        }
    }
    acc
}

/// Finishes the elements and stores them.
///
/// # Safety
/// As said at [`MicroKernel`].
#[inline(always)]
unsafe fn end<S: Tier, T: Real, const H: usize, const NV: usize>(tier: S, tile: &Tile<T>, mut acc: [[T::V<S>; NV]; H]) {
    // SAFETY: the caller promised C and the residual for exactly these places.
    unsafe {
        if let Finish::Last { residual, residual_row, relu } = tile.finish {
            let zero = T::V::<S>::zero(tier);
            for acc in acc.as_flattened_mut() {
                *acc = zero + *acc;
            }
            if !residual.is_null() {
                for (i, acc) in acc.iter_mut().enumerate() {
                    let row = load_row::<S, T, NV>(tier, residual.add(i * residual_row), tile.last_columns);
                    for (acc, r) in acc.iter_mut().zip(row) {
                        *acc = *acc + r;
                    }
                }
            }
            if relu {
                for acc in acc.as_flattened_mut() {
                    *acc = zero.max(*acc);
                }
            }
        }
        for (i, acc) in acc.iter().enumerate() {
            let c = tile.c.add(i * tile.c_row);
            for (v, acc) in acc.iter().enumerate() {
                let place = c.add(v * T::V::<S>::LANES);
                if v + 1 < NV || tile.last_columns == T::V::<S>::LANES {
                    acc.store_ptr(place);
                } else {
                    acc.store_partial_ptr(place, tile.last_columns);
                }
            }
        }
    }
}

/// `NV` vectors from adjacent columns, of which the last has `last_columns`.
///
/// # Safety
/// Those elements must be readable.
#[inline(always)]
unsafe fn load_row<S: Tier, T: Real, const NV: usize>(tier: S, from: *const T, last_columns: usize) -> [T::V<S>; NV] {
    let mut row = [T::V::<S>::zero(tier); NV];
    for (v, row) in row.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let place = from.add(v * T::V::<S>::LANES);
            *row = if v + 1 < NV || last_columns == T::V::<S>::LANES {
                T::V::<S>::load_ptr(tier, place)
            } else {
                T::V::<S>::load_partial_ptr(tier, place, last_columns)
            };
        }
    }
    row
}
