//! What stands at the edges of the contract: special values, padding, sources, sinks, and shapes that are refused.

use std::sync::Mutex;

use super::*;
use crate::Error;
use crate::kernels::stage::{Sink, Source};
use crate::simd::Isa;

#[test]
fn special_values_equal_the_reference() {
    for shape in [SHAPES[3], SHAPES[6], SHAPES[11]] {
        for kind in [Kind::Special, Kind::Tiny, Kind::Huge, Kind::Cancelling] {
            check(&geometry(shape), 2, kind, &every_tier()).unwrap();
        }
    }
}

/// A filled image and a gradient of finite numbers, with infinite weights wherever padding is: if a tap on padding took
/// part, its `0 * inf` would be NaN.
#[test]
fn taps_on_padding_do_not_take_part() {
    // One pixel in the middle of the kernel: eight of nine taps are on padding.
    let g = geometry((1, 1, 2, 17, 3, 3, 1, 1));
    let w: Vec<f32> = (0..g.weight_len()).map(|i| if i % 9 == 4 { 2.0 } else { f32::INFINITY }).collect();
    for context in every_tier() {
        let (y, d_x) = both(&context, &g, 1, &[3.0, 4.0], &[1.0; 17], &w, None);
        assert!(y.iter().all(|&y| y == 14.0) && d_x == [34.0, 34.0], "{}", context.isa());
    }
}

/// Where pixels are few, tiles are wider than usual, and what is left of the channels must have a tile too.
#[test]
fn every_number_of_channels_at_few_pixels_equals_the_reference() {
    for vectors in 1..=23 {
        for h in [1, 2] {
            let g = geometry((h, 1, 16 * vectors, 16 * vectors - 3, 1, 1, 1, 0));
            for n in [1, 2, 3] {
                check(&g, n, Kind::Uniform, &every_tier()).unwrap();
            }
        }
    }
}

#[test]
fn results_of_zero_have_no_sign() {
    for shape in [SHAPES[3], SHAPES[9], SHAPES[12]] {
        let g = geometry(shape);
        let w = vec![-0.0; g.weight_len()];
        let (x, d_y, bias) = (vec![1.0; g.input_len()], vec![1.0; g.output_len()], vec![-0.0; g.c_out]);
        for context in every_tier() {
            let (y, d_x) = both(&context, &g, 1, &x, &d_y, &w, Some(&bias));
            assert!(y.iter().chain(&d_x).all(|y| y.to_bits() == 0), "{g:?} {}", context.isa());
        }
    }
}

#[test]
fn an_example_is_the_same_alone_and_among_others() {
    let n = 13;
    for shape in [SHAPES[4], SHAPES[6], SHAPES[15]] {
        let g = geometry(shape);
        let (x, d_y) = (Kind::Uniform.vector(1, n * g.input_len()), Kind::Uniform.vector(2, n * g.output_len()));
        let (w, bias) = (Kind::Uniform.vector(3, g.weight_len()), Kind::Uniform.vector(4, g.c_out));
        for context in every_tier() {
            let (y, d_x) = both(&context, &g, n, &x, &d_y, &w, Some(&bias));
            for i in 0..n {
                let (x, d_y) = (&x[i * g.input_len()..][..g.input_len()], &d_y[i * g.output_len()..][..g.output_len()]);
                let (one_y, one_d_x) = both(&context, &g, 1, x, d_y, &w, Some(&bias));
                compare_values(&y[i * g.output_len()..][..g.output_len()], &one_y).unwrap();
                compare_values(&d_x[i * g.input_len()..][..g.input_len()], &one_d_x).unwrap();
            }
        }
    }
}

#[test]
fn the_calling_thread_alone_gives_the_same() {
    for shape in [SHAPES[4], SHAPES[6], SHAPES[14]] {
        let (g, n) = (geometry(shape), 5);
        let (x, d_y) = (Kind::Uniform.vector(1, n * g.input_len()), Kind::Uniform.vector(2, n * g.output_len()));
        let (w, bias) = (Kind::Uniform.vector(3, g.weight_len()), Kind::Uniform.vector(4, g.c_out));
        for context in every_tier() {
            for blocking in BLOCKINGS {
                let (y, d_x) = both(&context, &g, n, &x, &d_y, &w, Some(&bias));
                let (forward, backward) = packed(&context, &g, &w, blocking);
                let (mut here_y, mut here_d_x) = (vec![f32::NAN; y.len()], vec![f32::NAN; d_x.len()]);
                forward.run_here(&context, &x, Some(&bias), &mut here_y).unwrap();
                backward.run_here(&context, &d_y, &mut here_d_x).unwrap();
                compare_values(&y, &here_y).unwrap();
                compare_values(&d_x, &here_d_x).unwrap();
            }
        }
    }
}

