//! Every result equals the reference bit for bit.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod edges;
mod order;

use super::*;
use crate::kernels::stage::{Keep, Plain};
use crate::reference;
use crate::simd::Isa;
use crate::testing::{Kind, Outcome, compare_values, contexts};

/// Shapes that meet every special case: (h, w, c_in, c_out, kernel_h, kernel_w, stride, padding).
const SHAPES: [(usize, usize, usize, usize, usize, usize, usize, usize); 16] = [
    (1, 1, 1, 1, 1, 1, 1, 0),
    (1, 1, 3, 17, 3, 3, 1, 1),
    (5, 7, 1, 16, 3, 3, 1, 1),
    (6, 5, 3, 5, 3, 3, 1, 1),
    (4, 4, 17, 33, 3, 3, 1, 1),
    (8, 8, 16, 16, 3, 3, 1, 1),
    (9, 7, 5, 20, 3, 3, 2, 1),
    (8, 8, 16, 48, 3, 3, 2, 1),
    (9, 9, 3, 18, 7, 7, 2, 3),
    (7, 6, 19, 16, 1, 1, 2, 0),
    (6, 6, 33, 17, 1, 1, 1, 0),
    (2, 3, 4, 16, 5, 5, 1, 4),
    (7, 5, 3, 16, 2, 3, 3, 1),
    (5, 9, 2, 96, 3, 1, 1, 0),
    (4, 4, 40, 16, 3, 3, 1, 1),
    (3, 3, 150, 16, 3, 3, 1, 1),
];

fn geometry(shape: (usize, usize, usize, usize, usize, usize, usize, usize)) -> Geometry {
    let (h, w, c_in, c_out, kernel_h, kernel_w, stride, padding) = shape;
    let g = Geometry { h, w, c_in, c_out, kernel_h, kernel_w, stride, padding };
    g.check().unwrap();
    g
}

const BLOCKINGS: [Option<Blocking>; 4] = [
    None,
    Some(Blocking { pixels: 1, vectors: 2, repeats: 2, depth: 1, examples: 2, rows: usize::MAX, planes: true }),
    Some(Blocking { pixels: 5, vectors: 1, repeats: 2, depth: 7, examples: 12, rows: 2, planes: false }),
    Some(Blocking { pixels: 4, vectors: 3, repeats: 2, depth: 16, examples: 3, rows: 1, planes: true }),
];

/// A context of one thread for each tier.
fn every_tier() -> Vec<Context> {
    Isa::available().into_iter().map(|isa| Context::new(isa, 1).unwrap()).collect()
}

fn packed(context: &Context, g: &Geometry, w: &[f32], blocking: Option<Blocking>) -> (PackedForward, PackedBackward) {
    let mut forward = PackedForward::with_blocking(context, g, blocking).unwrap();
    let mut backward = PackedBackward::with_blocking(context, g, blocking).unwrap();
    forward.pack(context, w).unwrap();
    backward.pack(context, w).unwrap();
    (forward, backward)
}

/// y and d_x.
fn run(
    context: &Context,
    (forward_weights, backward_weights): &(PackedForward, PackedBackward),
    n: usize,
    x: &[f32],
    d_y: &[f32],
    bias: Option<&[f32]>,
) -> (Vec<f32>, Vec<f32>) {
    let g = forward_weights.geometry();
    let (mut y, mut d_x) = (vec![f32::NAN; n * g.output_len()], vec![f32::NAN; n * g.input_len()]);
    let source = Plain::new(x, g.h, g.w, g.c_in);
    forward(context, forward_weights, n, &source, bias, &mut y, &Keep).unwrap();
    let source = Plain::new(d_y, g.out_h(), g.out_w(), g.c_out);
    backward_data(context, backward_weights, n, &source, &mut d_x, &Keep).unwrap();
    (y, d_x)
}

/// The same with weights that are packed for it.
fn both(
    context: &Context,
    g: &Geometry,
    n: usize,
    x: &[f32],
    d_y: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
) -> (Vec<f32>, Vec<f32>) {
    run(context, &packed(context, g, w, None), n, x, d_y, bias)
}

/// Both directions of a convolution against their twins.
fn check(g: &Geometry, n: usize, kind: Kind, contexts: &[Context]) -> Outcome {
    let x = kind.vector::<f32>(1, n * g.input_len());
    let d_y = kind.vector::<f32>(2, n * g.output_len());
    let w = kind.vector::<f32>(3, g.weight_len());
    let bias = kind.vector::<f32>(4, g.c_out);
    let mut y = vec![0.0; d_y.len()];
    let mut d_x = vec![0.0; x.len()];
    reference::conv::forward(g, n, &x, &w, Some(&bias), &mut y);
    reference::conv::backward_data(g, n, &d_y, &w, &mut d_x);
    for context in contexts {
        for blocking in BLOCKINGS {
            let (isa, threads) = (context.isa(), context.threads());
            let place = format!("{g:?}, {n} examples, {kind:?}, {isa} with {threads} threads, {blocking:?}");
            let (actual_y, actual_d_x) = run(context, &packed(context, g, &w, blocking), n, &x, &d_y, Some(&bias));
            compare_values(&y, &actual_y).map_err(|m| format!("forward, {place}: {m}"))?;
            compare_values(&d_x, &actual_d_x).map_err(|m| format!("to data, {place}: {m}"))?;
        }
    }
    Ok(())
}

#[test]
fn every_shape_equals_the_reference() {
    for shape in SHAPES {
        let g = geometry(shape);
        for n in [1, 3, 9] {
            check(&g, n, Kind::Uniform, contexts()).unwrap();
        }
    }
}
