//! The order of a chain, found from outside; and faults in it, which the comparison of these tests catches.

use super::*;
use crate::kernels::conv::kernel::{LANES, MOST_PIXELS, Start, Tap, Tile, select};
use crate::kernels::conv::packed::link;
use crate::kernels::gemm::tests::mutation::{Mutant, NONE, SPLIT};
use crate::simd::{Isa, Tier};

/// How many steps of a chain come before each.
///
/// The chain starts from 0.5, and all products are zero but a large one and a one. If the one comes first, it makes 1.5,
/// and `2^24 + 1.5` rounds up to `2^24 + 2`; if not, the half is lost, and `2^24 + 1` is a tie that goes down to `2^24`.
/// `run` computes the chain with the given products, numbered as the contract counts.
fn ranks(steps: usize, run: impl Fn(&[f32]) -> f32) -> Vec<usize> {
    let comes_before = |one: usize, large: usize| {
        let mut products = vec![0.0; steps];
        (products[large], products[one]) = (16_777_216.0, 1.0);
        run(&products) == 16_777_218.0
    };
    (0..steps).map(|large| (0..steps).filter(|&one| one != large && comes_before(one, large)).count()).collect()
}

/// Each step of the chain by itself: weights of one, inputs chosen.
#[test]
fn the_order_is_channel_row_column() {
    let g = geometry((3, 3, 4, 1, 3, 3, 1, 1));
    for context in every_tier() {
        // The pixel in the middle has all taps, so the chain's steps are (channel, row, column) of the image.
        let forward_ranks = ranks(36, |products| {
            let x: Vec<f32> = (0..36).map(|i| products[i % 4 * 9 + i / 4]).collect();
            both(&context, &g, 1, &x, &[0.0; 9], &[1.0; 36], Some(&[0.5])).0[4]
        });
        assert_eq!(forward_ranks, (0..36).collect::<Vec<_>>(), "{}", context.isa());
    }
    let g = geometry((3, 3, 1, 4, 3, 3, 1, 1));
    for context in every_tier() {
        // Backward, tap (kh, kw) of the pixel in the middle meets d_y at (2 - kh, 2 - kw). The chain starts from zero, so
        // its first step, which is left out of the ranks, is the half.
        let backward_ranks = ranks(35, |products| {
            let product = |oc: usize, tap: usize| if oc + tap == 0 { 0.5 } else { products[oc * 9 + tap - 1] };
            let d_y: Vec<f32> = (0..36).map(|i| product(i % 4, 8 - i / 4)).collect();
            both(&context, &g, 1, &[0.0; 9], &d_y, &[1.0; 36], None).1[4]
        });
        assert_eq!(backward_ranks, (0..35).collect::<Vec<_>>(), "{}", context.isa());
    }
}

/// Two taps of one class in the wrong order, or one missing: not the same bits.
#[test]
fn a_fault_in_the_taps_is_caught() {
    let (g, n) = (geometry(SHAPES[6]), 2);
    let context = Context::new(Isa::Portable, 1).unwrap();
    let (x, w) = (Kind::Uniform.vector(1, n * g.input_len()), Kind::Uniform.vector(3, g.weight_len()));
    let mut expected = vec![0.0; n * g.output_len()];
    reference::conv::forward(&g, n, &x, &w, None, &mut expected);
    let mut weights = packed(&context, &g, &w, None).0;
    let with_fault = |weights: &mut PackedForward, pair: usize, fault: &dyn Fn(&mut Vec<Tap>)| {
        let mut place = weights.0.pairs[pair].start;
        let range = weights.0.pairs[pair].taps.clone();
        let mut taps: Vec<Tap> = Vec::new();
        for tap in &weights.0.taps[range.clone()] {
            place = Tap { image: place.image + tap.image, weight: place.weight + tap.weight };
            taps.push(place);
        }
        fault(&mut taps);
        let start = link(&mut taps, 9);
        let before = (weights.0.pairs[pair].start, weights.0.taps.clone());
        (weights.0.pairs[pair].start, weights.0.pairs[pair].taps.end) = (start, range.start + taps.len());
        weights.0.taps[range.start..range.start + taps.len()].copy_from_slice(&taps);
        let mut y = vec![f32::NAN; expected.len()];
        weights.run_here(&context, &x, None, &mut y).unwrap();
        (weights.0.pairs[pair].start, weights.0.taps) = before;
        weights.0.pairs[pair].taps = range;
        compare_values(&expected, &y)
    };
    for pair in 0..weights.0.pairs.len() {
        with_fault(&mut weights, pair, &|_| {}).unwrap();
        with_fault(&mut weights, pair, &|taps| taps.swap(0, 1)).unwrap_err();
        with_fault(&mut weights, pair, &|taps| taps.truncate(taps.len() - 1)).unwrap_err();
    }
}

/// A step that rounds its product before it adds is caught in the micro-kernel itself.
#[test]
fn a_split_multiply_add_is_caught() {
    let x = Kind::Uniform.vector::<f32>(1, 64);
    let w = Kind::Uniform.vector::<f32>(2, 2 * 3 * LANES);
    let mut taps: Vec<Tap> = (0..3).map(|t| Tap { image: t * 5, weight: t * LANES as isize }).collect();
    let start = link(&mut taps, 3);
    fn run<S: Tier>(tier: S, x: &[f32], w: &[f32], taps: &[Tap], start: Tap) -> Vec<f32> {
        let mut y = vec![f32::NAN; 2 * LANES];
        let mut tile = Tile {
            x: [x.as_ptr().wrapping_offset(start.image); MOST_PIXELS],
            y: [y.as_mut_ptr(); MOST_PIXELS],
            repeats: 1,
            taps: taps.as_ptr(),
            tap_count: taps.len(),
            depth: 2,
            w: w.as_ptr().wrapping_offset(start.weight),
            w_vector: 0,
            w_ahead: 0,
            last_lanes: LANES,
            start: Start::Zero,
            last: true,
            carry: std::ptr::null_mut(),
        };
        tile.x[1] = tile.x[0].wrapping_add(20);
        tile.y[1] = y[LANES..].as_mut_ptr();
        let kernel = select::<S>(2, 1).unwrap();
        // SAFETY: two pixels of 16 channels, each with room for three taps five apart and two channels.
        unsafe { kernel(tier, &tile) };
        y
    }
    let mut expected = vec![0.0f32; 2 * LANES];
    for (i, y) in expected.iter_mut().enumerate() {
        for c in 0..2 {
            for t in 0..3 {
                let x = x[i / LANES * 20 + t * 5 + c];
                *y = crate::simd::Real::fma(x, w[(c * 3 + t) * LANES + i % LANES], *y);
            }
        }
    }
    compare_values(&expected, &run(Mutant::<NONE>, &x, &w, &taps, start)).unwrap();
    compare_values(&expected, &run(Mutant::<SPLIT>, &x, &w, &taps, start)).unwrap_err();
}
