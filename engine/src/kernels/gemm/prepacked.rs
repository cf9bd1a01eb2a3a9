//! Operands that are packed once and used in several products.

use super::kernel::max_height;
use super::kernel::pitch;
use super::pack::{PackedLayout, pack_a_panel, pack_b_block};
use super::plan::{panel, panels};
use crate::error::{Error, Result};
use crate::kernels::Scalar;
use crate::memory::Buffer;
use crate::parallel::Context;
use crate::simd::{Kernel, Real, Tier, Vector};
use crate::tensor::MatRef;

/// A left operand (m x k) in the order in which products read it.
///
/// Packed for the tier of one context; a context of another tier reads it too, if its tiles are not smaller, and says
/// so if they are.
#[derive(Debug)]
pub struct PackedA<T: Real> {
    pub(super) data: Buffer<T>,
    pub(super) layout: PackedLayout,
    pub(super) height: usize,
    pub(super) depth: usize,
    m: usize,
    k: usize,
}

/// A right operand (k x n) in the order in which products read it, for any tier.
#[derive(Debug)]
pub struct PackedB<T: Real> {
    pub(super) data: Buffer<T>,
    pub(super) vectors: usize,
    k: usize,
    n: usize,
}

/// The packed size of a whole left operand, in elements.
pub(super) fn packed_a_len<T>(m: usize, k: usize, depth: usize) -> Result<usize> {
    k.div_ceil(depth)
        .max(1)
        .checked_mul(m)
        .and_then(|rows| rows.checked_mul(pitch::<T>()))
        .ok_or(Error::Overflow { op: "gemm", what: "packed a" })
}

/// The packed size of `n` columns of a right operand, in elements.
pub(super) fn packed_b_len(k: usize, n: usize, width: usize) -> Result<usize> {
    n.checked_next_multiple_of(width)
        .and_then(|columns| columns.checked_mul(k))
        .ok_or(Error::Overflow { op: "gemm", what: "packed b" })
}

/// Packs all of A, in parallel over panels and blocks of k: block by block, in it panel by panel, row i of a block
/// starting at element `i * pitch` of it.
pub(super) fn pack_whole_a<T: Real>(
    context: &Context,
    a: &MatRef<'_, T>,
    alpha: T,
    height: usize,
    depth: usize,
    layout: PackedLayout,
    to: &mut [T],
) -> Result<()> {
    struct Panel<'a, 'b, T: Real>(
        &'a MatRef<'b, T>,
        std::ops::Range<usize>,
        std::ops::Range<usize>,
        T,
        PackedLayout,
        &'a mut [T],
    );
    impl<T: Real> Kernel for Panel<'_, '_, T> {
        type Output = ();
        #[inline(always)]
        fn run<S: Tier>(self, tier: S) {
            pack_a_panel(tier, self.0, self.1, self.2, self.3, self.4, self.5);
        }
    }
    let (m, k) = (a.rows(), a.cols());
    if m == 0 || k == 0 {
        return Ok(());
    }
    let rows = 0..m;
    let panels = panels(m, height);
    // Each task packs a run of panels of one block of k: some hundred rows.
    let run = 256usize.div_ceil(height);
    let runs = panels.div_ceil(run);
    let to = crate::parallel::Shards::new(to);
    context.tasks(runs * k.div_ceil(depth), |task| {
        let (block, first) = (task / runs, (task % runs) * run);
        let steps = block * depth..((block + 1) * depth).min(k);
        for p in first..(first + run).min(panels) {
            let rows = panel(p, &rows, height);
            let from = (block * m + rows.start) * pitch::<T>();
            // SAFETY: panels are disjoint ranges of rows within a block, and blocks do not overlap.
            let to = unsafe { to.slice(from..from + rows.len() * pitch::<T>()) };
            // The tier was checked when the context was made.
            let _ = context.dispatch(Panel(a, rows, steps.clone(), alpha, layout, to));
        }
    })
}

