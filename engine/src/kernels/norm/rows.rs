//! The loops: one example, or a few of its pixels, at a time.
//!
//! `c` is the number of channels, and slices of activations hold whole pixels. Loops that need the coefficients of a
//! channel and nothing else walk memory in order, four pixels at a time, so that a coefficient is loaded once for four
//! uses. Loops that accumulate keep one or two vectors of channels in registers over a run of pixels.

use super::MOMENT_RUN;
use crate::kernels::reduce::Span;
use crate::simd::{Tier, Vector};

/// Lanes of a vector of `f32`.
const LANES: usize = 16;
/// Lanes of a vector of `f64`.
const HALF: usize = 8;
/// Pixels that share the loads of the coefficients.
const PIXELS: usize = 4;

/// `[center, scale, shift]`, each with one element a channel.
pub(super) type Affine<'a> = [&'a [f32]; 3];

/// Calls `f` with the first element of each vector and its span within its pixel, pixel by pixel or four at a time:
/// `f(pixels, index of the first of them, span of channels)`.
macro_rules! sweep {
    ($c:expr, $len:expr, |$count:ident, $pixel:ident, $span:ident| $body:block) => {{
        let (c, pixels) = ($c, $len / $c);
        let full = c - c % LANES;
        let mut pixel = 0;
        while pixel + PIXELS <= pixels {
            let mut from = 0;
            while from < full {
                {
                    const $count: usize = PIXELS;
                    let ($pixel, $span) = (pixel, Span { from, count: LANES });
                    $body
                }
                from += LANES;
            }
            if full < c {
                const $count: usize = PIXELS;
                let ($pixel, $span) = (pixel, Span { from: full, count: c - full });
                $body
            }
            pixel += PIXELS;
        }
        while pixel < pixels {
            let mut from = 0;
            while from < c {
                const $count: usize = 1;
                let ($pixel, $span) = (pixel, Span { from, count: (c - from).min(LANES) });
                $body
                from += LANES;
            }
            pixel += 1;
        }
    }};
}

/// `dst = max(floor, fma(x - center, scale, shift) [+ dst])`, the sum being of `dst` and the normalised `x` if `ADD`.
#[inline(always)]
pub(super) fn affine<S: Tier, const ADD: bool>(
    tier: S,
    c: usize,
    x: &[f32],
    [center, scale, shift]: Affine<'_>,
    floor: f32,
    dst: &mut [f32],
) {
    let (x, floor) = (&x[..dst.len()], S::F32::splat(tier, floor));
    sweep!(c, dst.len(), |COUNT, pixel, span| {
        let center = span.load::<S::F32>(tier, center);
        let (scale, shift) = (span.load::<S::F32>(tier, scale), span.load::<S::F32>(tier, shift));
        let mut z = [center; COUNT];
        for (i, z) in z.iter_mut().enumerate() {
            let at = Span { from: (pixel + i) * c + span.from, ..span };
            *z = (at.load::<S::F32>(tier, x) - center).fma(scale, shift);
            if ADD {
                *z = at.load::<S::F32>(tier, dst) + *z;
            }
        }
        for (i, z) in z.into_iter().enumerate() {
            Span { from: (pixel + i) * c + span.from, ..span }.store(floor.max(z), dst);
        }
    });
}

/// `dst = max(floor, dst + x)`, element by element.
#[inline(always)]
pub(super) fn add<S: Tier>(tier: S, x: &[f32], floor: f32, dst: &mut [f32]) {
    let floor = S::F32::splat(tier, floor);
    for (x, dst) in x[..dst.len()].chunks(LANES).zip(dst.chunks_mut(LANES)) {
        let span = Span { from: 0, count: x.len() };
        span.store(floor.max(span.load::<S::F32>(tier, dst) + span.load::<S::F32>(tier, x)), dst);
    }
}

/// `dst = max(floor, dst + noise of the pixel)`.
#[inline(always)]
pub(super) fn add_map<S: Tier>(tier: S, c: usize, map: &[f32], floor: f32, dst: &mut [f32]) {
    let floor = S::F32::splat(tier, floor);
    for (&noise, dst) in map.iter().zip(dst.chunks_mut(c)) {
        let noise = S::F32::splat(tier, noise);
        for dst in dst.chunks_mut(LANES) {
            let span = Span { from: 0, count: dst.len() };
            span.store(floor.max(span.load::<S::F32>(tier, dst) + noise), dst);
        }
    }
}

/// `d = +0` where `z <= 0`.
#[inline(always)]
pub(super) fn mask<S: Tier>(tier: S, z: &[f32], d: &mut [f32]) {
    let zero = S::F32::zero(tier);
    for (z, d) in z[..d.len()].chunks(LANES).zip(d.chunks_mut(LANES)) {
        let span = Span { from: 0, count: z.len() };
        let off = span.load::<S::F32>(tier, z).le(zero);
        span.store(S::F32::select(off, zero, span.load::<S::F32>(tier, d)), d);
    }
}

