//! The operands of a task: what of them is copied and when, and where the micro-kernel finds it.

use std::ops::Range;

use super::super::kernel::{Errand, pitch};
use super::super::pack::{PackedLayout, pack_a_panel, pack_b_block};
use super::super::plan::{panel, whole_panel};
use super::super::prepacked::lanes;
use super::{ASource, BSource, Block, Running};
use crate::simd::{Real, Tier};

impl<T: Real> Running<'_, '_, T> {
    /// The rows of panel `p`.
    pub(super) fn panel(&self, p: usize) -> Range<usize> {
        let height = self.job.plan.blocking.height;
        if self.job.plan.a_in_place { whole_panel(p, &self.rows, height) } else { panel(p, &self.rows, height) }
    }
    /// Whether these rows of A, a panel, are read where they are.
    pub(super) fn reads_in_place(&self, rows: &Range<usize>) -> bool {
        self.job.plan.a_in_place && rows.len() == self.job.plan.blocking.height
    }
    /// Whether panels of A are copied by the micro-kernel: they run along memory, and no factor is applied.
    pub(super) fn copies_a(&self) -> bool {
        matches!(self.job.a, ASource::Plain(a) if self.job.alpha == T::ONE
            && (a.col_stride() == 1 || a.row_stride() == 1))
    }
    /// Whether blocks of B are copied by the micro-kernel: their rows run along memory.
    pub(super) fn copies_b(&self) -> bool {
        matches!(self.job.b, BSource::Plain(b) if b.col_stride() == 1) && !self.job.plan.b_in_place
    }

    /// Copies panel `p` of A for a block into the second buffer.
    #[inline(always)]
    pub(super) fn a_errand(&mut self, p: usize, block: &Block) -> Errand<T> {
        let rows = self.panel(p);
        let (ASource::Plain(a), true, false) = (self.job.a, self.copies_a(), self.reads_in_place(&rows)) else {
            return Errand::NONE;
        };
        let from = a.data().as_ptr().wrapping_add(rows.start * a.row_stride() + block.steps.start * a.col_stride());
        let (lines, length, from_stride, to_stride) = match PackedLayout::of(&a) {
            PackedLayout::RowMajor => (rows.len(), block.steps.len(), a.row_stride(), pitch::<T>()),
            PackedLayout::Interleaved => (block.steps.len(), rows.len(), a.col_stride(), rows.len()),
        };
        let vectors = length.div_ceil(lanes::<T>());
        Errand {
            from,
            from_stride,
            to: self.a[1].as_mut_ptr(),
            to_stride,
            rows: if length == 0 { 0 } else { lines },
            vectors,
            last: length - vectors.saturating_sub(1) * lanes::<T>(),
            // No panels; but a run is not to be as long as a row.
            panel_vectors: 4,
            panel_stride: 4 * lanes::<T>(),
            ..Errand::NONE
        }
    }

    /// Copies a block of B into the second buffer, except for a last panel that is ragged.
    #[inline(always)]
    pub(super) fn b_errand(&mut self, block: &Block) -> Errand<T> {
        let (BSource::Plain(b), true) = (self.job.b, self.copies_b()) else { return Errand::NONE };
        let (width, depth) = (self.width(), block.steps.len());
        let whole = if block.cols.len().is_multiple_of(lanes::<T>()) {
            block.cols.len()
        } else {
            (self.panels_of(block) - 1) * width
        };
        Errand {
            from: b.data().as_ptr().wrapping_add(block.steps.start * b.row_stride() + block.cols.start),
            from_stride: b.row_stride(),
            to: self.b[1].as_mut_ptr(),
            to_stride: width,
            rows: if whole == 0 { 0 } else { depth },
            vectors: whole / lanes::<T>(),
            last: lanes::<T>(),
            panel_vectors: self.job.plan.blocking.vectors,
            panel_stride: depth * width,
            ..Errand::NONE
        }
    }

