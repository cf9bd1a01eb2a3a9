//! Runs a convolution: hands out tasks, has images brought in, and calls the micro-kernel tile by tile.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::images::Images;
use super::kernel::{LANES, MOST_PIXELS, Start, Tile, most_pixels, select, vectors_for};
use super::packed::{Packed, Pair, Prepared};
use super::plan::{Cut, FEW_EXAMPLES, MOST_EXAMPLES, Unit, part};
use super::walk::{MOST_PLACES, Pixels, Places, Walk};
use crate::error::{Error, Result};
use crate::kernels::stage::{Sink, Source};
use crate::parallel::{Context, Shards};
use crate::simd::{Kernel, Tier, Vector};

/// Taps of a tile that are done while weights come from the second-level cache, or most of the way from the third.
const AHEAD_TAPS: usize = 16;
/// Elements of packed weights that stay in the first-level cache from one tile to the next.
const FIRST_WEIGHTS: usize = (24 << 10) / 4;
/// Elements of packed weights that stay in the second-level cache from one unit to the next.
const NEAR_WEIGHTS: usize = (128 << 10) / 4;
/// Blocks of channels from which on the places of all pixels are listed once.
const LISTED_VISITS: usize = 8;

/// All of a convolution of `n` examples; see [`super::forward`] and [`super::backward_data`].
pub(super) fn run(
    context: &Context,
    packed: Packed<'_>,
    n: usize,
    source: &dyn Source,
    bias: Option<&[f32]>,
    y: &mut [f32],
    sink: &dyn Sink,
) -> Result<()> {
    let (op, prepared) = ("convolution", packed.prepared);
    let same = |what: &'static str, expected: usize, actual: usize| {
        if expected == actual { Ok(()) } else { Err(Error::Shape { op, what, expected, actual }) }
    };
    let len = n.checked_mul(prepared.write.len()).ok_or(Error::Overflow { op, what: "the result" })?;
    same("the length of the result", len, y.len())?;
    if let Some(bias) = bias {
        same("the length of the bias", prepared.write.c, bias.len())?;
    }
    if n == 0 {
        return Ok(());
    }
    let cut = Cut::new(prepared, n);
    let y = Shards::new(y);
    // Where an example is divided, whoever finishes its last part hands it on.
    let finished = [const { AtomicUsize::new(0) }; FEW_EXAMPLES];
    let failed = Mutex::new(Ok(()));
    context.tasks(cut.tasks(), |index| {
        let task = || -> Result<Range<usize>> {
            let mut done = 0..0;
            for unit in cut.units(prepared, index) {
                done = unit.examples.clone();
                let images = Images::load(context, prepared, &unit, source)?;
                tiles(context, packed, &images, &unit, bias, y.as_mut_ptr())?;
            }
            Ok(done)
        };
        match task() {
            Ok(examples) => {
                for e in examples {
                    if cut.parts() == 1 || finished[e].fetch_add(1, Ordering::AcqRel) + 1 == cut.parts() {
                        let len = prepared.write.len();
                        // SAFETY: all parts of the example are written, and nobody else has it any more.
                        sink.finish(context.isa(), e, unsafe { y.slice(e * len..(e + 1) * len) });
                    }
                }
            }
            Err(error) => *failed.lock().unwrap_or_else(PoisonError::into_inner) = Err(error),
        }
    })?;
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A few whole examples on the calling thread.
pub(super) fn run_here(
    context: &Context,
    packed: Packed<'_>,
    x: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) -> Result<()> {
    let (op, prepared) = ("convolution", packed.prepared);
    let n = x.len() / prepared.read.len();
    for (what, expected, actual) in [
        ("the length of the examples", n * prepared.read.len(), x.len()),
        ("the length of the result", n * prepared.write.len(), y.len()),
        ("the length of the bias", prepared.write.c, bias.map_or(prepared.write.c, <[f32]>::len)),
    ] {
        if expected != actual {
            return Err(Error::Shape { op, what, expected, actual });
        }
    }
    let source = crate::kernels::stage::Plain::new(x, prepared.read.h, prepared.read.w, prepared.read.c);
    let bands = prepared.write.h.div_ceil(prepared.layout.blocking.rows.min(prepared.write.h));
    let groups = n.div_ceil(if bands > 1 { 1 } else { prepared.layout.blocking.examples.min(MOST_EXAMPLES) });
    for group in 0..groups {
        for band in 0..bands {
            let unit = Unit {
                examples: part(group, groups, n),
                rows: part(band, bands, prepared.write.h),
                vectors: 0..prepared.write.c.div_ceil(LANES),
            };
            let images = Images::load(context, prepared, &unit, &source)?;
            tiles(context, packed, &images, &unit, bias, y.as_mut_ptr())?;
        }
    }
    Ok(())
}

