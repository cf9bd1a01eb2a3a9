//! Convolution backward to weights, layer by layer of the networks, against the FMA peak.
//!
//! ```text
//! cargo bench -p regularity-benches --bench conv_weight                  all layers, the widest tier, 1 and 2 threads
//! cargo bench -p regularity-benches --bench conv_weight -- avx2 1 64@32  only what matches: tier, threads, layer
//! ```
//!
//! Speeds are in GFLOP/s and count multiply-adds without the taps that fall on padding, so that the peak is a floor of
//! the time that nothing passes. Each round measures the peak and then the layer; shown are the best and the median
//! round, as parts of the best peak of all rounds.
#![allow(clippy::unwrap_used)] // a bench may panic
#![allow(missing_docs)] // a program, not a library
#![allow(clippy::disallowed_methods)] // these are measurements of this machine, no results of the engine

use std::hint::black_box;
use std::time::{Duration, Instant};

use regularity_engine::kernels::conv::{Geometry, backward_weight};
use regularity_engine::kernels::probe::{fma_chains, fma_chains_flops};
use regularity_engine::kernels::stage::Plain;
use regularity_engine::{Context, Isa};

const BATCH: usize = 128;
/// A layer is measured for so long, and in so many rounds at least.
const PATIENCE: Duration = Duration::from_millis(700);
const ROUNDS: usize = 5;

/// Pixels a side, channels in and out, kernel, stride; by network.
const LAYERS: [(&str, [usize; 5]); 23] = [
    ("stem", [32, 3, 16, 3, 1]),
    ("resnet20 16@32", [32, 16, 16, 3, 1]),
    ("resnet20 16-32@32/2", [32, 16, 32, 3, 2]),
    ("resnet20 16-32@32/2 1x1", [32, 16, 32, 1, 2]),
    ("resnet20 32@16", [16, 32, 32, 3, 1]),
    ("resnet20 32-64@16/2", [16, 32, 64, 3, 2]),
    ("resnet20 32-64@16/2 1x1", [16, 32, 64, 1, 2]),
    ("resnet20 64@8", [8, 64, 64, 3, 1]),
    ("wrn 16-64@32", [32, 16, 64, 3, 1]),
    ("wrn 16-64@32 1x1", [32, 16, 64, 1, 1]),
    ("wrn 64@32", [32, 64, 64, 3, 1]),
    ("wrn 64-128@32/2", [32, 64, 128, 3, 2]),
    ("wrn 64-128@32/2 1x1", [32, 64, 128, 1, 2]),
    ("wrn 128@16", [16, 128, 128, 3, 1]),
    ("wrn 128-256@16/2", [16, 128, 256, 3, 2]),
    ("wrn 128-256@16/2 1x1", [16, 128, 256, 1, 2]),
    ("wrn 256@8", [8, 256, 256, 3, 1]),
    ("resnet18 stem", [32, 3, 64, 3, 1]),
    ("resnet18 256-512@8/2", [8, 256, 512, 3, 2]),
    ("resnet18 256-512@8/2 1x1", [8, 256, 512, 1, 2]),
    ("resnet18 512@4", [4, 512, 512, 3, 1]),
    ("resnet50 stem@64", [64, 3, 64, 7, 2]),
    ("vgg 512@2", [2, 512, 512, 3, 1]),
];

/// Values without a pattern; speed does not depend on them.
fn values(len: usize) -> Vec<f32> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_769) >> 8) as f32 / (1u32 << 23) as f32 - 1.0).collect()
}

/// The peak of all threads together, in GFLOP/s.
fn peak(context: &Context) -> f64 {
    let rounds = 40_000;
    let flops = fma_chains_flops::<f32>(context, rounds).unwrap() * context.threads() as u64;
    let start = Instant::now();
    context
        .tasks(context.threads(), |_| {
            // What nobody sees need not be computed.
            black_box(fma_chains(context, black_box(rounds), black_box(0.5f32), 0.25).unwrap());
        })
        .unwrap();
    flops as f64 / start.elapsed().as_secs_f64() / 1e9
}

fn main() {
    let filters: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let isa = filters.iter().find_map(|f| f.parse::<Isa>().ok()).unwrap_or_else(Isa::detect);
    let threads: Vec<usize> = filters.iter().filter_map(|f| f.parse().ok()).collect();
    let names: Vec<&String> =
        filters.iter().filter(|f| f.parse::<Isa>().is_err() && f.parse::<usize>().is_err()).collect();
    println!("{:<26} {:>7} {:>12} {:>12} {:>12} {:>7}", "layer", "threads", "best", "median", "peak", "ms");
    for (name, [size, c_in, c_out, kernel, stride]) in LAYERS {
        if !names.is_empty() && !names.iter().any(|f| name.contains(f.as_str())) {
            continue;
        }
        let g = Geometry::same(size, size, c_in, c_out, kernel, stride).unwrap();
        let (x, d_y) = (values(BATCH * g.input_len()), values(BATCH * g.output_len()));
        let (x, d_y) = (Plain::new(&x, size, size, c_in), Plain::new(&d_y, g.out_h(), g.out_w(), c_out));
        let mut d_w = vec![0.0; g.weight_len()];
        for &threads in if threads.is_empty() { &[1, 2][..] } else { &threads } {
            let context = Context::new(isa, threads).unwrap();
            let flops = 2.0 * g.multiply_adds() as f64 * BATCH as f64;
            let (mut speeds, mut best_peak) = (Vec::new(), 0.0f64);
            let begin = Instant::now();
            while speeds.len() <= ROUNDS || begin.elapsed() < PATIENCE {
                best_peak = best_peak.max(peak(&context));
                let start = Instant::now();
                context.install(|| backward_weight(&context, &g, BATCH, &x, &d_y, &mut d_w, None)).unwrap();
                speeds.push(flops / start.elapsed().as_secs_f64() / 1e9);
            }
            // The first call also gets its scratch space.
            speeds.remove(0);
            speeds.sort_by(f64::total_cmp);
            let (best, median) = (speeds[speeds.len() - 1], speeds[speeds.len() / 2]);
            let part = |speed: f64| format!("{speed:.1} {:>3.0} %", 100.0 * speed / best_peak);
            println!(
                "{name:<26} {threads:>7} {:>12} {:>12} {best_peak:>12.1} {:>7.2}",
                part(best),
                part(median),
                flops / best / 1e6
            );
        }
    }
}