/// A source that computes its examples and notes the rows that it is asked for.
struct Doubled<'a> {
    x: &'a [f32],
    h: usize,
    row: usize,
    asked: Mutex<Vec<Vec<bool>>>,
}
impl Source for Doubled<'_> {
    fn load(&self, _: Isa, n: usize, rows: std::ops::Range<usize>, dst: &mut [f32], pitch: usize) {
        for r in rows.clone() {
            self.asked.lock().unwrap()[n][r] = true;
            let from = &self.x[(n * self.h + r) * self.row..][..self.row];
            for (to, from) in dst[(r - rows.start) * pitch..].iter_mut().zip(from) {
                *to = 2.0 * from;
            }
        }
    }
}
/// A sink that negates examples and counts them.
struct Negated(Mutex<Vec<usize>>);
impl Sink for Negated {
    fn finish(&self, _: Isa, n: usize, y: &mut [f32]) {
        self.0.lock().unwrap()[n] += 1;
        y.iter_mut().for_each(|y| *y = -*y);
    }
}

#[test]
fn every_row_is_asked_for_and_every_example_handed_on_once() {
    for shape in [SHAPES[4], SHAPES[6], SHAPES[9], SHAPES[12], SHAPES[14]] {
        let g = geometry(shape);
        for n in [1, 2, 9] {
            let x = Kind::Uniform.vector::<f32>(1, n * g.input_len());
            let doubled: Vec<f32> = x.iter().map(|x| 2.0 * x).collect();
            let w = Kind::Uniform.vector::<f32>(3, g.weight_len());
            let mut expected = vec![0.0; n * g.output_len()];
            reference::conv::forward(&g, n, &doubled, &w, None, &mut expected);
            expected.iter_mut().for_each(|y| *y = -*y);
            for context in contexts() {
                for blocking in BLOCKINGS {
                    let asked = Mutex::new(vec![vec![false; g.h]; n]);
                    let source = Doubled { x: &x, h: g.h, row: g.w * g.c_in, asked };
                    let sink = Negated(Mutex::new(vec![0; n]));
                    let mut y = vec![f32::NAN; expected.len()];
                    let weights = packed(context, &g, &w, blocking).0;
                    forward(context, &weights, n, &source, None, &mut y, &sink).unwrap();
                    compare_values(&expected, &y).unwrap();
                    assert!(source.asked.lock().unwrap().iter().flatten().all(|&asked| asked), "{g:?} {blocking:?}");
                    assert!(sink.0.lock().unwrap().iter().all(|&count| count == 1), "{g:?} {blocking:?}");
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let g = geometry(SHAPES[3]);
    let context = &Context::new(Isa::Portable, 1).unwrap();
    let (mut forward_weights, backward_weights) = packed(context, &g, &vec![0.0; g.weight_len()], None);
    let shape = |result: Result<()>| assert!(matches!(result, Err(Error::Shape { .. })), "{result:?}");
    shape(forward_weights.pack(context, &[0.0; 3]));
    let (x, d_y) = (vec![0.0; g.input_len()], vec![0.0; g.output_len()]);
    let (mut y, mut d_x) = (d_y.clone(), x.clone());
    let source = Plain::new(&x, g.h, g.w, g.c_in);
    shape(forward(context, &forward_weights, 2, &source, None, &mut y, &Keep));
    shape(forward(context, &forward_weights, 1, &source, Some(&[0.0]), &mut y, &Keep));
    shape(forward(context, &forward_weights, 1, &Plain::new(&x, 1, g.w, g.c_in), None, &mut y, &Keep));
    shape(backward_data(context, &backward_weights, 1, &source, &mut d_x, &Keep));
    shape(forward_weights.run_here(context, &x[1..], None, &mut y));
    shape(forward_weights.run_here(context, &x, None, &mut y[1..]));
    shape(backward_weights.run_here(context, &d_y, &mut d_x[1..]));
    forward(context, &forward_weights, 0, &source, None, &mut [], &Keep).unwrap();
    let bad = Geometry { stride: 0, ..g };
    assert!(matches!(PackedForward::new(context, &bad), Err(Error::Argument { .. })));
    let bad = Blocking { depth: 0, ..BLOCKINGS[1].unwrap() };
    assert!(matches!(PackedBackward::with_blocking(context, &g, Some(bad)), Err(Error::Argument { .. })));
}
