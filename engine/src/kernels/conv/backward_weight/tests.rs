#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::ops::Range;

use super::*;
use crate::kernels::stage::Plain;
use crate::reference::conv_weight as twin;
use crate::simd::Isa;
use crate::testing::{Kind, Outcome, Rng, compare_values, contexts, small_scale, two_to};

/// A geometry, a batch, and its inputs.
struct Case {
    g: Geometry,
    n: usize,
    x: Vec<f32>,
    d_y: Vec<f32>,
}

impl Case {
    fn new(g: Geometry, n: usize, kind: Kind, seed: u64) -> Self {
        let (x, d_y) = (kind.vector(seed, n * g.input_len()), kind.vector(seed + 1000, n * g.output_len()));
        Self { g, n, x, d_y }
    }
    fn x(&self) -> Plain<'_> {
        Plain::new(&self.x, self.g.h, self.g.w, self.g.c_in)
    }
    fn d_y(&self) -> Plain<'_> {
        Plain::new(&self.d_y, self.g.out_h(), self.g.out_w(), self.g.c_out)
    }
    /// Weights, then biases.
    fn result(&self, compute: impl FnOnce(&mut [f32], &mut [f32])) -> Vec<f32> {
        let mut all = vec![f32::NAN; self.g.weight_len() + self.g.c_out];
        let (d_w, d_b) = all.split_at_mut(self.g.weight_len());
        compute(d_w, d_b);
        all
    }
    fn expected(&self) -> Vec<f32> {
        self.result(|d_w, d_b| twin::backward_weight(&self.g, self.n, &self.x, &self.d_y, d_w, d_b))
    }
    fn with(&self, context: &Context, blocking: WeightBlocking) -> Vec<f32> {
        self.result(|d_w, d_b| {
            let (x, d_y) = (self.x(), self.d_y());
            backward_weight_with(context, &self.g, blocking, self.n, &x, &d_y, d_w, Some(d_b)).unwrap();
        })
    }
    /// Against the twin on every context, with the default sizes and with others.
    fn check(&self) -> Outcome {
        let expected = self.expected();
        for (i, context) in contexts().iter().enumerate() {
            let default = WeightBlocking::of(&self.g, self.n);
            for (j, blocking) in blockings(default).into_iter().enumerate() {
                // All sizes on some contexts, and all contexts with some.
                if j > 0 && (i + j) % 4 != 0 && context.isa() == Isa::Portable {
                    continue;
                }
                let place = format!("{:?} {} {blocking:?} {} {}", self.g, self.n, context.isa(), context.threads());
                compare_values(&expected, &self.with(context, blocking)).map_err(|m| format!("{place}: {m}"))?;
            }
        }
        Ok(())
    }
}

fn blockings(default: WeightBlocking) -> Vec<WeightBlocking> {
    let tap_rows = |tap_rows, pack_x| WeightBlocking { tap_rows, pack_x, ..default };
    let others = [
        tap_rows(!default.tap_rows, default.pack_x),
        WeightBlocking { divide_weights: !default.divide_weights, pixels: 1, group: 2, ..default },
        WeightBlocking { height: 4, pixels: 7, group: 1, task_groups: 3, ..tap_rows(false, true) },
        WeightBlocking { height: 1, pixels: 100, group: 4, task_groups: 1, ..tap_rows(false, false) },
        WeightBlocking {
            height: 5,
            pixels: usize::MAX,
            group: usize::MAX,
            task_groups: usize::MAX,
            ..tap_rows(true, true)
        },
        WeightBlocking { divide_weights: true, height: 3, pixels: 40, group: 1, ..tap_rows(false, false) },
    ];
    std::iter::once(default).chain(others).collect()
}

/// Square kernels; sizes are height, width, channels in and out, kernel, stride, padding.
fn square([h, w, c_in, c_out, k, stride, padding]: [usize; 7]) -> Geometry {
    Geometry { h, w, c_in, c_out, kernel_h: k, kernel_w: k, stride, padding }
}

