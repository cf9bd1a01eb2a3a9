//! Every operation against its twin, gradients against differences, ties, NaN, and refusals.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use super::*;
use crate::kernels::stage::{Keep, Plain};
use crate::reference::pool as reference;
use crate::simd::Real;
use crate::testing::{Kind, compare_values, contexts, small_scale};
use std::ops::Range;

/// Plain examples that pretend to be computed.
struct Computed<'a>(Plain<'a>);
impl Source for Computed<'_> {
    fn load(&self, isa: Isa, n: usize, rows: Range<usize>, dst: &mut [f32], pitch: usize) {
        self.0.load(isa, n, rows, dst, pitch);
    }
}

/// Doubles what it gets.
struct Twice;
impl Sink for Twice {
    fn finish(&self, _: Isa, _: usize, y: &mut [f32]) {
        y.iter_mut().for_each(|y| *y *= 2.0);
    }
}

/// (h, w, kernel, stride, padding)
const WINDOWS: [(usize, usize, usize, usize, usize); 7] = [
    (1, 1, 1, 1, 0),
    (4, 4, 2, 2, 0),
    (5, 7, 3, 2, 1),
    (7, 3, 3, 1, 1),
    (9, 13, 3, 2, 0),
    (6, 6, 5, 3, 2),
    (3, 65, 2, 1, 1),
];

fn geometries() -> impl Iterator<Item = Geometry> {
    let channels = if small_scale() { &[3, 17][..] } else { &[1, 3, 16, 17, 33, 64] };
    WINDOWS.into_iter().flat_map(move |(h, w, kernel, stride, padding)| {
        channels.iter().map(move |&c| window(h, w, c, kernel, stride, padding).unwrap())
    })
}

#[test]
fn windows_equal_their_twins() {
    let n = 3;
    for (i, g) in geometries().enumerate() {
        let kind = Kind::ALL[i % Kind::ALL.len()];
        let x = kind.vector::<f32>(i as u64, n * g.input_len());
        let d_y = kind.vector::<f32>(i as u64 + 50, n * g.output_len());
        let examples = || x.chunks(g.input_len()).zip(d_y.chunks(g.output_len()));
        let max: Vec<f32> = examples().flat_map(|(x, _)| reference::max_forward(&g, x)).collect();
        let max_d: Vec<f32> = examples().flat_map(|(x, d_y)| reference::max_backward(&g, x, d_y)).collect();
        let average: Vec<f32> = examples().flat_map(|(x, _)| reference::average_forward(&g, x)).collect();
        let average_d: Vec<f32> = examples().flat_map(|(_, d_y)| reference::average_backward(&g, d_y)).collect();
        let doubled: Vec<f32> = max_d.iter().map(|d| d * 2.0).collect();
        for context in contexts() {
            let plain = Plain::new(&x, g.h, g.w, g.c_in);
            let computed = Computed(plain);
            for source in [&plain as &dyn Source, &computed] {
                let (mut y, mut d_x) = (vec![9.0; max.len()], vec![9.0; x.len()]);
                max_forward(context, &g, source, n, &mut y).unwrap();
                compare_values(&max, &y).unwrap_or_else(|m| panic!("max {g:?} {kind:?} {context:?}: {m}"));
                max_backward(context, &g, source, n, &d_y, &mut d_x, &Keep).unwrap();
                compare_values(&max_d, &d_x).unwrap_or_else(|m| panic!("max back {g:?} {kind:?} {context:?}: {m}"));
                max_backward(context, &g, source, n, &d_y, &mut d_x, &Twice).unwrap();
                compare_values(&doubled, &d_x).unwrap();
                average_forward(context, &g, source, n, &mut y).unwrap();
                compare_values(&average, &y).unwrap_or_else(|m| panic!("mean {g:?} {kind:?} {context:?}: {m}"));
                average_backward(context, &g, n, &d_y, &mut d_x, &Keep).unwrap();
                compare_values(&average_d, &d_x).unwrap_or_else(|m| panic!("mean back {g:?} {kind:?}: {m}"));
            }
        }
    }
}

