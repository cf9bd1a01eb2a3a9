//! How a convolution is cut into tiles, blocks and tasks. Nothing here can change a bit of the result.

use std::ops::Range;

use super::kernel::{LANES, usual_vectors};
use super::packed::{Prepared, Side};
use crate::error::{Error, Result};
use crate::parallel::Context;
use crate::simd::{Kernel, Tier};

/// Sizes of the pieces of a convolution. Any choice gives the same bits; the defaults are chosen for speed from the shape
/// and the tier, and tests inject others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocking {
    /// Most pixels of a register tile; the tier may have smaller ones only.
    pub pixels: usize,
    /// Vectors of 16 channels of a register tile; the tier may have narrower ones only.
    pub vectors: usize,
    /// Most tiles that are done at the same pixels one after the other, each for other channels.
    pub repeats: usize,
    /// Most channels that are summed between two visits of an output.
    pub depth: usize,
    /// Most examples that are worked on together.
    pub examples: usize,
    /// Most rows that are worked on together; with fewer than all, examples are worked on one by one.
    pub rows: usize,
    /// Whether images are copied into planes of `depth` channels first.
    pub planes: bool,
}

/// What of the blocking is fixed when weights are packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub blocking: Blocking,
    /// From one row of an image to the next as the micro-kernel reads it, in elements.
    pub row: usize,
    /// From one pixel to the next.
    pub pixel: usize,
}

/// Most examples that are worked on together.
pub(super) const MOST_EXAMPLES: usize = 16;
/// Batches of fewer examples than this are cut within examples too.
pub(super) const FEW_EXAMPLES: usize = 8;
/// Bytes of packed weights for one block of channels, which every tile passes over: they come from the first-level cache
/// or, in one long run, from the second.
const WEIGHT_BYTES: usize = 40 << 10;
/// Bytes of packed weights for all tiles at the same pixels; these are to stay in the first-level cache.
const REPEATED_BYTES: usize = 20 << 10;
/// Bytes of images, read and written, that are worked on together: they stay in the second-level cache beside those that
/// are fetched meanwhile.
const IMAGE_BYTES: usize = 128 << 10;
/// The same for images in planes, of which only one plane is in use at a time.
const PLANES_BYTES: usize = 768 << 10;
/// The same where all weights together are more than the second-level cache holds: the more examples share one pass over
/// them, the less often they come from far away.
const SHARING_BYTES: usize = 2 << 20;
/// Bytes of packed weights from which on that is so.
const FAR_WEIGHTS: usize = 2 << 20;
/// From this many channels on, pixels of an image are too far apart: they would meet in a few sets of the first-level cache.
const FAR_APART: usize = 128;

impl Layout {
    pub(super) fn new(
        context: &Context,
        read: &Side,
        write: &Side,
        kernel: usize,
        forced: Option<Blocking>,
    ) -> Result<Self> {
        struct UsualVectors(usize);
        impl Kernel for UsualVectors {
            type Output = usize;
            #[inline(always)]
            fn run<S: Tier>(self, _: S) -> usize {
                usual_vectors::<S>(self.0)
            }
        }
        let blocking = if let Some(b) = forced {
            let sizes = [b.pixels, b.vectors, b.repeats, b.depth, b.examples, b.rows];
            if sizes.contains(&0) {
                let (op, what, requirement) = ("convolution", "the blocking", "of sizes of at least 1");
                return Err(Error::Argument { op, what, requirement, actual: format!("{b:?}") });
            }
            b
        } else {
            let available = write.c.div_ceil(LANES);
            let vectors = context.dispatch(UsualVectors(available))?;
            let channel = 4 * LANES * kernel * vectors;
            let most = (WEIGHT_BYTES / channel).max(1);
            let even = |total: usize, most: usize| total.div_ceil(total.div_ceil(most));
            // Blocks of equal depth, in whole cache lines.
            let depth = even(read.c, most);
            let depth = if depth > LANES { depth.next_multiple_of(LANES).min(most) } else { depth };
            let repeats = (REPEATED_BYTES / (channel * depth)).max(1);
            let bytes = 4 * (read.len() + write.len());
            let planes = kernel > 1 && read.c >= FAR_APART;
            let images = match 4 * LANES * kernel * read.c * available {
                _ if !planes => IMAGE_BYTES,
                FAR_WEIGHTS.. => SHARING_BYTES,
                _ => PLANES_BYTES,
            };
            Blocking {
                pixels: usize::MAX,
                vectors,
                repeats: even(available.div_ceil(vectors), repeats),
                depth,
                examples: (images / bytes).max(1),
                rows: even(write.h, (4 * IMAGE_BYTES * write.h / bytes).max(1)),
                planes,
            }
        };
        let blocking = Blocking { depth: blocking.depth.min(read.c), ..blocking };
        let pixel = if blocking.planes { blocking.depth } else { read.c };
        Ok(Self { blocking, row: pixel * read.w, pixel })
    }
}