#[test]
fn the_gradient_equals_its_twin_bit_for_bit() {
    let cases: &[([usize; 7], usize)] = &[
        // One pixel, one channel.
        ([1, 1, 1, 1, 1, 1, 0], 1),
        ([1, 1, 3, 17, 3, 1, 1], 17),
        // Padding everywhere, and odd channels.
        ([3, 3, 17, 3, 3, 1, 1], 9),
        ([4, 4, 16, 33, 3, 1, 1], 8),
        ([5, 7, 7, 16, 3, 2, 1], 3),
        ([8, 8, 12, 17, 3, 1, 1], 17),
        ([9, 6, 3, 16, 3, 1, 1], 8),
        ([11, 11, 1, 5, 3, 2, 1], 9),
        // A stride above the kernel, and one that no tap follows to the end.
        ([7, 9, 16, 32, 1, 2, 0], 9),
        ([16, 16, 5, 16, 1, 3, 0], 3),
        ([13, 13, 3, 8, 7, 2, 3], 3),
        ([6, 6, 2, 3, 5, 1, 2], 8),
        // Shards of two examples, of one, and of parts of one.
        ([16, 16, 6, 16, 3, 1, 1], 3),
        ([20, 32, 3, 16, 3, 1, 1], 3),
        ([40, 33, 2, 4, 3, 1, 1], 2),
        ([40, 33, 5, 4, 3, 1, 1], 1),
    ];
    let count = if small_scale() { 6 } else { cases.len() };
    for (i, &(sizes, n)) in cases[..count].iter().enumerate() {
        let kind = [Kind::Uniform, Kind::Cancelling][i % 2];
        Case::new(square(sizes), n, kind, i as u64).check().unwrap();
    }
    // A kernel that is not square.
    let g = Geometry { kernel_h: 2, kernel_w: 5, ..square([6, 8, 7, 9, 1, 2, 1]) };
    Case::new(g, 9, Kind::Uniform, 77).check().unwrap();
}

#[test]
fn special_values_go_through_as_the_twin_says() {
    for kind in [Kind::Tiny, Kind::Huge, Kind::Special] {
        for sizes in [[5, 5, 7, 17, 3, 1, 1], [6, 5, 3, 4, 3, 2, 1]] {
            Case::new(square(sizes), 9, kind, 3).check().unwrap();
        }
    }
}

#[test]
fn what_lies_under_padding_takes_no_part() {
    // Infinities in all border pixels of d_y: the taps that would read padding there are not touched by them.
    for c_in in [3, 9] {
        let mut case = Case::new(square([6, 6, c_in, 16, 3, 1, 1]), 8, Kind::Uniform, 5);
        for (i, d_y) in case.d_y.iter_mut().enumerate() {
            if (i / 16 / 6).is_multiple_of(6) {
                *d_y = f32::INFINITY;
            }
        }
        for context in contexts() {
            for blocking in blockings(WeightBlocking::of(&case.g, case.n)) {
                let all = case.with(context, blocking);
                for (i, d_w) in all[..case.g.weight_len()].iter().enumerate() {
                    assert_eq!(d_w.is_finite(), i / 3 % 3 == 0, "{i}: {d_w} {blocking:?}");
                }
            }
        }
    }
}

#[test]
fn the_twin_is_the_sum_of_products() {
    // Small integers are exact in any order.
    for (sizes, n) in [([5, 7, 3, 4, 3, 2, 1], 9), ([40, 33, 1, 2, 3, 1, 1], 2), ([6, 4, 2, 3, 3, 1, 2], 3)] {
        let case = Case::new(square(sizes), n, Kind::Integers, 1);
        let g = &case.g;
        let mut sums = vec![0.0f32; g.weight_len() + g.c_out];
        for (i, &d_y) in case.d_y.iter().enumerate() {
            let (pixel, oc) = (i / g.c_out, i % g.c_out);
            let (e, oh, ow) = (pixel / g.out_w() / g.out_h(), pixel / g.out_w() % g.out_h(), pixel % g.out_w());
            sums[g.weight_len() + oc] += d_y;
            for kh in g.taps_h(oh) {
                for kw in g.taps_w(ow) {
                    for ic in 0..g.c_in {
                        let (h, w) = (oh * g.stride + kh - g.padding, ow * g.stride + kw - g.padding);
                        let x = case.x[((e * g.h + h) * g.w + w) * g.c_in + ic];
                        sums[((oc * g.c_in + ic) * g.kernel_h + kh) * g.kernel_w + kw] += x * d_y;
                    }
                }
            }
        }
        compare_values(&sums, &case.expected()).unwrap();
    }
}

