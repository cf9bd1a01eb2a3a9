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

/// Vectors of channels whose accumulators are kept in the first-level cache, so that a pixel is walked through in the order
/// of memory. Bit-neutral.
const WIDE: usize = 16;
/// As few such vectors hide that their accumulators come from memory. Bit-neutral.
const LEAST_WIDE: usize = 4;

/// The whole vectors of `c` channels in groups of at most [`WIDE`], if there are [`LEAST_WIDE`]: `(first channel, vectors)`.
/// What is left goes through [`by_channels`].
fn wide(c: usize) -> impl Iterator<Item = (usize, usize)> {
    let vectors = c / LANES;
    let vectors = if vectors < LEAST_WIDE { 0 } else { vectors };
    (0..vectors).step_by(WIDE).map(move |first| (first * LANES, WIDE.min(vectors - first)))
}

/// Runs the body for the channels that [`wide`] leaves, with pairs of vectors and then with single ones:
/// `|WIDTH, FULL, span|`, the span being that of the first of `WIDTH` vectors, which are whole if `FULL`.
macro_rules! by_channels {
    ($c:expr, |$width:ident, $full:ident, $span:ident| $body:expr) => {{
        let mut from = if $c < LEAST_WIDE * LANES { 0 } else { $c - $c % LANES };
        while from + 2 * LANES <= $c {
            by_channels!(from, LANES, 2, true, |$width, $full, $span| $body);
            from += 2 * LANES;
        }
        if from + LANES <= $c {
            by_channels!(from, LANES, 1, true, |$width, $full, $span| $body);
            from += LANES;
        }
        if from < $c {
            by_channels!(from, $c - from, 1, false, |$width, $full, $span| $body);
        }
    }};
    ($from:ident, $count:expr, $vectors:literal, $whole:literal, |$width:ident, $full:ident, $span:ident| $body:expr) => {{
        const $width: usize = $vectors;
        const $full: bool = $whole;
        let $span = Span { from: $from, count: $count };
        $body;
    }};
}

/// The vector at `x[at]`, a whole one.
#[inline(always)]
fn whole<S: Tier>(tier: S, x: &[f32], at: usize) -> S::F32 {
    S::F32::load(tier, &x[at..at + LANES])
}

