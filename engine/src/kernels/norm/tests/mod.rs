//! Every path against the scalar twins, refusals, and the identities of the stochastic form.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod gradients;
mod order;
mod twin;

use super::*;
use crate::error::Error;
use crate::kernels::stage::{Sink, Source};
use crate::parallel::Context;
use crate::random::Stream;
use crate::testing::{Kind, compare_values, contexts, small_scale};
use twin::{Data, Results, batch_twin, group_twin};

/// Shapes around runs, vectors and pairs of them: (n, h, w, c).
fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (i, (h, w)) in [(1, 1), (7, 9), (8, 8), (5, 13), (2, 70)].into_iter().enumerate() {
        for (j, c) in [1, 3, 17, 33, 80].into_iter().enumerate() {
            shapes.push(Shape { n: [2, 3, 5, 7][(i + j) % 4], h, w, c });
        }
    }
    // More channels than a mask is computed again for at once.
    shapes.push(Shape { n: 2, h: 1, w: 2, c: 2051 });
    if small_scale() { shapes.into_iter().step_by(4).collect() } else { shapes }
}

/// What follows a normalisation, with everything that can be added.
fn posts<'a>(data: &'a Data<f32>, other: Coefficients<'a>) -> [Post<'a>; 6] {
    let (shared, each) = (Noise::Shared(&data.map), Noise::PerElement(&data.noise));
    let plain = Residual::Plain(&data.residual);
    let normalised = Residual::Normalised(&data.residual, other);
    [
        Post::default(),
        Post::RELU,
        Post { residual: plain, ..Post::RELU },
        Post { residual: normalised, noise: shared, relu: true },
        Post { residual: plain, noise: each, relu: true },
        Post { noise: shared, ..Post::default() },
    ]
}

/// Rows of a source in odd portions, with gaps between them, into a tensor.
fn gather(context: &Context, source: &dyn Source, shape: Shape) -> Vec<f32> {
    let row = shape.w * shape.c;
    let pitch = row + 5;
    let mut y = vec![0.0; shape.len()];
    for n in 0..shape.n {
        let mut from = 0;
        while from < shape.h {
            let rows = from..(from + 1 + from % 3).min(shape.h);
            let mut part = vec![7.0; pitch * rows.len()];
            source.load(context.isa(), n, rows.clone(), &mut part, pitch);
            for (i, r) in rows.clone().enumerate() {
                y[n * shape.example() + r * row..][..row].copy_from_slice(&part[i * pitch..][..row]);
                assert!(part[i * pitch + row..(i + 1) * pitch].iter().all(|&gap| gap == 7.0), "a gap was written");
            }
            from = rows.end;
        }
    }
    y
}

/// Gives each example of `y` to a sink, from several threads.
fn feed(context: &Context, sink: &dyn Sink, shape: Shape, y: &mut [f32]) {
    context
        .chunks(y, shape.example(), |start, y| {
            sink.finish(context.isa(), start / shape.example(), y);
            Ok(())
        })
        .unwrap();
}

