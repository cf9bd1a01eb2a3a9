//! From examples to partial sums, and from partial sums to the gradient.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::kernel::{MOST_ROWS, Sums, Taps, Walk, pixel_sums, select};
use super::pack::{Examples, pack_shard, plain_d, stage_len};
use super::plan::{Layout, MOST_TAPS, Plan, Span, positions};
use crate::error::{Error, Result};
use crate::memory::Scratch;
use crate::parallel::{Context, Shards};
use crate::simd::{Kernel, Tier, Vector};

/// Most examples of a shard.
const MOST_EXAMPLES: usize = 8;

/// `task(0)`, ..., `task(count - 1)` on any thread; one of the errors, if there are any.
pub(super) fn each(context: &Context, count: usize, task: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let failed = Mutex::new(Ok(()));
    context.tasks(count, |i| {
        if let Err(error) = task(i) {
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Err(error);
        }
    })?;
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Levels of partial sums below the root of a tree of `count` leaves.
pub(super) fn levels(count: usize) -> usize {
    count.max(1).next_power_of_two().ilog2() as usize
}

/// The subtrees that a new partial sum is added to on its way up.
struct Lefts {
    pointers: [*const f32; 2 * usize::BITS as usize],
    len: usize,
}

impl Lefts {
    fn new() -> Self {
        Self { pointers: [std::ptr::null(); 2 * usize::BITS as usize], len: 0 }
    }
    fn all(&self) -> &[*const f32] {
        &self.pointers[..self.len]
    }
    /// Leaf `c` arrives at a left-balanced tree of `count` leaves, whose subtrees of `2^b` leaves wait at
    /// `slots + b stride`: notes those that it completes, and says where the sum goes. As in binary addition of one,
    /// each trailing set bit of `c` is a subtree of the same size to the left; after the last leaf all others follow.
    fn push(&mut self, c: usize, count: usize, slots: *mut f32, stride: usize, root: *mut f32) -> *mut f32 {
        let own = c.trailing_ones();
        let last = c + 1 == count;
        for bit in 0..usize::BITS - c.leading_zeros() {
            if bit < own || (last && c >> bit & 1 == 1) {
                self.pointers[self.len] = slots.wrapping_add(bit as usize * stride);
                self.len += 1;
            }
        }
        if last { root } else { slots.wrapping_add(own as usize * stride) }
    }
}

/// Shards whose panels lie side by side.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    pub plan: &'a Plan,
    /// Examples of the batch, and the shards of the group.
    pub n: usize,
    pub from: usize,
    pub to: usize,
    pub x: Examples<'a>,
    pub d_y: Examples<'a>,
    pub x_panels: Shards<'a, f32>,
    pub d_panels: Shards<'a, f32>,
}

/// Where the partial sums of a group go: leaf `index` of `count` of a tree whose levels are regions of all weights.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub index: usize,
    pub count: usize,
    pub slots: *mut f32,
    pub root: *mut f32,
}

