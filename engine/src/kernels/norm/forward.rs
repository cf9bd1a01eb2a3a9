//! The normalised activation, as a source and as a tensor.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use super::rows::{add, add_map, affine};
use super::{Shape, check, enter};
use crate::error::Result;
use crate::kernels::chunks::for_each_part;
use crate::kernels::stage::Source;
use crate::parallel::{Context, Slots, flags};
use crate::simd::{Isa, Kernel, Tier, stream_into};

/// The coefficients of a normalisation: `[center, scale, shift]` by channels, in one row for all examples or a row for
/// each.
#[derive(Debug, Clone, Copy)]
pub struct Coefficients<'a> {
    table: &'a [f32],
    c: usize,
    /// Elements from one example to the next; 0 if all share one row.
    step: usize,
}

impl<'a> Coefficients<'a> {
    /// `table` is `[3, c]`, or `[n, 3, c]` if `per_example`.
    pub(super) fn new(table: &'a [f32], c: usize, per_example: bool) -> Self {
        Self { table, c, step: if per_example { 3 * c } else { 0 } }
    }
    /// The three rows of example `n`.
    #[inline(always)]
    pub(super) fn of(&self, n: usize) -> [&'a [f32]; 3] {
        let row = &self.table[n * self.step..][..3 * self.c];
        let (center, rest) = row.split_at(self.c);
        let (scale, shift) = rest.split_at(self.c);
        [center, scale, shift]
    }
}

/// What is added to a normalised tensor.
#[derive(Debug, Clone, Copy, Default)]
pub enum Residual<'a> {
    /// Nothing.
    #[default]
    None,
    /// A tensor of the same shape.
    Plain(&'a [f32]),
    /// A tensor of the same shape that has its own normalisation: a projection shortcut.
    Normalised(&'a [f32], Coefficients<'a>),
}

/// Noise on the pre-activation, as it is added: its scale is in it.
#[derive(Debug, Clone, Copy, Default)]
pub enum Noise<'a> {
    /// None.
    #[default]
    None,
    /// One map of `h * w` values, shared by all examples and channels.
    Shared(&'a [f32]),
    /// A value for each element, `[n, h, w, c]`.
    PerElement(&'a [f32]),
}

/// What follows the normalisation of a layer, in this order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Post<'a> {
    /// A tensor that is added.
    pub residual: Residual<'a>,
    /// Noise that is added.
    pub noise: Noise<'a>,
    /// Whether the sum is rectified.
    pub relu: bool,
}

impl Post<'_> {
    /// Rectification and nothing else.
    pub const RELU: Self = Self { residual: Residual::None, noise: Noise::None, relu: true };

    /// Whether nothing is added.
    pub(super) fn is_plain(&self) -> bool {
        matches!((self.residual, self.noise), (Residual::None, Noise::None))
    }
}

/// The activation of a normalised layer, computed on demand.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'a> {
    pub(super) shape: Shape,
    pub(super) x: &'a [f32],
    pub(super) coefficients: Coefficients<'a>,
    pub(super) post: Post<'a>,
}

/// Some channels of some pixels of an example: all channels, or a single pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    pub pixel: usize,
    pub channel: usize,
    pub channels: usize,
}

impl<'a> Forward<'a> {
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if a tensor does not have the shape.
    pub(super) fn new(shape: Shape, x: &'a [f32], coefficients: Coefficients<'a>, post: Post<'a>) -> Result<Self> {
        let op = "normalise";
        check(op, "elements of the input", shape.len(), x.len())?;
        match post.residual {
            Residual::None => {}
            Residual::Plain(r) => check(op, "elements of the residual", shape.len(), r.len())?,
            Residual::Normalised(r, coefficients) => {
                check(op, "elements of the residual", shape.len(), r.len())?;
                check(op, "channels of the residual's normalisation", shape.c, coefficients.c)?;
            }
        }
        match post.noise {
            Noise::None => {}
            Noise::Shared(map) => check(op, "elements of the noise map", shape.pixels(), map.len())?,
            Noise::PerElement(noise) => check(op, "elements of the noise", shape.len(), noise.len())?,
        }
        Ok(Self { shape, x, coefficients, post })
    }

    /// Writes pixels from `tile.pixel` on, as many as `dst` has room for. If `RELU` is false, not rectified.
    #[inline(always)]
    pub(super) fn tile<S: Tier>(&self, tier: S, n: usize, tile: Tile, relu: bool, dst: &mut [f32]) {
        let Tile { pixel, channel, channels } = tile;
        let from = (n * self.shape.pixels() + pixel) * self.shape.c + channel;
        let (len, channels_here) = (dst.len(), channel..channel + channels);
        let of = |tensor: &'a [f32]| &tensor[from..from + len];
        let rows = |table: &Coefficients<'a>| {
            let [center, scale, shift] = table.of(n);
            [&center[channels_here.clone()], &scale[channels_here.clone()], &shift[channels_here.clone()]]
        };
        // The rectification comes with the last of the sums.
        let (none, last) = (f32::NEG_INFINITY, if relu { 0.0 } else { f32::NEG_INFINITY });
        let has_noise = !matches!(self.post.noise, Noise::None);
        let after_residual = if has_noise { none } else { last };
        let after_x = if matches!(self.post.residual, Residual::None) { after_residual } else { none };
        affine::<S, false>(tier, channels, of(self.x), rows(&self.coefficients), after_x, dst);
        match &self.post.residual {
            Residual::None => {}
            Residual::Plain(r) => add(tier, of(r), after_residual, dst),
            Residual::Normalised(r, coefficients) => {
                affine::<S, true>(tier, channels, of(r), rows(coefficients), after_residual, dst);
            }
        }
        match self.post.noise {
            Noise::None => {}
            Noise::Shared(map) => add_map(tier, channels, &map[pixel..], last, dst),
            Noise::PerElement(noise) => add(tier, of(noise), last, dst),
        }
    }
}

