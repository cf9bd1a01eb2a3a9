//! Reductions, element-wise kernels and losses beside a copy of the same size, in one process, in turns.
//!
//! ```text
//! cargo bench -p regularity-benches --bench bandwidth                   a table for each level of the memory
//! cargo bench -p regularity-benches --bench bandwidth -- avx2 L2 dot    only what matches: tier, level, kernel
//! cargo bench -p regularity-benches --bench bandwidth -- --statistics   each kernel alone, by criterion
//! ```
//!
//! One thread. Bytes are those that a kernel reads and writes as its formula says: 8 an element for a copy, 4 for a sum,
//! 12 for `y = a x + y`. The copy is the better of the C library's and of plain vector loads and stores. Each round times
//! every kernel once, and the copy with each of them, so that a busy neighbour meets both; a time is the best round's.
#![allow(clippy::unwrap_used)] // a bench may panic
#![allow(missing_docs)] // criterion's own names
#![allow(clippy::disallowed_methods)] // these are measurements of this machine, no results of the engine

use std::hint::black_box;
use std::time::Instant;

use regularity_engine::kernels::loss::{Gradient, Targets, logistic, softmax_cross_entropy, squared_error};
use regularity_engine::kernels::{elementwise as ew, probe, reduce};
use regularity_engine::memory::Buffer;
use regularity_engine::tensor::MatRef;
use regularity_engine::{Context, Isa};

/// A level, and the elements of each of three arrays that lie in it: three quarters of 32 KiB, of 512 KiB, some MiB,
/// and far more than any cache of the last level holds.
const LEVELS: [(&str, usize); 4] = [("L1", 2048), ("L2", 32_768), ("L3", 524_288), ("memory", 32 << 20)];
/// A timing repeats its kernel until it has moved about so many bytes.
const BYTES: usize = 32 << 20;
/// Columns of the matrices of row and column reductions.
const COLUMNS: usize = 64;
/// Elements by which equal places in the arrays differ: a load must not look like it waits for the store before it.
const STAGGER: usize = 160;

/// Three arrays and what small outputs need.
struct Arrays {
    len: usize,
    buffers: [Buffer<f32>; 3],
    small: [Vec<f32>; 2],
}

impl Arrays {
    fn new(len: usize) -> Self {
        let buffers = std::array::from_fn(|i| {
            let mut buffer = Buffer::zeroed(len + 3 * STAGGER).unwrap();
            let values = (0..buffer.len()).map(|j| ((j * 7 + i * 3) % 17) as f32 / 8.0 - 1.0);
            buffer.iter_mut().zip(values).for_each(|(x, value)| *x = value);
            buffer
        });
        Self { len, buffers, small: [vec![0.0; COLUMNS], vec![0.0; len / COLUMNS + COLUMNS]] }
    }
    fn parts(&mut self) -> (&[f32], &[f32], &mut [f32], &mut [Vec<f32>; 2]) {
        let [a, b, c] = &mut self.buffers;
        let from = |i: usize| i * STAGGER..i * STAGGER + self.len;
        (&a[from(0)], &b[from(1)], &mut c[from(2)], &mut self.small)
    }
}