/// Everything that a batch-normalised layer computes, by tensors in memory or by sources and sinks.
fn batch_kernel(
    context: &Context,
    layer: &mut BatchNorm,
    data: &Data<f32>,
    branch: Branch,
    pick: usize,
    fused: bool,
    statistics: BackwardStatistics,
) -> Results<f32> {
    let (shape, x) = (data.shape, &data.x);
    let (mut mean, mut var) = (data.running_mean.clone(), data.running_var.clone());
    // The residual's own normalisation.
    let mut other = BatchNorm::new(shape).unwrap();
    other.eval(shape.n, &data.beta, &data.gamma, &data.beta, &data.running_var).unwrap();
    let post = posts(data, other.coefficients())[pick];
    if fused {
        // The tensor is the sum of two, made where it is measured.
        let mut y = data.x_part.clone();
        feed(context, &layer.moments(shape.n, Some(&data.x_rest)).unwrap(), shape, &mut y);
        compare_values(x, &y).unwrap();
    } else {
        layer.measure(context, x).unwrap();
    }
    let running = Running { mean: &mut mean, var: &mut var };
    layer.train(context, &data.gamma, &data.beta, running, branch).unwrap();
    let mut a = vec![0.0; shape.len()];
    {
        let forward = layer.forward(x, post).unwrap();
        if fused {
            let mut flags = RowFlags::new(shape);
            let storing = Storing::new(&forward, shape, &mut a, &mut flags).unwrap();
            let gathered = gather(context, &storing, shape);
            compare_values(&gathered, &a).unwrap();
        } else {
            write(context, &forward, shape, &mut a).unwrap();
        }
    }
    let (mut d_gamma, mut d_beta) = (vec![0.0; shape.c], vec![0.0; shape.c]);
    let mut d_x = vec![0.0; shape.len()];
    // The mask from the activation, or computed again.
    let activation = (data.seed.is_multiple_of(2)).then_some(&a[..]);
    if fused {
        let mut d = data.d_part.clone();
        feed(context, &layer.gradient_sums(x, post, activation, Some(&data.d_rest)).unwrap(), shape, &mut d);
        layer.finish_backward(context, &data.gamma, &mut d_gamma, &mut d_beta, statistics).unwrap();
        d_x = gather(context, &layer.gradient(x, &d).unwrap(), shape);
        let mut in_place = d;
        layer.gradient_in_place(context, x, &mut in_place).unwrap();
        compare_values(&d_x, &in_place).unwrap();
    } else {
        let d_rows = [&mut d_gamma[..], &mut d_beta[..]];
        layer.backward(context, x, post, activation, &data.d_a, &data.gamma, &mut d_x, d_rows, statistics).unwrap();
    }
    Results { a, running: [mean, var].concat(), d_x, d_gamma, d_beta }
}

fn group_kernel(context: &Context, layer: &mut GroupNorm, data: &Data<f32>, pick: usize, fused: bool) -> Results<f32> {
    let (shape, x) = (data.shape, &data.x);
    let mut other = BatchNorm::new(shape).unwrap();
    other.eval(shape.n, &data.beta, &data.gamma, &data.beta, &data.running_var).unwrap();
    let post = posts(data, other.coefficients())[pick];
    if fused {
        let mut y = data.x_part.clone();
        let sink = layer.moments(shape.n, &data.gamma, &data.beta, Some(&data.x_rest)).unwrap();
        feed(context, &sink, shape, &mut y);
    } else {
        layer.measure(context, x, &data.gamma, &data.beta).unwrap();
    }
    let mut a = vec![0.0; shape.len()];
    write(context, &layer.forward(x, post).unwrap(), shape, &mut a).unwrap();
    let (mut d_gamma, mut d_beta) = (vec![0.0; shape.c], vec![0.0; shape.c]);
    let mut d_x = vec![0.0; shape.len()];
    let activation = (data.seed.is_multiple_of(2)).then_some(&a[..]);
    if fused {
        let mut d = data.d_part.clone();
        let sink = layer.gradient_sums(x, post, activation, Some(&data.d_rest), &data.gamma).unwrap();
        feed(context, &sink, shape, &mut d);
        layer.finish_backward(context, &mut d_gamma, &mut d_beta).unwrap();
        d_x = gather(context, &layer.gradient(x, &d).unwrap(), shape);
    } else {
        let d_rows = [&mut d_gamma[..], &mut d_beta[..]];
        layer.backward(context, x, post, activation, &data.d_a, &data.gamma, &mut d_x, d_rows).unwrap();
    }
    Results { a, running: Vec::new(), d_x, d_gamma, d_beta }
}

fn branches() -> [Branch; 5] {
    let stream = Stream::new(5, "norm/tests", 3);
    [
        Branch::Batch,
        Branch::Moving,
        Branch::PerChannel { p: 0.5, stream },
        Branch::PerLayer { p: 0.5, stream: stream.at_step(9) },
        Branch::Mixed { p: 0.3 },
    ]
}

#[test]
fn batch_normalisation_equals_its_twin() {
    for (s, shape) in shapes().into_iter().enumerate() {
        for pick in 0..6 {
            let seed = s + pick;
            let kind = Kind::ALL[(s * 6 + pick) % Kind::ALL.len()];
            let data = Data::new(shape, kind, seed);
            let branch = branches()[(s + pick) % 5];
            let statistics = [BackwardStatistics::Exact, BackwardStatistics::PostUpdate][seed % 3 / 2];
            let expected = batch_twin(&data, branch, pick, statistics);
            let mut layer = BatchNorm::new(shape.with_examples(shape.n + 1)).unwrap();
            for context in contexts() {
                for fused in [false, true] {
                    let actual = batch_kernel(context, &mut layer, &data, branch, pick, fused, statistics);
                    let place = format!("{shape:?} {kind:?} {branch:?}, {pick}, fused {fused}, {context:?}");
                    expected.compare(&actual).unwrap_or_else(|m| panic!("{place}: {m}"));
                }
            }
        }
    }
}

