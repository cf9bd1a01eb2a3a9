//! The engine's decompositions beside faer's, an implementation by others.

#![allow(clippy::unwrap_used)] // a test that unwraps says where it failed

use faer::linalg::solvers::{Llt, SelfAdjointEigen, Svd as FaerSvd};
use faer::{Mat, Side};
use regularity_engine::linalg::{SymmetricEigen, cholesky, svd};
use regularity_engine::random::Stream;
use regularity_engine::simd::Real;
use regularity_engine::tensor::MatRef;
use regularity_engine::{Context, Isa};

const EPSILON: f64 = f64::EPSILON;

fn context() -> Context {
    Context::new(Isa::detect(), 2).unwrap()
}

fn normal(context: &Context, rows: usize, cols: usize, step: u64) -> Vec<f64> {
    let mut x = vec![0.0f32; rows * cols];
    Stream::new(1, "tests/decompositions", step).fill_normal(context, 0, &mut x, 0.0, 1.0).unwrap();
    x.into_iter().map(f64::from).collect()
}

/// `x x'` of a `[n, k]` matrix: of rank k, so singular for k < n.
fn gram(x: &[f64], n: usize, k: usize) -> Vec<f64> {
    let row = |i: usize| &x[i * k..(i + 1) * k];
    let inner = |i: usize, j: usize| row(i).iter().zip(row(j)).fold(0.0, |sum, (a, b)| sum + a * b);
    (0..n * n).map(|i| inner(i / n, i % n)).collect()
}

/// Symmetric matrices of size n: indefinite, positive, singular, a kernel with eigenvalues down to rounding, diagonal.
fn symmetric(context: &Context, n: usize) -> Vec<(&'static str, Vec<f64>)> {
    let x = normal(context, n, n, n as u64);
    let points: Vec<f64> = (0..n).map(|i| i as f64 / n as f64).collect();
    let kernel = |i: usize| {
        let distance = points[i / n] - points[i % n];
        1.0 / (1.0 + 16.0 * distance * distance)
    };
    vec![
        ("indefinite", (0..n * n).map(|i| x[i] + x[i % n * n + i / n]).collect()),
        ("positive", gram(&x, n, n)),
        ("singular", gram(&x, n, n.div_ceil(2))),
        ("kernel", (0..n * n).map(kernel).collect()),
        ("diagonal", (0..n * n).map(|i| if i / n == i % n { x[i] } else { 0.0 }).collect()),
    ]
}

fn largest(x: impl Iterator<Item = f64>) -> f64 {
    x.fold(0.0, |most, x| if x.abs() > most { x.abs() } else { most })
}

#[test]
fn eigenvalues_and_separated_eigenvectors_are_faers() {
    let context = context();
    for n in [1, 2, 3, 11, 40, 160] {
        for (name, a) in symmetric(&context, n) {
            let own = SymmetricEigen::new(&context, MatRef::new(&a, n, n).unwrap()).unwrap();
            let theirs = SelfAdjointEigen::new(Mat::from_fn(n, n, |i, j| a[i * n + j]).as_ref(), Side::Lower).unwrap();
            let scale = largest(own.values().iter().copied());
            let allowed = 8.0 * n as f64 * EPSILON * scale;
            // Theirs ascend.
            let value = |k: usize| theirs.S()[n - 1 - k];
            for (k, own) in own.values().iter().enumerate() {
                assert!((own - value(k)).abs() <= allowed, "{name} {n}: value {k} is {own:e}, theirs {:e}", value(k));
            }
            let mut compared = 0;
            for k in 0..n {
                let gap = (0..n).filter(|&j| j != k).fold(scale, |gap, j| gap.min_select((value(j) - value(k)).abs()));
                // Where eigenvalues nearly meet, any basis of their space will do.
                if gap < 1e-6 * scale {
                    continue;
                }
                compared += 1;
                let inner = (0..n).fold(0.0, |sum, i| sum + own.vectors()[k * n + i] * theirs.U()[(i, n - 1 - k)]);
                let off = (1.0 - inner.abs()).abs();
                assert!(off <= 4.0 * allowed / gap, "{name} {n}: vector {k} is off by {off:e}");
            }
            assert!(compared > 0 || n > 3, "{name} {n}: no vector was compared");
        }
    }
}

#[test]
fn singular_values_and_factors_are_faers() {
    let context = context();
    for (m, n) in [(1, 1), (2, 3), (11, 4), (4, 11), (60, 35), (35, 60)] {
        let a = normal(&context, m, n, (1000 * m + n) as u64);
        let own = svd(&context, MatRef::new(&a, m, n).unwrap()).unwrap();
        let theirs = FaerSvd::new(Mat::from_fn(m, n, |i, j| a[i * n + j]).as_ref()).unwrap();
        let scale = own.values[0];
        for (k, own) in own.values.iter().enumerate() {
            let off = (own - theirs.S()[k]).abs();
            assert!(off <= 8.0 * m.max(n) as f64 * EPSILON * scale, "{m} x {n}: value {k} is off by {off:e}");
        }
        let rank = m.min(n);
        let product = |i: usize, j: usize| {
            (0..rank).fold(0.0, |sum, k| sum + own.left[k * m + i] * own.values[k] * own.right[k * n + j])
        };
        let residual = largest((0..m * n).map(|i| product(i / n, i % n) - a[i]));
        assert!(residual <= 8.0 * m.max(n) as f64 * EPSILON * scale, "{m} x {n}: residual {residual:e}");
    }
}

#[test]
fn cholesky_factors_are_faers_and_what_has_none_has_none() {
    let context = context();
    for n in [1, 2, 3, 11, 40, 160] {
        let mut a = gram(&normal(&context, n, n, n as u64), n, n);
        // Away from singular, so that the factor is well determined.
        (0..n).for_each(|i| a[i * n + i] += n as f64);
        let theirs = Llt::new(Mat::from_fn(n, n, |i, j| a[i * n + j]).as_ref(), Side::Lower).unwrap();
        let mut own = a.clone();
        cholesky(&context, &mut own, n).unwrap();
        let scale = largest(own.iter().copied());
        for i in 0..n {
            for j in 0..=i {
                let off = (own[i * n + j] - theirs.L()[(i, j)]).abs();
                assert!(off <= 16.0 * n as f64 * EPSILON * scale, "{n}: element {i}, {j} is off by {off:e}");
            }
        }
    }
    for (name, a) in symmetric(&context, 11).into_iter().filter(|(name, _)| *name == "indefinite") {
        assert!(Llt::new(Mat::from_fn(11, 11, |i, j| a[i * 11 + j]).as_ref(), Side::Lower).is_err(), "{name}");
        assert!(cholesky(&context, &mut a.clone(), 11).is_err(), "{name}");
    }
}
