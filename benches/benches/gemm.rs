//! Matrix products beside those of other libraries, in one process, in turns.
//!
//! ```text
//! cargo bench -p regularity-benches --bench gemm                      a table for every tier, with 1 and 2 threads
//! cargo bench -p regularity-benches --bench gemm -- avx2 1 512x512    only what matches: tier, threads, m x n x k
//! cargo bench -p regularity-benches --bench gemm -- --statistics      our product alone, by criterion
//! ```
//!
//! Each round times every library once, so that a change of clock or a busy neighbour meets them all; a library's time
//! is its best round. The peak beside each row is measured right then: fused multiply-adds that wait for nothing, on as
//! many threads. Other libraries choose their instruction set themselves and may differ in their bits.
#![allow(clippy::unwrap_used)] // a bench may panic
#![allow(missing_docs)] // criterion's own names
#![allow(clippy::disallowed_methods)] // these are measurements of this machine, no results of the engine

use std::hint::black_box;
use std::time::Instant;

use regularity_engine::kernels::gemm::{Options, gemm};
use regularity_engine::simd::{Kernel, Tier, Vector, dispatch};
use regularity_engine::tensor::{MatMut, MatRef};
use regularity_engine::{Context, Isa};

/// (m, n, k): squares, then forward and weight-gradient products of convolutions, then a classifier.
const SHAPES: [(usize, usize, usize); 15] = [
    (256, 256, 256),
    (512, 512, 512),
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (16, 131_072, 144),
    (32, 32_768, 288),
    (64, 8192, 576),
    (128, 8192, 1152),
    (256, 2048, 2304),
    (512, 2048, 4608),
    (16, 144, 131_072),
    (32, 288, 32_768),
    (64, 576, 8192),
    (128, 1152, 8192),
    (128, 10, 512),
];
const LIBRARIES: [&str; 4] = ["regularity", "faer", "gemm", "matrixm."];
/// A timing repeats its product until it has done about so many operations.
const OPERATIONS: f64 = 1e8;

/// Independent multiply-adds on registers.
struct Peak(usize);
impl Kernel for Peak {
    type Output = f64;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> f64 {
        // Enough chains to hide the latency, few enough for the registers.
        if S::VECTOR_REGISTERS >= 32 { chains::<S, 24>(tier, self.0) } else { chains::<S, 6>(tier, self.0) }
    }
}
#[inline(always)]
fn chains<S: Tier, const N: usize>(tier: S, steps: usize) -> f64 {
    let (a, b) = (S::F32::splat(tier, black_box(0.999_999)), S::F32::splat(tier, black_box(1e-7)));
    let mut acc = [S::F32::splat(tier, 1.0); N];
    for _ in 0..steps {
        for acc in &mut acc {
            *acc = a.fma(*acc, b);
        }
    }
    let mut sum = acc[0];
    for acc in &acc[1..] {
        sum = sum + *acc;
    }
    black_box(sum.fold_halves());
    (2 * 16 * N * steps) as f64
}

/// The peak of `threads` threads together, in billions of operations a second; the best of several short bursts.
fn peak(isa: Isa, threads: usize) -> f64 {
    let burst = || {
        let start = Instant::now();
        let operations = dispatch(isa, Peak(100_000)).unwrap();
        operations / start.elapsed().as_secs_f64() / 1e9
    };
    let best = || (0..7).map(|_| burst()).fold(0.0, f64::max);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(best)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    })
}

/// Operands of one shape.
struct Problem {
    m: usize,
    n: usize,
    k: usize,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Problem {
    fn new((m, n, k): (usize, usize, usize)) -> Self {
        let mut state = 1u64;
        let mut values = |len: usize| -> Vec<f32> {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
            };
            (0..len).map(|_| next()).collect()
        };
        Self { m, n, k, a: values(m * k), b: values(k * n), c: vec![0.0; m * n] }
    }
    fn operations(&self) -> f64 {
        2.0 * self.m as f64 * self.n as f64 * self.k as f64
    }

    fn ours(&mut self, context: &Context) {
        let (a, b) = (MatRef::new(&self.a, self.m, self.k).unwrap(), MatRef::new(&self.b, self.k, self.n).unwrap());
        gemm(context, a, b, MatMut::new(&mut self.c, self.m, self.n).unwrap(), &Options::default()).unwrap();
    }
    fn faer(&mut self, threads: usize) {
        let parallel = if threads == 1 { faer::Par::Seq } else { faer::Par::rayon(threads) };
        faer::linalg::matmul::matmul(
            faer::MatMut::from_row_major_slice_mut(&mut self.c, self.m, self.n),
            faer::Accum::Replace,
            faer::MatRef::from_row_major_slice(&self.a, self.m, self.k),
            faer::MatRef::from_row_major_slice(&self.b, self.k, self.n),
            1.0f32,
            parallel,
        );
    }
    fn gemm(&mut self, threads: usize) {
        let parallel = if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
        let (m, n, k) = (self.m, self.n, self.k);
        let (c, a, b) = (self.c.as_mut_ptr(), self.a.as_ptr(), self.b.as_ptr());
        let (row, a_row) = (n as isize, k as isize);
        // SAFETY: the matrices have m x n, m x k and k x n elements, row by row.
        unsafe {
            gemm::gemm(m, n, k, c, 1, row, false, a, 1, a_row, b, 1, row, 0.0, 1.0, false, false, false, parallel);
        }
    }
    /// Built without threads.
    fn matrixmultiply(&mut self) {
        let (m, n, k) = (self.m, self.n, self.k);
        let (c, a, b) = (self.c.as_mut_ptr(), self.a.as_ptr(), self.b.as_ptr());
        let (row, a_row) = (n as isize, k as isize);
        // SAFETY: as above.
        unsafe { matrixmultiply::sgemm(m, k, n, 1.0, a, a_row, 1, b, row, 1, 0.0, c, row, 1) };
    }
}

