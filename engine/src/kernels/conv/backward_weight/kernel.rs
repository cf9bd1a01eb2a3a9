//! The micro-kernels: a tile of partial sums, `H` rows by `NV` vectors of output channels, held in registers while a
//! rectangle of output pixels of some examples passes by.
//!
//! Lanes are neighbouring output channels; a row is an input channel at a tap. Each lane is one chain
//! `acc = fma(x, d_y, acc)` over the pixels in their order, whatever the tile.

use crate::simd::{Tier, Vector};

/// Pixels between two tests for the end of a row.
const STEPS: usize = 4;
/// Most rows of a tile on any tier.
pub(super) const MOST_ROWS: usize = 16;
/// Most runs of columns that meet the same taps: each tap column begins and ends once.
pub(super) const MOST_SEGMENTS: usize = 2 * MOST_ROWS + 1;

/// Where partial sums come from and go to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums<'a> {
    /// Where the chains go on from; null for a start from `+0`.
    pub from: *const f32,
    /// The subtrees to the left that are complete, the nearest first: `acc = left + acc` for each, in this order.
    pub lefts: &'a [*const f32],
    /// Where the result is written; this and the others point to the first row of a block of weights.
    pub out: *mut f32,
}

/// A rectangle of output pixels of some examples, for one tile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'a> {
    /// For each example, where its panel of x starts, and its panel of d_y; their offsets to the first pixel.
    pub xs: &'a [*const f32],
    pub x_offset: isize,
    pub ds: &'a [*const f32],
    pub d_offset: usize,
    /// Distances in elements between neighbouring output pixels of a row, and between rows.
    pub x_pixel: usize,
    pub x_row: usize,
    pub d_row: usize,
    /// The size of the rectangle.
    pub rows: usize,
    pub columns: usize,
    pub sums: Sums<'a>,
    /// The tile's place in a block of weights, in elements.
    pub place: usize,
    /// For tiles whose rows are taps.
    pub taps: &'a Taps,
}

impl Walk<'_> {
    /// No pixels at all.
    pub(super) const NONE: Self = Self {
        xs: &[],
        x_offset: 0,
        ds: &[],
        d_offset: 0,
        x_pixel: 0,
        x_row: 0,
        d_row: 0,
        rows: 0,
        columns: 0,
        sums: Sums { from: std::ptr::null(), lefts: &[], out: std::ptr::null_mut() },
        place: 0,
        taps: &Taps::NONE,
    };
}

/// The rows of a tile that are taps.
#[derive(Debug, Clone)]
pub(super) struct Taps {
    /// From the pixel of x under the kernel's padding corner to the element that the row reads.
    pub offsets: [isize; MOST_ROWS],
    /// The output rows that a row takes part in, relative to the rectangle.
    pub rows: [(usize, usize); MOST_ROWS],
    /// Runs of columns that meet the same taps: their length, and one bit for each row of the tile.
    pub segments: [(usize, u32); MOST_SEGMENTS],
    pub segment_count: usize,
}

impl Taps {
    pub(super) const NONE: Self = Self {
        offsets: [0; MOST_ROWS],
        rows: [(0, 0); MOST_ROWS],
        segments: [(0, 0); MOST_SEGMENTS],
        segment_count: 0,
    };
}

