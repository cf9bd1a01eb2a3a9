//! The micro-kernel: a tile of outputs, `P` pixels by `NV` vectors of channels, held in registers over a block of the
//! channels that are summed.
//!
//! All pixels of a tile have the same taps; beside that they may be anywhere: in different rows and different examples.
//! So no tap is ever computed that falls on padding, and the edges of an image cost what they are worth. Lanes are
//! neighbouring output channels, each one chain.

use crate::simd::{Tier, Vector};

/// Channels of a vector.
pub(super) const LANES: usize = 16;
/// Most pixels of a tile on any tier.
pub(super) const MOST_PIXELS: usize = 8;

/// The way to one tap of a kernel from the one before, and from the last tap of a channel to the first of the next: where
/// the chain goes, in the image and in the weights, is a running sum, and the loop over taps has nothing else to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tap {
    /// In elements of the image.
    pub image: isize,
    /// In elements of the weights.
    pub weight: isize,
}

/// What the chain of an element starts from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// `+0`.
    Zero,
    /// What an earlier block of channels has carried over.
    Carry,
    /// The bias of the channel; points to that of the tile's first.
    Bias(*const f32),
}

/// One call of the micro-kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    /// The element of the image at each pixel's last tap, in the channel before the first of the block: the way to the
    /// first tap starts there.
    pub x: [*const f32; MOST_PIXELS],
    /// The first element of each pixel's outputs; channels are adjacent.
    pub y: [*mut f32; MOST_PIXELS],
    /// How many tiles to do at these pixels, each `NV` vectors of channels further.
    pub repeats: usize,
    /// The taps in the order of the chain.
    pub taps: *const Tap,
    /// How many, at least one.
    pub tap_count: usize,
    /// Channels of this block, at least one; adjacent in the image.
    pub depth: usize,
    /// The weights of the last tap, in the channel before the first of the block; each tap has one whole vector.
    pub w: *const f32,
    /// From the weights of one vector of outputs to those of the next.
    pub w_vector: usize,
    /// How far ahead weights are fetched into the first-level cache, in elements; 0 if they are there.
    pub w_ahead: usize,
    /// Channels of the very last vector that exist, 1 to [`LANES`].
    pub last_lanes: usize,
    pub start: Start,
    /// Whether this is the last block of channels: `+0 + acc` goes to the outputs. If not, `acc` is carried over.
    pub last: bool,
    /// Room for what is carried over, tile by tile, in each pixel by pixel, whole vectors: unfinished outputs lie close
    /// together, and not as far apart as the pixels of the result.
    pub carry: *mut f32,
}

/// A compiled micro-kernel.
///
/// # Safety of calls
/// For each of the first `P` pixels: `x` is readable at every tap for `depth` elements, `y` is writable, on the last block,
/// for `repeats * NV` vectors of which the very last has `last_lanes` elements, and nobody else uses those. The weights are
/// readable for `depth` steps, all taps and as many vectors, the bias as `y`. Unless this block is the first and last one,
/// `carry` is writable, and filled by the block before this, for as many whole vectors of `P` pixels.
pub(super) type MicroKernel<S> = unsafe fn(S, &Tile);

/// Vectors of outputs that a tile may hold: what the registers leave beside a vector of weights and one broadcast pixel.
pub(super) const fn accumulators<S: Tier>() -> usize {
    match S::VECTOR_REGISTERS {
        0..8 => 4,
        8..32 => 6,
        _ => 24,
    }
}

/// Most pixels of a tile of `vectors` vectors on tier `S`; 0 if there is none.
pub(super) const fn most_pixels<S: Tier>(vectors: usize) -> usize {
    let fit = accumulators::<S>() / vectors;
    // Three pixels by two vectors would need a register more than AVX2 has.
    let table = match vectors {
        1 => MOST_PIXELS,
        2 if S::VECTOR_REGISTERS < 32 => 2,
        2 | 3 => MOST_PIXELS,
        4 | 6 => 1,
        _ => return 0,
    };
    if table < fit { table } else { fit }
}