impl Group<'_> {
    /// Fills the panels of one shard.
    ///
    /// # Safety
    /// Nobody else uses the panels of this shard.
    #[inline(always)]
    unsafe fn pack<S: Tier>(&self, tier: S, s: usize, stage: &mut [f32]) {
        let plan = self.plan;
        let (x_len, d_len) = (plan.shards.examples * plan.x_example(), plan.shards.examples * plan.d_example());
        let place = |len: usize| (s - self.from) * len..(s - self.from + 1) * len;
        // SAFETY: the panels of a shard are its own; the caller promises the rest.
        let panels = unsafe { (self.x_panels.slice(place(x_len)), self.d_panels.slice(place(d_len))) };
        pack_shard(tier, plan, s, self.n, (self.x, self.d_y), panels, stage);
    }

    /// The first needed row of each example of shard `s`, in its panels or in place.
    fn panels(&self, s: usize) -> (usize, [*const f32; MOST_EXAMPLES], [*const f32; MOST_EXAMPLES]) {
        let (plan, g) = (self.plan, &self.plan.g);
        let out_rows = plan.shards.rows_of(s, g.out_h());
        let in_rows = plan.in_rows_of(&out_rows);
        let (mut xs, mut ds) = ([std::ptr::null(); MOST_EXAMPLES], [std::ptr::null(); MOST_EXAMPLES]);
        let examples = plan.shards.examples_of(s, self.n);
        for (i, e) in examples.clone().enumerate() {
            let place = (s - self.from) * plan.shards.examples + i;
            xs[i] = match if plan.layout == Layout::Panels { None } else { self.x.in_place(e) } {
                Some(x) => x[in_rows.start * g.w * g.c_in..].as_ptr(),
                None => self.x_panels.as_mut_ptr().wrapping_add(place * plan.x_example()),
            };
            ds[i] = match if plain_d(plan) { self.d_y.in_place(e) } else { None } {
                Some(d_y) => d_y[out_rows.start * g.out_w() * g.c_out..].as_ptr(),
                None => self.d_panels.as_mut_ptr().wrapping_add(place * plan.d_example()),
            };
        }
        (examples.len(), xs, ds)
    }

    /// Adds up one block of weights over all shards of the group: the tiles `tiles` of the block `block` of output
    /// channels, and the bias beside the last.
    ///
    /// # Safety
    /// The panels are filled, `target` points to regions of all weights, and nobody else uses this block of them.
    #[inline(always)]
    unsafe fn block<S: Tier>(&self, tier: S, block: usize, tiles: Range<usize>, target: Target, local: &mut [f32]) {
        let plan = self.plan;
        let rows = plan.block_rows(&tiles);
        let first_row = rows.start;
        let in_region = (block * plan.all_rows() + rows.start) * plan.width;
        let block_len = rows.len() * plan.width;
        // The sums between two chunks, then the subtrees of the group.
        let current = local.as_mut_ptr();
        let slots = current.wrapping_add(block_len);
        for s in self.from..self.to {
            let (count, xs, ds) = self.panels(s);
            let (xs, ds) = (&xs[..count], &ds[..count]);
            let mut lefts = Lefts::new();
            let mut out = lefts.push(s - self.from, self.to - self.from, slots, block_len, std::ptr::null_mut());
            if out.is_null() {
                let region = |start: *mut f32| start.wrapping_add(in_region);
                let (slots, root) = (region(target.slots), region(target.root));
                out = lefts.push(target.index, target.count, slots, plan.region(), root);
            }
            let out_rows = plan.shards.rows_of(s, plan.g.out_h());
            let chunks = Chunks::new(plan, count, out_rows.len());
            for chunk in 0..chunks.count {
                let (examples, rows) = chunks.get(chunk);
                let sums = Sums {
                    from: if chunk == 0 { std::ptr::null() } else { current },
                    lefts: if chunk + 1 == chunks.count { lefts.all() } else { &[] },
                    out: if chunk + 1 == chunks.count { out } else { current },
                };
                let walk = Walk {
                    xs: &xs[examples.clone()],
                    ds: &ds[examples],
                    sums,
                    d_offset: block * plan.out_rows * plan.g.out_w() * plan.width,
                    d_row: plan.g.out_w() * plan.width,
                    ..Walk::NONE
                };
                let rows = out_rows.start + rows.start..out_rows.start + rows.end;
                let spans = row_spans(plan, &out_rows, &rows);
                for t in tiles.clone() {
                    let place = (plan.tile_row(t) - first_row) * plan.width;
                    // SAFETY: the caller's promise; the walks stay within the rows that were packed.
                    unsafe { tile(tier, plan, t, &out_rows, &rows, &spans, &Walk { place, ..walk }) };
                }
            }
            if plan.bias && tiles.end == plan.tiles {
                let walk = Walk {
                    ds,
                    sums: Sums { from: std::ptr::null(), lefts: lefts.all(), out },
                    d_offset: block * plan.out_rows * plan.g.out_w() * plan.width,
                    // The last row of the block.
                    place: block_len - plan.width,
                    ..Walk::NONE
                };
                let pixels = out_rows.len() * plan.g.out_w();
                // SAFETY: as above.
                unsafe {
                    if plan.vectors == 2 {
                        pixel_sums::<S, 2>(tier, &walk, pixels);
                    } else {
                        pixel_sums::<S, 1>(tier, &walk, pixels);
                    }
                }
            }
        }
    }
}

