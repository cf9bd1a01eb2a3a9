//! Convolutions beside the machine's own limit: fused multiply-adds that wait for nothing.
//!
//! ```text
//! cargo bench -p regularity-benches --bench conv                     a table for the widest tier, with 1 and 2 threads
//! cargo bench -p regularity-benches --bench conv -- avx2 1 64@       only what matches: tier, threads, layer
//! cargo bench -p regularity-benches --bench conv -- --statistics     by criterion
//! ```
//!
//! Operations are counted without the taps that fall on padding. A time is the median of several rounds, and the peak
//! beside it was measured between them. Layers are written `c_in@size>c_out kKERNELsSTRIDE`.
#![allow(clippy::unwrap_used)] // a bench may panic
#![allow(missing_docs)] // criterion's own names
#![allow(clippy::disallowed_methods)] // these are measurements of this machine, no results of the engine

use std::hint::black_box;
use std::time::Instant;

use regularity_engine::kernels::conv::{Geometry, PackedBackward, PackedForward, backward_data, forward};
use regularity_engine::kernels::probe;
use regularity_engine::kernels::stage::{Keep, Plain};
use regularity_engine::{Context, Isa};

/// (input channels, size, output channels, kernel, stride, examples): the layers of ResNet-20, of WRN-16-4, of ResNet-18
/// with a small stem, and the stem of ResNet-50.
const LAYERS: [(usize, usize, usize, usize, usize, usize); 22] = [
    (3, 32, 16, 3, 1, 128),
    (16, 32, 16, 3, 1, 128),
    (16, 32, 32, 3, 2, 128),
    (16, 32, 32, 1, 2, 128),
    (32, 16, 32, 3, 1, 128),
    (32, 16, 64, 3, 2, 128),
    (32, 16, 64, 1, 2, 128),
    (64, 8, 64, 3, 1, 128),
    (16, 32, 64, 3, 1, 128),
    (16, 32, 64, 1, 1, 128),
    (64, 32, 64, 3, 1, 64),
    (64, 32, 128, 3, 2, 64),
    (64, 32, 128, 1, 2, 128),
    (128, 16, 128, 3, 1, 64),
    (128, 16, 256, 3, 2, 64),
    (128, 16, 256, 1, 2, 128),
    (256, 8, 256, 3, 1, 64),
    (256, 8, 512, 3, 2, 64),
    (512, 4, 512, 3, 1, 64),
    (64, 8, 64, 3, 1, 1),
    (256, 14, 1024, 1, 1, 8),
    (3, 224, 64, 7, 2, 8),
];