/// A compiled micro-kernel.
///
/// # Safety of calls
/// The pointers are valid for the accesses that the walk describes: x at every pixel of the rectangle that a row takes
/// part in, d_y for `NV` whole vectors at every pixel, the sums for `H` rows of `NV` whole vectors at `place`;
/// `out` overlaps nothing that others use.
pub(super) type MicroKernel<S> = unsafe fn(S, &Walk<'_>);

/// Most rows of a tile of `vectors` vectors on tier `S`; 0 if there is none.
pub(super) const fn max_height<S: Tier>(vectors: usize) -> usize {
    // Beside the tile: one pixel of d_y and a broadcast element of x. 11 rows cut 64, 128, ... channels almost evenly,
    // and 12 or 13 are not faster.
    let accumulators = match S::VECTOR_REGISTERS {
        0..8 => 4,
        8..32 => 6,
        _ if vectors == 2 => 22,
        _ => MOST_ROWS,
    };
    let height = accumulators / vectors;
    if vectors == 2 && height < 6 { 0 } else { height }
}

/// The micro-kernel for tiles of `h` rows and `nv` vectors, if the tier has such a tile.
pub(super) fn select<S: Tier>(h: usize, nv: usize, taps: bool) -> Option<MicroKernel<S>> {
    macro_rules! table {
        ($($nv:literal: $($h:literal)*;)*) => {
            match (nv, h) {
                $($(($nv, $h) if const { $h <= max_height::<S>($nv) } => {
                    Some(if taps { enter::<S, Tapped, $h, $nv> } else { enter::<S, Straight, $h, $nv> })
                })*)*
                _ => None,
            }
        };
    }
    table! {
        1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16;
        2: 1 2 3 4 5 6 7 8 9 10 11;
    }
}

/// How a tile meets the pixels.
trait Manner {
    /// # Safety
    /// As said at [`MicroKernel`].
    unsafe fn pass<S: Tier, const H: usize, const NV: usize>(tier: S, walk: &Walk<'_>, acc: &mut [[S::F32; NV]; H]);
}

/// Rows are neighbouring input channels, and every pixel of the rectangle takes part.
struct Straight;
/// Rows are taps, of which some fall on padding at the edges.
struct Tapped;

/// # Safety
/// As said at [`MicroKernel`].
unsafe fn enter<S: Tier, M: Manner, const H: usize, const NV: usize>(tier: S, walk: &Walk<'_>) {
    tier.vectorize(
        #[inline(always)]
        || {
            // SAFETY: the caller's promise, passed on.
            unsafe {
                let mut acc = begin::<S, H, NV>(tier, walk);
                M::pass::<S, H, NV>(tier, walk, &mut acc);
                end::<S, H, NV>(tier, walk, acc);
            }
        },
    );
}

/// # Safety
/// As said at [`MicroKernel`].
#[inline(always)]
unsafe fn begin<S: Tier, const H: usize, const NV: usize>(tier: S, walk: &Walk<'_>) -> [[S::F32; NV]; H] {
    let mut acc = [[S::F32::zero(tier); NV]; H];
    if !walk.sums.from.is_null() {
        let from = walk.sums.from.wrapping_add(walk.place);
        for (i, acc) in acc.as_flattened_mut().iter_mut().enumerate() {
            // SAFETY: the caller promised the tile's rows there.
            *acc = unsafe { S::F32::load_ptr(tier, from.add(i * S::F32::LANES)) };
        }
    }
    acc
}

/// # Safety
/// As said at [`MicroKernel`].
#[inline(always)]
unsafe fn end<S: Tier, const H: usize, const NV: usize>(tier: S, walk: &Walk<'_>, mut acc: [[S::F32; NV]; H]) {
    for left in walk.sums.lefts {
        let left = left.wrapping_add(walk.place);
        for (i, acc) in acc.as_flattened_mut().iter_mut().enumerate() {
            // SAFETY: the caller promised the tile's rows there.
            *acc = unsafe { S::F32::load_ptr(tier, left.add(i * S::F32::LANES)) } + *acc;
        }
    }
    let out = walk.sums.out.wrapping_add(walk.place);
    for (i, acc) in acc.as_flattened().iter().enumerate() {
        // SAFETY: the caller promised the tile's rows there.
        unsafe { acc.store_ptr(out.add(i * S::F32::LANES)) };
    }
}

/// One pixel of d_y.
///
/// # Safety
/// `NV` vectors must be readable at `d`.
#[inline(always)]
unsafe fn pixel<S: Tier, const NV: usize>(tier: S, d: *const f32) -> [S::F32; NV] {
    let mut pixel = [S::F32::zero(tier); NV];
    for (v, pixel) in pixel.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *pixel = unsafe { S::F32::load_ptr(tier, d.add(v * S::F32::LANES)) };
    }
    pixel
}

/// One pixel: every element of the tile takes one fused multiply-add.
///
/// # Safety
/// `H` elements must be readable at `x` and `NV` vectors at `d`.
#[inline(always)]
unsafe fn step<S: Tier, const H: usize, const NV: usize>(
    tier: S,
    x_pixel: usize,
    x: &mut *const f32,
    d: &mut *const f32,
    acc: &mut [[S::F32; NV]; H],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let d_y = pixel::<S, NV>(tier, *d);
        for (i, acc) in acc.iter_mut().enumerate() {
            let x = S::F32::splat(tier, *x.add(i));
            for (acc, d_y) in acc.iter_mut().zip(d_y) {
                *acc = x.fma(d_y, *acc);
            }
        }
    }
    *x = x.wrapping_add(x_pixel);
    *d = d.wrapping_add(NV * S::F32::LANES);
}