#[test]
fn the_order_can_be_seen_from_outside() {
    // Thirty-two pixels: shards of eight examples, so 20 examples are the tree ((0 1) 2). Large values swallow the ones
    // that are added between them and their negatives; what is left tells the order.
    let g = square([4, 8, 1, 1, 1, 1, 0]);
    let n = 20;
    let chain = |x: &[f32]| x.iter().fold(0.0f32, |acc, x| acc + x);
    let mut rng = Rng(9);
    for _ in 0..60 {
        let mut x = vec![1.0f32; n * 32];
        for _ in 0..3 {
            let (plus, minus) = (rng.below(x.len()), rng.below(x.len()));
            let large = two_to(26 + rng.below(3) as i32) as f32;
            (x[plus], x[minus]) = (large, -large);
        }
        let case = Case { g, n, d_y: vec![1.0; x.len()], x };
        let (a, b, c) = (chain(&case.x[..256]), chain(&case.x[256..512]), chain(&case.x[512..]));
        for context in contexts().iter().take(3) {
            assert_eq!(case.with(context, WeightBlocking::of(&g, n))[0], (a + b) + c);
        }
    }
}

#[test]
fn the_comparison_notices_another_order() {
    // The same products in another order: columns before rows; and other shards: half examples, so that eight are fewer.
    let g = square([6, 10, 3, 16, 1, 1, 0]);
    let case = Case::new(g, 16, Kind::Uniform, 2);
    let turn = |values: &[f32], channels: usize| -> Vec<f32> {
        let at = |i: usize| {
            let (e, column, row, c) = (i / channels / 60, i / channels / 6 % 10, i / channels % 6, i % channels);
            values[((e * 6 + row) * 10 + column) * channels + c]
        };
        (0..values.len()).map(at).collect()
    };
    let turned = Geometry { h: 10, w: 6, ..g };
    let turned = Case { g: turned, n: 16, x: turn(&case.x, 3), d_y: turn(&case.d_y, 16) };
    let halved = Geometry { h: 3, ..g };
    let halved = Case { g: halved, n: 32, x: case.x.clone(), d_y: case.d_y.clone() };
    let expected = case.expected();
    let context = &contexts()[0];
    for other in [turned, halved] {
        let found = other.with(context, WeightBlocking::of(&other.g, other.n));
        assert!(compare_values(&expected, &found).is_err());
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3;
        assert!(expected.iter().zip(&found).all(close));
    }
}

/// Examples from number `first` on.
struct Shifted<'a>(Plain<'a>, usize);
impl Source for Shifted<'_> {
    fn load(&self, isa: Isa, n: usize, rows: Range<usize>, dst: &mut [f32], pitch: usize) {
        self.0.load(isa, n + self.1, rows, dst, pitch);
    }
}

#[test]
fn micro_batches_join_to_the_bits_of_the_whole() {
    for (sizes, n) in [([4, 4, 5, 17, 3, 1, 1], 64), ([16, 16, 3, 16, 3, 2, 1], 64), ([34, 33, 2, 3, 3, 1, 1], 16)] {
        let case = Case::new(square(sizes), n, Kind::Cancelling, 8);
        for context in contexts().iter().filter(|context| context.threads() != 3) {
            let whole = case.with(context, WeightBlocking::of(&case.g, n));
            let mut gradient = WeightGradient::new(&case.g, true).unwrap();
            let splits: &[&[usize]] = &[&[n], &[n / 2; 2], &[n / 4; 4], &[n / 8; 8], &[8, n - 8], &[n - 8, 5, 3]];
            for (i, split) in splits.iter().enumerate() {
                let mut first = 0;
                let mut refused = false;
                for &part in *split {
                    let added = gradient.add(context, part, &Shifted(case.x(), first), &Shifted(case.d_y(), first));
                    refused |= added.is_err();
                    first += part;
                }
                let joined = case.result(|d_w, d_b| gradient.finish(context, d_w, Some(d_b)).unwrap());
                // Five examples are no whole number of shards, unless one example is.
                assert_eq!(refused, i == 5 && VirtualShards::of(&case.g).examples > 1);
                if !refused {
                    compare_values(&whole, &joined).unwrap();
                }
            }
        }
    }
}

#[test]
fn an_empty_batch_gives_zeros() {
    let case = Case::new(square([4, 4, 3, 5, 3, 1, 1]), 0, Kind::Uniform, 0);
    for blocking in blockings(WeightBlocking::of(&case.g, 0)) {
        let zeros = vec![0.0; case.g.weight_len() + 5];
        compare_values(&zeros, &case.with(&contexts()[0], blocking)).unwrap();
    }
    let mut gradient = WeightGradient::new(&case.g, true).unwrap();
    let sums = case.result(|d_w, d_b| gradient.finish(&contexts()[0], d_w, Some(d_b)).unwrap());
    assert!(sums.iter().all(|sum| sum.to_bits() == 0));
}