/// A shard cut into runs of whole examples, or of rows of one.
struct Chunks {
    count: usize,
    examples: usize,
    examples_each: usize,
    rows: usize,
    rows_each: usize,
}

impl Chunks {
    fn new(plan: &Plan, examples: usize, rows: usize) -> Self {
        let pixels = plan.blocking.pixels;
        let examples_each = (pixels / (rows * plan.g.out_w())).clamp(1, examples.max(1));
        let rows_each = if examples_each > 1 { rows } else { (pixels / plan.g.out_w()).clamp(1, rows) };
        let count = examples.div_ceil(examples_each) * rows.div_ceil(rows_each);
        Self { count, examples, examples_each, rows, rows_each }
    }
    /// The examples and the rows of a chunk.
    fn get(&self, chunk: usize) -> (Range<usize>, Range<usize>) {
        let runs = self.rows.div_ceil(self.rows_each);
        let part = |i: usize, each: usize, all: usize| i * each..((i + 1) * each).min(all);
        (part(chunk / runs, self.examples_each, self.examples), part(chunk % runs, self.rows_each, self.rows))
    }
}

/// For each kernel row the output rows of `rows` that it meets, unless rows of tiles are taps; `all` are those of the
/// shard, and `read` is a row of its panels.
#[inline(always)]
fn row_spans(plan: &Plan, all: &Range<usize>, rows: &Range<usize>) -> [Span; MOST_TAPS] {
    let (g, first) = (&plan.g, plan.in_rows_of(all).start);
    let mut spans = [Span::default(); MOST_TAPS];
    if plan.layout != Layout::Taps {
        for (kh, span) in spans[..g.kernel_h].iter_mut().enumerate() {
            let rows = positions(kh, g.h, g, rows.clone());
            let read = (rows.start * g.stride + kh).saturating_sub(g.padding + first);
            *span = Span { start: rows.start - all.start, len: rows.len(), read };
        }
    }
    spans
}

/// One tile over the output rows `rows` of some examples of a shard that has the output rows `all`: for each tap, or
/// for all at once if its rows are taps.
///
/// # Safety
/// The examples and sums of `walk` are valid for the tile.
#[inline(always)]
unsafe fn tile<S: Tier>(
    tier: S,
    plan: &Plan,
    t: usize,
    all: &Range<usize>,
    rows: &Range<usize>,
    spans: &[Span; MOST_TAPS],
    walk: &Walk<'_>,
) {
    let (g, tile) = (&plan.g, plan.tile(t));
    let Some(kernel) = select::<S>(tile.len(), plan.vectors, plan.layout == Layout::Taps) else { return };
    let d_first = walk.d_offset;
    if plan.layout == Layout::Taps {
        let taps = taps_of(plan, &tile, rows);
        let corner = (rows.start * g.stride) as isize - (g.padding + plan.in_rows_of(all).start) as isize;
        let walk = Walk {
            x_offset: (corner * g.w as isize - g.padding as isize) * g.c_in as isize,
            x_pixel: g.stride * g.c_in,
            x_row: g.stride * g.w * g.c_in,
            d_offset: d_first + (rows.start - all.start) * walk.d_row,
            rows: rows.len(),
            columns: g.out_w(),
            taps: &taps,
            ..*walk
        };
        // SAFETY: the caller's promise; a row of the tile takes part only where its tap meets the image.
        return unsafe { kernel(tier, &walk) };
    }
    let mut walk = *walk;
    // Panels of a tile's own channels, or all channels as they lie.
    let (first, pixel) = match plan.layout {
        Layout::Panels => (tile.start * plan.in_rows * plan.row_pixels, tile.len()),
        _ => (tile.start, g.c_in),
    };
    walk.x_pixel = if plan.layout == Layout::Panels { pixel } else { g.stride * pixel };
    walk.x_row = g.stride * plan.row_pixels * pixel;
    for row in &spans[..g.kernel_h] {
        for column in &plan.columns[..g.kernel_w] {
            (walk.rows, walk.columns) = (row.len, column.len);
            if column.len == 0 {
                walk.rows = 0;
            }
            walk.x_offset = (first + (row.read * plan.row_pixels + column.read) * pixel) as isize;
            walk.d_offset = d_first + row.start * walk.d_row + column.start * plan.width;
            // SAFETY: the caller's promise; the rectangle is where the tap meets the image.
            unsafe { kernel(tier, &walk) };
            walk.place += tile.len() * plan.width;
        }
    }
}

