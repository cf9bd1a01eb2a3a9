//! Normalisation, pooling and dropout allocate nothing once their scratch space is there.
#![allow(clippy::unwrap_used)] // a test may panic
#![allow(missing_docs)] // no one reads the documentation of a test

#[path = "common/counting.rs"]
mod counting;

use counting::allocations;
use regularity_engine::kernels::norm::{
    BackwardStatistics, BatchNorm, Branch, GroupNorm, Noise, Post, RowFlags, Running, Shape, Storing, write,
};
use regularity_engine::kernels::stage::{Keep, Plain};
use regularity_engine::kernels::{dropout, pool};
use regularity_engine::random::Stream;
use regularity_engine::{Context, Isa};

/// Steps of every kind; returns the allocations of each round.
fn rounds(context: &Context, rounds: usize) -> Vec<usize> {
    // Large enough to be written past the caches.
    let shape = Shape::new(9, 32, 32, 128).unwrap();
    let (x, d_y) = (vec![0.5f32; shape.len()], vec![0.25f32; shape.len()]);
    let [mut y, mut d_x] = [(); 2].map(|()| vec![0.0f32; shape.len()]);
    let row = vec![1.0f32; shape.c];
    let [mut mean, mut var, mut d_gamma, mut d_beta] = [(); 4].map(|()| row.clone());
    let map = vec![0.1f32; shape.pixels()];
    let mut batch = BatchNorm::new(shape).unwrap();
    let mut group = GroupNorm::new(shape, 8).unwrap();
    let mut flags = RowFlags::new(shape);
    let g = pool::window(32, 32, 128, 2, 2, 0).unwrap();
    let mut pooled = vec![0.0f32; shape.n * g.output_len()];
    let stream = Stream::new(1, "norm/allocation", 0);
    let post = Post { noise: Noise::Shared(&map), ..Post::RELU };
    let mut counts = vec![0; rounds];
    // Inside of the pool: entering it from outside may allocate in its queue.
    context.install(|| {
        for count in &mut counts {
            let before = allocations(context);
            for post in [Post::RELU, post] {
                batch.measure(context, &x).unwrap();
                let running = Running { mean: &mut mean, var: &mut var };
                batch.train(context, &row, &row, running, Branch::PerChannel { p: 0.5, stream }).unwrap();
                write(context, &batch.forward(&x, post).unwrap(), shape, &mut y).unwrap();
                let rows = [&mut d_gamma[..], &mut d_beta[..]];
                let exact = BackwardStatistics::Exact;
                batch.backward(context, &x, post, None, &d_y, &row, &mut d_x, rows, exact).unwrap();
            }
            group.measure(context, &x, &row, &row).unwrap();
            let forward = group.forward(&x, Post::RELU).unwrap();
            let storing = Storing::new(&forward, shape, &mut y, &mut flags).unwrap();
            pool::max_forward(context, &g, &storing, shape.n, &mut pooled).unwrap();
            pool::max_backward(context, &g, &Plain::new(&x, 32, 32, 128), shape.n, &pooled, &mut d_x, &Keep).unwrap();
            let rows = [&mut d_gamma[..], &mut d_beta[..]];
            group.backward(context, &x, Post::RELU, None, &d_y, &row, &mut d_x, rows).unwrap();
            dropout::dropout(context, &stream, 0.3, 0, &mut y).unwrap();
            *count = allocations(context) - before;
        }
    });
    counts
}

/// One test, since the counter is the process's.
#[test]
fn normalisation_allocates_nothing_after_the_first_step() {
    for isa in Isa::available() {
        if isa == Isa::Portable {
            continue; // the same code, some hundred times slower
        }
        let alone = Context::new(isa, 1).unwrap();
        let counts = rounds(&alone, 6);
        assert!(counts[0] > 0, "the counter does not count");
        assert!(counts[1..].iter().all(|&count| count == 0), "{isa}, 1 thread: {counts:?}");
        // How many tasks run at once is up to the scheduler, so that scratch for a second may be wanted in any round;
        // but all rounds together take no more than two threads can hold at a time.
        let two = Context::new(isa, 2).unwrap();
        let counts = rounds(&two, 6);
        assert!(counts.iter().sum::<usize>() <= 2 * counts[0].max(16), "{isa}, 2 threads: {counts:?}");
    }
}
