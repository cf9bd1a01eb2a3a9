//! One example: lanes are channels.

use crate::kernels::conv::Geometry;
use crate::kernels::norm::RUN;
use crate::kernels::reduce::Span;
use crate::simd::{Isa, Kernel, Tier, Vector, dispatch};

/// Lanes of a vector of `f32`.
const LANES: usize = 16;

/// Runs a kernel on the tier of a context, which the CPU has.
pub(super) fn run<K: Kernel<Output = ()>>(isa: Isa, kernel: K) {
    let outcome = dispatch(isa, kernel);
    debug_assert!(outcome.is_ok(), "a tier of no context");
}

/// For every output pixel, its place and those of its taps, all in elements of channel 0.
#[inline(always)]
fn windows(g: &Geometry, mut f: impl FnMut(usize, Taps)) {
    for oh in 0..g.out_h() {
        let rows = g.taps_h(oh);
        let first_row = oh * g.stride + rows.start - g.padding;
        for ow in 0..g.out_w() {
            let columns = g.taps_w(ow);
            let first = (first_row * g.w + ow * g.stride + columns.start - g.padding) * g.c_in;
            let taps = Taps { first, rows: rows.len(), columns: columns.len(), row: g.w * g.c_in, column: g.c_in };
            f((oh * g.out_w() + ow) * g.c_in, taps);
        }
    }
}

/// The taps of a window.
#[derive(Clone, Copy)]
struct Taps {
    first: usize,
    rows: usize,
    columns: usize,
    row: usize,
    column: usize,
}

impl Taps {
    /// The places of channel `channel` of the taps, in window order.
    #[inline(always)]
    fn each(self, channel: usize) -> impl Iterator<Item = usize> {
        let Self { first, rows, columns, row, column } = self;
        (0..rows).flat_map(move |r| (0..columns).map(move |k| first + channel + r * row + k * column))
    }
    fn count(self) -> f32 {
        (self.rows * self.columns) as f32
    }
}

/// Vectors of channels.
#[inline(always)]
fn spans(c: usize) -> impl Iterator<Item = Span> {
    (0..c).step_by(LANES).map(move |from| Span { from, count: (c - from).min(LANES) })
}

/// The largest value and the number of its tap, in lanes.
#[inline(always)]
fn winner<S: Tier>(tier: S, x: &[f32], taps: Taps, span: Span) -> (S::F32, S::F32) {
    let (mut best, mut place) = (S::F32::zero(tier), S::F32::zero(tier));
    for (i, from) in taps.each(span.from).enumerate() {
        let value = Span { from, ..span }.load::<S::F32>(tier, x);
        if i == 0 {
            best = value;
            continue;
        }
        let first_nan = !value.eq(value) & best.eq(best);
        let wins = best.lt(value) | first_nan;
        best = S::F32::select(wins, value, best);
        place = S::F32::select(wins, S::F32::splat(tier, i as f32), place);
    }
    (best, place)
}

pub(super) struct Max<'a> {
    pub g: &'a Geometry,
    pub x: &'a [f32],
    pub y: &'a mut [f32],
}
impl Kernel for Max<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { g, x, y } = self;
        windows(
            g,
            #[inline(always)]
            |out, taps| {
                for span in spans(g.c_in) {
                    let (best, _) = winner(tier, x, taps, span);
                    Span { from: out + span.from, ..span }.store(best, y);
                }
            },
        );
    }
}

pub(super) struct MaxBackward<'a> {
    pub g: &'a Geometry,
    pub x: &'a [f32],
    pub d_y: &'a [f32],
    pub d_x: &'a mut [f32],
}
impl Kernel for MaxBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { g, x, d_y, d_x } = self;
        let zero = S::F32::zero(tier);
        d_x.fill(0.0);
        windows(
            g,
            #[inline(always)]
            |out, taps| {
                for span in spans(g.c_in) {
                    let (_, place) = winner(tier, x, taps, span);
                    let d = Span { from: out + span.from, ..span }.load::<S::F32>(tier, d_y);
                    for (i, from) in taps.each(span.from).enumerate() {
                        // A sum that starts at +0 is never -0, so adding +0 elsewhere changes nothing.
                        let here = place.eq(S::F32::splat(tier, i as f32));
                        let at = Span { from, ..span };
                        at.store(at.load::<S::F32>(tier, d_x) + S::F32::select(here, d, zero), d_x);
                    }
                }
            },
        );
    }
}

pub(super) struct Average<'a> {
    pub g: &'a Geometry,
    pub x: &'a [f32],
    pub y: &'a mut [f32],
}
impl Kernel for Average<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { g, x, y } = self;
        windows(
            g,
            #[inline(always)]
            |out, taps| {
                let count = S::F32::splat(tier, taps.count());
                for span in spans(g.c_in) {
                    let mut sum = S::F32::zero(tier);
                    for from in taps.each(span.from) {
                        sum = sum + Span { from, ..span }.load::<S::F32>(tier, x);
                    }
                    Span { from: out + span.from, ..span }.store(sum / count, y);
                }
            },
        );
    }
}

pub(super) struct AverageBackward<'a> {
    pub g: &'a Geometry,
    pub d_y: &'a [f32],
    pub d_x: &'a mut [f32],
}
impl Kernel for AverageBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { g, d_y, d_x } = self;
        d_x.fill(0.0);
        windows(
            g,
            #[inline(always)]
            |out, taps| {
                let count = S::F32::splat(tier, taps.count());
                for span in spans(g.c_in) {
                    let share = Span { from: out + span.from, ..span }.load::<S::F32>(tier, d_y) / count;
                    for from in taps.each(span.from) {
                        let at = Span { from, ..span };
                        at.store(at.load::<S::F32>(tier, d_x) + share, d_x);
                    }
                }
            },
        );
    }
}

pub(super) struct GlobalAverage<'a> {
    pub x: &'a [f32],
    pub y: &'a mut [f32],
}
impl Kernel for GlobalAverage<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { x, y } = self;
        let c = y.len();
        let pixels = S::F64::splat(tier, (x.len() / c) as f64);
        for span in spans(c) {
            let mut all = [S::F64::zero(tier); 2];
            for run in x.chunks(RUN * c) {
                let mut sum = S::F32::zero(tier);
                for pixel in run.chunks_exact(c) {
                    sum = sum + span.load::<S::F32>(tier, pixel);
                }
                let [low, high] = tier.widen(sum);
                all = [all[0] + low, all[1] + high];
            }
            span.store(tier.narrow([all[0] / pixels, all[1] / pixels]), y);
        }
    }
}

pub(super) struct GlobalAverageBackward<'a> {
    pub d_y: &'a [f32],
    pub d_x: &'a mut [f32],
}
impl Kernel for GlobalAverageBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { d_y, d_x } = self;
        let c = d_y.len();
        let pixels = S::F32::splat(tier, (d_x.len() / c) as f32);
        let (first, rest) = d_x.split_at_mut(c);
        for span in spans(c) {
            span.store(span.load::<S::F32>(tier, d_y) / pixels, first);
        }
        rest.chunks_exact_mut(c).for_each(|pixel| pixel.copy_from_slice(first));
    }
}