impl Manner for Straight {
    #[inline(always)]
    unsafe fn pass<S: Tier, const H: usize, const NV: usize>(tier: S, walk: &Walk<'_>, acc: &mut [[S::F32; NV]; H]) {
        let mut sums = *acc;
        for (x, d) in walk.xs.iter().zip(walk.ds) {
            let (mut x_row, mut d_row) = (x.wrapping_offset(walk.x_offset), d.wrapping_add(walk.d_offset));
            for _ in 0..walk.rows {
                let (mut x, mut d) = (x_row, d_row);
                for _ in 0..walk.columns / STEPS {
                    for _ in 0..STEPS {
                        // SAFETY: the rectangle's pixels are readable, by the caller's promise.
                        unsafe { step::<S, H, NV>(tier, walk.x_pixel, &mut x, &mut d, &mut sums) };
                    }
                }
                for _ in 0..walk.columns % STEPS {
                    // SAFETY: as above.
                    unsafe { step::<S, H, NV>(tier, walk.x_pixel, &mut x, &mut d, &mut sums) };
                }
                x_row = x_row.wrapping_add(walk.x_row);
                d_row = d_row.wrapping_add(walk.d_row);
            }
        }
        *acc = sums;
    }
}

impl Manner for Tapped {
    #[inline(always)]
    unsafe fn pass<S: Tier, const H: usize, const NV: usize>(tier: S, walk: &Walk<'_>, acc: &mut [[S::F32; NV]; H]) {
        let mut sums = *acc;
        let mut offsets = [0; H];
        offsets.copy_from_slice(&walk.taps.offsets[..H]);
        let segments = &walk.taps.segments[..walk.taps.segment_count];
        for (x, d) in walk.xs.iter().zip(walk.ds) {
            let (mut x_row, mut d) = (x.wrapping_offset(walk.x_offset), d.wrapping_add(walk.d_offset));
            for row in 0..walk.rows {
                let mut present = 0u32;
                for (i, &(from, to)) in walk.taps.rows[..H].iter().enumerate() {
                    present |= u32::from(from <= row && row < to) << i;
                }
                let mut x = x_row;
                for &(columns, mask) in segments {
                    let mask = mask & present;
                    if mask == (1 << H) - 1 {
                        for _ in 0..columns {
                            // SAFETY: the pixels are readable, and all rows take part here.
                            unsafe {
                                let d_y = pixel::<S, NV>(tier, d);
                                for (acc, &offset) in sums.iter_mut().zip(&offsets) {
                                    let x = S::F32::splat(tier, *x.wrapping_offset(offset));
                                    for (acc, d_y) in acc.iter_mut().zip(d_y) {
                                        *acc = x.fma(d_y, *acc);
                                    }
                                }
                            }
                            x = x.wrapping_add(walk.x_pixel);
                            d = d.wrapping_add(NV * S::F32::LANES);
                        }
                    } else {
                        for _ in 0..columns {
                            // SAFETY: the pixels are readable; x is read for the rows that take part only.
                            unsafe {
                                let d_y = pixel::<S, NV>(tier, d);
                                for (i, (acc, &offset)) in sums.iter_mut().zip(&offsets).enumerate() {
                                    if mask & (1 << i) != 0 {
                                        let x = S::F32::splat(tier, *x.wrapping_offset(offset));
                                        for (acc, d_y) in acc.iter_mut().zip(d_y) {
                                            *acc = x.fma(d_y, *acc);
                                        }
                                    }
                                }
                            }
                            x = x.wrapping_add(walk.x_pixel);
                            d = d.wrapping_add(NV * S::F32::LANES);
                        }
                    }
                }
                x_row = x_row.wrapping_add(walk.x_row);
            }
        }
        *acc = sums;
    }
}

/// The sums of d_y over the pixels of each example (`pixels` adjacent ones), one chain a channel: the gradient of the
/// bias.
///
/// # Safety
/// As said at [`MicroKernel`], without x.
#[inline(always)]
pub(super) unsafe fn pixel_sums<S: Tier, const NV: usize>(tier: S, walk: &Walk<'_>, pixels: usize) {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        let [mut sums] = begin::<S, 1, NV>(tier, walk);
        for d in walk.ds {
            let mut d = d.wrapping_add(walk.d_offset);
            for _ in 0..pixels {
                for (sum, d_y) in sums.iter_mut().zip(pixel::<S, NV>(tier, d)) {
                    *sum = *sum + d_y;
                }
                d = d.wrapping_add(NV * S::F32::LANES);
            }
        }
        end::<S, 1, NV>(tier, walk, [sums]);
    }
}