/// All tiles of a unit.
fn tiles(
    context: &Context,
    Packed { prepared, weights }: Packed<'_>,
    images: &Images<'_>,
    unit: &Unit,
    bias: Option<&[f32]>,
    y: *mut f32,
) -> Result<()> {
    let blocking = prepared.layout.blocking;
    let pixels = unit.examples.len() * unit.rows.len() * prepared.write.w;
    // Tiles are at most six vectors wide where they do not repeat.
    let vectors = blocking.vectors.saturating_mul(blocking.repeats).min(unit.vectors.len()).max(6);
    let carried = if prepared.read.c > blocking.depth { pixels * vectors * LANES } else { 0 };
    let mut carry = context.scratch(carried)?;
    let carry = carry.as_mut_ptr();
    context.dispatch(Tiles { prepared, weights, images, unit, bias, y, carry, pixels })
}

struct Tiles<'a, 'b> {
    prepared: &'a Prepared,
    weights: &'a [f32],
    images: &'a Images<'b>,
    unit: &'a Unit,
    bias: Option<&'a [f32]>,
    /// All examples that are written.
    y: *mut f32,
    /// Room for unfinished outputs of all pixels.
    carry: *mut f32,
    /// Pixels of the unit.
    pixels: usize,
}

impl Kernel for Tiles<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let count = self.unit.vectors.len();
        let most = self.prepared.layout.blocking.vectors.min(count);
        let usual = (1..=most).rev().find(|&v| most_pixels::<S>(v) > 0).unwrap_or(1);
        // Where pixels are few, tiles are wider.
        let usual_repeats = self.prepared.layout.blocking.repeats;
        let sweeps = count.div_ceil(usual.saturating_mul(usual_repeats));
        let visits = sweeps * self.prepared.read.c.div_ceil(self.prepared.layout.blocking.depth);
        let places = (visits >= LISTED_VISITS && self.pixels <= MOST_PLACES).then(|| self.places());
        for vectors in usual..=6.min(count).max(usual) {
            let wanted = |pair: &Pair| {
                let pixels = self.pixels(pair);
                pixels > 0 && !pair.taps.is_empty() && vectors_for::<S>(pixels, count).max(usual) == vectors
            };
            if self.prepared.pairs.iter().any(wanted) {
                let repeats = if vectors == usual { usual_repeats } else { 1 };
                self.pass(tier, vectors, repeats, wanted, places.as_ref());
            }
        }
        for pair in self.prepared.pairs.iter().filter(|pair| pair.taps.is_empty()) {
            self.fill(tier, pair);
        }
    }
}