/// Values from -0.5 to 0.5.
fn values(len: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

/// Billions of operations a second of all threads together, multiply-adds only.
fn peak(context: &Context) -> f64 {
    let rounds = 20_000;
    let burst = || {
        let start = Instant::now();
        context
            .tasks(context.threads(), |_| drop(black_box(probe::fma_chains(context, rounds, 0.5f32, 0.25))))
            .unwrap();
        let operations = probe::fma_chains_flops::<f32>(context, rounds).unwrap() * context.threads() as u64;
        operations as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..5).map(|_| burst()).fold(0.0, f64::max)
}

struct Layer {
    name: String,
    g: Geometry,
    n: usize,
    x: Vec<f32>,
    d_y: Vec<f32>,
    y: Vec<f32>,
    d_x: Vec<f32>,
    forward: PackedForward,
    backward: PackedBackward,
}

impl Layer {
    fn new(
        context: &Context,
        (c_in, size, c_out, kernel, stride, n): (usize, usize, usize, usize, usize, usize),
    ) -> Self {
        let g = Geometry::same(size, size, c_in, c_out, kernel, stride).unwrap();
        let w = values(g.weight_len());
        let mut forward = PackedForward::new(context, &g).unwrap();
        let mut backward = PackedBackward::new(context, &g).unwrap();
        forward.pack(context, &w).unwrap();
        backward.pack(context, &w).unwrap();
        Self {
            name: format!("{c_in}@{size}>{c_out} k{kernel}s{stride} n{n}"),
            g,
            n,
            x: values(n * g.input_len()),
            d_y: values(n * g.output_len()),
            y: vec![0.0; n * g.output_len()],
            d_x: vec![0.0; n * g.input_len()],
            forward,
            backward,
        }
    }
    fn operations(&self) -> f64 {
        2.0 * self.g.multiply_adds() as f64 * self.n as f64
    }
    fn run(&mut self, context: &Context, backward: bool) {
        let g = &self.g;
        if backward {
            let source = Plain::new(&self.d_y, g.out_h(), g.out_w(), g.c_out);
            backward_data(context, &self.backward, self.n, &source, &mut self.d_x, &Keep).unwrap();
        } else {
            let source = Plain::new(&self.x, g.h, g.w, g.c_in);
            forward(context, &self.forward, self.n, &source, None, &mut self.y, &Keep).unwrap();
        }
    }
    /// Median operations a second, in billions, of both directions.
    fn race(&mut self, context: &Context) -> [f64; 2] {
        let mut times = [Vec::new(), Vec::new()];
        let started = Instant::now();
        while times[1].len() < 5 || (started.elapsed().as_secs_f64() < 0.3 && times[1].len() < 101) {
            for (backward, times) in times.iter_mut().enumerate() {
                let start = Instant::now();
                self.run(context, backward == 1);
                times.push(start.elapsed().as_secs_f64());
            }
        }
        times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            self.operations() / times[times.len() / 2] / 1e9
        })
    }
}

/// One table.
fn table(isa: Isa, threads: usize, wanted: impl Fn(&str) -> bool) {
    let context = Context::new(isa, threads).unwrap();
    println!("\n{isa}, {threads} thread(s); billions of operations a second without padded taps, part of the peak\n");
    println!("{:<24} {:>8} {:>16} {:>16}", "layer", "peak", "forward", "to data");
    for layer in LAYERS {
        let mut layer = Layer::new(&context, layer);
        if !wanted(&layer.name) {
            continue;
        }
        context.install(|| {
            let before = peak(&context);
            let [forward, backward] = layer.race(&context);
            let peak = before.max(peak(&context));
            let cell = |speed: f64| format!("{speed:.1} ({:.1}%)", 100.0 * speed / peak);
            println!("{:<24} {peak:>8.1} {:>16} {:>16}", layer.name, cell(forward), cell(backward));
        });
    }
}

/// The same with criterion's statistics.
fn statistics(isa: Isa, threads: usize, wanted: impl Fn(&str) -> bool) {
    let mut criterion = criterion::Criterion::default().sample_size(10);
    let context = Context::new(isa, threads).unwrap();
    let mut group = criterion.benchmark_group(format!("conv/{isa}/{threads}"));
    for layer in LAYERS {
        let mut layer = Layer::new(&context, layer);
        if !wanted(&layer.name) {
            continue;
        }
        group.throughput(criterion::Throughput::Elements(layer.operations() as u64));
        for (backward, direction) in ["forward", "to data"].into_iter().enumerate() {
            let name = format!("{} {direction}", layer.name);
            group.bench_function(name, |bencher| {
                context.install(|| bencher.iter(|| layer.run(&context, backward == 1)));
            });
        }
    }
    group.finish();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut isa, mut threads, mut layers) = (Isa::detect(), vec![1, 2], Vec::new());
    // `cargo bench` adds a flag of its own.
    for word in arguments.iter().filter(|word| !word.starts_with("--")) {
        if let Ok(tier) = word.parse() {
            isa = tier;
        } else if let Ok(count) = word.parse() {
            threads = vec![count];
        } else {
            layers.push(word.as_str());
        }
    }
    let wanted = |name: &str| layers.is_empty() || layers.iter().any(|layer| name.contains(layer));
    for threads in threads {
        if arguments.iter().any(|word| word == "--statistics") {
            statistics(isa, threads, wanted);
        } else {
            table(isa, threads, wanted);
        }
    }
}
