//! Random draws: words, uniform, Bernoulli and normal fills.
//!
//! `cargo bench -p regularity-benches --bench random`
//!
//! The groups `2^20 ...` stay in the second-level cache and show the arithmetic, one thread, every tier; the groups
//! `10^8 ...` write 400 MB and show what an initialisation or a noise layer gets. `fill(0)` is the store bandwidth, the
//! floor that no generator passes. ChaCha8's own floor is 4 double rounds of 8 quarter rounds with 4 additions, 4
//! exclusive ors and 4 rotations, and 16 additions at the end: 400 vector operations for 256 words where a rotation is
//! one instruction (AVX-512), 656 of twice the registers where it is three (AVX2).

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use regularity_engine::random::Stream;
use regularity_engine::{Context, Isa};

const CACHED: usize = 1 << 20;
const LARGE: usize = 100_000_000;

fn group<'a>(c: &'a mut Criterion, name: &str, len: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(len as u64));
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

fn cached(c: &mut Criterion) {
    let stream = Stream::new(1, "bench", 0);
    let mut words = vec![0u32; CACHED];
    let mut floats = vec![0f32; CACHED];

    let mut g = group(c, "2^20 words", CACHED);
    let mut bytes = vec![0u8; 4 * CACHED];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    g.bench_function("rand_chacha", |b| b.iter(|| rng.fill_bytes(black_box(&mut bytes))));
    for isa in Isa::available() {
        let context = Context::new(isa, 1).expect("an available tier");
        g.bench_function(isa.name(), |b| b.iter(|| stream.fill_u32(&context, 0, black_box(&mut words))));
    }
    g.finish();

    let mut bench = |name: &str, fill: &dyn Fn(&Context, &mut [f32])| {
        let mut g = group(c, name, CACHED);
        for isa in Isa::available() {
            let context = Context::new(isa, 1).expect("an available tier");
            g.bench_function(isa.name(), |b| b.iter(|| fill(&context, black_box(&mut floats))));
        }
        g.finish();
    };
    bench("2^20 uniform", &|context, out| stream.fill_uniform(context, 0, out, -1.0, 1.0).expect("valid"));
    bench("2^20 bernoulli", &|context, out| stream.fill_bernoulli(context, 0, out, 0.5, 2.0).expect("valid"));
    bench("2^20 normal", &|context, out| stream.fill_normal(context, 0, out, 0.0, 1.0).expect("valid"));
}

fn large(c: &mut Criterion) {
    let stream = Stream::new(1, "bench", 0);
    let mut floats = vec![0f32; LARGE];
    let mut g = group(c, "10^8 floor", LARGE);
    g.bench_function("fill(0), 1 thread", |b| b.iter(|| black_box(&mut floats).fill(0.0)));
    g.finish();
    // A value of the portable tier takes a hundred times longer; its cost a value is that of `2^20 normal`.
    for isa in Isa::available().into_iter().filter(|&isa| isa != Isa::Portable) {
        for threads in [1, 2] {
            let context = Context::new(isa, threads).expect("an available tier");
            let name = format!("{isa}, {threads} threads");
            let mut g = group(c, "10^8 uniform", LARGE);
            g.bench_function(&name, |b| b.iter(|| stream.fill_uniform(&context, 0, black_box(&mut floats), 0.0, 1.0)));
            g.finish();
            let mut g = group(c, "10^8 normal", LARGE);
            g.bench_function(&name, |b| b.iter(|| stream.fill_normal(&context, 0, black_box(&mut floats), 0.0, 1.0)));
            g.finish();
        }
    }
}

criterion_group!(benches, cached, large);
criterion_main!(benches);