/// What the rows of a tile of taps read, and where, in the output rows `rows`.
fn taps_of(plan: &Plan, tile: &Range<usize>, rows: &Range<usize>) -> Taps {
    let g = &plan.g;
    let mut taps = Taps::NONE;
    let mut columns = [(0, 0); MOST_ROWS];
    for (i, row) in tile.clone().enumerate() {
        let (tap, channel) = (row / g.c_in, row % g.c_in);
        let (kh, kw) = (tap / g.kernel_w, tap % g.kernel_w);
        taps.offsets[i] = ((kh * g.w + kw) * g.c_in + channel) as isize;
        let taking_part = positions(kh, g.h, g, rows.clone());
        taps.rows[i] = (taking_part.start - rows.start, taking_part.end - rows.start);
        let taking_part = positions(kw, g.w, g, 0..g.out_w());
        columns[i] = (taking_part.start, taking_part.end);
    }
    let columns = &columns[..tile.len()];
    let mut from = 0;
    while from < g.out_w() {
        let (mut to, mut mask) = (g.out_w(), 0);
        for (i, &(start, end)) in columns.iter().enumerate() {
            mask |= u32::from(start <= from && from < end) << i;
            for edge in [start, end] {
                if edge > from {
                    to = to.min(edge);
                }
            }
        }
        taps.segments[taps.segment_count] = (to - from, mask);
        taps.segment_count += 1;
        from = to;
    }
    taps
}

/// The scratch space of a task: panels of a group, the rows that a source computes, partial sums of a block.
pub(super) struct Room<'c> {
    x_panels: Scratch<'c, f32>,
    d_panels: Scratch<'c, f32>,
    work: Scratch<'c, f32>,
}

/// Elements of a thread's own working space: the stage, then the sums of a block and its subtrees in a group.
fn work_len(plan: &Plan) -> usize {
    stage_len(plan).next_multiple_of(16) + (1 + levels(plan.blocking.group)) * plan.block_len()
}

impl<'c> Room<'c> {
    fn panels(context: &'c Context, plan: &Plan) -> Result<(Scratch<'c, f32>, Scratch<'c, f32>)> {
        let examples = plan.blocking.group * plan.shards.examples;
        Ok((context.scratch(examples * plan.x_example())?, context.scratch(examples * plan.d_example())?))
    }
    pub(super) fn new(context: &'c Context, plan: &Plan) -> Result<Self> {
        let (x_panels, d_panels) = Self::panels(context, plan)?;
        Ok(Self { x_panels, d_panels, work: context.scratch(work_len(plan))? })
    }
}

/// The examples of one gradient.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub plan: &'a Plan,
    pub n: usize,
    pub x: Examples<'a>,
    pub d_y: Examples<'a>,
}

/// Adds up the shards `from..to`, a group, for all weights, on this thread.
///
/// # Safety
/// `target` points to regions of all weights which nobody else uses.
pub(super) unsafe fn group(
    context: &Context,
    batch: Batch<'_>,
    shards: Range<usize>,
    target: Target,
    room: &mut Room<'_>,
) -> Result<()> {
    struct Whole<'a> {
        group: Group<'a>,
        target: Target,
        work: &'a mut [f32],
    }
    impl Kernel for Whole<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Tier>(self, tier: S) {
            let plan = self.group.plan;
            let (stage, local) = self.work.split_at_mut(stage_len(plan).next_multiple_of(16));
            // SAFETY: one thread does it all, the panels first; the target is its own, by the promise to `group`.
            unsafe {
                for s in self.group.from..self.group.to {
                    self.group.pack(tier, s, stage);
                }
                for block in 0..plan.blocks {
                    for i in 0..plan.tile_groups() {
                        self.group.block(tier, block, plan.tiles_of(i), self.target, local);
                    }
                }
            }
        }
    }
    let Batch { plan, n, x, d_y } = batch;
    let (x_panels, d_panels) = (Shards::new(&mut room.x_panels), Shards::new(&mut room.d_panels));
    let group = Group { plan, n, from: shards.start, to: shards.end, x, d_y, x_panels, d_panels };
    context.dispatch(Whole { group, target, work: &mut room.work })
}