/// Name, bytes an element, the kernel.
type Row = (&'static str, usize, fn(&Context, &mut Arrays));

/// A reduction of one array.
macro_rules! flat {
    ($name:ident) => {
        (stringify!($name), 4, |context, arrays| {
            black_box(reduce::$name(context, arrays.parts().0).unwrap());
        })
    };
}
/// `out` from two arrays.
macro_rules! ternary {
    ($name:ident) => {
        (stringify!($name), 12, |context, arrays| {
            let (a, b, c, _) = arrays.parts();
            ew::$name(context, a, b, c).unwrap();
        })
    };
}

/// Every kernel; values stay of moderate size however often one is repeated.
const ROWS: [Row; 24] = [
    flat!(sum),
    flat!(sum_of_squares),
    flat!(max),
    flat!(max_abs),
    flat!(first_non_finite),
    ("dot", 8, |context, arrays| {
        let (a, b, ..) = arrays.parts();
        black_box(reduce::dot(context, a, b).unwrap());
    }),
    ("row_sums", 4, |context, arrays| {
        let (a, _, _, [_, rows]) = arrays.parts();
        let x = MatRef::new(a, a.len() / COLUMNS, COLUMNS).unwrap();
        reduce::row_sums(context, x, &mut rows[..x.rows()]).unwrap();
    }),
    ("column_sums", 4, |context, arrays| {
        let (a, _, _, [columns, _]) = arrays.parts();
        reduce::column_sums(context, MatRef::new(a, a.len() / COLUMNS, COLUMNS).unwrap(), columns).unwrap();
    }),
    ("column_moments", 4, |context, arrays| {
        let (a, _, _, [columns, squares]) = arrays.parts();
        let x = MatRef::new(a, a.len() / COLUMNS, COLUMNS).unwrap();
        reduce::column_moments(context, x, columns, &mut squares[..COLUMNS]).unwrap();
    }),
    ternary!(add),
    ternary!(sub),
    ternary!(mul),
    ternary!(relu_backward),
    ("axpy", 12, |context, arrays| {
        let (a, _, c, _) = arrays.parts();
        ew::axpy(context, 1e-6, a, c).unwrap();
    }),
    ("scale_add", 12, |context, arrays| {
        let (a, _, c, _) = arrays.parts();
        ew::scale_add(context, 0.5, a, 0.5, c).unwrap();
    }),
    ("lerp", 12, |context, arrays| {
        let (a, _, c, _) = arrays.parts();
        ew::lerp(context, 0.5, a, c).unwrap();
    }),
    ("add_assign", 12, |context, arrays| {
        let (a, _, c, _) = arrays.parts();
        ew::add_assign(context, a, c).unwrap();
    }),
    ("relu_backward_in_place", 12, |context, arrays| {
        let (a, _, c, _) = arrays.parts();
        ew::relu_backward_in_place(context, a, c).unwrap();
    }),
    ("scale", 8, |context, arrays| ew::scale(context, -1.0, arrays.parts().2).unwrap()),
    ("clip", 8, |context, arrays| ew::clip(context, -0.5, 0.5, arrays.parts().2).unwrap()),
    ("relu_forward", 8, |context, arrays| {
        let (a, _, c, _) = arrays.parts();
        ew::relu_forward(context, a, c).unwrap();
    }),
    ("relu_forward_in_place", 8, |context, arrays| ew::relu_forward_in_place(context, arrays.parts().2).unwrap()),
    ("copy", 8, |context, arrays| {
        let (a, _, c, _) = arrays.parts();
        ew::copy(context, a, c).unwrap();
    }),
    ("fill", 4, |context, arrays| ew::fill(context, 0.5, arrays.parts().2).unwrap()),
];

/// Seconds of one call.
fn time(calls: usize, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed().as_secs_f64() / calls as f64
}

/// The better of two copies, in seconds a pass.
fn copy(context: &Context, arrays: &mut Arrays, calls: usize) -> f64 {
    let (a, _, c, _) = arrays.parts();
    let library = time(calls, || black_box(&mut *c).copy_from_slice(black_box(a)));
    library.min(time(1, || probe::copy(context, calls, a, c).unwrap()) / calls as f64)
}

/// The kernels of one level, beside the copy.
fn table(context: &Context, level: &str, len: usize, rows: &[Row]) {
    let mut arrays = Arrays::new(len);
    let calls = (BYTES / (8 * len)).max(1);
    let rounds = if len > 1 << 22 { 5 } else { 25 };
    let mut best = vec![(f64::INFINITY, f64::INFINITY); rows.len()];
    for _ in 0..rounds {
        for (row, best) in rows.iter().zip(&mut best) {
            best.0 = best.0.min(copy(context, &mut arrays, calls));
            best.1 = best.1.min(time(calls, || row.2(context, &mut arrays)));
        }
    }
    let copied = best.iter().map(|best| best.0).fold(f64::INFINITY, f64::min);
    let copied = (8 * len) as f64 / copied / 1e9;
    println!("\n{}, {level}: arrays of {} KiB, copy {copied:.1} GB/s", context.isa(), len * 4 / 1024);
    for (row, best) in rows.iter().zip(&best) {
        let speed = (row.1 * len) as f64 / best.1 / 1e9;
        println!("{:>24} {speed:>8.1} GB/s {:>6.0}% of the copy", row.0, 100.0 * speed / copied);
    }
}

/// Losses with their gradients: bound by arithmetic, so in nanoseconds an element.
fn losses(context: &Context) {
    println!("\n{}: losses with gradients, nanoseconds an element", context.isa());
    for (n, k) in [(4096, 10), (512, 100), (128, 1000)] {
        let x: Vec<f32> = (0..n * k).map(|i| ((i * 7) % 23) as f32 / 4.0 - 3.0).collect();
        let t: Vec<f32> = vec![1.0 / k as f32; n * k];
        let labels: Vec<u32> = (0..n as u32).map(|i| i % k as u32).collect();
        let signs: Vec<f32> = (0..n * k).map(|i| if i % 3 == 0 { -1.0 } else { 1.0 }).collect();
        let mut d = vec![0.0; n * k];
        let (view, soft) = (MatRef::new(&x, n, k).unwrap(), MatRef::new(&t, n, k).unwrap());
        let mut best = [f64::INFINITY; 5];
        for _ in 0..15 {
            let targets = [Targets::Hard(&labels), Targets::uniform(&labels, 0.1, k), Targets::Soft(soft)];
            for (best, targets) in best.iter_mut().zip(targets) {
                *best = best.min(time(5, || {
                    let gradient = Some(Gradient { d: &mut d, scale: 0.01 });
                    softmax_cross_entropy(context, view, targets, gradient, None).unwrap();
                }));
            }
            best[3] = best[3].min(time(5, || {
                squared_error(context, view, soft, Some(Gradient { d: &mut d, scale: 0.01 }), None).unwrap();
            }));
            best[4] = best[4].min(time(5, || {
                logistic(context, &x, &signs, Some(Gradient { d: &mut d, scale: 0.01 }), None).unwrap();
            }));
        }
        let [hard, smoothed, soft, squared, logistic] = best.map(|best| best / (n * k) as f64 * 1e9);
        println!(
            "{n:>6} x {k:<5} softmax hard {hard:.2}, smoothed {smoothed:.2}, soft {soft:.2}; squared {squared:.2}; \
             logistic {logistic:.2}"
        );
    }
}

/// Each kernel alone, with criterion's statistics.
fn statistics(context: &Context, level: &str, len: usize, rows: &[Row]) {
    let mut criterion = criterion::Criterion::default().sample_size(20);
    let mut group = criterion.benchmark_group(format!("bandwidth/{}/{level}", context.isa()));
    let mut arrays = Arrays::new(len);
    for row in rows {
        group.throughput(criterion::Throughput::Bytes((row.1 * len) as u64));
        group.bench_function(row.0, |bencher| bencher.iter(|| row.2(context, &mut arrays)));
    }
    group.finish();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|word| word == flag);
    let mut isas: Vec<Isa> = Isa::available().into_iter().rev().filter(|isa| *isa != Isa::Portable).collect();
    let (mut levels, mut rows, mut with_losses) = (LEVELS.to_vec(), ROWS.to_vec(), true);
    // `cargo bench` adds a flag of its own.
    for word in arguments.iter().filter(|word| !word.starts_with("--")) {
        if let Ok(isa) = word.parse() {
            isas = vec![isa];
        } else if LEVELS.iter().any(|level| level.0 == word) {
            levels.retain(|level| level.0 == word);
            with_losses = false;
        } else {
            rows.retain(|row| row.0.contains(word.as_str()));
            with_losses = word == "loss";
        }
    }
    for isa in isas {
        let context = Context::new(isa, 1).unwrap();
        for &(level, len) in if rows.is_empty() { &[][..] } else { &levels } {
            if has("--statistics") {
                statistics(&context, level, len, &rows);
            } else {
                table(&context, level, len, &rows);
            }
        }
        if with_losses {
            losses(&context);
        }
    }
}