struct Load<'a, 'b> {
    forward: &'a Forward<'b>,
    n: usize,
    rows: Range<usize>,
    dst: &'a mut [f32],
    pitch: usize,
}

impl Kernel for Load<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { forward, n, rows, dst, pitch } = self;
        let Shape { w, c, .. } = forward.shape;
        for (i, r) in rows.enumerate() {
            let tile = Tile { pixel: r * w, channel: 0, channels: c };
            forward.tile(tier, n, tile, forward.post.relu, &mut dst[i * pitch..][..w * c]);
        }
    }
}

impl Source for Forward<'_> {
    fn load(&self, isa: Isa, n: usize, rows: Range<usize>, dst: &mut [f32], pitch: usize) {
        enter(isa, Load { forward: self, n, rows, dst, pitch });
    }
}

/// Which rows of a tensor have been written. Kept between steps, so that none is allocated.
#[derive(Debug)]
pub struct RowFlags(Vec<AtomicBool>);

impl RowFlags {
    /// Flags for tensors of at most this shape.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self(flags(shape.n * shape.h))
    }
}

/// A source whose rows are also written to memory, by whoever asks for them first: for an activation that is used
/// again.
///
/// The tensor is complete when every row has been asked for.
#[derive(Debug)]
pub struct Storing<'a, S: ?Sized> {
    source: &'a S,
    shape: Shape,
    rows: Slots<'a, f32>,
}

impl<'a, S: Source + ?Sized> Storing<'a, S> {
    /// `y` receives what `source` computes.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if `y` does not have the shape, or there are too few flags.
    pub fn new(source: &'a S, shape: Shape, y: &'a mut [f32], written: &'a mut RowFlags) -> Result<Self> {
        let op = "store a source";
        check(op, "elements of the output", shape.len(), y.len())?;
        let rows = shape.n * shape.h;
        if written.0.len() < rows {
            check(op, "row flags", rows, written.0.len())?;
        }
        Ok(Self { source, shape, rows: Slots::new(y, shape.w * shape.c, &mut written.0[..rows]) })
    }
}

impl<S: Source + ?Sized> Source for Storing<'_, S> {
    fn load(&self, isa: Isa, n: usize, rows: Range<usize>, dst: &mut [f32], pitch: usize) {
        self.source.load(isa, n, rows.clone(), dst, pitch);
        for (i, r) in rows.enumerate() {
            if let Some(row) = self.rows.take(n * self.shape.h + r) {
                row.copy_from_slice(&dst[i * pitch..][..row.len()]);
            }
        }
    }
}

/// From this many elements on a tensor is written past the caches. Bit-neutral.
const STREAM: usize = 1 << 20;
/// Elements that are computed in the cache before they are written past it: short, so that the reads of one part run
/// along with the writes of the one before. Bit-neutral.
const CHUNK: usize = 1 << 11;

/// Writes the whole of a source to `y`, `[n, h, w, c]`, in parallel over examples.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if `y` does not have the shape,
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory) without scratch space, else as [`Context::tasks`].
pub fn write(context: &Context, source: &dyn Source, shape: Shape, y: &mut [f32]) -> Result<()> {
    check("write a source", "elements of the output", shape.len(), y.len())?;
    let (isa, row) = (context.isa(), shape.w * shape.c);
    if shape.len() < STREAM || row > 8 * CHUNK {
        return for_each_part(context, y, shape.example(), |n, y| source.load(isa, n, 0..shape.h, y, row));
    }
    let step = (CHUNK / row).max(1);
    context.chunks(y, shape.example(), |start, y| {
        let mut scratch = context.scratch::<f32>(step * row)?;
        let n = start / shape.example();
        context.dispatch(Stream { source, n, row, scratch: &mut scratch, y })
    })
}

/// An example, by parts that go through `scratch`.
struct Stream<'a> {
    source: &'a dyn Source,
    n: usize,
    row: usize,
    scratch: &'a mut [f32],
    y: &'a mut [f32],
}
impl Kernel for Stream<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { source, n, row, scratch, y } = self;
        let (h, step) = (y.len() / row, scratch.len() / row);
        stream_into(
            tier,
            y,
            #[inline(always)]
            |writer| {
                for from in (0..h).step_by(step) {
                    let rows = from..(from + step).min(h);
                    let part = &mut scratch[..rows.len() * row];
                    source.load(S::ISA, n, rows, part, row);
                    writer.push(part);
                }
            },
        );
    }
}