/// Vectors of a tile when pixels are plenty and there are `available` vectors of channels.
pub(super) fn usual_vectors<S: Tier>(available: usize) -> usize {
    match (accumulators::<S>() / MOST_PIXELS).max(1) {
        3 if available.is_multiple_of(3) && !available.is_multiple_of(2) => 3,
        3 => available.min(2),
        most => available.min(most),
    }
}

/// Vectors of a tile when there are only `pixels` pixels.
pub(super) fn vectors_for<S: Tier>(pixels: usize, available: usize) -> usize {
    (1..=6.min(available)).rev().find(|&v| most_pixels::<S>(v) >= pixels).unwrap_or(1)
}

/// The micro-kernel for tiles of `pixels` pixels and `vectors` vectors, or None if the tier has no such tile.
pub(super) fn select<S: Tier>(pixels: usize, vectors: usize) -> Option<MicroKernel<S>> {
    macro_rules! table {
        ($($nv:literal: $($p:literal)*;)*) => {
            match (vectors, pixels) {
                $($(($nv, $p) if const { $p <= most_pixels::<S>($nv) } => Some(entry::<S, $p, $nv>),)*)*
                _ => None,
            }
        };
    }
    table! {
        1: 1 2 3 4 5 6 7 8;
        2: 1 2 3 4 5 6 7 8;
        3: 1 2 3 4 5 6 7 8;
        4: 1;
        6: 1;
    }
}

/// # Safety
/// As said at [`MicroKernel`].
unsafe fn entry<S: Tier, const P: usize, const NV: usize>(tier: S, tile: &Tile) {
    tier.vectorize(
        #[inline(always)]
        || {
            // SAFETY: the caller's promise, passed on.
            unsafe {
                // Small tiles are few.
                if const { 2 * P * NV > accumulators::<S>() } && tile.w_ahead > 0 {
                    run::<S, P, NV, true>(tier, tile);
                } else {
                    run::<S, P, NV, false>(tier, tile);
                }
            }
        },
    );
}

/// # Safety
/// As said at [`MicroKernel`].
#[inline(always)]
unsafe fn run<S: Tier, const P: usize, const NV: usize, const AHEAD: bool>(tier: S, tile: &Tile) {
    // SAFETY: every access below is one that the caller promised to be valid.
    unsafe {
        let x: [*const f32; P] = std::array::from_fn(|i| tile.x[i]);
        let end = tile.taps.add(tile.tap_count);
        let w_ahead = tile.w_ahead;
        for repeat in 0..tile.repeats {
            let channel = repeat * NV * LANES;
            let last_lanes = if repeat + 1 == tile.repeats { tile.last_lanes } else { LANES };
            if tile.last {
                // The outputs are wanted at the end.
                for i in 0..P {
                    for v in 0..NV {
                        tier.prefetch(tile.y[i].wrapping_add(channel + v * LANES));
                    }
                }
            }
            let carry = tile.carry.wrapping_add(P * channel);
            let mut acc = begin::<S, P, NV>(tier, tile, channel, last_lanes, carry);
            let mut image = 0isize;
            let mut w = tile.w.wrapping_add(repeat * NV * tile.w_vector);
            for _ in 0..tile.depth {
                let mut tap = tile.taps;
                while tap != end {
                    image += (*tap).image;
                    w = w.wrapping_offset((*tap).weight);
                    if AHEAD {
                        for v in 0..NV {
                            tier.prefetch(w.wrapping_add(v * tile.w_vector + w_ahead));
                        }
                    }
                    step::<S, P, NV>(tier, &x, image, w, tile.w_vector, &mut acc);
                    tap = tap.add(1);
                }
            }
            if tile.last {
                finish::<S, P, NV>(tier, tile, channel, last_lanes, acc);
            } else {
                for (i, acc) in acc.as_flattened().iter().enumerate() {
                    acc.store_ptr(carry.add(i * LANES));
                }
            }
        }
    }
}

