//! Examples on their way into the panels that the micro-kernel reads.

use std::ops::Range;

use super::plan::{Layout, Plan};
use crate::kernels::stage::Source;
use crate::simd::{Isa, Tier, Vector};

/// Elements of the rows that a source computes at a time, before they are sorted into panels: few enough to stay in the
/// first-level cache.
const STAGE: usize = 1 << 12;

/// The examples of a batch, of which number `e` is the source's `e + shift`.
#[derive(Clone, Copy)]
pub(super) struct Examples<'a> {
    pub source: &'a dyn Source,
    /// Wraps around: it may be negative.
    pub shift: usize,
}

impl Examples<'_> {
    pub(super) fn in_place(&self, e: usize) -> Option<&[f32]> {
        self.source.in_place(e.wrapping_add(self.shift))
    }
    fn load(&self, isa: Isa, e: usize, rows: Range<usize>, dst: &mut [f32], pitch: usize) {
        self.source.load(isa, e.wrapping_add(self.shift), rows, dst, pitch);
    }
    /// The first of the rows `rows` of an example, as many as there are in place or fit on the stage; and their number.
    fn some<'s>(
        &'s self,
        isa: Isa,
        e: usize,
        rows: Range<usize>,
        len: usize,
        stage: &'s mut [f32],
    ) -> (usize, &'s [f32]) {
        if let Some(example) = self.in_place(e) {
            return (rows.len(), &example[rows.start * len..rows.end * len]);
        }
        let count = rows.len().min(stage.len() / len);
        self.load(isa, e, rows.start..rows.start + count, stage, len);
        (count, &stage[..count * len])
    }
}

/// Elements of the stage.
pub(super) fn stage_len(plan: &Plan) -> usize {
    let row = (plan.g.w * plan.g.c_in).max(plan.g.out_w() * plan.g.c_out);
    row.max(STAGE / row * row)
}

/// Whether d_y is read as it lies: all its channels are one block.
pub(super) fn plain_d(plan: &Plan) -> bool {
    plan.g.c_out == plan.width
}

/// Fills the panels of shard `s` of `n` examples, as far as they are not read in place.
#[inline(always)]
pub(super) fn pack_shard<S: Tier>(
    tier: S,
    plan: &Plan,
    s: usize,
    n: usize,
    (x, d_y): (Examples<'_>, Examples<'_>),
    (x_panels, d_panels): (&mut [f32], &mut [f32]),
    stage: &mut [f32],
) {
    let out_rows = plan.shards.rows_of(s, plan.g.out_h());
    let in_rows = plan.in_rows_of(&out_rows);
    for (i, e) in plan.shards.examples_of(s, n).enumerate() {
        pack_x::<S>(plan, e, in_rows.clone(), x, &mut x_panels[i * plan.x_example()..][..plan.x_example()], stage);
        let panels = &mut d_panels[i * plan.d_example()..][..plan.d_example()];
        pack_d(tier, plan, e, out_rows.clone(), d_y, panels, stage);
    }
}

/// The rows `rows` of one example of x.
fn pack_x<S: Tier>(plan: &Plan, e: usize, rows: Range<usize>, x: Examples<'_>, panels: &mut [f32], stage: &mut [f32]) {
    let (g, len) = (&plan.g, plan.g.w * plan.g.c_in);
    if plan.layout != Layout::Panels {
        if x.in_place(e).is_none() {
            x.load(S::ISA, e, rows, panels, len);
        }
        return;
    }
    let residue = plan.row_pixels / g.stride;
    let mut r = rows.start;
    while r < rows.end {
        let (count, part) = x.some(S::ISA, e, r..rows.end, len, stage);
        for (i, row) in part.chunks_exact(len).enumerate() {
            // A row or a column that no tap meets is never read.
            if (r + i + g.padding) % g.stride >= g.kernel_h {
                continue;
            }
            for t in 0..plan.tiles {
                let channels = plan.tile(t);
                let from = channels.start * plan.in_rows + (r + i - rows.start) * channels.len();
                let panel = &mut panels[from * plan.row_pixels..][..plan.row_pixels * channels.len()];
                for phase in (0..g.stride.min(g.w)).filter(|phase| (phase + g.padding) % g.stride < g.kernel_w) {
                    let columns = (g.w - phase).div_ceil(g.stride);
                    let panel = &mut panel[phase * residue * channels.len()..][..columns * channels.len()];
                    gather(&row[phase * g.c_in + channels.start..], g.stride * g.c_in, channels.len(), panel);
                }
            }
        }
        r += count;
    }
}

/// Runs of `height` elements, `step` apart, one after the other into `panel`.
fn gather(from: &[f32], step: usize, height: usize, panel: &mut [f32]) {
    macro_rules! each {
        ($($h:literal)*) => {
            match height {
                $($h => {
                    for (to, from) in panel.chunks_exact_mut($h).zip(from.chunks(step)) {
                        to.copy_from_slice(&from[..$h]);
                    }
                })*
                _ => {
                    for (to, from) in panel.chunks_exact_mut(height).zip(from.chunks(step)) {
                        to.copy_from_slice(&from[..height]);
                    }
                }
            }
        };
    }
    each!(1 2 3 4 5 6 7 8 9 10 11);
}

/// The rows `rows` of one example of d_y: for each block of channels all its pixels, in whole vectors.
#[inline(always)]
fn pack_d<S: Tier>(
    tier: S,
    plan: &Plan,
    e: usize,
    rows: Range<usize>,
    d_y: Examples<'_>,
    panels: &mut [f32],
    stage: &mut [f32],
) {
    let (g, width) = (&plan.g, plan.width);
    let (len, first) = (g.out_w() * g.c_out, rows.start);
    if plain_d(plan) {
        if d_y.in_place(e).is_none() {
            d_y.load(S::ISA, e, rows, panels, len);
        }
        return;
    }
    let block_len = plan.out_rows * g.out_w() * width;
    let mut r = rows.start;
    while r < rows.end {
        let (count, part) = d_y.some(S::ISA, e, r..rows.end, len, stage);
        let place = (r - first) * g.out_w() * width;
        for (block, panel) in panels.chunks_exact_mut(block_len).enumerate() {
            let channels = (g.c_out - block * width).min(width);
            for (to, from) in panel[place..].chunks_exact_mut(width).zip(part.chunks_exact(g.c_out)) {
                let from = &from[block * width..][..channels];
                for v in 0..plan.vectors {
                    let to = &mut to[v * S::F32::LANES..];
                    if channels >= (v + 1) * S::F32::LANES {
                        S::F32::load(tier, &from[v * S::F32::LANES..]).store(to);
                    } else {
                        let from = from.get(v * S::F32::LANES..).unwrap_or_default();
                        S::F32::load_partial(tier, from).store(to);
                    }
                }
            }
        }
        r += count;
    }
}