/// A convolution of `n` examples cut into tasks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    n: usize,
    /// Groups of examples.
    groups: usize,
    /// Bands of rows, for each group.
    pub bands: usize,
    /// Ranges of vectors of channels, for each band.
    ranges: usize,
    /// Whether a task has all bands of its group, one after the other.
    whole: bool,
}

/// One part of the work: some rows and channels of some examples.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub examples: Range<usize>,
    pub rows: Range<usize>,
    /// Vectors of channels that are written.
    pub vectors: Range<usize>,
}

impl Cut {
    pub(super) fn new(prepared: &Prepared, n: usize) -> Self {
        let Blocking { examples, rows, .. } = prepared.layout.blocking;
        let (h, vectors) = (prepared.write.h, prepared.write.c.div_ceil(LANES));
        let bands = h.div_ceil(rows.min(h));
        if n < FEW_EXAMPLES {
            // A few tasks for each thread that there may be. Channels are divided where rows are few, since every range
            // of channels reads the whole image.
            let parts = FEW_EXAMPLES.div_ceil(n.max(1));
            let by_rows = if h >= 4 * parts || vectors == 1 { parts.min(h) } else { 1 };
            let ranges = parts.div_ceil(by_rows).min(vectors);
            return Self { n, groups: n, bands: bands.max(by_rows), ranges, whole: false };
        }
        let examples = if bands > 1 { 1 } else { examples.min(MOST_EXAMPLES) };
        let groups = n.div_ceil(examples).next_multiple_of(FEW_EXAMPLES).min(n);
        Self { n, groups, bands, ranges: 1, whole: true }
    }

    /// Number of tasks.
    pub(super) fn tasks(&self) -> usize {
        if self.whole { self.groups } else { self.groups * self.parts() }
    }
    /// Tasks that an example is divided among.
    pub(super) fn parts(&self) -> usize {
        if self.whole { 1 } else { self.bands * self.ranges }
    }
    /// The parts of task `index`, in turn.
    pub(super) fn units(&self, prepared: &Prepared, index: usize) -> impl Iterator<Item = Unit> {
        let (cut, h, vectors) = (*self, prepared.write.h, prepared.write.c.div_ceil(LANES));
        let per_task = if cut.whole { cut.bands } else { 1 };
        (index * per_task..(index + 1) * per_task).map(move |unit| Unit {
            examples: part(unit / (cut.bands * cut.ranges), cut.groups, cut.n),
            rows: part(unit / cut.ranges % cut.bands, cut.bands, h),
            vectors: part(unit % cut.ranges, cut.ranges, vectors),
        })
    }
}

/// Part `index` when `total` things are cut into `parts` parts as equal as can be.
pub(super) fn part(index: usize, parts: usize, total: usize) -> Range<usize> {
    index * total / parts..(index + 1) * total / parts
}