/// One tap of one channel: every element of the tile takes one fused multiply-add.
///
/// # Safety
/// `offset` from each pixel is readable, and `NV` vectors of weights are at `w`, `w_vector` apart.
#[inline(always)]
unsafe fn step<S: Tier, const P: usize, const NV: usize>(
    tier: S,
    x: &[*const f32; P],
    offset: isize,
    w: *const f32,
    w_vector: usize,
    acc: &mut [[S::F32; NV]; P],
) {
    // SAFETY: the caller's promise.
    let pixel = |i: usize| S::F32::splat(tier, unsafe { *x[i].wrapping_offset(offset) });
    // SAFETY: the caller's promise.
    let weights = |v: usize| unsafe { S::F32::load_ptr(tier, w.add(v * w_vector)) };
    // Whichever is fewer is held in registers.
    if P <= NV {
        let x: [S::F32; P] = std::array::from_fn(pixel);
        for v in 0..NV {
            let w = weights(v);
            for (x, acc) in x.iter().zip(acc.iter_mut()) {
                acc[v] = x.fma(w, acc[v]);
            }
        }
    } else {
        let w: [S::F32; NV] = std::array::from_fn(weights);
        for (i, acc) in acc.iter_mut().enumerate() {
            let x = pixel(i);
            for (acc, w) in acc.iter_mut().zip(w) {
                *acc = x.fma(w, *acc);
            }
        }
    }
}

/// The values that the chains of the vectors from `channel` on start from.
///
/// # Safety
/// As said at [`MicroKernel`].
#[inline(always)]
unsafe fn begin<S: Tier, const P: usize, const NV: usize>(
    tier: S,
    tile: &Tile,
    channel: usize,
    last_lanes: usize,
    carry: *const f32,
) -> [[S::F32; NV]; P] {
    let mut acc = [[S::F32::zero(tier); NV]; P];
    // SAFETY: the caller promised what is carried over and the bias for exactly these places.
    unsafe {
        match tile.start {
            Start::Zero => {}
            Start::Carry => {
                for (i, acc) in acc.as_flattened_mut().iter_mut().enumerate() {
                    *acc = S::F32::load_ptr(tier, carry.add(i * LANES));
                }
            }
            Start::Bias(bias) => acc = [load::<S, NV>(tier, bias.add(channel), last_lanes); P],
        }
    }
    acc
}

/// Finishes the elements of the vectors from `channel` on and stores them.
///
/// # Safety
/// As said at [`MicroKernel`].
#[inline(always)]
unsafe fn finish<S: Tier, const P: usize, const NV: usize>(
    tier: S,
    tile: &Tile,
    channel: usize,
    last_lanes: usize,
    mut acc: [[S::F32; NV]; P],
) {
    let zero = S::F32::zero(tier);
    for acc in acc.as_flattened_mut() {
        *acc = zero + *acc;
    }
    for (i, acc) in acc.iter().enumerate() {
        for (v, acc) in acc.iter().enumerate() {
            // SAFETY: the caller promised the outputs for exactly these places.
            unsafe {
                let place = tile.y[i].add(channel + v * LANES);
                if v + 1 < NV || last_lanes == LANES {
                    acc.store_ptr(place);
                } else {
                    acc.store_partial_ptr(place, last_lanes);
                }
            }
        }
    }
}

/// `NV` vectors from adjacent channels, of which the last has `last_lanes`.
///
/// # Safety
/// Those elements must be readable.
#[inline(always)]
unsafe fn load<S: Tier, const NV: usize>(tier: S, from: *const f32, last_lanes: usize) -> [S::F32; NV] {
    let mut vectors = [S::F32::zero(tier); NV];
    for (v, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let place = from.add(v * LANES);
            *vector = if v + 1 < NV || last_lanes == LANES {
                S::F32::load_ptr(tier, place)
            } else {
                S::F32::load_partial_ptr(tier, place, last_lanes)
            };
        }
    }
    vectors
}
