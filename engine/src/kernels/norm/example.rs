//! Whole examples: statistics, and the sums of a gradient.

use super::forward::{Forward, Tile};
use super::rows::{Gate, add, mask, run_moments, run_sums};
use super::{MOMENT_RUN, RUN, Shape};
use crate::simd::{Kernel, Tier};

/// Elements of a pre-activation that is computed again to mask a gradient. Bit-neutral.
const TILE: usize = 1 << 11;

/// The moments of one example, `out` = means and sums of squared deviations. `y` may have something added first.
pub(super) struct ExampleMoments<'a> {
    pub c: usize,
    pub y: Values<'a>,
    pub out: &'a mut [f64],
}

/// The values of an example.
pub(super) enum Values<'a> {
    /// As they are.
    Plain(&'a [f32]),
    /// The sum of both, which replaces the first.
    Sum(&'a mut [f32], &'a [f32]),
}

impl<'a> Values<'a> {
    /// Example `n`, to which that of `add` is added.
    pub(super) fn of(shape: Shape, n: usize, y: &'a mut [f32], add: Option<&'a [f32]>) -> Self {
        match add {
            None => Self::Plain(y),
            Some(add) => Self::Sum(y, &add[n * shape.example()..][..shape.example()]),
        }
    }
}

impl Kernel for ExampleMoments<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { c, y, out } = self;
        let (means, m2s) = out.split_at_mut(c);
        match y {
            Values::Plain(y) => {
                for (i, run) in y.chunks(MOMENT_RUN * c).enumerate() {
                    run_moments(tier, c, i, run, means, m2s);
                }
            }
            Values::Sum(y, x) => {
                for (i, (run, x)) in y.chunks_mut(MOMENT_RUN * c).zip(x.chunks(MOMENT_RUN * c)).enumerate() {
                    add(tier, x, f32::NEG_INFINITY, run);
                    run_moments(tier, c, i, run, means, m2s);
                }
            }
        }
    }
}

/// What the sums of a gradient are taken of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub forward: Forward<'a>,
    /// The activation, if it is in memory: it masks the gradient.
    pub activation: Option<&'a [f32]>,
    /// Another gradient of the activation, added first.
    pub add: Option<&'a [f32]>,
}

/// The sums of one example, `out` = those of `d_z` and of `d_z (x - center)`.
pub(super) struct ExampleSums<'a, 'b> {
    pub terms: &'a Terms<'b>,
    pub n: usize,
    /// `d_a`, where `masked` is empty. Then nothing may be added, and nothing but `x` may mask.
    pub d: &'a [f32],
    /// `d_a` before, `d_z` after.
    pub masked: &'a mut [f32],
    pub out: &'a mut [f64],
}

impl Kernel for ExampleSums<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { terms: Terms { forward, activation, add: addend }, n, d, masked, out } = self;
        let Shape { c, .. } = forward.shape;
        let example = forward.shape.example();
        let [center, scale, shift] = forward.coefficients.of(n);
        out.fill(0.0);
        let mut from = 0;
        while from < example {
            let len = (example - from).min(RUN * c);
            let at = n * example + from;
            let (d, masked) = if masked.is_empty() {
                (&d[from..from + len], &mut [][..])
            } else {
                (&[][..], &mut masked[from..from + len])
            };
            if let Some(addend) = addend {
                add(tier, &addend[at..at + len], f32::NEG_INFINITY, masked);
            }
            let gate = match activation {
                _ if !forward.post.relu => Gate::Open,
                Some(a) => Gate::Tensor(&a[at..at + len]),
                None if forward.post.is_plain() => Gate::Affine([scale, shift]),
                None => {
                    mask_again(tier, forward, n, from / c, masked);
                    Gate::Open
                }
            };
            run_sums(tier, c, &forward.x[at..at + len], center, gate, d, masked, out);
            from += len;
        }
    }
}

/// Masks pixels from `pixel` on by their pre-activation, which is computed again.
#[inline(always)]
fn mask_again<S: Tier>(tier: S, forward: &Forward<'_>, n: usize, pixel: usize, masked: &mut [f32]) {
    let c = forward.shape.c;
    let mut z = [0.0; TILE];
    // As many pixels as fit, or a part of the channels of one.
    let pixels = (TILE / c).max(1);
    for (i, masked) in masked.chunks_mut(pixels * c).enumerate() {
        for (j, masked) in masked.chunks_mut(TILE).enumerate() {
            let z = &mut z[..masked.len()];
            let (channel, channels) = if c > TILE { (j * TILE, z.len()) } else { (0, c) };
            forward.tile(tier, n, Tile { pixel: pixel + i * pixels, channel, channels }, false, z);
            mask(tier, z, masked);
        }
    }
}