#[test]
fn a_source_that_computes_gives_the_same_as_memory() {
    for sizes in [[9, 9, 16, 16, 3, 1, 1], [9, 8, 3, 20, 3, 2, 1], [40, 40, 17, 16, 1, 2, 0], [40, 33, 4, 16, 3, 1, 1]]
    {
        let case = Case::new(square(sizes), 5, Kind::Uniform, 4);
        let expected = case.expected();
        for context in contexts() {
            for divide_weights in [false, true] {
                let blocking = WeightBlocking { divide_weights, ..WeightBlocking::of(&case.g, 5) };
                let found = case.result(|d_w, d_b| {
                    let (x, d_y) = (Shifted(case.x(), 0), Shifted(case.d_y(), 0));
                    backward_weight_with(context, &case.g, blocking, 5, &x, &d_y, d_w, Some(d_b)).unwrap();
                });
                compare_values(&expected, &found).unwrap();
            }
        }
    }
}

#[test]
fn tasks_of_a_caller_give_the_same() {
    for sizes in [[8, 8, 16, 16, 3, 1, 1], [40, 33, 3, 16, 3, 1, 1]] {
        let case = Case::new(square(sizes), 21, Kind::Uniform, 6);
        let expected = case.expected();
        let (x_len, d_len) = (case.g.input_len(), case.g.output_len());
        let blocking = WeightBlocking { group: 1, task_groups: 2, ..WeightBlocking::of(&case.g, 21) };
        let work = |task: &mut WeightTask<'_>| {
            while let Some(e) = task.examples() {
                let x = Plain::new(&case.x[e.start * x_len..e.end * x_len], case.g.h, case.g.w, case.g.c_in);
                let d_y = &case.d_y[e.start * d_len..e.end * d_len];
                task.add(&x, &Plain::new(d_y, case.g.out_h(), case.g.out_w(), case.g.c_out))?;
            }
            assert!(task.add(&case.x(), &case.d_y()).is_err());
            Ok(())
        };
        for context in contexts() {
            let found = case.result(|d_w, d_b| {
                backward_weight_by(context, &case.g, blocking, 21, &work, d_w, Some(d_b)).unwrap();
            });
            compare_values(&expected, &found).unwrap();
            let lazy = case.result(|d_w, d_b| {
                let none = |_: &mut WeightTask<'_>| Ok(());
                let error = backward_weight_by(context, &case.g, blocking, 21, &none, d_w, Some(d_b)).unwrap_err();
                assert!(matches!(error, Error::Argument { what: "the last group of a task", .. }));
            });
            drop(lazy);
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let case = Case::new(square([4, 4, 3, 5, 3, 1, 1]), 2, Kind::Uniform, 0);
    let context = &contexts()[0];
    let refuse = |g: &Geometry, n: usize, weights: usize, biases: usize| {
        let (mut d_w, mut d_b) = (vec![0.0; weights], vec![0.0; biases]);
        backward_weight(context, g, n, &case.x(), &case.d_y(), &mut d_w, Some(&mut d_b)).unwrap_err()
    };
    let len = case.g.weight_len();
    assert!(matches!(refuse(&case.g, 2, len - 1, 5), Error::Shape { what: "elements of d_w", .. }));
    assert!(matches!(refuse(&case.g, 2, len, 4), Error::Shape { what: "elements of d_b", .. }));
    assert!(matches!(refuse(&Geometry { stride: 0, ..case.g }, 2, len, 5), Error::Argument { .. }));
    let taller = Geometry { h: 5, ..case.g };
    assert!(matches!(refuse(&taller, 1, len, 5), Error::Shape { what: "elements of an example of x", .. }));
    let blocking = WeightBlocking { pixels: 0, ..WeightBlocking::of(&case.g, 2) };
    let (mut d_w, x, d_y) = (vec![0.0; len], case.x(), case.d_y());
    let error = backward_weight_with(context, &case.g, blocking, 2, &x, &d_y, &mut d_w, None).unwrap_err();
    assert!(matches!(error, Error::Argument { what: "the pixels of the blocking", .. }));
}