/// Adds up all shards by tasks that divide the weights; the root goes to `root`, one region.
pub(super) fn by_weights(context: &Context, batch: Batch<'_>, root: &mut [f32]) -> Result<()> {
    struct Pack<'a, 'g> {
        group: &'a Group<'g>,
        s: usize,
        stage: &'a mut [f32],
    }
    impl Kernel for Pack<'_, '_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Tier>(self, tier: S) {
            // SAFETY: each shard is packed by one task.
            unsafe { self.group.pack(tier, self.s, self.stage) };
        }
    }
    struct Part<'a, 'g> {
        group: &'a Group<'g>,
        block: usize,
        tile_groups: Range<usize>,
        target: Target,
        local: &'a mut [f32],
    }
    impl Kernel for Part<'_, '_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Tier>(self, tier: S) {
            for i in self.tile_groups {
                // SAFETY: all panels are filled before, and each block of weights has one task.
                unsafe {
                    self.group.block(tier, self.block, self.group.plan.tiles_of(i), self.target, self.local);
                }
            }
        }
    }
    let Batch { plan, n, x, d_y } = batch;
    let shards = plan.shards.count(n);
    let groups = shards.div_ceil(plan.blocking.group);
    let mut slots = context.scratch(levels(groups) * plan.region())?;
    let (mut x_panels, mut d_panels) = Room::panels(context, plan)?;
    let (slots, root) = (Shards::new(&mut slots), Shards::new(root));
    // About TASKS tasks, each some tiles of one block of output channels.
    let parts = WEIGHT_TASKS.div_ceil(plan.blocks).min(plan.tile_groups());
    for index in 0..groups {
        let from = index * plan.blocking.group;
        let to = (from + plan.blocking.group).min(shards);
        let (x_panels, d_panels) = (Shards::new(&mut x_panels), Shards::new(&mut d_panels));
        let group = Group { plan, n, from, to, x, d_y, x_panels, d_panels };
        each(context, to - from, |i| {
            let mut stage = context.scratch(stage_len(plan))?;
            context.dispatch(Pack { group: &group, s: from + i, stage: &mut stage })
        })?;
        each(context, plan.blocks * parts, |i| {
            let target = Target { index, count: groups, slots: slots.as_mut_ptr(), root: root.as_mut_ptr() };
            let mut local = context.scratch(work_len(plan))?;
            let tile_groups = i % parts * plan.tile_groups() / parts..(i % parts + 1) * plan.tile_groups() / parts;
            context.dispatch(Part { group: &group, block: i / parts, tile_groups, target, local: &mut local })
        })?;
    }
    Ok(())
}

/// Tasks that divide the weights, about.
const WEIGHT_TASKS: usize = 32;

/// The left-balanced tree over `count` roots at the elements `place..place + len` of their regions, in place: the first
/// one becomes the sum.
///
/// # Safety
/// Nobody else uses these elements of the regions.
#[inline(always)]
unsafe fn fold<S: Tier>(tier: S, plan: &Plan, roots: Shards<'_, f32>, count: usize, place: usize, len: usize) {
    let mut step = 1;
    while step < count {
        for c in (0..count - step).step_by(2 * step) {
            let at = |c: usize| c * plan.region() + place..c * plan.region() + place + len;
            // SAFETY: two regions, of which these elements are the caller's.
            let (left, right) = unsafe { (roots.slice(at(c)), roots.slice(at(c + step))) };
            for (left, right) in left.chunks_exact_mut(S::F32::LANES).zip(right.chunks_exact(S::F32::LANES)) {
                (S::F32::load(tier, left) + S::F32::load(tier, right)).store(left);
            }
        }
        step *= 2;
    }
}

/// What a gradient is written to.
pub(super) struct Gradient<'a> {
    pub d_w: &'a mut [f32],
    pub d_b: Option<&'a mut [f32]>,
}

