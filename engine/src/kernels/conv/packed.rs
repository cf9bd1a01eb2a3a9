//! A convolution prepared for one direction: weights in the order in which the micro-kernel reads them, and the taps of
//! every class of pixels.

use std::ops::Range;

use super::Geometry;
use super::kernel::{LANES, Tap};
use super::plan::{Blocking, Layout};
use super::taps::{Axis, Direction};
use crate::error::{Error, Result};
use crate::memory::Buffer;
use crate::parallel::{Context, Shards};

/// The weights of a convolution, packed for the forward pass.
///
/// Made once for a layer, filled by [`pack`](Self::pack) whenever the weights have changed.
#[derive(Debug)]
pub struct PackedForward(pub(super) Prepared, Buffer<f32>);

/// The weights of a convolution, packed for the backward pass to data.
///
/// Made once for a layer, filled by [`pack`](Self::pack) whenever the weights have changed.
#[derive(Debug)]
pub struct PackedBackward(pub(super) Prepared, Buffer<f32>);

macro_rules! packed {
    ($Packed:ident, $direction:expr) => {
        impl $Packed {
            /// Room for the weights of `geometry`, which are all `+0` until they are packed.
            ///
            /// # Errors
            /// Those of [`Geometry::check`]; [`Error::Overflow`], [`Error::OutOfMemory`].
            pub fn new(context: &Context, geometry: &Geometry) -> Result<Self> {
                Self::with_blocking(context, geometry, None)
            }
            /// The same with chosen sizes of blocks, which never change a bit.
            ///
            /// # Errors
            /// As [`new`](Self::new), and [`Error::Argument`] for a size of zero.
            pub fn with_blocking(context: &Context, geometry: &Geometry, blocking: Option<Blocking>) -> Result<Self> {
                let prepared = Prepared::new(context, geometry, $direction, blocking)?;
                let room = Buffer::zeroed(prepared.weights_len())?;
                Ok(Self(prepared, room))
            }
            /// Packs `w`, which is `[c_out, c_in, kernel_h, kernel_w]`. Allocates nothing.
            ///
            /// # Errors
            /// [`Error::Shape`] if `w` has another length; [`Error::FloatEnvironment`] as every kernel.
            pub fn pack(&mut self, context: &Context, w: &[f32]) -> Result<()> {
                self.0.pack(context, w, &mut self.1).map(|_| ())
            }
            /// With the weights that were packed last.
            pub(super) fn packed(&self) -> Packed<'_> {
                Packed { prepared: &self.0, weights: &self.1 }
            }
            /// The shape of the convolution.
            #[must_use]
            pub fn geometry(&self) -> &Geometry {
                &self.0.geometry
            }
        }
    };
}
packed!(PackedForward, Direction::Forward);
packed!(PackedBackward, Direction::Backward);

/// Pixels that have the same taps: a class of rows and a class of columns.
#[derive(Debug)]
pub(super) struct Pair {
    pub row: usize,
    pub column: usize,
    /// Their taps, within [`Prepared::taps`].
    pub taps: Range<usize>,
    /// Where the way through the taps starts, from a pixel's first tap and from the first weight of a channel.
    pub start: Tap,
}

/// What is read or written, as a stack of images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub h: usize,
    pub w: usize,
    pub c: usize,
}

impl Side {
    /// Elements of an example.
    pub(super) fn len(&self) -> usize {
        self.h * self.w * self.c
    }
}

/// A convolution prepared for one direction, and room for weights that it packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed<'a> {
    pub(super) prepared: &'a Prepared,
    /// Vector by vector of channels that are written; in each, channel by channel that is read; in each, tap by tap.
    pub(super) weights: &'a [f32],
}

/// See [`PackedForward`] and [`PackedBackward`]: both are this with room of their own. Networks share one room.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(super) geometry: Geometry,
    direction: Direction,
    /// Forward the input, backward the gradient of the output.
    pub(super) read: Side,
    /// Forward the output, backward the gradient of the input.
    pub(super) write: Side,
    pub(super) rows: Axis,
    pub(super) columns: Axis,
    pub(super) pairs: Vec<Pair>,
    pub(super) taps: Vec<Tap>,
    pub(super) layout: Layout,
    weights_len: usize,
}

