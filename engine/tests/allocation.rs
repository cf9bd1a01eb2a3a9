//! Kernels allocate nothing once their scratch space is there.
#![allow(clippy::unwrap_used)] // a test may panic
#![allow(missing_docs)] // no one reads the documentation of a test

#[path = "common/counting.rs"]
mod counting;

use counting::allocations;
use regularity_engine::kernels::conv::{Geometry, PackedBackward, PackedForward, backward_data, forward};
use regularity_engine::kernels::gemm::{Bias, Options, PackedB, Sums, gemm, gemm_with_sums};
use regularity_engine::kernels::loss::{
    Gradient, Targets, logistic, softmax_backward, softmax_cross_entropy, softmax_forward, squared_error,
};
use regularity_engine::kernels::stage::{Keep, Plain};
use regularity_engine::kernels::{elementwise, reduce};
use regularity_engine::math;
use regularity_engine::random::Stream;
use regularity_engine::tensor::{MatMut, MatRef};
use regularity_engine::{Context, Isa};

const M: usize = 66;
const N: usize = 700;
const K: usize = 401;

/// Products of every kind, `rounds` times; returns the allocations of each round.
fn products(context: &Context, rounds: usize) -> Vec<usize> {
    let (a, b, residual) = (vec![0.5f32; M * K], vec![0.25f32; K * N], vec![1.0f32; M * N]);
    let mut c = vec![0.0f32; M * N];
    let mut sums = [vec![0.0f32; N], vec![0.0; N], vec![0.0; M], vec![0.0; M]];
    let mut counts = vec![0; rounds];
    let (a, b) = (MatRef::new(&a, M, K).unwrap(), MatRef::new(&b, K, N).unwrap());
    let packed = PackedB::new(context, b).unwrap();
    let options = Options {
        bias: Bias::Columns(&residual[..N]),
        residual: Some(MatRef::new(&residual, M, N).unwrap()),
        relu: true,
        ..Options::default()
    };
    // Inside of the pool: entering it from outside may allocate in its queue.
    context.install(|| {
        for count in &mut counts {
            let before = allocations(context);
            gemm(context, a, b, MatMut::new(&mut c, M, N).unwrap(), &options).unwrap();
            gemm(context, a, &packed, MatMut::new(&mut c, M, N).unwrap(), &options).unwrap();
            // A C by columns, a C without unit strides, transposed operands.
            gemm(context, a, b, MatMut::new(&mut c, N, M).unwrap().transposed(), &options).unwrap();
            let strided = MatMut::with_strides(&mut c, 64, 300, 600, 2).unwrap();
            let (at, bt) = (MatRef::new(a.data(), K, 64).unwrap(), MatRef::new(b.data(), 300, K).unwrap());
            gemm(context, at.transposed(), bt.transposed(), strided, &Options::default()).unwrap();
            let [columns, column_squares, rows, row_squares] = sums.each_mut().map(|sums| Some(&mut sums[..]));
            let sums = Sums { columns, column_squares, rows, row_squares };
            gemm_with_sums(context, a, b, MatMut::new(&mut c, M, N).unwrap(), &options, sums).unwrap();
            *count = allocations(context) - before;
        }
    });
    counts
}

/// Elements of several tasks of every flat kernel.
const LEN: usize = 300_001;
/// Examples and classes of a batch of several tasks.
const BATCH: (usize, usize) = (3000, 10);