#[test]
fn group_normalisation_equals_its_twin() {
    for (s, shape) in shapes().into_iter().enumerate() {
        for groups in [1, 3, shape.c] {
            if shape.c % groups != 0 || shape.pixels() * shape.c == groups {
                continue;
            }
            let (pick, kind) = ((s + groups) % 6, Kind::ALL[(s + groups) % Kind::ALL.len()]);
            let data = Data::new(shape, kind, s);
            let expected = group_twin(&data, groups, pick);
            let mut layer = GroupNorm::new(shape, groups).unwrap();
            for context in contexts() {
                for fused in [false, true] {
                    let actual = group_kernel(context, &mut layer, &data, pick, fused);
                    let place = format!("{shape:?} {kind:?} {groups} groups, {pick}, fused {fused}, {context:?}");
                    expected.compare(&actual).unwrap_or_else(|m| panic!("{place}: {m}"));
                }
            }
        }
    }
}

#[test]
fn a_large_tensor_is_written_past_the_caches_with_the_same_bits() {
    let shape = Shape { n: 3, h: 33, w: 33, c: 330 };
    let data = Data::new(shape, Kind::Uniform, 1);
    let expected = batch_twin(&data, Branch::Batch, 1, BackwardStatistics::Exact);
    let mut layer = BatchNorm::new(shape).unwrap();
    for context in contexts().iter().filter(|context| context.threads() < 3) {
        let actual = batch_kernel(context, &mut layer, &data, Branch::Batch, 1, false, BackwardStatistics::Exact);
        expected.compare(&actual).unwrap();
    }
}

#[test]
fn stochastic_normalisation_with_p_one_is_batch_normalisation() {
    let shape = Shape { n: 3, h: 5, w: 13, c: 17 };
    let data = Data::new(shape, Kind::Uniform, 3);
    let stream = Stream::new(1, "p", 0);
    let exact = BackwardStatistics::Exact;
    let of = |branch| batch_kernel(&contexts()[0], &mut BatchNorm::new(shape).unwrap(), &data, branch, 1, false, exact);
    let batch = of(Branch::Batch);
    for branch in [Branch::PerChannel { p: 1.0, stream }, Branch::PerLayer { p: 1.0, stream }, Branch::Mixed { p: 1.0 }]
    {
        batch.compare(&of(branch)).unwrap();
    }
    let moving = of(Branch::Moving);
    assert!(moving.compare(&batch).is_err());
    for branch in [Branch::PerChannel { p: 0.0, stream }, Branch::PerLayer { p: 0.0, stream }, Branch::Mixed { p: 0.0 }]
    {
        moving.compare(&of(branch)).unwrap();
    }
    // Half of the channels are in each branch, in output and gradient, and every moving statistic moved.
    let mixed = of(Branch::PerChannel { p: 0.5, stream });
    assert_eq!(mixed.running, batch.running);
    assert_eq!(mixed.running, moving.running);
    for channel in 0..shape.c {
        let from = if stream.bernoulli_at(channel as u64, 0.5).unwrap() { &batch } else { &moving };
        for i in (channel..shape.len()).step_by(shape.c) {
            assert_eq!(mixed.a[i].to_bits(), from.a[i].to_bits());
            assert_eq!(mixed.d_x[i].to_bits(), from.d_x[i].to_bits());
        }
    }
}

#[test]
fn one_value_has_no_variance() {
    let context = &contexts()[0];
    let shape = Shape::new(1, 1, 1, 3).unwrap();
    let mut layer = BatchNorm::new(shape).unwrap();
    layer.measure(context, &[1.0, 2.0, 3.0]).unwrap();
    let (mut mean, mut var) = ([0.0; 3], [1.0; 3]);
    let running = Running { mean: &mut mean, var: &mut var };
    let refused = layer.train(context, &[1.0; 3], &[0.0; 3], running, Branch::Batch);
    assert!(matches!(refused, Err(Error::Argument { what: "the number of values of a statistic", .. })));
    assert_eq!((mean, var), ([0.0; 3], [1.0; 3]));
    assert!(matches!(GroupNorm::new(shape, 3), Err(Error::Argument { .. })));
    assert!(GroupNorm::new(shape, 1).is_ok());
}