    /// The distance from panel `q` of a B that is read in place to what follows it: the next panel, or the next
    /// block's first.
    #[inline(always)]
    pub(super) fn b_ahead(&self, block: &Block, q: usize, next: Option<&Block>) -> isize {
        match (self.job.b, next) {
            (BSource::Plain(_), _) if !self.job.plan.b_in_place => 0,
            (BSource::Packed(_), _) => 0,
            _ if q + 1 < self.panels_of(block) => self.width() as isize,
            (BSource::Plain(b), Some(next)) => {
                let here = block.steps.start * b.row_stride() + block.cols.start + q * self.width();
                (next.steps.start * b.row_stride() + next.cols.start) as isize - here as isize
            }
            (_, None) => 0,
        }
    }

    /// Packs one panel of A for a block, unless A is packed.
    #[inline(always)]
    pub(super) fn pack_a<S: Tier>(&mut self, tier: S, p: usize, block: &Block) {
        let rows = self.panel(p);
        if let (ASource::Plain(a), false) = (&self.job.a, self.reads_in_place(&rows)) {
            pack_a_panel(tier, a, rows, block.steps.clone(), self.job.alpha, PackedLayout::of(a), self.a[0]);
        }
    }

    /// Packs the panels of a block of B from number `first` on, or only a ragged last one if B is read in place.
    #[inline(always)]
    pub(super) fn pack_b<S: Tier>(&mut self, tier: S, block: &Block, first: usize) {
        let BSource::Plain(b) = self.job.b else { return };
        let (width, depth) = (self.width(), block.steps.len());
        let in_place = self.job.plan.b_in_place;
        if in_place && block.cols.len().is_multiple_of(lanes::<T>()) {
            return;
        }
        let first = if in_place { self.panels_of(block) - 1 } else { first };
        let to = if in_place { 0 } else { first * depth * width };
        let cols = block.cols.start + first * width..block.cols.end;
        pack_b_block(tier, &b, block.steps.clone(), cols, width, depth * width, &mut self.b[0][to..]);
    }

    pub(super) fn width(&self) -> usize {
        self.job.plan.blocking.vectors * lanes::<T>()
    }
    pub(super) fn panels_of(&self, block: &Block) -> usize {
        block.cols.len().div_ceil(self.width())
    }
    pub(super) fn column_panel(&self, block: &Block, q: usize) -> Range<usize> {
        let first = block.cols.start + q * self.width();
        first..(first + self.width()).min(block.cols.end)
    }

    /// Where the micro-kernel finds the rows of a panel of A.
    #[inline(always)]
    pub(super) fn a_panel(&self, rows: &Range<usize>, block: &Block) -> *const T {
        match self.job.a {
            ASource::Plain(a) if self.reads_in_place(rows) => {
                a.data().as_ptr().wrapping_add(rows.start * a.row_stride() + block.steps.start)
            }
            ASource::Plain(_) => self.a[0].as_ptr(),
            ASource::Packed(packed, _) => {
                packed.as_ptr().wrapping_add((block.number * self.job.m + rows.start) * pitch::<T>())
            }
        }
    }

    /// Where the micro-kernel finds panel `q` of B, and the distance between steps of k.
    #[inline(always)]
    pub(super) fn b_panel(&self, q: usize, block: &Block) -> (*const T, usize) {
        let (width, depth) = (self.width(), block.steps.len());
        let columns = self.column_panel(block, q);
        match self.job.b {
            // Panels start at multiples of the width, so this is (panel * k + first step) * width.
            BSource::Packed(packed) => {
                (packed.as_ptr().wrapping_add(columns.start * self.job.k + block.steps.start * width), width)
            }
            BSource::Plain(b) if self.job.plan.b_in_place => {
                if columns.len().is_multiple_of(lanes::<T>()) {
                    let first = block.steps.start * b.row_stride() + columns.start;
                    (b.data().as_ptr().wrapping_add(first), b.row_stride())
                } else {
                    (self.b[0].as_ptr(), width)
                }
            }
            BSource::Plain(_) => (self.b[0].as_ptr().wrapping_add(q * depth * width), width),
        }
    }

    /// Where an element of C is.
    pub(super) fn c_place(&self, row: usize, column: usize) -> *mut T {
        let c = &self.job.c;
        c.c.as_mut_ptr().wrapping_add(row * c.row_stride + column * c.col_stride)
    }
}
