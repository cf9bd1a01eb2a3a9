//! Runs a product: packs what is shared, hands out tasks, and calls the micro-kernel tile by tile.

mod operands;

use std::ops::Range;

use super::Blocking;
use super::kernel::{
    ALayout, Errand, Finish, Interleaved, MicroKernel, RowMajor, Start, Tile, pitch, select, select_in_place,
};
use super::pack::PackedLayout;
use super::plan::{Plan, Request, panels};
use super::prepacked::{lanes, packed_b_len};
use super::sums::ColumnSums;
use super::{Bias, Left, Options, Right, Sums};
use crate::error::Result;
use crate::parallel::{Context, Shards};
use crate::simd::{Kernel, Real, Tier};
use crate::tensor::{MatMut, MatRef};

/// Where panels of A come from.
#[derive(Clone, Copy)]
enum ASource<'a, T: Real> {
    /// From the caller's matrix, packed by each task panel by panel.
    Plain(MatRef<'a, T>),
    /// Packed beforehand: blocks of k, in each all rows at the pitch.
    Packed(&'a [T], PackedLayout),
}

/// Where panels of B come from.
#[derive(Clone, Copy)]
enum BSource<'a, T: Real> {
    /// From the caller's matrix: in place, or packed by each task block by block.
    Plain(MatRef<'a, T>),
    /// Packed beforehand, panel by panel.
    Packed(&'a [T]),
}

/// C as tasks see it: each writes its own part.
#[derive(Clone, Copy)]
struct Target<'a, T> {
    c: Shards<'a, T>,
    row_stride: usize,
    col_stride: usize,
}

/// Everything that a task needs to know.
struct Job<'a, T: Real> {
    context: &'a Context,
    plan: Plan,
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    start: Start<T>,
    a: ASource<'a, T>,
    b: BSource<'a, T>,
    c: Target<'a, T>,
    residual: Option<MatRef<'a, T>>,
    relu: bool,
    column_sums: Option<ColumnSums<'a, T>>,
}

// SAFETY: the raw pointers inside (biases, C) are borrowed for 'a by `run`, and tasks write disjoint parts of C.
unsafe impl<T: Real> Sync for Job<'_, T> {}

/// See [`super::gemm_with_sums`]; shapes are checked.
pub(super) fn run<T: Real>(
    context: &Context,
    a: Left<'_, T>,
    b: Right<'_, T>,
    c: MatMut<'_, T>,
    options: &Options<'_, T>,
    sums: Sums<'_, T>,
) -> Result<()> {
    let request = |a: &Left<'_, T>, b: &Right<'_, T>, c: &MatMut<'_, T>| Request {
        m: c.rows(),
        n: c.cols(),
        k: a.shape().1,
        a_packed: matches!(a, Left::Packed(_)),
        a_max_height: if let Left::Packed(a) = a { Some(a.height) } else { None },
        a_depth: if let Left::Packed(a) = a { Some(a.depth) } else { None },
        a_row: match a {
            Left::Plain(a) if a.col_stride() == 1 && options.alpha == T::ONE => Some(a.row_stride()),
            _ => None,
        },
        b_packed_vectors: if let Right::Packed(b) = b { Some(b.vectors) } else { None },
        b_in_place: matches!(b, Right::Plain(b) if b.col_stride() == 1),
    };
    // A C whose columns run through memory is the transposed product's C. Multiplication commutes, so the chains are
    // the same; alpha stays with A.
    if let (Left::Plain(a), Right::Plain(b)) = (&a, &b)
        && c.row_stride() == 1
        && c.col_stride() != 1
        && options.alpha == T::ONE
        && sums.is_empty()
    {
        let (a, b) = (Right::Plain(a.transposed()), Left::Plain(b.transposed()));
        let bias = match options.bias {
            Bias::None => Bias::None,
            Bias::Columns(bias) => Bias::Rows(bias),
            Bias::Rows(bias) => Bias::Columns(bias),
        };
        let options = Options { bias, residual: options.residual.map(MatRef::transposed), ..*options };
        let c = c.transposed();
        return run_planned(context, request(&b, &a, &c), b, a, c, &options, sums);
    }
    run_planned(context, request(&a, &b, &c), a, b, c, options, sums)
}