#[test]
fn what_does_not_fit_is_refused() {
    let context = &contexts()[0];
    let shape = Shape::new(2, 3, 3, 4).unwrap();
    let (good, bad) = (vec![0.5; shape.len()], vec![0.5; shape.len() + 1]);
    let mut layer = BatchNorm::new(shape).unwrap();
    assert!(matches!(layer.measure(context, &bad), Err(Error::Shape { .. })));
    assert!(matches!(layer.moments(3, None), Err(Error::Argument { .. })));
    assert!(matches!(layer.moments(2, Some(&bad)), Err(Error::Shape { .. })));
    layer.measure(context, &good).unwrap();
    let row = [1.0; 4];
    let mut train = |gamma: &[f32], branch| {
        let (mut mean, mut var) = (row, row);
        layer.train(context, gamma, &row, Running { mean: &mut mean, var: &mut var }, branch)
    };
    assert!(matches!(train(&row[1..], Branch::Batch), Err(Error::Shape { what: "elements of gamma", .. })));
    assert!(matches!(train(&row, Branch::Mixed { p: f64::NAN }), Err(Error::Argument { .. })));
    let stream = Stream::new(0, "x", 0);
    assert!(matches!(train(&row, Branch::PerChannel { p: 1.5, stream }), Err(Error::Argument { .. })));
    train(&row, Branch::Batch).unwrap();
    assert!(layer.forward(&bad, Post::RELU).is_err());
    assert!(layer.forward(&good, Post { residual: Residual::Plain(&bad), ..Post::RELU }).is_err());
    assert!(layer.forward(&good, Post { noise: Noise::Shared(&row), ..Post::RELU }).is_err());
    assert!(layer.gradient(&good, &bad).is_err());
    assert!(layer.gradient_sums(&good, Post::RELU, Some(&bad), None).is_err());
    assert!(GroupNorm::new(shape, 3).is_err() && GroupNorm::new(shape, 0).is_err());
    assert!(Shape::new(0, 1, 1, 1).is_err() && Shape::new(usize::MAX / 2, 3, 1, 1).is_err());
}

#[test]
fn a_normalisation_folds_into_the_convolution_before_it() {
    let (gamma, beta, mean, var) = ([2.0, 0.5], [1.0, -1.0], [3.0, -2.0], [4.0 - 1e-5, 0.25 - 1e-5]);
    let (mut folded, mut bias) = ([0.0; 6], [0.0; 2]);
    let weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    fold_into_convolution(&weights, [&gamma, &beta, &mean, &var], 1e-5, &mut folded, &mut bias).unwrap();
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(close(&folded, &weights), "{folded:?}"); // gamma / sqrt(var + eps) = 1 for both
    assert!(close(&bias, &[-2.0, 1.0]), "{bias:?}");
    assert!(fold_into_convolution(&weights[1..], [&gamma, &beta, &mean, &var], 1e-5, &mut folded, &mut bias).is_err());
}

#[test]
fn a_sink_takes_an_example_once_and_passes_over_others() {
    let (context, shape) = (&contexts()[0], Shape { n: 2, h: 2, w: 2, c: 3 });
    let x = Kind::Uniform.vector::<f32>(1, shape.len());
    let mut layer = BatchNorm::new(shape).unwrap();
    let sums = |layer: &mut BatchNorm| {
        let (mut mean, mut var) = ([0.0; 3], [1.0; 3]);
        let running = Running { mean: &mut mean, var: &mut var };
        layer.train(context, &[1.0; 3], &[0.0; 3], running, Branch::Batch).unwrap();
        mean
    };
    layer.measure(context, &x).unwrap();
    let expected = sums(&mut layer);
    {
        let sink = layer.moments(2, None).unwrap();
        for n in [1, 0, 1, 2, 0] {
            let mut y = if n < 2 { x[n * 12..][..12].to_vec() } else { vec![9.0; 12] };
            sink.finish(context.isa(), n, &mut y);
        }
    }
    assert_eq!(sums(&mut layer), expected);
}
