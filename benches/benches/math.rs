//! Throughput of the elementary functions per tier, beside `std` and CORE-MATH called element by element.
//!
//! `cargo bench -p regularity-benches --bench math`
//!
//! `elem/s` of Criterion's report is the figure to read: 1 Gelem/s is 1 ns per element.
#![allow(missing_docs)] // criterion_group! makes public items
#![allow(clippy::disallowed_methods)] // the rivals are measured, no result depends on them

use std::hint::black_box;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use regularity_engine::math::{Unary, map, map_normal_quantile, scalar, unary};
use regularity_engine::simd::Isa;

/// Elements per call: input and output stay in the first-level cache.
const N: usize = 4096;

/// Evenly spread words.
fn words() -> Vec<u32> {
    (0..N as u32).map(|i| i.wrapping_mul(2_654_435_761)).collect()
}

/// Evenly spread numbers of `low..high`, in no order.
fn inputs(low: f32, high: f32) -> Vec<f32> {
    words().into_iter().map(|w| low + (high - low) * (w as f32 / 4_294_967_296.0)).collect()
}

fn scalar_rival(group: &mut BenchmarkGroup<WallTime>, name: &str, x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    group.bench_function(name, |b| {
        b.iter(|| {
            for (y, &x) in y.iter_mut().zip(black_box(x)) {
                *y = f(x);
            }
            black_box(&mut *y);
        });
    });
}

/// A name and the function of one element.
type Rival = (&'static str, fn(f32) -> f32);

/// One function on every tier, and its rivals.
fn function<U: Unary>(c: &mut Criterion, f: U, (low, high): (f32, f32), rivals: &[Rival]) {
    let (x, mut y) = (inputs(low, high), vec![0.0; N]);
    let mut group = c.benchmark_group(format!("math/{}", U::NAME));
    group.throughput(Throughput::Elements(N as u64));
    for isa in Isa::available() {
        group.bench_function(isa.name(), |b| {
            b.iter(|| map(isa, f, black_box(&x), black_box(&mut y)).expect("an available tier"));
        });
    }
    for &(name, rival) in rivals {
        scalar_rival(&mut group, name, &x, &mut y, rival);
    }
}

fn lanes(c: &mut Criterion) {
    let around = (-10.0, 10.0);
    function(c, unary::Exp, around, &[("std", f32::exp), ("core-math", core_math::expf)]);
    function(c, unary::Expm1, around, &[("std", f32::exp_m1), ("core-math", core_math::expm1f)]);
    function(c, unary::Ln, (0.001, 1000.0), &[("std", f32::ln), ("core-math", core_math::logf)]);
    function(c, unary::Ln1p, (-0.999, 1000.0), &[("std", f32::ln_1p), ("core-math", core_math::log1pf)]);
    function(c, unary::Tanh, around, &[("std", f32::tanh), ("core-math", core_math::tanhf)]);
    function(c, unary::Sigmoid, around, &[("std exp", |x| 1.0 / (1.0 + (-x).exp()))]);
    function(c, unary::Softplus, around, &[("std exp, ln_1p", |x| x.max(0.0) + (-x.abs()).exp().ln_1p())]);
    function(c, unary::Erf, (-4.0, 4.0), &[("core-math", core_math::erff)]);
    function(c, unary::Sin, (-100.0, 100.0), &[("std", f32::sin), ("core-math", core_math::sinf)]);
    function(c, unary::Cos, (-100.0, 100.0), &[("std", f32::cos), ("core-math", core_math::cosf)]);
}

fn quantile(c: &mut Criterion) {
    let (w, mut y) = (words(), vec![0.0; N]);
    let mut group = c.benchmark_group("math/normal_quantile");
    group.throughput(Throughput::Elements(N as u64));
    for isa in Isa::available() {
        group.bench_function(isa.name(), |b| {
            b.iter(|| map_normal_quantile(isa, black_box(&w), black_box(&mut y)).expect("an available tier"));
        });
    }
}

/// The scalar `f64` functions; `std` and CORE-MATH for comparison.
fn scalars(c: &mut Criterion) {
    type Named = (&'static str, fn(f64) -> f64);
    let rows: [(&str, [Named; 3]); 6] = [
        ("exp", [("ours", scalar::exp), ("std", f64::exp), ("core-math", core_math::exp)]),
        ("expm1", [("ours", scalar::expm1), ("std", f64::exp_m1), ("core-math", core_math::expm1)]),
        ("ln", [("ours", scalar::ln), ("std", f64::ln), ("core-math", core_math::log)]),
        ("ln_1p", [("ours", scalar::ln_1p), ("std", f64::ln_1p), ("core-math", core_math::log1p)]),
        ("tanh", [("ours", scalar::tanh), ("std", f64::tanh), ("core-math", core_math::tanh)]),
        ("cos", [("ours", scalar::cos), ("std", f64::cos), ("core-math", core_math::cos)]),
    ];
    let x: Vec<f64> = inputs(0.01, 10.0).into_iter().map(f64::from).collect();
    let mut y = vec![0.0; N];
    for (name, functions) in rows {
        let mut group = c.benchmark_group(format!("math/scalar {name}"));
        group.throughput(Throughput::Elements(N as u64));
        for (who, f) in functions {
            group.bench_function(who, |b| {
                b.iter(|| {
                    for (y, &x) in y.iter_mut().zip(black_box(&x)) {
                        *y = f(x);
                    }
                    black_box(&mut y);
                });
            });
        }
    }
}

criterion_group!(benches, lanes, quantile, scalars);
criterion_main!(benches);