impl Tiles<'_, '_> {
    /// The tiles of all pairs of classes that are `wanted`, `vectors` wide.
    #[inline(always)]
    fn pass<S: Tier>(
        &self,
        tier: S,
        vectors: usize,
        repeats: usize,
        wanted: impl Fn(&Pair) -> bool,
        places: Option<&Places>,
    ) {
        let Self { prepared, images, unit, .. } = *self;
        let blocking = prepared.layout.blocking;
        // While this unit is computed, the next one is fetched.
        let sweeps = unit.vectors.len().div_ceil(vectors.saturating_mul(repeats));
        let visits = sweeps * prepared.read.c.div_ceil(blocking.depth);
        let read = unit.examples.len() * unit.rows.len() * prepared.read.len() / prepared.write.h;
        let written = unit.examples.len() * unit.rows.len() * prepared.write.w * prepared.write.c;
        let end = (unit.examples.end - 1) * prepared.write.len() + unit.rows.end * prepared.write.w * prepared.write.c;
        let mut ahead = [
            Ahead::new(images.next, if images.next.is_null() { 0 } else { read }, visits * self.pixels),
            Ahead::new(self.y.wrapping_add(end), written, visits * self.pixels),
            Ahead::new(std::ptr::null(), 0, 0),
        ];
        let mut first = unit.vectors.start;
        while first < unit.vectors.end {
            // The widest tile that there is for what is left.
            let left = vectors.min(unit.vectors.end - first);
            let width = (1..=left).rev().find(|&v| most_pixels::<S>(v) > 0).unwrap_or(1);
            let repeats = repeats.min((unit.vectors.end - first) / width);
            let most = most_pixels::<S>(width).min(blocking.pixels).max(1);
            let mut from = 0;
            while from < prepared.read.c {
                let channels = from..(from + blocking.depth).min(prepared.read.c);
                let step = prepared.kernel_len() * LANES;
                let w = &self.weights[first * prepared.vector_len() + channels.start * step..];
                if self.weights.len() > NEAR_WEIGHTS {
                    // The next block of weights: that of the next channels, or of the next vector.
                    let len = channels.len() * step * width * repeats;
                    ahead[2] = Ahead::new(w.as_ptr().wrapping_add(len), len, self.pixels);
                }
                let (mut carry, mut place) = (self.carry, 0);
                for pair in &prepared.pairs {
                    let pixels = self.pixels(pair);
                    if wanted(pair) {
                        let places = places.map(|places| (places, place));
                        self.pair(tier, pair, first, (width, repeats), &channels, most, w, carry, places, &mut ahead);
                        carry = carry.wrapping_add(pixels * width * repeats * LANES);
                    }
                    place += pixels;
                }
                from = channels.end;
            }
            first += repeats * width;
        }
    }

    /// Pixels of a pair of classes in this unit.
    #[inline(always)]
    fn pixels(&self, pair: &Pair) -> usize {
        let prepared = self.prepared;
        self.unit.examples.len()
            * prepared.rows.classes[pair.row].within(&self.unit.rows).len()
            * prepared.columns.classes[pair.column].len
    }

    /// All tiles of a pair of classes for a block of channels, at each pixel `repeats` tiles that are `width` vectors
    /// wide from vector `first` on.
    #[inline(always)]
    fn pair<S: Tier>(
        &self,
        tier: S,
        pair: &Pair,
        first: usize,
        (width, repeats): (usize, usize),
        channels: &Range<usize>,
        most: usize,
        w: &[f32],
        carry: *mut f32,
        places: Option<(&Places, usize)>,
        ahead: &mut [Ahead; 3],
    ) {
        let Self { prepared, images, .. } = *self;
        let channel = first * LANES;
        let (taps, step) = (&prepared.taps[pair.taps.clone()], prepared.kernel_len() * LANES);
        let plane = channels.start / prepared.layout.blocking.depth * images.plane;
        let mut pixels_of = match places {
            Some((places, from)) => Pixels::Listed { places, from, plane, channel },
            None => Pixels::Walked(self.walk(pair, plane, channel)),
        };
        let mut tile = Tile {
            x: [std::ptr::null(); MOST_PIXELS],
            y: [std::ptr::null_mut(); MOST_PIXELS],
            repeats,
            taps: taps.as_ptr(),
            tap_count: taps.len(),
            depth: channels.len(),
            w: w.as_ptr().wrapping_offset(pair.start.weight),
            w_vector: prepared.vector_len(),
            w_ahead: if channels.len() * step * width * repeats > FIRST_WEIGHTS {
                AHEAD_TAPS.div_ceil(taps.len().max(1)) * step
            } else {
                0
            },
            last_lanes: (prepared.write.c - (first + repeats * width - 1) * LANES).min(LANES),
            start: match self.bias {
                _ if channels.start > 0 => Start::Carry,
                Some(bias) => Start::Bias(bias[channel..].as_ptr()),
                None => Start::Zero,
            },
            last: channels.end == prepared.read.c,
            carry,
        };
        // Tiles as equal as can be: the first are one pixel larger than the others.
        let pixels = self.pixels(pair);
        let tiles = pixels.div_ceil(most);
        let (small, larger) = (pixels / tiles, pixels % tiles);
        for (pixels, tiles) in [(small + 1, larger), (small, tiles - larger)] {
            let Some(kernel) = select::<S>(pixels, width) else {
                assert!(tiles == 0, "no tile of {pixels} pixels by {width} vectors on {}", S::ISA);
                continue;
            };
            for _ in 0..tiles {
                pixels_of.next(&mut tile, pixels);
                for ahead in &mut *ahead {
                    ahead.proceed(tier, pixels);
                }
                // SAFETY: the images, the outputs, the weights and the room for what is carried are there for every pixel
                // and tap of the class, and tasks have disjoint outputs.
                unsafe { kernel(tier, &tile) };
                tile.carry = tile.carry.wrapping_add(pixels * repeats * width * LANES);
            }
        }
    }