impl Prepared {
    /// # Errors
    /// As [`PackedForward::with_blocking`].
    pub(crate) fn new(
        context: &Context,
        g: &Geometry,
        direction: Direction,
        blocking: Option<Blocking>,
    ) -> Result<Self> {
        g.check()?;
        let input = Side { h: g.h, w: g.w, c: g.c_in };
        let output = Side { h: g.out_h(), w: g.out_w(), c: g.c_out };
        let (read, write) = match direction {
            Direction::Forward => (input, output),
            Direction::Backward => (output, input),
        };
        let (rows, columns) = Axis::both(g, direction);
        let layout = Layout::new(context, &read, &write, g.kernel_h * g.kernel_w, blocking)?;
        let (mut pairs, mut taps) = (Vec::new(), Vec::new());
        for (row, r) in rows.classes.iter().enumerate() {
            for (column, c) in columns.classes.iter().enumerate() {
                let from = taps.len();
                for i in 0..r.count {
                    for j in 0..c.count {
                        let image = i as isize * rows.tap_read_step * layout.row as isize
                            + j as isize * columns.tap_read_step * layout.pixel as isize;
                        let tap = (r.first + i * rows.tap_step) * g.kernel_w + c.first + j * columns.tap_step;
                        taps.push(Tap { image, weight: (tap * LANES) as isize });
                    }
                }
                let start = link(&mut taps[from..], g.kernel_h * g.kernel_w);
                pairs.push(Pair { row, column, taps: from..taps.len(), start });
            }
        }
        let weights_len = write
            .c
            .checked_next_multiple_of(LANES)
            .and_then(|c| c.checked_mul(read.c))
            .and_then(|c| c.checked_mul(g.kernel_h * g.kernel_w))
            .ok_or(Error::Overflow { op: "convolution", what: "the packed weights" })?;
        Ok(Self { geometry: *g, direction, read, write, rows, columns, pairs, taps, layout, weights_len })
    }

    /// Whether it is this convolution in this direction.
    pub(crate) fn is(&self, geometry: &Geometry, direction: Direction) -> bool {
        self.geometry == *geometry && self.direction == direction
    }

    /// Elements of the packed weights.
    pub(crate) fn weights_len(&self) -> usize {
        self.weights_len
    }

    /// Taps of the whole kernel.
    pub(super) fn kernel_len(&self) -> usize {
        self.geometry.kernel_h * self.geometry.kernel_w
    }

    /// Elements of the packed weights of one vector of channels.
    pub(super) fn vector_len(&self) -> usize {
        self.read.c * self.kernel_len() * LANES
    }

    /// Packs `w`, which is `[c_out, c_in, kernel_h, kernel_w]`, into `room`, of [`weights_len`](Self::weights_len)
    /// elements. Allocates nothing.
    ///
    /// # Errors
    /// As [`PackedForward::pack`].
    pub(crate) fn pack<'a>(&'a self, context: &Context, w: &[f32], room: &'a mut [f32]) -> Result<Packed<'a>> {
        let (kernel, vector, g) = (self.kernel_len(), self.vector_len(), self.geometry);
        let op = "convolution";
        for (what, expected, actual) in [
            ("the length of the weights", g.weight_len(), w.len()),
            ("the room for packed weights", self.weights_len, room.len()),
        ] {
            if actual != expected {
                return Err(Error::Shape { op, what, expected, actual });
            }
        }
        let (direction, channels, lanes) = (self.direction, self.read.c, self.write.c);
        let per_channel = kernel * LANES;
        // A task packs some channels of one vector; the lanes beyond the last channel are +0.
        let run = (16_384 / per_channel).clamp(1, channels);
        let runs = channels.div_ceil(run);
        let to = Shards::new(&mut *room);
        context.tasks(lanes.div_ceil(LANES) * runs, |task| {
            let (first, from) = (task / runs * LANES, task % runs * run);
            let count = LANES.min(lanes - first);
            let channels = from..(from + run).min(channels);
            let start = task / runs * vector;
            // SAFETY: tasks have disjoint channels of disjoint vectors.
            let to = unsafe { to.slice(start + channels.start * per_channel..start + channels.end * per_channel) };
            if count < LANES {
                to.fill(0.0);
            }
            match direction {
                // Each output channel has its input channels and taps in a row: a transposition, by squares.
                Direction::Forward => {
                    let row = g.c_in * kernel;
                    for (square, to) in to.chunks_mut(LANES * LANES).enumerate() {
                        let at = channels.start * kernel + square * LANES;
                        for lane in 0..count {
                            let from = &w[(first + lane) * row + at..][..to.len() / LANES];
                            for (to, &from) in to.chunks_exact_mut(LANES).zip(from) {
                                to[lane] = from;
                            }
                        }
                    }
                }
                // Each output channel is one such transposition of its input channels and taps.
                Direction::Backward => {
                    for (oc, to) in channels.zip(to.chunks_exact_mut(per_channel)) {
                        let from = &w[(oc * g.c_in + first) * kernel..][..count * kernel];
                        for (lane, from) in from.chunks_exact(kernel).enumerate() {
                            for (to, &from) in to.chunks_exact_mut(LANES).zip(from) {
                                to[lane] = from;
                            }
                        }
                    }
                }
            }
        })?;
        Ok(Packed { prepared: self, weights: room })
    }
}

/// Makes places, from the first tap and the first weight of a channel, into ways from each to the next, round to the next
/// channel; returns where the way starts. A kernel has `kernel` taps in all.
pub(super) fn link(taps: &mut [Tap], kernel: usize) -> Tap {
    let Some(&last) = taps.last() else { return Tap { image: 0, weight: 0 } };
    // The last tap of the channel before: the one before in the image, all taps of a channel before in the weights.
    let start = Tap { image: last.image - 1, weight: last.weight - (kernel * LANES) as isize };
    let mut before = start;
    for tap in taps {
        let place = *tap;
        *tap = Tap { image: place.image - before.image, weight: place.weight - before.weight };
        before = place;
    }
    start
}