/// The coefficients of a gradient: the center, and `[scale, p, q]`.
#[derive(Clone, Copy)]
pub(super) struct Slopes<'a> {
    pub center: &'a [f32],
    pub slopes: [&'a [f32]; 3],
    /// `[scale, shift]` of the pre-activation by which the gradient is masked.
    pub gate: [&'a [f32]; 2],
}

/// `dst = fma(d, scale, fma(x - center, p, q))`. `d` is read from `dst` if `IN_PLACE`; it is masked by the pre-activation
/// of `x` if `GATE`.
#[inline(always)]
pub(super) fn gradient<S: Tier, const GATE: bool, const IN_PLACE: bool>(
    tier: S,
    c: usize,
    x: &[f32],
    d: &[f32],
    coefficients: Slopes<'_>,
    dst: &mut [f32],
) {
    let Slopes { center, slopes: [scale, p, q], gate: [gate_scale, gate_shift] } = coefficients;
    let (x, d) = (&x[..dst.len()], if IN_PLACE { d } else { &d[..dst.len()] });
    let zero = S::F32::zero(tier);
    sweep!(c, dst.len(), |COUNT, pixel, span| {
        let (center, scale) = (span.load::<S::F32>(tier, center), span.load::<S::F32>(tier, scale));
        let (p, q) = (span.load::<S::F32>(tier, p), span.load::<S::F32>(tier, q));
        let (mut gate_s, mut gate_b) = (zero, zero);
        if GATE {
            (gate_s, gate_b) = (span.load::<S::F32>(tier, gate_scale), span.load::<S::F32>(tier, gate_shift));
        }
        let mut out = [zero; COUNT];
        for (i, out) in out.iter_mut().enumerate() {
            let at = Span { from: (pixel + i) * c + span.from, ..span };
            let x = at.load::<S::F32>(tier, x) - center;
            let mut d = if IN_PLACE { at.load::<S::F32>(tier, dst) } else { at.load::<S::F32>(tier, d) };
            if GATE {
                d = S::F32::select(x.fma(gate_s, gate_b).le(zero), zero, d);
            }
            *out = d.fma(scale, x.fma(p, q));
        }
        for (i, out) in out.into_iter().enumerate() {
            Span { from: (pixel + i) * c + span.from, ..span }.store(out, dst);
        }
    });
}

/// Calls `$one::<S, 2, ..>` for pairs of vectors of channels and `$one::<S, 1, ..>` for what is left.
macro_rules! by_channels {
    ($c:expr, |$width:ident, $span:ident| $body:expr) => {{
        let mut from = 0;
        while from + 2 * LANES <= $c {
            const $width: usize = 2;
            let $span = Span { from, count: LANES };
            $body;
            from += 2 * LANES;
        }
        while from < $c {
            const $width: usize = 1;
            let $span = Span { from, count: ($c - from).min(LANES) };
            $body;
            from += LANES;
        }
    }};
}

/// Pixels by which a loop over a run asks for its elements ahead. The lines of a few channels lie apart by a pixel,
/// which the hardware does not foresee. Some 4 KiB, or what takes a while. Bit-neutral.
#[inline(always)]
fn ahead(c: usize) -> usize {
    (1024 / c).clamp(8, 64) * c
}

/// Asks for the lines of `W` vectors, `ahead` elements on.
#[inline(always)]
fn prefetch<S: Tier, const W: usize>(tier: S, x: &[f32], ahead: usize) {
    for w in 0..W {
        tier.prefetch(x.as_ptr().wrapping_add(ahead + w * LANES));
    }
}

/// Run `index` of an example, merged into what the runs before it gave.
#[inline(always)]
pub(super) fn run_moments<S: Tier>(tier: S, c: usize, index: usize, run: &[f32], means: &mut [f64], m2s: &mut [f64]) {
    let ahead = ahead(c);
    let scalars = Merge::new((index * MOMENT_RUN) as f64, (run.len() / c) as f64);
    by_channels!(c, |W, span| {
        let mut shift = [S::F32::zero(tier); W];
        for (w, shift) in shift.iter_mut().enumerate() {
            *shift = Span { from: span.from + w * LANES, ..span }.load(tier, run);
        }
        let (mut s, mut q) = ([S::F32::zero(tier); W], [S::F32::zero(tier); W]);
        for pixel in run.chunks_exact(c) {
            prefetch::<S, W>(tier, &pixel[span.from..], ahead);
            for w in 0..W {
                let d = Span { from: span.from + w * LANES, ..span }.load::<S::F32>(tier, pixel) - shift[w];
                s[w] = s[w] + d;
                q[w] = d.fma(d, q[w]);
            }
        }
        for w in 0..W {
            let (shift, s, q) = (tier.widen(shift[w]), tier.widen(s[w]), tier.widen(q[w]));
            for h in 0..2 {
                let from = span.from + w * LANES + h * HALF;
                let half = Span { from, count: (span.from + w * LANES + span.count).saturating_sub(from).min(HALF) };
                if half.count > 0 {
                    scalars.merge(tier, shift[h], s[h], q[h], half, means, m2s);
                }
            }
        }
    });
}

/// The scalars of a merge, which all channels share.
struct Merge {
    first: bool,
    reciprocal: f64,
    ratio: f64,
    weight: f64,
}

impl Merge {
    #[inline(always)]
    fn new(before: f64, count: f64) -> Self {
        let all = before + count;
        Self { first: before == 0.0, reciprocal: 1.0 / count, ratio: count / all, weight: before * count / all }
    }

    #[inline(always)]
    fn merge<S: Tier>(
        &self,
        tier: S,
        shift: S::F64,
        s: S::F64,
        q: S::F64,
        span: Span,
        means: &mut [f64],
        m2s: &mut [f64],
    ) {
        let part = s * S::F64::splat(tier, self.reciprocal);
        let (mut mean, mut m2) = (shift + part, q - s * part);
        if !self.first {
            let (mean_before, m2_before) = (span.load::<S::F64>(tier, means), span.load::<S::F64>(tier, m2s));
            let delta = mean - mean_before;
            mean = mean_before + delta * S::F64::splat(tier, self.ratio);
            m2 = (m2_before + m2) + (delta * delta) * S::F64::splat(tier, self.weight);
        }
        span.store(mean, means);
        span.store(m2, m2s);
    }
}

/// What masks a gradient on its way into the sums.
#[derive(Clone, Copy)]
pub(super) enum Gate<'a> {
    /// Nothing.
    Open,
    /// The pre-activation that `[scale, shift]` make of `x`.
    Affine([&'a [f32]; 2]),
    /// A tensor: the activation, or its pre-activation. Only its sign is looked at.
    Tensor(&'a [f32]),
}

/// Adds one run's sums of `d_z` and of `d_z (x - center)` to the two rows of `out`. `d` is the gradient, or `masked` if
/// that is not empty, which is then replaced by `d_z`.
#[inline(always)]
pub(super) fn run_sums<S: Tier>(
    tier: S,
    c: usize,
    x: &[f32],
    center: &[f32],
    gate: Gate<'_>,
    d: &[f32],
    masked: &mut [f32],
    out: &mut [f64],
) {
    if let Gate::Tensor(z) = gate {
        mask(tier, z, masked);
    }
    match (gate, masked.is_empty()) {
        (Gate::Affine(affine), true) => sums::<S, true, false>(tier, c, x, center, affine, d, masked, out),
        (Gate::Affine(affine), false) => sums::<S, true, true>(tier, c, x, center, affine, d, masked, out),
        (_, empty) => {
            sums::<S, false, false>(tier, c, x, center, [&[]; 2], if empty { d } else { masked }, &mut [], out)
        }
    }
}

#[inline(always)]
fn sums<S: Tier, const GATE: bool, const STORE: bool>(
    tier: S,
    c: usize,
    x: &[f32],
    center: &[f32],
    [scale, shift]: [&[f32]; 2],
    d: &[f32],
    masked: &mut [f32],
    out: &mut [f64],
) {
    let zero = S::F32::zero(tier);
    let (all_s, all_t) = out.split_at_mut(c);
    let (pixels, ahead) = (x.len() / c, ahead(c));
    by_channels!(c, |W, span| {
        let (mut s, mut t) = ([zero; W], [zero; W]);
        for pixel in 0..pixels {
            let first = pixel * c + span.from;
            prefetch::<S, W>(tier, &x[first..], ahead);
            prefetch::<S, W>(tier, if STORE { &masked[first..] } else { &d[first..] }, ahead);
            for w in 0..W {
                let channels = Span { from: span.from + w * LANES, ..span };
                let at = Span { from: pixel * c + channels.from, ..span };
                let x = at.load::<S::F32>(tier, x) - channels.load(tier, center);
                let mut d = if STORE { at.load::<S::F32>(tier, masked) } else { at.load::<S::F32>(tier, d) };
                if GATE {
                    let z = x.fma(channels.load(tier, scale), channels.load(tier, shift));
                    d = S::F32::select(z.le(zero), zero, d);
                }
                if STORE {
                    at.store(d, masked);
                }
                s[w] = s[w] + d;
                t[w] = d.fma(x, t[w]);
            }
        }
        for w in 0..W {
            let (s, t) = (tier.widen(s[w]), tier.widen(t[w]));
            for h in 0..2 {
                let from = span.from + w * LANES + h * HALF;
                let half = Span { from, count: (span.from + w * LANES + span.count).saturating_sub(from).min(HALF) };
                if half.count > 0 {
                    half.store(half.load::<S::F64>(tier, all_s) + s[h], all_s);
                    half.store(half.load::<S::F64>(tier, all_t) + t[h], all_t);
                }
            }
        }
    });
}
