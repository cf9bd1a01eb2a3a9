//! Copies of A and B in the order in which the micro-kernel reads them.
//!
//! Moving a number does not change it, so nothing here can change a result, apart from the multiplication of A by
//! alpha, which the contract puts here.

use super::kernel::pitch;
use crate::simd::{Real, Tier, Vector};
use crate::tensor::MatRef;

/// Which of the two packed layouts a panel of A has; see the kernel's layouts of the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PackedLayout {
    RowMajor,
    Interleaved,
}

impl PackedLayout {
    /// The layout that a matrix can be packed into by copying runs of adjacent elements.
    pub(super) fn of<T>(a: &MatRef<'_, T>) -> Self {
        if a.row_stride() == 1 && a.col_stride() != 1 { Self::Interleaved } else { Self::RowMajor }
    }
}

/// Packs rows `rows` and steps `depth` of A as one panel at the front of `to`, each element times `alpha`.
///
/// `to` has `rows.len() * pitch` elements.
#[inline(always)]
pub(super) fn pack_a_panel<S: Tier, T: Real>(
    tier: S,
    a: &MatRef<'_, T>,
    rows: std::ops::Range<usize>,
    depth: std::ops::Range<usize>,
    alpha: T,
    layout: PackedLayout,
    to: &mut [T],
) {
    let height = rows.len();
    let (data, rs, cs) = (a.data(), a.row_stride(), a.col_stride());
    match layout {
        PackedLayout::RowMajor => {
            for (i, to) in rows.zip(to.chunks_mut(pitch::<T>())) {
                let to = &mut to[..depth.len()];
                let from = i * rs + depth.start * cs;
                if cs == 1 {
                    copy_scaled(tier, &data[from..from + to.len()], alpha, to);
                } else {
                    for (k, to) in to.iter_mut().enumerate() {
                        *to = alpha * data[from + k * cs];
                    }
                }
            }
        }
        PackedLayout::Interleaved => {
            for (k, to) in depth.zip(to.chunks_exact_mut(height)) {
                let from = rows.start * rs + k * cs;
                copy_scaled(tier, &data[from..from + height], alpha, to);
            }
        }
    }
}

/// Packs columns `cols` and steps `depth` of B as panels of `width` columns, the last filled up with zeros.
///
/// Panel p starts at `to[p * panel_stride]` and has `width` elements a step.
#[inline(always)]
pub(super) fn pack_b_block<S: Tier, T: Real>(
    tier: S,
    b: &MatRef<'_, T>,
    depth: std::ops::Range<usize>,
    cols: std::ops::Range<usize>,
    width: usize,
    panel_stride: usize,
    to: &mut [T],
) {
    let (data, rs, cs) = (b.data(), b.row_stride(), b.col_stride());
    if cs == 1 && cols.len() <= T::V::<S>::LANES && width == T::V::<S>::LANES {
        // A narrow B, where every row is one vector.
        pack_b_narrow(tier, data, rs, depth, cols, to);
    } else if cs == 1 {
        // Row by row: reads run along the row, writes go to one place in each panel.
        for (step, k) in depth.enumerate() {
            let row = &data[k * rs + cols.start..k * rs + cols.end];
            let mut panels = row.chunks_exact(width);
            let mut place = step * width;
            for from in &mut panels {
                copy_scaled(tier, from, T::ONE, &mut to[place..place + width]);
                place += panel_stride;
            }
            let rest = panels.remainder();
            if !rest.is_empty() {
                copy_filled(tier, rest, &mut to[place..place + width]);
            }
        }
    } else {
        pack_b_columns(b, depth, cols, width, panel_stride, to);
    }
}

/// A call of its own, or the loop's few addresses would have no registers left.
#[inline(never)]
fn pack_b_narrow<S: Tier, T: Real>(
    tier: S,
    data: &[T],
    row_stride: usize,
    depth: std::ops::Range<usize>,
    cols: std::ops::Range<usize>,
    to: &mut [T],
) {
    tier.vectorize(
        #[inline(always)]
        || {
            for (k, to) in depth.zip(to.chunks_exact_mut(T::V::<S>::LANES)) {
                let from = k * row_stride;
                T::V::<S>::load_partial(tier, &data[from + cols.start..from + cols.end]).store(to);
            }
        },
    );
}

/// The same for a B whose columns run through memory (a transposed row-major matrix), or with no unit stride at all:
/// a block of columns at a time, so that each line read is used up while it is in the first-level cache.
#[inline(always)]
fn pack_b_columns<T: Real>(
    b: &MatRef<'_, T>,
    depth: std::ops::Range<usize>,
    cols: std::ops::Range<usize>,
    width: usize,
    panel_stride: usize,
    to: &mut [T],
) {
    let (data, rs, cs) = (b.data(), b.row_stride(), b.col_stride());
    const BLOCK: usize = 16;
    let total = depth.len();
    let mut panel = 0;
    while panel * width < cols.len() {
        let first = panel * width;
        let count = width.min(cols.len() - first);
        let to = &mut to[panel * panel_stride..][..total * width];
        let mut step = 0;
        while step < total {
            let steps = BLOCK.min(total - step);
            let block = &mut to[step * width..(step + steps) * width];
            for j in 0..count {
                let from = (cols.start + first + j) * cs + (depth.start + step) * rs;
                if rs == 1 {
                    for (s, x) in data[from..from + steps].iter().enumerate() {
                        block[s * width + j] = *x;
                    }
                } else {
                    for s in 0..steps {
                        block[s * width + j] = data[from + s * rs];
                    }
                }
            }
            for row in block.chunks_exact_mut(width) {
                row[count..].fill(T::ZERO);
            }
            step += steps;
        }
        panel += 1;
    }
}

/// Copies `from` to the front of `to`, which is whole vectors, and fills the rest with zeros.
#[inline(always)]
fn copy_filled<S: Tier, T: Real>(tier: S, from: &[T], to: &mut [T]) {
    let mut from = from.chunks(T::V::<S>::LANES);
    for to in to.chunks_exact_mut(T::V::<S>::LANES) {
        from.next().map_or(T::V::<S>::zero(tier), |from| T::V::<S>::load_partial(tier, from)).store(to);
    }
}

/// `to = alpha * from`, element by element; `alpha` of one copies.
#[inline(always)]
fn copy_scaled<S: Tier, T: Real>(tier: S, from: &[T], alpha: T, to: &mut [T]) {
    let lanes = T::V::<S>::LANES;
    let factor = T::V::<S>::splat(tier, alpha);
    let scale = alpha != T::ONE;
    let mut from = from.chunks_exact(lanes);
    let mut to = to.chunks_exact_mut(lanes);
    for (from, to) in (&mut from).zip(&mut to) {
        let x = T::V::<S>::load(tier, from);
        if scale { factor * x } else { x }.store(to);
    }
    let (from, to) = (from.remainder(), to.into_remainder());
    if !to.is_empty() {
        let x = T::V::<S>::load_partial(tier, from);
        if scale { factor * x } else { x }.store_partial(to);
    }
}
