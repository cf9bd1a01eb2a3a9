//! What may happen to an example on its way into and out of a kernel, while it is in the cache anyway.
//!
//! A network's memory traffic would otherwise rule: a normalisation reads and writes whole tensors for a few operations
//! an element. So a convolution takes its input from a [`Source`], which may compute the example (normalise, rectify,
//! add) instead of copying it, and hands each finished output to a [`Sink`], which may take statistics of it or mask it.
//! Both are called once for an example or a few of its rows, on the thread that works on it; what they cost beside the
//! work on the example itself is nothing, and no kernel is compiled for each combination.
//!
//! An example is a matrix of pixels by channels: `pixels` = height times width rows, row-major, channels innermost.

use std::ops::Range;

use crate::simd::Isa;

/// The examples that a kernel reads.
pub trait Source: Sync {
    /// Writes rows `rows` of the image of example `n` to `dst`: row `r` goes to
    /// `dst[(r - rows.start) * pitch ..][.. width * channels]`. What lies between the rows is left alone.
    ///
    /// Every row of an example is asked for at least once, and may be asked for again: the answer must be the same.
    fn load(&self, isa: Isa, n: usize, rows: Range<usize>, dst: &mut [f32], pitch: usize);

    /// The example as it lies in memory (`height * width * channels` elements), if nothing has to be computed; a kernel
    /// may then read it in place instead of calling [`load`](Self::load).
    fn in_place(&self, n: usize) -> Option<&[f32]> {
        let _ = n;
        None
    }
}

/// The receiver of the examples that a kernel has written.
pub trait Sink: Sync {
    /// Example `n` is finished: `y` holds all of it (`height * width * channels` elements) and may be changed. Called
    /// once for each example, in no order, on any thread.
    fn finish(&self, isa: Isa, n: usize, y: &mut [f32]);
}

/// A tensor of examples as it lies in memory.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    x: &'a [f32],
    width: usize,
    channels: usize,
    example: usize,
}

impl<'a> Plain<'a> {
    /// Examples of `height * width` pixels of `channels` channels, one after the other in `x`.
    #[must_use]
    pub fn new(x: &'a [f32], height: usize, width: usize, channels: usize) -> Self {
        Self { x, width, channels, example: height * width * channels }
    }
}

impl Source for Plain<'_> {
    fn load(&self, _: Isa, n: usize, rows: Range<usize>, dst: &mut [f32], pitch: usize) {
        let row = self.width * self.channels;
        let x = &self.x[n * self.example..][..self.example];
        for r in rows.clone() {
            dst[(r - rows.start) * pitch..][..row].copy_from_slice(&x[r * row..][..row]);
        }
    }
    fn in_place(&self, n: usize) -> Option<&[f32]> {
        Some(&self.x[n * self.example..][..self.example])
    }
}

/// What a source gives, and a tensor in memory that is added to it, if there is one.
#[derive(Debug, Clone, Copy)]
pub struct Plus<'a, S> {
    source: S,
    added: Option<Plain<'a>>,
}

impl<'a, S> Plus<'a, S> {
    /// `source + added`, which have one shape.
    #[must_use]
    pub fn new(source: S, added: Option<Plain<'a>>) -> Self {
        Self { source, added }
    }
}

impl<S: Source> Source for Plus<'_, S> {
    fn load(&self, isa: Isa, n: usize, rows: Range<usize>, dst: &mut [f32], pitch: usize) {
        self.source.load(isa, n, rows.clone(), dst, pitch);
        let Some(Plain { x, width, channels, example }) = self.added else { return };
        let (x, row) = (&x[n * example..][..example], width * channels);
        for r in rows.clone() {
            let dst = &mut dst[(r - rows.start) * pitch..][..row];
            dst.iter_mut().zip(&x[r * row..]).for_each(|(dst, x)| *dst += x);
        }
    }
    fn in_place(&self, n: usize) -> Option<&[f32]> {
        if self.added.is_some() { None } else { self.source.in_place(n) }
    }
}

/// Does nothing with a finished example.
#[derive(Debug, Clone, Copy)]
pub struct Keep;

impl Sink for Keep {
    fn finish(&self, _: Isa, _: usize, _: &mut [f32]) {}
}

/// One after the other: what the first makes of an example is what the second gets.
impl<A: Sink, B: Sink> Sink for (A, B) {
    fn finish(&self, isa: Isa, n: usize, y: &mut [f32]) {
        self.0.finish(isa, n, y);
        self.1.finish(isa, n, y);
    }
}