fn run_planned<T: Real>(
    context: &Context,
    request: Request,
    a: Left<'_, T>,
    b: Right<'_, T>,
    mut c: MatMut<'_, T>,
    options: &Options<'_, T>,
    mut sums: Sums<'_, T>,
) -> Result<()> {
    struct MakePlan<T>(Request, Option<super::Blocking>, std::marker::PhantomData<T>);
    impl<T: Real> Kernel for MakePlan<T> {
        type Output = Result<Plan>;
        #[inline(always)]
        fn run<S: Tier>(self, _: S) -> Result<Plan> {
            Plan::new::<S, T>(&self.0, self.1)
        }
    }
    let (m, n, k) = (request.m, request.n, request.k);
    let plan = context.dispatch(MakePlan(request, options.blocking, std::marker::PhantomData::<T>))??;
    let a_source = match a {
        Left::Packed(a) => ASource::Packed(&a.data, a.layout),
        // Without steps of k there are no elements, and strides say nothing of where rows are.
        Left::Plain(a) if k == 0 => ASource::Plain(MatRef::with_strides(a.data(), m, 0, 0, 1)?),
        Left::Plain(a) => ASource::Plain(a),
    };
    let b_source = match b {
        Right::Packed(b) => BSource::Packed(&b.data),
        Right::Plain(b) => BSource::Plain(b),
    };
    let start = match options.bias {
        Bias::Columns(bias) => Start::ColumnBias(bias.as_ptr()),
        Bias::Rows(bias) => Start::RowBias(bias.as_ptr()),
        Bias::None if options.beta == T::ZERO => Start::Zero,
        Bias::None if options.beta == T::ONE => Start::Load,
        Bias::None => Start::Scale(options.beta),
    };
    let (row_stride, col_stride) = (c.row_stride(), c.col_stride());
    let mut partials = ColumnSums::scratch(context, m, n, &sums)?;
    {
        let job = Job {
            context,
            plan,
            m,
            n,
            k,
            alpha: options.alpha,
            start,
            a: a_source,
            b: b_source,
            c: Target { c: Shards::new(c.data_mut()), row_stride, col_stride },
            residual: options.residual,
            relu: options.relu,
            column_sums: ColumnSums::over(&mut partials, m, n, &sums),
        };
        if m > 0 && n > 0 {
            let failed = std::sync::Mutex::new(Ok(()));
            context.tasks(plan.tasks(m, n), |index| {
                if let Err(error) = context.dispatch(Task(&job, index)).and_then(|result| result) {
                    *failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Err(error);
                }
            })?;
            failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)?;
        }
    }
    ColumnSums::finish(&mut partials, m, n, &mut sums);
    super::sums::row_sums(context, c.as_ref(), &mut sums)
}

/// One task: a range of rows, or of columns, of C.
struct Task<'a, 'b, T: Real>(&'a Job<'b, T>, usize);

impl<T: Real> Kernel for Task<'_, '_, T> {
    type Output = Result<()>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<()> {
        run_task(tier, self.0, self.1)
    }
}

/// A block of a task: some of its columns for some steps of k.
#[derive(Clone)]
struct Block {
    cols: Range<usize>,
    /// Number of the block of k, its steps, and whether it is the last.
    number: usize,
    steps: Range<usize>,
    last: bool,
}

