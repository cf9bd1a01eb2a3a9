//! Batch normalisation with ReLU over tensors in memory, forward and backward, beside a copy past the caches.
//!
//! `cargo bench -p regularity-benches --bench norm [-- THREADS]`
//!
//! Bytes are counted once for each read and write that the definition needs: forward reads `x` twice (the statistics of
//! the whole batch come first) and writes `y`; backward reads `x` and `d_y` twice and writes `d_x`. All measurements take
//! turns; the table shows medians, and the share of the copy's bandwidth in the same run.
#![allow(missing_docs)] // nobody uses a bench from outside
#![allow(clippy::print_stdout)] // its purpose

use std::hint::black_box;
use std::time::Instant;

use regularity_engine::kernels::norm::{BackwardStatistics, BatchNorm, Branch, GroupNorm, Post, Running, Shape, write};
use regularity_engine::kernels::probe;
use regularity_engine::memory::Buffer;
use regularity_engine::random::Stream;
use regularity_engine::{Context, Isa};

const ROUNDS: usize = 15;

/// A name, the tensors that are moved, and the work.
type Row<'a> = (&'static str, usize, Box<dyn FnMut() + 'a>);

fn measure(title: &str, tensor_bytes: usize, mut rows: Vec<Row<'_>>) {
    let mut times = vec![Vec::new(); rows.len()];
    for round in 0..=ROUNDS {
        for (times, (_, _, work)) in times.iter_mut().zip(&mut rows) {
            let start = Instant::now();
            work();
            // The first round warms up.
            if round > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    println!("{title}");
    let mut copy = None;
    for (mut times, (name, tensors, _)) in times.into_iter().zip(rows) {
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let rate = (tensors * tensor_bytes) as f64 / median / 1e9;
        let copy = *copy.get_or_insert(rate);
        let share = 100.0 * rate / copy;
        println!("  {name:<36} {:8.2} ms  {rate:6.2} GB/s  {share:4.0} % of the copy", median * 1e3);
    }
}

fn main() {
    let threads = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(1);
    for (n, size, c) in [(128, 32, 64), (128, 32, 16), (128, 8, 256)] {
        let context = Context::new(Isa::detect(), threads).expect("a context");
        let shape = Shape::new(n, size, size, c).expect("a shape");
        let tensor = |step| {
            let mut tensor = Buffer::zeroed(shape.len()).expect("memory");
            Stream::new(1, "bench/norm", step).fill_normal(&context, 0, &mut tensor, 0.5, 2.0).expect("draws");
            tensor
        };
        let (x, d_y) = (tensor(0), tensor(1));
        let [mut copied, mut y, mut z, mut d_x] = [(); 4].map(|()| tensor(2));
        let (gamma, beta) = (vec![1.0; c], vec![0.1; c]);
        let (mut mean, mut var) = (vec![0.0; c], vec![1.0; c]);
        let (mut d_gamma, mut d_beta) = (vec![0.0; c], vec![0.0; c]);
        let [mut layer, mut backward_layer] = [(); 2].map(|()| BatchNorm::new(shape).expect("memory"));
        backward_layer.measure(&context, &x).expect("fits");
        let running = Running { mean: &mut mean.clone(), var: &mut var.clone() };
        backward_layer.train(&context, &gamma, &beta, running, Branch::Batch).expect("fits");
        let mut group = GroupNorm::new(shape, 8).expect("memory");
        let (context, x, d_y, gamma, beta) = (&context, &x[..], &d_y[..], &gamma[..], &beta[..]);
        let rows: Vec<Row<'_>> = vec![
            (
                "copy past the caches",
                2,
                Box::new(|| {
                    probe::stream_copy(context, x, black_box(&mut copied)).expect("fits");
                }),
            ),
            (
                "batch norm + ReLU, forward",
                3,
                Box::new(|| {
                    layer.measure(context, x).expect("fits");
                    let running = Running { mean: &mut mean, var: &mut var };
                    layer.train(context, gamma, beta, running, Branch::Batch).expect("fits");
                    let forward = layer.forward(x, Post::RELU).expect("fits");
                    write(context, &forward, shape, black_box(&mut y)).expect("fits");
                }),
            ),
            (
                "batch norm + ReLU, backward",
                5,
                Box::new(|| {
                    let rows = [&mut d_gamma[..], &mut d_beta[..]];
                    let exact = BackwardStatistics::Exact;
                    backward_layer
                        .backward(context, x, Post::RELU, None, d_y, gamma, black_box(&mut d_x), rows, exact)
                        .expect("fits");
                }),
            ),
            (
                "group norm + ReLU, forward",
                3,
                Box::new(|| {
                    group.measure(context, x, gamma, beta).expect("fits");
                    write(context, &group.forward(x, Post::RELU).expect("fits"), shape, black_box(&mut z))
                        .expect("fits");
                }),
            ),
        ];
        measure(&format!("({n}, {size}, {size}, {c}), {threads} threads"), 4 * shape.len(), rows);
    }
}