/// Seconds for one product.
fn time(repeats: usize, mut product: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..repeats).for_each(|_| product());
    start.elapsed().as_secs_f64() / repeats as f64
}

/// The best time of each library; infinite if it does not take part.
fn race(problem: &mut Problem, context: &Context) -> [f64; 4] {
    let threads = context.threads();
    let repeats = (OPERATIONS / problem.operations()).max(1.0) as usize;
    let rounds = if problem.operations() > 5e9 { 7 } else { 15 };
    let mut best = [f64::INFINITY; 4];
    for _ in 0..rounds {
        let times = [
            context.install(|| time(repeats, || problem.ours(context))),
            time(repeats, || problem.faer(threads)),
            time(repeats, || problem.gemm(threads)),
            // It has one thread, so it races only there.
            if threads == 1 { time(repeats, || problem.matrixmultiply()) } else { f64::INFINITY },
        ];
        for (best, time) in best.iter_mut().zip(times) {
            *best = best.min(time);
        }
    }
    best
}

/// One table.
fn table(isa: Isa, threads: usize, shapes: &[(usize, usize, usize)]) {
    let context = Context::new(isa, threads).unwrap();
    println!("\n{isa}, {threads} thread(s), f32; billions of operations a second\n");
    print!("{:>6} {:>7} {:>7}", "m", "n", "k");
    LIBRARIES.iter().for_each(|library| print!(" {library:>10}"));
    println!(" {:>8} {:>8} {:>9}", "peak", "of peak", "best peer");
    let (mut ratios, mut fractions) = (0.0, 0.0);
    for &shape in shapes {
        let mut problem = Problem::new(shape);
        let before = peak(isa, threads);
        let times = race(&mut problem, &context);
        let peak = before.max(peak(isa, threads));
        let speed = |time: f64| problem.operations() / time / 1e9;
        print!("{:>6} {:>7} {:>7}", shape.0, shape.1, shape.2);
        for time in times {
            if time.is_finite() { print!(" {:>10.1}", speed(time)) } else { print!(" {:>10}", "-") }
        }
        let peer = times[1..].iter().copied().fold(f64::INFINITY, f64::min);
        let (ratio, fraction) = (peer / times[0], speed(times[0]) / peak);
        println!(" {peak:>8.1} {:>7.1}% {ratio:>8.2}x", 100.0 * fraction);
        ratios += ratio.ln();
        fractions += fraction.ln();
    }
    let mean = |sum: f64| (sum / shapes.len() as f64).exp();
    println!("geometric mean: {:.1}% of peak, {:.2}x the best peer", 100.0 * mean(fractions), mean(ratios));
}

/// Our product alone, with criterion's statistics.
fn statistics(isa: Isa, threads: usize, shapes: &[(usize, usize, usize)]) {
    let mut criterion = criterion::Criterion::default().sample_size(20);
    let context = Context::new(isa, threads).unwrap();
    let mut group = criterion.benchmark_group(format!("gemm/{isa}/{threads}"));
    for &shape in shapes {
        let mut problem = Problem::new(shape);
        group.throughput(criterion::Throughput::Elements(problem.operations() as u64));
        let name = format!("{}x{}x{}", shape.0, shape.1, shape.2);
        group.bench_function(name, |bencher| context.install(|| bencher.iter(|| problem.ours(&context))));
    }
    group.finish();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` adds a flag of its own.
    let wanted: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    let mut isas: Vec<Isa> = Isa::available().into_iter().rev().filter(|isa| *isa != Isa::Portable).collect();
    let mut threads = vec![1, 2];
    let mut shapes = SHAPES.to_vec();
    for word in wanted {
        if let Ok(isa) = word.parse() {
            isas = vec![isa];
        } else if let Ok(count) = word.parse() {
            threads = vec![count];
        } else {
            shapes.retain(|(m, n, k)| format!("{m}x{n}x{k}").starts_with(word));
        }
    }
    if shapes.is_empty() {
        println!("no shape begins like that; known are m x n x k of {SHAPES:?}");
        return;
    }
    for isa in isas {
        for &threads in &threads {
            if arguments.iter().any(|word| word == "--statistics") {
                statistics(isa, threads, &shapes);
            } else {
                table(isa, threads, &shapes);
            }
        }
    }
}