#[test]
fn global_averages_equal_their_twins() {
    for (i, (h, w)) in [(1, 1), (7, 9), (8, 8), (5, 13), (10, 20)].into_iter().enumerate() {
        for c in [1, 3, 17, 33] {
            let shape = Shape::new(3, h, w, c).unwrap();
            let kind = Kind::ALL[(i + c) % Kind::ALL.len()];
            let x = kind.vector::<f32>(i as u64, shape.len());
            let d_y = kind.vector::<f32>(i as u64 + 9, 3 * c);
            let y: Vec<f32> = x.chunks(shape.example()).flat_map(|x| reference::global_average_forward(x, c)).collect();
            let d_x: Vec<f32> = d_y.chunks(c).flat_map(|d| reference::global_average_backward(d, h * w)).collect();
            for context in contexts() {
                let (mut actual, mut actual_d) = (vec![9.0; 3 * c], vec![9.0; shape.len()]);
                global_average_forward(context, shape, &Plain::new(&x, h, w, c), &mut actual).unwrap();
                compare_values(&y, &actual).unwrap_or_else(|m| panic!("{shape:?} {kind:?} {context:?}: {m}"));
                global_average_backward(context, shape, &d_y, &mut actual_d, &Keep).unwrap();
                compare_values(&d_x, &actual_d).unwrap_or_else(|m| panic!("{shape:?} {kind:?} {context:?}: {m}"));
            }
        }
    }
}

#[test]
fn the_first_of_equals_wins_and_nan_beats_all() {
    let context = &contexts()[0];
    let g = window(1, 4, 1, 1, 1, 0).unwrap();
    let g = Geometry { kernel_w: 4, ..g };
    let winner = |x: [f32; 4]| {
        let source = Plain::new(&x, 1, 4, 1);
        let (mut y, mut d_x) = ([0.0], [9.0; 4]);
        max_forward(context, &g, &source, 1, &mut y).unwrap();
        max_backward(context, &g, &source, 1, &[1.0], &mut d_x, &Keep).unwrap();
        (y[0], d_x.iter().position(|&d| d == 1.0).unwrap(), d_x.iter().filter(|&&d| d == 0.0).count())
    };
    assert_eq!(winner([1.0, 3.0, 3.0, 2.0]), (3.0, 1, 3));
    let (zero, place, _) = winner([-1.0, -0.0, 0.0, -2.0]);
    assert_eq!((zero.to_bits(), place), ((-0.0f32).to_bits(), 1));
    let (nan, place, others) = winner([5.0, f32::NAN, f32::INFINITY, f32::NAN]);
    assert!(nan.is_nan() && place == 1 && others == 3);
    assert_eq!(winner([f32::NEG_INFINITY; 4]), (f32::NEG_INFINITY, 0, 3));
}

#[test]
fn gradients_agree_with_differences() {
    let check = |len: usize, f: &dyn Fn(&[f64]) -> Vec<f64>, back: &dyn Fn(&[f64], &[f64]) -> Vec<f64>| {
        let mut x = Kind::Uniform.vector::<f64>(1, len);
        let weights = Kind::Uniform.vector::<f64>(2, f(&x).len());
        let gradient = back(&x, &weights);
        for i in 0..len {
            let h = 1e-6;
            let value = x[i];
            let mut loss = |at: f64| -> f64 {
                x[i] = at;
                f(&x).iter().zip(&weights).map(|(y, w)| y * w).sum()
            };
            let difference = (loss(value + h) - loss(value - h)) / (2.0 * h);
            loss(value);
            assert!((difference - gradient[i]).abs() < 1e-7, "{i}: {} and {difference}", gradient[i]);
        }
    };
    for (h, w, kernel, stride, padding) in WINDOWS {
        let g = window(h, w, 2, kernel, stride, padding).unwrap();
        check(g.input_len(), &|x| reference::max_forward(&g, x), &|x, d| reference::max_backward(&g, x, d));
        check(g.input_len(), &|x| reference::average_forward(&g, x), &|_, d| reference::average_backward(&g, d));
    }
    check(70 * 3, &|x| reference::global_average_forward(x, 3), &|_, d| reference::global_average_backward(d, 70));
    assert_eq!(f64::ZERO, 0.0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let context = &contexts()[0];
    let g = window(4, 4, 2, 2, 2, 0).unwrap();
    let x = vec![0.0; g.input_len()];
    let source = Plain::new(&x, 4, 4, 2);
    let mut y = vec![0.0; g.output_len() + 1];
    assert!(matches!(max_forward(context, &g, &source, 1, &mut y), Err(Error::Shape { .. })));
    let uneven = Geometry { c_out: 3, ..g };
    assert!(matches!(max_forward(context, &uneven, &source, 1, &mut y), Err(Error::Shape { .. })));
    assert!(window(4, 4, 2, 2, 0, 0).is_err() && window(4, 4, 2, 2, 2, 2).is_err());
    assert!(average_backward(context, &g, 1, &y, &mut x.clone(), &Keep).is_err());
    assert!(global_average_forward(context, Shape { n: 1, h: 4, w: 4, c: 2 }, &source, &mut y).is_err());
}