    /// All pixels of the unit, pair by pair, in the first plane and the first channel.
    fn places(&self) -> Places {
        let mut places = Places::NONE;
        let mut from = 0;
        for pair in &self.prepared.pairs {
            let pixels = self.pixels(pair);
            if pixels > 0 {
                let mut walk = self.walk(pair, 0, 0);
                for place in from..from + pixels {
                    (places.x[place], places.y[place]) = (walk.x(walk.column), walk.y(walk.column));
                    walk.advance(1);
                }
            }
            from += pixels;
        }
        places
    }

    /// The outputs of pixels without taps.
    #[inline(always)]
    fn fill<S: Tier>(&self, tier: S, pair: &Pair) {
        let channels = self.unit.vectors.start * LANES..(self.unit.vectors.end * LANES).min(self.prepared.write.c);
        let mut walk = self.walk(pair, 0, channels.start);
        for _ in 0..self.pixels(pair) {
            let y = walk.y(walk.column);
            for c in (0..channels.len()).step_by(LANES) {
                // SAFETY: the channels of the pixel are within the outputs, and this task's own.
                unsafe { S::F32::zero(tier).store_partial_ptr(y.wrapping_add(c), LANES.min(channels.len() - c)) };
            }
            walk.advance(1);
        }
    }

    /// The pixels of a pair of classes, read from `plane` on and written from `channel` on.
    #[inline(always)]
    fn walk(&self, pair: &Pair, plane: usize, channel: usize) -> Walk<'_> {
        let Self { prepared, images, unit, .. } = *self;
        let (rows, columns) = (prepared.rows.classes[pair.row], prepared.columns.classes[pair.column]);
        let (read, write) = (prepared.layout, prepared.write);
        let within = rows.within(&unit.rows);
        let mut walk = Walk {
            images: &images.examples,
            first_read: (plane + rows.read(within.start) * read.row + columns.read * read.pixel)
                .wrapping_add_signed(pair.start.image),
            read_row: rows.read_step * read.row,
            read_column: columns.read_step * read.pixel,
            first_write: self.y.wrapping_add(
                unit.examples.start * write.len()
                    + (rows.write(within.start) * write.w + columns.write) * write.c
                    + channel,
            ),
            write_row: rows.write_step * write.w * write.c,
            write_column: columns.write_step * write.c,
            write_example: write.len(),
            rows: within.len(),
            columns: columns.len,
            example: 0,
            row: 0,
            column: 0,
            x_row: std::ptr::null(),
            y_row: std::ptr::null_mut(),
        };
        walk.enter();
        walk
    }
}

/// A run of memory that is fetched into the second-level cache little by little, while tiles are computed.
struct Ahead {
    at: *const f32,
    /// Cache lines to go.
    lines: usize,
    /// Lines in all, and the pixels that they are spread over.
    total: usize,
    pixels: usize,
    /// What is due, in lines times `pixels`.
    due: usize,
}

impl Ahead {
    /// `len` elements from `at` on, while `pixels` pixels are computed.
    #[inline(always)]
    fn new(at: *const f32, len: usize, pixels: usize) -> Self {
        let lines = len.div_ceil(LANES);
        Self { at, lines, total: lines, pixels, due: 0 }
    }
    /// Fetches what is due after `pixels` more pixels.
    #[inline(always)]
    fn proceed<S: Tier>(&mut self, tier: S, pixels: usize) {
        self.due += self.total * pixels;
        while self.due >= self.pixels && self.lines > 0 {
            tier.prefetch_far(self.at);
            self.at = self.at.wrapping_add(LANES);
            self.due -= self.pixels;
            self.lines -= 1;
        }
    }
}