/// The state of a task while it runs.
struct Running<'a, 'b, T: Real> {
    job: &'a Job<'b, T>,
    rows: Range<usize>,
    cols: Range<usize>,
    /// Two packed panels of A: one in use, one being filled.
    a: [&'a mut [T]; 2],
    /// Two packed blocks of B, panel by panel; of a B that is read in place, the last panel if it is ragged.
    b: [&'a mut [T]; 2],
    /// A tile of C, and one of the residual, for strides that the micro-kernel cannot write.
    staging: &'a mut [T],
    /// What the micro-kernel copies meanwhile: the next panel of A, the next block of B.
    errands: [Errand<T>; 2],
}

#[inline(always)]
fn run_task<S: Tier, T: Real>(tier: S, job: &Job<'_, T>, index: usize) -> Result<()> {
    let Blocking { height, vectors, depth, .. } = job.plan.blocking;
    let width = vectors * lanes::<T>();
    let (rows, cols) = job.plan.task(index, job.m, job.n);
    let packs_a = matches!(job.a, ASource::Plain(_));
    // The slack is for whole vectors where an interleaved panel has fewer rows.
    let panel_len = if packs_a { height * pitch::<T>() + lanes::<T>() } else { 0 };
    let block_columns = match job.b {
        BSource::Packed(_) => 0,
        BSource::Plain(_) if job.plan.b_in_place => width,
        BSource::Plain(_) => job.plan.block_columns.min(cols.len()),
    };
    let block_len = packed_b_len(depth.min(job.k), block_columns, width)?;
    let direct = job.c.col_stride == 1 && job.residual.is_none_or(|r| r.col_stride() == 1);
    let mut scratch = job.context.scratch(2 * (panel_len + block_len))?;
    let mut staging = job.context.scratch(if direct { 0 } else { 2 * height * width })?;
    let (a0, rest) = scratch.split_at_mut(panel_len);
    let (a1, rest) = rest.split_at_mut(panel_len);
    let (b0, b1) = rest.split_at_mut(block_len);
    let mut running =
        Running { job, rows, cols, a: [a0, a1], b: [b0, b1], staging: &mut staging, errands: [Errand::NONE; 2] };
    match job.a {
        ASource::Plain(a) if PackedLayout::of(&a) == PackedLayout::RowMajor => running.all_blocks::<S, RowMajor>(tier),
        ASource::Packed(_, PackedLayout::RowMajor) => running.all_blocks::<S, RowMajor>(tier),
        _ => running.all_blocks::<S, Interleaved>(tier),
    }
    Ok(())
}

impl<T: Real> Running<'_, '_, T> {
    /// All blocks of the task: for each range of columns, all steps of k.
    #[inline(always)]
    fn all_blocks<S: Tier, A: ALayout>(&mut self, tier: S) {
        let (down, across) = (self.blocks_of_k(), self.cols.len().div_ceil(self.job.plan.block_columns));
        let count = down * across;
        for i in 0..count {
            let block = self.block(i);
            if i == 0 {
                self.pack_a(tier, 0, &block);
                self.pack_b(tier, &block, 0);
            }
            let next = (i + 1 < count).then(|| self.block(i + 1));
            self.block_tiles::<S, A>(tier, &block, next.as_ref());
            if let Some(next) = next {
                // What could not be copied on the way.
                let first = if self.copies_b() { self.panels_of(&next).saturating_sub(1) } else { 0 };
                self.b.swap(0, 1);
                if !self.copies_b() || !next.cols.len().is_multiple_of(lanes::<T>()) {
                    self.pack_b(tier, &next, first);
                }
            }
        }
    }

    fn blocks_of_k(&self) -> usize {
        self.job.k.div_ceil(self.job.plan.blocking.depth).max(1)
    }
    fn block(&self, index: usize) -> Block {
        let (down, depth, width) = (self.blocks_of_k(), self.job.plan.blocking.depth, self.job.plan.block_columns);
        let number = index % down;
        let first = self.cols.start + index / down * width;
        Block {
            cols: first..(first + width).min(self.cols.end),
            number,
            steps: number * depth..((number + 1) * depth).min(self.job.k),
            last: number + 1 == down,
        }
    }

    /// All tiles of a block: a panel of A stays in the first-level cache while the panels of B pass by from the second.
    #[inline(always)]
    fn block_tiles<S: Tier, A: ALayout>(&mut self, tier: S, block: &Block, next: Option<&Block>) {
        let Blocking { height, vectors, .. } = self.job.plan.blocking;
        let in_place = if self.job.plan.a_in_place { select_in_place::<S, T>() } else { None };
        let (row_panels, column_panels, depth) =
            (panels(self.rows.len(), height), self.panels_of(block), block.steps.len());
        self.errands[1] =
            next.map_or(Errand::NONE, |next| self.b_errand(next)).paced(tier, row_panels * column_panels, depth);
        for p in 0..row_panels {
            let rows = self.panel(p);
            let next_panel = if p + 1 < row_panels { Some((p + 1, block)) } else { next.map(|next| (0, next)) };
            self.errands[0] =
                next_panel.map_or(Errand::NONE, |(p, block)| self.a_errand(p, block)).paced(tier, column_panels, depth);
            let whole = match in_place {
                Some(kernel) if self.reads_in_place(&rows) => Some(kernel),
                _ => select::<S, T, A>(rows.len(), vectors),
            };
            for q in 0..column_panels {
                let columns = self.column_panel(block, q);
                let used = columns.len().div_ceil(lanes::<T>());
                let kernel = if used == vectors { whole } else { select::<S, T, A>(rows.len(), used) };
                // The plan only makes tiles that the tier has.
                let Some(kernel) = kernel else { return };
                for errand in &mut self.errands {
                    // SAFETY: the errand is within its matrix and its buffer.
                    unsafe { errand.proceed(tier, errand.burst) };
                }
                let c_next = if q + 1 < column_panels {
                    self.c_place(rows.start, self.column_panel(block, q + 1).start)
                } else if p + 1 < row_panels {
                    self.c_place(self.panel(p + 1).start, block.cols.start)
                } else {
                    next.map_or(std::ptr::null_mut(), |next| self.c_place(self.rows.start, next.cols.start))
                };
                self.tile(tier, kernel, &rows, block, q, c_next, self.b_ahead(block, q, next));
            }
            // SAFETY: the errand is within A and its buffer.
            unsafe { self.errands[0].proceed(tier, usize::MAX) };
            if let Some((p, block)) = next_panel {
                self.a.swap(0, 1);
                if !self.copies_a() {
                    self.pack_a(tier, p, block);
                }
            }
            self.sum_columns(tier, rows, block);
        }
        // SAFETY: the errand is within B and its buffer.
        unsafe { self.errands[1].proceed(tier, usize::MAX) };
    }

    /// One tile of C for one block.
    #[inline(always)]
    fn tile<S: Tier>(
        &mut self,
        tier: S,
        kernel: MicroKernel<S, T>,
        rows: &Range<usize>,
        block: &Block,
        q: usize,
        c_next: *const T,
        b_ahead: isize,
    ) {
        let job = self.job;
        let columns = self.column_panel(block, q);
        let vectors = columns.len().div_ceil(lanes::<T>());
        let a = self.a_panel(rows, block);
        let (b, b_step) = self.b_panel(q, block);
        let start = match job.start {
            _ if block.number > 0 => Start::Load,
            Start::ColumnBias(bias) => Start::ColumnBias(bias.wrapping_add(columns.start)),
            Start::RowBias(bias) => Start::RowBias(bias.wrapping_add(rows.start)),
            other => other,
        };
        let residual = job.residual.filter(|_| block.last);
        let finish = if block.last {
            let place = residual.map_or(std::ptr::null(), |r| {
                r.data().as_ptr().wrapping_add(rows.start * r.row_stride() + columns.start * r.col_stride())
            });
            Finish::Last { residual: place, residual_row: residual.map_or(0, |r| r.row_stride()), relu: job.relu }
        } else {
            Finish::Continue
        };
        let c = self.c_place(rows.start, columns.start);
        let mut tile = Tile {
            depth: block.steps.len(),
            a,
            a_row: if let ASource::Plain(a) = job.a { a.row_stride() } else { 0 },
            b,
            b_step,
            c,
            c_row: job.c.row_stride,
            c_next,
            last_columns: columns.len() - (vectors - 1) * lanes::<T>(),
            start,
            finish,
            b_ahead,
            errands: &raw mut self.errands,
        };
        if self.staging.is_empty() {
            // SAFETY: A's panel has all its rows and steps, by the shape check or by packing; B's panel is packed with
            // whole vectors, or read in place where whole vectors exist; C, the residual and the biases were checked
            // against their shapes, and no other task has these rows and columns of C.
            unsafe { kernel(tier, &tile) };
        } else {
            // SAFETY: as above; the staging buffer has two tiles.
            unsafe { self.tile_through_staging(tier, kernel, &mut tile, rows.len(), columns.len(), residual) };
        }
    }

    /// The same for a C, or a residual, whose columns are not adjacent: through a tile of scratch that is.
    ///
    /// # Safety
    /// As for the micro-kernel, with the strides of the views in place of unit strides.
    unsafe fn tile_through_staging<S: Tier>(
        &mut self,
        tier: S,
        kernel: MicroKernel<S, T>,
        tile: &mut Tile<T>,
        height: usize,
        width: usize,
        residual: Option<MatRef<'_, T>>,
    ) {
        let pitch = self.width();
        let (staged_c, staged_residual) = self.staging.split_at_mut(self.staging.len() / 2);
        let (c, row_stride, col_stride) = (tile.c, self.job.c.row_stride, self.job.c.col_stride);
        let places = |i: usize, j: usize| (i * row_stride + j * col_stride, i * pitch + j);
        for i in 0..height {
            for j in 0..width {
                let (place, staged) = places(i, j);
                if matches!(tile.start, Start::Load | Start::Scale(_)) {
                    // SAFETY: an element of the tile in C.
                    staged_c[staged] = unsafe { c.add(place).read() };
                }
                if let (Some(r), Finish::Last { residual: first, .. }) = (residual, tile.finish) {
                    // SAFETY: an element of the tile in the residual.
                    staged_residual[staged] = unsafe { first.add(i * r.row_stride() + j * r.col_stride()).read() };
                }
            }
        }
        tile.c = staged_c.as_mut_ptr();
        tile.c_row = pitch;
        if let (Some(_), Finish::Last { residual, residual_row, .. }) = (residual, &mut tile.finish) {
            (*residual, *residual_row) = (staged_residual.as_ptr(), pitch);
        }
        // SAFETY: the caller's promise for A and B; C and the residual are the staging tiles.
        unsafe { kernel(tier, tile) };
        for i in 0..height {
            for j in 0..width {
                let (place, staged) = places(i, j);
                // SAFETY: an element of the tile in C.
                unsafe { c.add(place).write(staged_c[staged]) };
            }
        }
    }

    /// Sums the shards of C that a row panel completed.
    #[inline(always)]
    fn sum_columns<S: Tier>(&self, tier: S, rows: Range<usize>, block: &Block) {
        if let (true, Some(sums)) = (block.last, &self.job.column_sums) {
            let c = &self.job.c;
            // SAFETY: this task has finished these rows and columns, and it alone touches them.
            unsafe { sums.add(tier, c.c.as_mut_ptr(), c.row_stride, c.col_stride, rows, block.cols.clone()) };
        }
    }
}