/// Packs all of B, in parallel over panels: panel by panel, each with all steps of k.
pub(super) fn pack_whole_b<T: Real>(context: &Context, b: &MatRef<'_, T>, vectors: usize, to: &mut [T]) -> Result<()> {
    struct Panels<'a, 'b, T: Real>(&'a MatRef<'b, T>, std::ops::Range<usize>, usize, &'a mut [T]);
    impl<T: Real> Kernel for Panels<'_, '_, T> {
        type Output = ();
        #[inline(always)]
        fn run<S: Tier>(self, tier: S) {
            let (b, k) = (self.0, self.0.rows());
            pack_b_block(tier, b, 0..k, self.1, self.2, k * self.2, self.3);
        }
    }
    let (k, n) = (b.rows(), b.cols());
    if k == 0 || n == 0 {
        return Ok(());
    }
    let width = vectors * lanes::<T>();
    let run = 8; // panels in a task: enough columns for reads to run along the rows
    let to = crate::parallel::Shards::new(to);
    context.tasks(n.div_ceil(width * run), |task| {
        let columns = task * run * width..((task + 1) * run * width).min(n);
        let from = columns.start * k;
        // SAFETY: tasks have disjoint ranges of panels.
        let to = unsafe { to.slice(from..from + columns.len().next_multiple_of(width) * k) };
        // The tier was checked when the context was made.
        let _ = context.dispatch(Panels(b, columns, width, to));
    })
}

/// Lanes of an element type; the same on every tier.
pub(super) const fn lanes<T: Real>() -> usize {
    T::V::<crate::simd::Portable>::LANES
}

/// See [`PackedA::new`].
pub(super) fn pack_left<T: Real>(context: &Context, alpha: T, a: MatRef<'_, T>) -> Result<PackedA<T>> {
    struct Height;
    impl Kernel for Height {
        type Output = usize;
        #[inline(always)]
        fn run<S: Tier>(self, _: S) -> usize {
            (1..=2).rev().map(max_height::<S>).find(|&h| h >= 4).unwrap_or(max_height::<S>(1))
        }
    }
    let (m, k) = (a.rows(), a.cols());
    let height = context.dispatch(Height)?;
    let limit = super::kernel::max_depth::<T>();
    let depth = k.div_ceil(k.div_ceil(limit).max(1)).next_multiple_of(lanes::<T>()).clamp(lanes::<T>(), limit);
    let mut data = Buffer::zeroed(packed_a_len::<T>(m, k, depth)?)?;
    let layout = PackedLayout::of(&a);
    pack_whole_a(context, &a, alpha, height, depth, layout, &mut data)?;
    Ok(PackedA { data, layout, height, depth, m, k })
}

/// See [`PackedB::new`].
pub(super) fn pack_right<T: Real>(context: &Context, b: MatRef<'_, T>) -> Result<PackedB<T>> {
    struct Vectors;
    impl Kernel for Vectors {
        type Output = usize;
        #[inline(always)]
        fn run<S: Tier>(self, _: S) -> usize {
            super::plan::usual_vectors::<S>()
        }
    }
    let (k, n) = (b.rows(), b.cols());
    let vectors = context.dispatch(Vectors)?.min(n.div_ceil(lanes::<T>()).max(1));
    let mut data = Buffer::zeroed(packed_b_len(k, n, vectors * lanes::<T>())?)?;
    pack_whole_b(context, &b, vectors, &mut data)?;
    Ok(PackedB { data, vectors, k, n })
}

impl<T: Scalar> PackedA<T> {
    /// Packs `alpha` times `a`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Overflow`]; [`Error::FloatEnvironment`] as every kernel.
    pub fn new(context: &Context, alpha: T, a: MatRef<'_, T>) -> Result<Self> {
        super::pack_left(context, alpha, a)
    }
}

impl<T: Real> PackedA<T> {
    /// (m, k).
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.m, self.k)
    }
}

impl<T: Scalar> PackedB<T> {
    /// Packs `b`.
    ///
    /// # Errors
    /// As [`PackedA::new`].
    pub fn new(context: &Context, b: MatRef<'_, T>) -> Result<Self> {
        super::pack_right(context, b)
    }
}

impl<T: Real> PackedB<T> {
    /// (k, n).
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.k, self.n)
    }
}
