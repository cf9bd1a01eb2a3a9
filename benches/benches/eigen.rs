//! Symmetric eigenproblems beside faer's, in one process, in turns.
//!
//! ```text
//! cargo bench -p regularity-benches --bench eigen                 n = 200, 500, 1000, 2000; 1 thread and 2
//! cargo bench -p regularity-benches --bench eigen -- 1500 3000    other sizes
//! ```
//!
//! The matrix is a Gaussian kernel on random points, as kernel regression has it. Each round times both once; a time is
//! the best of the rounds. Beside it stand the residual `max |V A - D V| / |A|` and the distance of the eigenvectors from
//! orthonormal, in units of `n 2^-52`. faer chooses instructions and blocks by the machine, and its bits with them.
#![allow(clippy::unwrap_used)] // a bench may panic
#![allow(missing_docs)] // a bench has no interface
#![allow(clippy::disallowed_methods)] // these are measurements of this machine, no results of the engine

use std::hint::black_box;
use std::time::Instant;

use faer::linalg::solvers::SelfAdjointEigen;
use faer::{Mat, Par, Side};
use regularity_engine::kernels::gemm::{Options, gemm};
use regularity_engine::linalg::SymmetricEigen;
use regularity_engine::random::Stream;
use regularity_engine::tensor::{MatMut, MatRef};
use regularity_engine::{Context, Isa};

/// Coordinates of a point.
const DIMENSIONS: usize = 10;

/// `exp(-|x - y|^2 / 20)` for standard normal points.
fn gaussian_kernel(context: &Context, n: usize) -> Vec<f64> {
    let mut points = vec![0.0f32; n * DIMENSIONS];
    Stream::new(1, "bench/eigen", 0).fill_normal(context, 0, &mut points, 0.0, 1.0).unwrap();
    let point = |i: usize| &points[i * DIMENSIONS..(i + 1) * DIMENSIONS];
    let mut a = vec![0.0; n * n];
    for i in 0..n {
        for j in i..n {
            let square: f64 = point(i).iter().zip(point(j)).map(|(x, y)| f64::from(x - y) * f64::from(x - y)).sum();
            (a[i * n + j], a[j * n + i]) = ((-square / 20.0).exp(), (-square / 20.0).exp());
        }
    }
    a
}

/// Residual and distance from orthonormal, in units of `n 2^-52` (times the norm of A).
fn errors(context: &Context, a: &[f64], values: &[f64], vectors: &[f64]) -> (f64, f64) {
    let n = values.len();
    let largest = |x: &[f64]| x.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let v = MatRef::new(vectors, n, n).unwrap();
    let mut x = vec![0.0; n * n];
    let c = MatMut::new(&mut x, n, n).unwrap();
    gemm(context, v, MatRef::new(a, n, n).unwrap(), c, &Options::default()).unwrap();
    x.iter_mut().enumerate().for_each(|(i, x)| *x -= values[i / n] * vectors[i]);
    let unit = n as f64 * f64::EPSILON;
    let residual = largest(&x) / (unit * largest(values));
    gemm(context, v, v.transposed(), MatMut::new(&mut x, n, n).unwrap(), &Options::default()).unwrap();
    (0..n).for_each(|i| x[i * n + i] -= 1.0);
    (residual, largest(&x) / unit)
}

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![200, 500, 1000, 2000] } else { sizes };
    println!(
        "| n | threads | regularity s | faer s | ratio | residual, ours | faer's | orthogonality, ours | faer's |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for n in sizes {
        for threads in [1, 2] {
            let context = Context::new(Isa::detect(), threads).unwrap();
            faer::set_global_parallelism(if threads == 1 { Par::Seq } else { Par::rayon(threads) });
            let a = gaussian_kernel(&context, n);
            let theirs = Mat::from_fn(n, n, |i, j| a[i * n + j]);
            let rounds = if n < 1000 { 5 } else { 2 };
            let (mut best, mut best_faer) = (f64::INFINITY, f64::INFINITY);
            let (mut own, mut other) = ((0.0, 0.0), (0.0, 0.0));
            for round in 0..rounds {
                let start = Instant::now();
                let eigen = SymmetricEigen::new(&context, MatRef::new(black_box(&a), n, n).unwrap()).unwrap();
                best = best.min(start.elapsed().as_secs_f64());
                let start = Instant::now();
                let faer = SelfAdjointEigen::new(black_box(theirs.as_ref()), Side::Lower).unwrap();
                best_faer = best_faer.min(start.elapsed().as_secs_f64());
                if round == 0 {
                    own = errors(&context, &a, eigen.values(), eigen.vectors());
                    let values: Vec<f64> = (0..n).map(|k| faer.S()[k]).collect();
                    let vectors: Vec<f64> = (0..n * n).map(|i| faer.U()[(i % n, i / n)]).collect();
                    other = errors(&context, &a, &values, &vectors);
                    let far = (0..n).map(|k| (values[n - 1 - k] - eigen.values()[k]).abs()).fold(0.0, f64::max);
                    assert!(far <= 4.0 * n as f64 * f64::EPSILON * eigen.values()[0], "eigenvalues differ by {far:e}");
                }
            }
            println!(
                "| {n} | {threads} | {best:.3} | {best_faer:.3} | {:.2} | {:.3} | {:.3} | {:.3} | {:.3} |",
                best / best_faer,
                own.0,
                other.0,
                own.1,
                other.1
            );
        }
    }
}