/// Folds the regions in `roots`, one a task, by the left-balanced tree, and sorts the sums into the gradient; with
/// `last` as `+0 + sum`.
pub(super) fn finish(
    context: &Context,
    plan: &Plan,
    roots: &mut [f32],
    last: bool,
    gradient: &mut Gradient<'_>,
) -> Result<()> {
    struct Finish<'a> {
        plan: &'a Plan,
        roots: Shards<'a, f32>,
        count: usize,
        last: bool,
        block: usize,
        /// The weights and the biases of the block's output channels.
        d_w: &'a mut [f32],
        d_b: &'a mut [f32],
        sorted: &'a mut [f32],
    }
    impl Kernel for Finish<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Tier>(self, tier: S) {
            let Self { plan, roots, count, last, block, d_w, d_b, sorted } = self;
            let (lanes, rows) = (S::F32::LANES, plan.rows());
            let channels = d_w.len() / rows;
            let (start, len) = (block * plan.all_rows() * plan.width, plan.all_rows() * plan.width);
            // SAFETY: each block has elements of its own in all regions.
            let sums = unsafe {
                fold(tier, plan, roots, count, start, len);
                roots.slice(start..start + len)
            };
            let sum = |place: usize| {
                let sum = S::F32::load(tier, &sums[place..]);
                if last { S::F32::zero(tier) + sum } else { sum }
            };
            // Runs of input channels that lie together in the region: tap by tap, channel by channel.
            let (runs, taps) =
                if plan.layout == Layout::Taps { (1, rows / plan.g.c_in) } else { (plan.tiles, plan.tile_taps()) };
            for run in 0..runs {
                let run = if plan.layout == Layout::Taps { 0..plan.g.c_in } else { plan.tile(run) };
                let len = run.len() * taps;
                for tap in 0..taps {
                    for i in 0..run.len() {
                        let row = (run.start * taps + tap * run.len() + i) * plan.width;
                        for v in 0..plan.vectors {
                            let mut values = [0.0; 16];
                            sum(row + v * lanes).store(&mut values);
                            for (lane, value) in values.into_iter().enumerate() {
                                sorted[(v * lanes + lane) * len + i * taps + tap] = value;
                            }
                        }
                    }
                }
                for (d_w, sorted) in d_w.chunks_exact_mut(rows).zip(sorted.chunks_exact(len)) {
                    d_w[run.start * taps..run.end * taps].copy_from_slice(sorted);
                }
            }
            if plan.bias {
                for v in 0..plan.vectors {
                    let from = (v * lanes).min(channels);
                    let to = (from + lanes).min(channels);
                    let sum = sum(rows * plan.width + v * lanes);
                    sum.store_partial(&mut d_b[from..to]);
                }
            }
        }
    }
    let rows = plan.rows();
    let count = roots.len() / plan.region();
    let roots = Shards::new(roots);
    let (d_w, d_b) = (Shards::new(&mut *gradient.d_w), Shards::new(gradient.d_b.as_deref_mut().unwrap_or_default()));
    let run = if plan.layout == Layout::Taps { plan.rows() } else { plan.tile(0).len() * plan.tile_taps() };
    each(context, plan.blocks, |block| {
        let channels = block * plan.width..((block + 1) * plan.width).min(plan.g.c_out);
        let mut sorted = context.scratch(run * plan.width)?;
        // SAFETY: each block has output channels of its own.
        let (d_w, d_b) = unsafe {
            let d_b = if plan.bias { d_b.slice(channels.clone()) } else { d_b.slice(0..0) };
            (d_w.slice(channels.start * rows..channels.end * rows), d_b)
        };
        context.dispatch(Finish { plan, roots, count, last, block, d_w, d_b, sorted: &mut sorted })
    })
}

/// Room for the sums of the tasks that divide the examples.
pub(super) fn task_count(plan: &Plan, n: usize) -> usize {
    plan.shards.count(n).div_ceil(plan.blocking.group).div_ceil(plan.blocking.task_groups)
}

/// An error where a length does not fit.
pub(super) fn same(what: &'static str, expected: usize, actual: usize) -> Result<()> {
    let op = "convolution backward to weights";
    if expected == actual { Ok(()) } else { Err(Error::Shape { op, what, expected, actual }) }
}