/// `W` vectors from `x[first]` on, whole ones if `FULL`, else the one of the span.
#[inline(always)]
fn load<S: Tier, const W: usize, const FULL: bool>(tier: S, x: &[f32], first: usize, span: Span) -> [S::F32; W] {
    let mut vectors = [S::F32::zero(tier); W];
    if FULL {
        // One check of the bounds for all.
        for (vector, x) in vectors.iter_mut().zip(x[first..first + W * LANES].chunks_exact(LANES)) {
            *vector = S::F32::load(tier, x);
        }
    } else {
        vectors[0] = Span { from: first, ..span }.load(tier, x);
    }
    vectors
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
    for (from, vectors) in wide(c) {
        let (mut s, mut q) = ([S::F32::zero(tier); WIDE], [S::F32::zero(tier); WIDE]);
        for pixels in run.chunks(PIXELS * c) {
            for v in 0..vectors {
                let at = from + v * LANES;
                let (shift, mut sum, mut squares) = (whole(tier, run, at), s[v], q[v]);
                for pixel in pixels.chunks_exact(c) {
                    let d = whole(tier, pixel, at) - shift;
                    sum = sum + d;
                    squares = d.fma(d, squares);
                }
                (s[v], q[v]) = (sum, squares);
            }
        }
        for v in 0..vectors {
            let span = Span { from: from + v * LANES, count: LANES };
            scalars.merge_both(tier, [whole(tier, run, span.from), s[v], q[v]], span, means, m2s);
        }
    }
    by_channels!(c, |W, FULL, span| {
        let shift = load::<S, W, FULL>(tier, run, span.from, span);
        let (mut s, mut q) = ([S::F32::zero(tier); W], [S::F32::zero(tier); W]);
        for pixel in run.chunks_exact(c) {
            prefetch::<S, W>(tier, &pixel[span.from..], ahead);
            let x = load::<S, W, FULL>(tier, pixel, span.from, span);
            for w in 0..W {
                let d = x[w] - shift[w];
                s[w] = s[w] + d;
                q[w] = d.fma(d, q[w]);
            }
        }
        for w in 0..W {
            let span = Span { from: span.from + w * LANES, ..span };
            scalars.merge_both(tier, [shift[w], s[w], q[w]], span, means, m2s);
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

    /// The merge of one vector of channels, `[shift, s, q]`, half by half.
    #[inline(always)]
    fn merge_both<S: Tier>(&self, tier: S, [shift, s, q]: [S::F32; 3], span: Span, means: &mut [f64], m2s: &mut [f64]) {
        let (shift, s, q) = (tier.widen(shift), tier.widen(s), tier.widen(q));
        for h in 0..2 {
            let from = span.from + h * HALF;
            let half = Span { from, count: (span.from + span.count).saturating_sub(from).min(HALF) };
            if half.count > 0 {
                self.merge(tier, shift[h], s[h], q[h], half, means, m2s);
            }
        }
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
    for (from, vectors) in wide(c) {
        let (mut s, mut t) = ([zero; WIDE], [zero; WIDE]);
        let mut first = 0;
        while first < pixels {
            let count = PIXELS.min(pixels - first);
            for v in 0..vectors {
                let channel = from + v * LANES;
                let (mut gradients, mut products, center) = (s[v], t[v], whole(tier, center, channel));
                let (mut gate_s, mut gate_b) = (zero, zero);
                if GATE {
                    (gate_s, gate_b) = (whole(tier, scale, channel), whole(tier, shift, channel));
                }
                for pixel in first..first + count {
                    let at = pixel * c + channel;
                    let x = whole(tier, x, at) - center;
                    let mut d = whole(tier, if STORE { &*masked } else { d }, at);
                    if GATE {
                        d = S::F32::select(x.fma(gate_s, gate_b).le(zero), zero, d);
                    }
                    if STORE {
                        d.store(&mut masked[at..at + LANES]);
                    }
                    gradients = gradients + d;
                    products = d.fma(x, products);
                }
                (s[v], t[v]) = (gradients, products);
            }
            first += count;
        }
        for v in 0..vectors {
            let span = Span { from: from + v * LANES, count: LANES };
            add_both(tier, s[v], span, all_s);
            add_both(tier, t[v], span, all_t);
        }
    }
    by_channels!(c, |W, FULL, span| {
        let center = load::<S, W, FULL>(tier, center, span.from, span);
        let (mut scales, mut shifts) = ([zero; W], [zero; W]);
        if GATE {
            scales = load::<S, W, FULL>(tier, scale, span.from, span);
            shifts = load::<S, W, FULL>(tier, shift, span.from, span);
        }
        let (mut s, mut t) = ([zero; W], [zero; W]);
        for pixel in 0..pixels {
            let first = pixel * c + span.from;
            prefetch::<S, W>(tier, &x[first..], ahead);
            prefetch::<S, W>(tier, if STORE { &masked[first..] } else { &d[first..] }, ahead);
            let x = load::<S, W, FULL>(tier, x, first, span);
            let mut d = load::<S, W, FULL>(tier, if STORE { &*masked } else { d }, first, span);
            for w in 0..W {
                let x = x[w] - center[w];
                if GATE {
                    d[w] = S::F32::select(x.fma(scales[w], shifts[w]).le(zero), zero, d[w]);
                }
                if STORE {
                    Span { from: first + w * LANES, ..span }.store(d[w], masked);
                }
                s[w] = s[w] + d[w];
                t[w] = d[w].fma(x, t[w]);
            }
        }
        for w in 0..W {
            let span = Span { from: span.from + w * LANES, ..span };
            add_both(tier, s[w], span, all_s);
            add_both(tier, t[w], span, all_t);
        }
    });
}

/// `out += x` in `f64`, for the channels of a span.
#[inline(always)]
fn add_both<S: Tier>(tier: S, x: S::F32, span: Span, out: &mut [f64]) {
    for (h, x) in tier.widen(x).into_iter().enumerate() {
        let from = span.from + h * HALF;
        let half = Span { from, count: (span.from + span.count).saturating_sub(from).min(HALF) };
        if half.count > 0 {
            half.store(half.load::<S::F64>(tier, out) + x, out);
        }
    }
}