/// Everything but products, `rounds` times; returns the allocations of each round.
fn others(context: &Context, rounds: usize) -> Vec<usize> {
    let (a, b) = (vec![0.5f32; LEN], vec![0.25f32; LEN]);
    let mut y = vec![1.0f32; LEN];
    let mut sums = [vec![0.0f32; 1000], vec![0.0; 1000]];
    let (n, k) = BATCH;
    let labels: Vec<u32> = (0..n as u32).map(|i| i % k as u32).collect();
    let mut losses = vec![0.0; n];
    let mut words = vec![0; 10_000];
    let stream = Stream::new(1, "allocation", 0);
    let mut counts = vec![0; rounds];
    context.install(|| {
        for count in &mut counts {
            let before = allocations(context);
            for reduction in
                [reduce::sum, reduce::sum_of_squares, reduce::mean, reduce::norm, reduce::max, reduce::max_abs]
            {
                reduction(context, &a).unwrap();
            }
            reduce::dot(context, &a, &b).unwrap();
            reduce::first_non_finite(context, &a).unwrap();
            let matrix = MatRef::new(&a, 300, 1000).unwrap();
            let [first, second] = &mut sums;
            reduce::column_sums(context, matrix, first).unwrap();
            reduce::column_moments(context, matrix, first, second).unwrap();
            reduce::row_sums(context, matrix, &mut first[..300]).unwrap();

            for operation in [elementwise::add, elementwise::sub, elementwise::mul, elementwise::relu_backward] {
                operation(context, &a, &b, &mut y).unwrap();
            }
            for operation in [
                elementwise::add_assign,
                elementwise::sub_assign,
                elementwise::mul_assign,
                elementwise::copy,
                elementwise::relu_forward,
                elementwise::relu_backward_in_place,
            ] {
                operation(context, &a, &mut y).unwrap();
            }
            elementwise::axpy(context, 0.5, &a, &mut y).unwrap();
            elementwise::scale_add(context, 0.5, &a, 0.5, &mut y).unwrap();
            elementwise::lerp(context, 0.5, &a, &mut y).unwrap();
            elementwise::scale(context, 0.5, &mut y).unwrap();
            elementwise::fill(context, 0.5, &mut y).unwrap();
            elementwise::relu_forward_in_place(context, &mut y).unwrap();
            elementwise::clip(context, 0.0, 0.4, &mut y).unwrap();
            elementwise::clip_norm(context, 1.0, &mut y).unwrap();
            math::map(context.isa(), math::unary::Exp, &a, &mut y).unwrap();

            let (x, t) = (MatRef::new(&a[..n * k], n, k).unwrap(), MatRef::new(&b[..n * k], n, k).unwrap());
            let labels = &labels[..];
            for targets in [Targets::Hard(labels), Targets::uniform(labels, 0.1, k), Targets::Soft(t)] {
                let gradient = Some(Gradient { d: &mut y[..n * k], scale: 1.0 });
                softmax_cross_entropy(context, x, targets, gradient, Some(&mut losses)).unwrap();
                softmax_cross_entropy(context, x, targets, None, None).unwrap();
            }
            softmax_forward(context, x, &mut y[..n * k]).unwrap();
            softmax_backward(context, x, &mut y[..n * k]).unwrap();
            let gradient = Some(Gradient { d: &mut y[..n * k], scale: 1.0 });
            squared_error(context, x, t, gradient, Some(&mut losses)).unwrap();
            y.fill(1.0);
            logistic(context, &a, &y, None, None).unwrap();

            stream.fill_normal(context, 0, &mut y, 0.0, 1.0).unwrap();
            stream.fill_uniform(context, 0, &mut y, 0.0, 1.0).unwrap();
            stream.fill_bernoulli(context, 0, &mut y, 0.5, 1.0).unwrap();
            stream.fill_u32(context, 0, &mut words).unwrap();
            *count = allocations(context) - before;
        }
    });
    counts
}

/// Convolutions that read in place and that copy, with weights packed anew, `rounds` times; returns the allocations of
/// each round.
fn convolutions(context: &Context, rounds: usize) -> Vec<usize> {
    let shapes = [(9, 17, 33, 3, 2), (5, 136, 16, 3, 1), (7, 16, 40, 1, 2)];
    let mut layers: Vec<_> = shapes
        .iter()
        .map(|&(size, c_in, c_out, kernel, stride)| {
            let g = Geometry::same(size, size, c_in, c_out, kernel, stride).unwrap();
            (g, PackedForward::new(context, &g).unwrap(), PackedBackward::new(context, &g).unwrap())
        })
        .collect();
    let len = layers.iter().map(|(g, ..)| 9 * g.input_len().max(g.output_len()).max(g.weight_len())).max().unwrap();
    let (a, mut b) = (vec![0.5f32; len], vec![0.0f32; len]);
    let mut counts = vec![0; rounds];
    context.install(|| {
        for count in &mut counts {
            let before = allocations(context);
            for (g, to_output, to_input) in &mut layers {
                to_output.pack(context, &a[..g.weight_len()]).unwrap();
                to_input.pack(context, &a[..g.weight_len()]).unwrap();
                for n in [1, 9] {
                    let source = Plain::new(&a[..n * g.input_len()], g.h, g.w, g.c_in);
                    let (y, d_x) = (n * g.output_len(), n * g.input_len());
                    forward(context, to_output, n, &source, None, &mut b[..y], &Keep).unwrap();
                    let source = Plain::new(&a[..n * g.output_len()], g.out_h(), g.out_w(), g.c_out);
                    backward_data(context, to_input, n, &source, &mut b[..d_x], &Keep).unwrap();
                }
            }
            *count = allocations(context) - before;
        }
    });
    counts
}

/// One test, since the counter is the process's.
#[test]
fn kernels_allocate_nothing_after_the_first_call() {
    for isa in Isa::available() {
        for (kind, rounds) in [
            ("products", products as fn(&Context, usize) -> Vec<usize>),
            ("convolutions", convolutions),
            ("others", others),
        ] {
            let many = if isa == Isa::Portable { 3 } else { 60 };
            let alone = Context::new(isa, 1).unwrap();
            let counts = rounds(&alone, many);
            assert!(counts[0] > 0, "the counter does not count");
            assert!(counts[1..].iter().all(|&count| count == 0), "{kind}, {isa}, 1 thread: {counts:?}");
            // How many tasks run at once is up to the scheduler, so the scratch for two may be wanted in any round; but
            // it is allocated only once: all rounds together take no more than two threads can hold at a time.
            let two = Context::new(isa, 2).unwrap();
            let counts = rounds(&two, many);
            assert!(counts.iter().sum::<usize>() <= 2 * counts[0].max(16), "{kind}, {isa}, 2 threads: {counts:?}");
        }
    }
}
