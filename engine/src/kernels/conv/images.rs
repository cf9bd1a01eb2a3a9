//! Images on their way into the cache: found where they lie, or computed and copied, in planes of a few channels where
//! pixels would be too far apart.

use std::ops::Range;

use super::kernel::LANES;
use super::packed::Prepared;
use super::plan::{MOST_EXAMPLES, Unit};
use crate::error::{Error, Result};
use crate::kernels::stage::Source;
use crate::memory::Scratch;
use crate::parallel::Context;
use crate::simd::{Kernel, Tier, Vector};

/// Bytes of rows that are copied into planes at a time.
const STAGE_BYTES: usize = 16 << 10;

/// The images of a unit as the micro-kernel reads them.
pub(super) struct Images<'a> {
    /// Row 0 (which need not be there) of each example, in the first plane.
    pub examples: [*const f32; MOST_EXAMPLES],
    /// From one block of channels to the next.
    pub plane: usize,
    /// What lies behind the last row in memory, if the images lie there: most likely what is wanted next.
    pub next: *const f32,
    /// Keeps the copies alive.
    _copy: Option<Scratch<'a, f32>>,
}

impl<'a> Images<'a> {
    pub(super) fn load(context: &'a Context, prepared: &Prepared, unit: &Unit, source: &dyn Source) -> Result<Self> {
        let (read, layout) = (prepared.read, prepared.layout);
        let depth = layout.blocking.depth;
        let mut examples = [std::ptr::null(); MOST_EXAMPLES];
        let mut in_place = [None; MOST_EXAMPLES];
        for (slot, e) in in_place.iter_mut().zip(unit.examples.clone()) {
            *slot = source.in_place(e);
            if let Some(image) = slot
                && image.len() != read.len()
            {
                let (op, what) = ("convolution", "the length of an example");
                return Err(Error::Shape { op, what, expected: read.len(), actual: image.len() });
            }
        }
        let count = unit.examples.len();
        let row = read.w * read.c;
        let rows = rows_wanted(prepared, &unit.rows);
        let last = count.checked_sub(1).and_then(|last| in_place[last]);
        let next = last.map_or(std::ptr::null(), |image: &[f32]| image.as_ptr().wrapping_add(rows.end * row));
        if !layout.blocking.planes && in_place[..count].iter().all(Option::is_some) {
            for (to, image) in examples.iter_mut().zip(in_place.into_iter().flatten()) {
                *to = image.as_ptr();
            }
            return Ok(Self { examples, plane: depth, next, _copy: None });
        }
        if !layout.blocking.planes {
            let mut copy = context.scratch(count * rows.len() * row)?;
            for (i, to) in copy.chunks_exact_mut(rows.len() * row).enumerate() {
                let e = unit.examples.start + i;
                source.load(context.isa(), e, rows.clone(), to, row);
                examples[i] = to.as_ptr().wrapping_sub(rows.start * row);
            }
            return Ok(Self { examples, plane: depth, next: std::ptr::null(), _copy: Some(copy) });
        }
        // Planes: some rows at a time are computed or found, then dealt out by blocks of channels.
        let (image, planes) = (rows.len() * layout.row, read.c.div_ceil(depth));
        let plane = count * image;
        let run = (STAGE_BYTES / (4 * row)).clamp(1, rows.len());
        let mut stage = context.scratch(run * row)?;
        let mut copy = context.scratch(planes * plane)?;
        for i in 0..count {
            let mut from = rows.start;
            while from < rows.end {
                let part = from..(from + run).min(rows.end);
                let pixels = if let Some(image) = in_place[i] {
                    &image[part.start * row..part.end * row]
                } else {
                    source.load(context.isa(), unit.examples.start + i, part.clone(), &mut stage, row);
                    &stage[..part.len() * row]
                };
                let at = i * image + (part.start - rows.start) * layout.row;
                context.dispatch(Deal { pixels, channels: read.c, depth, to: &mut copy[at..], plane })?;
                from = part.end;
            }
            examples[i] = copy.as_ptr().wrapping_add(i * image).wrapping_sub(rows.start * layout.row);
        }
        Ok(Self { examples, plane, next, _copy: Some(copy) })
    }
}

/// The rows to bring in for the written rows `writes`: all that are read, and so that together the bands of an example
/// ask for every row, as [`Source::load`] promises.
fn rows_wanted(prepared: &Prepared, writes: &Range<usize>) -> Range<usize> {
    let (read, write) = (prepared.read.h, prepared.write.h);
    let reach = |writes: &Range<usize>| prepared.rows.reach(writes).map_or(0..0, |(from, to)| from..to + 1);
    let mut rows = reach(writes);
    if writes.start == 0 {
        rows.start = 0;
    }
    // Up to what any later band reads first.
    let next = (writes.end..write).filter_map(|row| prepared.rows.reach(&(row..row + 1))).map(|(from, _)| from).min();
    rows.end = rows.end.max(next.unwrap_or(read));
    if rows.start > rows.end { rows.end..rows.end } else { rows }
}

/// Deals pixels out into planes of `depth` channels.
struct Deal<'a> {
    pixels: &'a [f32],
    channels: usize,
    depth: usize,
    to: &'a mut [f32],
    plane: usize,
}

impl Kernel for Deal<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        for (p, pixel) in self.pixels.chunks_exact(self.channels).enumerate() {
            for (b, from) in pixel.chunks(self.depth).enumerate() {
                let to = &mut self.to[b * self.plane + p * self.depth..][..from.len()];
                let (mut from, mut to) = (from.chunks_exact(LANES), to.chunks_exact_mut(LANES));
                for (from, to) in (&mut from).zip(&mut to) {
                    S::F32::load(tier, from).store(to);
                }
                to.into_remainder().copy_from_slice(from.remainder());
            }
        }
    }
}
