//! The vector loops against their twins, and the decompositions against their definitions.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use super::kernels::{LANES, PANEL, combine, product_scratch, rotate, rotate_pair, row_dots, symmetric_product};
use super::*;
use crate::kernels::gemm;
use crate::parallel::Context;
use crate::reference::{linalg as twin, reduce as reduce_twin};
use crate::tensor::MatMut;
use crate::testing::{Kind, Rng, compare_values, contexts, small_scale};

/// Sizes with every remainder of groups and vectors, around shards and panels, and beyond one task.
fn sizes() -> Vec<usize> {
    let mut sizes: Vec<usize> = (0..=18).chain([31, 32, 33, 63, 64, 65, 66, 100]).collect();
    if !small_scale() {
        sizes.extend([129, 200]);
    }
    sizes
}

fn random_symmetric(n: usize, seed: u64) -> Vec<f64> {
    let mut a = Kind::Uniform.vector::<f64>(seed, n * n);
    for i in 0..n {
        for j in 0..i {
            a[i * n + j] = a[j * n + i];
        }
    }
    a
}

fn context() -> &'static Context {
    contexts().last().unwrap()
}

#[test]
fn the_symmetric_product_is_its_twin_everywhere() {
    for n in sizes() {
        for (kind, seed) in [(Kind::Uniform, 1), (Kind::Cancelling, 2), (Kind::Tiny, 3)] {
            for from in [0, 1, n / 3, n.saturating_sub(9), n.saturating_sub(1)] {
                let size = n.next_multiple_of(LANES);
                let a = kind.vector::<f64>(seed, n * n);
                let mut x = kind.vector::<f64>(seed + 7, n);
                x[..from.min(n)].fill(0.0);
                let expected = twin::symmetric_product(MatRef::new(&a, n, n).unwrap(), from, &x);
                x.resize(size, 0.0);
                let (mut upper, mut diagonal) = (vec![0.0; size * size], vec![0.0; size]);
                for i in 0..n {
                    // What is not to be read is not a number.
                    upper[i * size..][..i / LANES * LANES].fill(f64::NAN);
                    upper[i * size + i + 1..][..n - i - 1].copy_from_slice(&a[i * n + i + 1..(i + 1) * n]);
                    diagonal[i] = a[i * n + i];
                }
                for context in contexts() {
                    // Results of an earlier, larger product must not leak into this one.
                    let (mut scratch, mut y) = (vec![0.0; product_scratch(size)], vec![f64::NAN; size]);
                    for from in [0, from] {
                        let mut x = x.clone();
                        x[..from.min(n)].fill(0.0);
                        symmetric_product(context, &upper, &diagonal, from, &x, &mut scratch, &mut y).unwrap();
                    }
                    compare_values(&expected[from.min(n)..], &y[from.min(n)..n])
                        .unwrap_or_else(|m| panic!("{n} rows from {from}, {kind:?}, {:?}: {m}", context.isa()));
                }
            }
        }
    }
}

#[test]
fn combinations_and_dots_of_rows_are_their_twins_everywhere() {
    for (columns, pitch) in [(1, 1), (7, 9), (16, 16), (17, 40), (100, 104), (1024, 1024), (2100, 2104)] {
        for count in [0, 1, 2, 9, 64] {
            let rows = Kind::Cancelling.vector::<f64>(3, count * pitch + pitch);
            let (factors, x) = (Kind::Uniform.vector::<f64>(4, count), Kind::Uniform.vector::<f64>(5, columns));
            let view = MatRef::with_strides(&rows, count, columns, pitch, 1).unwrap();
            let mut expected = x.clone();
            twin::combine(&factors, view, &mut expected);
            let dots: Vec<f64> = (0..count).map(|p| reduce_twin::dot(&rows[p * pitch..][..columns], &x)).collect();
            for context in contexts() {
                let mut y = x.clone();
                combine(context, &factors, &rows, pitch, &mut y).unwrap();
                compare_values(&expected, &y).unwrap();
                let mut found = vec![0.0; count];
                row_dots(context, &rows, pitch, &x, &mut found).unwrap();
                compare_values(&dots, &found).unwrap();
            }
        }
    }
}

#[test]
fn rotations_are_their_twin_everywhere() {
    let mut rng = Rng(5);
    for n in [2, 3, 16, 17, 40, 65] {
        let sweeps: Vec<Sweep> = (0..9)
            .map(|_| {
                let (length, first) = (rng.below(n), rng.below(n));
                let falling = rng.below(2) == 0;
                let room = if falling { first } else { n - 1 - first };
                Sweep { first, falling, length: length.min(room) }
            })
            .collect();
        let rotations: Vec<[f64; 2]> =
            (0..sweeps.iter().map(|s| s.length).sum()).map(|_| [rng.signed(), rng.signed()]).collect();
        let columns = n.next_multiple_of(PANEL);
        let matrix = Kind::Uniform.vector::<f64>(6, n * columns);
        let mut expected = matrix.clone();
        let mut used = 0;
        for &sweep in &sweeps {
            twin::rotate(sweep, &rotations[used..used + sweep.length], columns, &mut expected);
            used += sweep.length;
        }
        let panels: Vec<f64> =
            (0..n * columns).map(|i| matrix[i / PANEL % n * columns + i / PANEL / n * PANEL + i % PANEL]).collect();
        for context in contexts() {
            let mut panels = panels.clone();
            rotate(context, n, &sweeps, &rotations, &mut panels).unwrap();
            let found: Vec<f64> = (0..n * columns)
                .map(|i| {
                    let (row, column) = (i / columns, i % columns);
                    panels[(column / PANEL * n + row) * PANEL + column % PANEL]
                })
                .collect();
            compare_values(&expected, &found).unwrap();
            let (mut z, mut y) = (matrix[..n].to_vec(), matrix[n..2 * n].to_vec());
            let mut pair = [z.clone(), y.clone()].concat();
            let sweep = Sweep { first: 0, falling: false, length: 1 };
            twin::rotate(sweep, &[[0.8, 0.6]], n, &mut pair);
            rotate_pair(context, 0.8, 0.6, &mut z, &mut y).unwrap();
            compare_values(&pair, &[z, y].concat()).unwrap();
        }
    }
}

/// The largest magnitude of `V A - D V` and of `V V' - 1`.
fn errors(a: &[f64], eigen: &SymmetricEigen) -> (f64, f64) {
    let n = eigen.values().len();
    let (v, options) = (eigen.matrix().unwrap(), gemm::Options::default());
    let largest = |x: &[f64]| x.iter().fold(0.0, |m: f64, x| if x.abs() > m { x.abs() } else { m });
    let mut residual = vec![0.0; n * n];
    let product = MatMut::new(&mut residual, n, n).unwrap();
    gemm::gemm(context(), v, MatRef::new(a, n, n).unwrap(), product, &options).unwrap();
    for (i, x) in residual.iter_mut().enumerate() {
        *x -= eigen.values()[i / n] * eigen.vectors()[i];
    }
    let mut gram = vec![0.0; n * n];
    gemm::gemm(context(), v, v.transposed(), MatMut::new(&mut gram, n, n).unwrap(), &options).unwrap();
    (0..n).for_each(|i| gram[i * n + i] -= 1.0);
    (largest(&residual), largest(&gram))
}

/// Matrices of many kinds, each with a name and its norm.
fn zoo(n: usize) -> Vec<(&'static str, Vec<f64>)> {
    let make = |f: &dyn Fn(usize, usize) -> f64| (0..n * n).map(|i| f(i / n, i % n)).collect::<Vec<f64>>();
    let distance = |i: usize, j: usize| (i as f64 - j as f64) / n as f64;
    let power = |e: i32| crate::testing::two_to(e);
    vec![
        ("random", random_symmetric(n, 11)),
        ("zero", vec![0.0; n * n]),
        ("identity", make(&|i, j| if i == j { 1.0 } else { 0.0 })),
        ("ones: rank one", vec![1.0; n * n]),
        ("second difference", make(&|i, j| [2.0, -1.0, 0.0][i.abs_diff(j).min(2)])),
        ("gaussian kernel", make(&|i, j| crate::math::scalar::exp(-9.0 * distance(i, j) * distance(i, j)))),
        ("hilbert", make(&|i, j| 1.0 / (i + j + 1) as f64)),
        ("graded downwards", make(&|i, j| power(-3 * i.max(j).min(100) as i32))),
        ("graded upwards", make(&|i, j| power(-3 * (n - i.min(j)).min(100) as i32))),
        ("two blocks of copies", make(&|i, j| if i % 2 == j % 2 { 1.0 } else { 0.0 })),
        ("diagonal", make(&|i, j| if i == j { i as f64 - 3.0 } else { 0.0 })),
        ("anti-diagonal", make(&|i, j| if i + j + 1 == n { 1.0 } else { 0.0 })),
        ("huge", random_symmetric(n, 12).iter().map(|x| x * power(1000)).collect()),
        ("tiny", random_symmetric(n, 13).iter().map(|x| x * power(-1010)).collect()),
    ]
}

#[test]
fn eigenvectors_are_orthonormal_and_eigenvalues_belong_to_them() {
    for n in [1, 2, 3, 5, 11, 34, 67, 150] {
        for (name, a) in zoo(n) {
            let eigen = SymmetricEigen::new(context(), MatRef::new(&a, n, n).unwrap()).unwrap();
            let norm = eigen.values().iter().fold(0.0, |m: f64, x| if x.abs() > m { x.abs() } else { m });
            let (residual, orthogonality) = errors(&a, &eigen);
            let bound = 2.0 * (n as f64 + 10.0) * EPSILON;
            assert!(residual <= bound * norm, "{name}, n = {n}: residual {residual:e} for norm {norm:e}");
            assert!(orthogonality <= bound, "{name}, n = {n}: {orthogonality:e} from orthonormal");
            assert!(eigen.values().windows(2).all(|w| w[0] >= w[1]), "{name}, n = {n}: not in descending order");
            for row in eigen.vectors().chunks(n) {
                let largest = row.iter().fold(0.0, |m: f64, x| if x.abs() > m { x.abs() } else { m });
                assert!(row.iter().find(|x| x.abs() >= 0.5 * largest).unwrap() > &0.0, "{name}: sign");
            }
        }
    }
}

#[test]
fn eigenvalues_known_in_closed_form_are_found() {
    let n = 100;
    let a: Vec<f64> = (0..n * n).map(|i: usize| [2.0, -1.0, 0.0][(i / n).abs_diff(i % n).min(2)]).collect();
    let eigen = SymmetricEigen::new(context(), MatRef::new(&a, n, n).unwrap()).unwrap();
    for (k, value) in eigen.values().iter().enumerate() {
        // 2 - 2 cos(pi (n - k) / (n + 1))
        let angle = std::f64::consts::PI * (n - k) as f64 / (n + 1) as f64;
        let expected = 2.0 - 2.0 * crate::math::scalar::cos(angle);
        assert!((value - expected).abs() < 5e-14, "{k}: {value} for {expected}");
    }
}

#[test]
fn the_decomposition_has_the_same_bits_on_every_context_and_for_every_stride() {
    let n = if small_scale() { 40 } else { 150 };
    for (name, a) in zoo(n) {
        let first = SymmetricEigen::new(&contexts()[0], MatRef::new(&a, n, n).unwrap()).unwrap();
        let pitch = n + 3;
        let mut spread = vec![f64::NAN; n * pitch];
        (0..n).for_each(|i| spread[i * pitch..i * pitch + n].copy_from_slice(&a[i * n..(i + 1) * n]));
        for context in contexts() {
            let view = MatRef::with_strides(&spread, n, n, pitch, 1).unwrap();
            let eigen = SymmetricEigen::new(context, view.transposed()).unwrap();
            compare_values(first.values(), eigen.values()).unwrap_or_else(|m| panic!("{name}: {m}"));
            compare_values(first.vectors(), eigen.vectors()).unwrap_or_else(|m| panic!("{name}: {m}"));
        }
    }
}

#[test]
fn scaling_by_a_power_of_two_scales_the_eigenvalues_and_nothing_else() {
    let n = 37;
    let a = random_symmetric(n, 21);
    let scaled: Vec<f64> = a.iter().map(|x| x * 0.125).collect();
    let eigen = SymmetricEigen::new(context(), MatRef::new(&a, n, n).unwrap()).unwrap();
    let other = SymmetricEigen::new(context(), MatRef::new(&scaled, n, n).unwrap()).unwrap();
    assert!(eigen.values().iter().zip(other.values()).all(|(x, y)| x * 0.125 == *y));
    assert_eq!(eigen.vectors(), other.vectors());
}

/// `B B' + n I`, positive definite.
fn positive(n: usize) -> Vec<f64> {
    let b = Kind::Uniform.vector::<f64>(31, n * n);
    let mut a = vec![0.0; n * n];
    let b = MatRef::new(&b, n, n).unwrap();
    gemm::gemm(context(), b, b.transposed(), MatMut::new(&mut a, n, n).unwrap(), &gemm::Options::default()).unwrap();
    (0..n).for_each(|i| a[i * n + i] += 0.1 * n as f64);
    a
}

#[test]
fn factors_and_solutions_are_their_twins_everywhere_and_solve() {
    for n in sizes() {
        let a = positive(n);
        let mut expected = a.clone();
        twin::cholesky(&mut expected, n);
        let columns = 1 + n % 10;
        let b = Kind::Uniform.vector::<f64>(32, n * columns);
        let l = MatRef::new(&expected, n, n).unwrap();
        let mut forward = b.clone();
        twin::solve_lower(l, &mut forward, columns);
        let mut solution = forward.clone();
        twin::solve_upper(l.transposed(), cholesky::BLOCK, &mut solution, columns);
        for context in contexts() {
            let (mut factor, mut x) = (a.clone(), b.clone());
            cholesky(context, &mut factor, n).unwrap();
            compare_values(&expected, &factor).unwrap_or_else(|m| panic!("factor, n = {n}: {m}"));
            let l = MatRef::new(&factor, n, n).unwrap();
            solve_lower(context, l, &mut x, columns).unwrap();
            compare_values(&forward, &x).unwrap_or_else(|m| panic!("forward, n = {n}: {m}"));
            solve_upper(context, l.transposed(), &mut x, columns).unwrap();
            compare_values(&solution, &x).unwrap_or_else(|m| panic!("backward, n = {n}: {m}"));
        }
        let mut product = vec![0.0; n * columns];
        let (a, x) = (MatRef::new(&a, n, n).unwrap(), MatRef::new(&solution, n, columns).unwrap());
        let c = MatMut::new(&mut product, n, columns).unwrap();
        gemm::gemm(context(), a, x, c, &gemm::Options::default()).unwrap();
        assert!(product.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-12), "n = {n}");
    }
}

#[test]
fn singular_values_and_vectors_make_the_matrix_again() {
    for (m, n) in [(0, 3), (1, 1), (3, 5), (5, 3), (20, 20), (7, 64), (64, 7)] {
        let mut a = Kind::Uniform.vector::<f64>(41, m * n);
        if m > 4 && n > 2 {
            // A column that is a multiple of another: one singular value less.
            (0..m).for_each(|i| a[i * n + 2] = 2.0 * a[i * n + 1]);
        }
        let view = MatRef::new(&a, m, n).unwrap();
        let found = svd(context(), view).unwrap();
        let k = m.min(n);
        for i in 0..m {
            for j in 0..n {
                let sum: f64 = (0..k).map(|p| found.left[p * m + i] * found.values[p] * found.right[p * n + j]).sum();
                assert!((sum - a[i * n + j]).abs() < 1e-13, "({m}, {n})");
            }
        }
        assert!(found.values.windows(2).all(|w| w[0] >= w[1]) && found.values.iter().all(|&s| s >= 0.0));
        for context in contexts() {
            assert_eq!(svd(context, view).unwrap(), found);
        }
    }
}

#[test]
fn small_singular_values_are_found_to_high_relative_accuracy() {
    // Well-conditioned times diagonal: [[1, 1], [1, -1]] diag(1, 1e-30) has singular values sqrt 2 and 1e-30 sqrt 2.
    let a = [1.0, 1e-30, 1.0, -1e-30];
    let found = svd(context(), MatRef::new(&a, 2, 2).unwrap()).unwrap();
    assert!((found.values[1] / (1e-30 * std::f64::consts::SQRT_2) - 1.0).abs() < 1e-15);
}

#[test]
fn bad_matrices_are_errors_that_name_the_place() {
    let context = context();
    let eigen = |a: &[f64], rows, cols| SymmetricEigen::new(context, MatRef::new(a, rows, cols).unwrap()).unwrap_err();
    assert!(matches!(eigen(&[1.0; 6], 2, 3), Error::Shape { expected: 2, actual: 3, .. }));
    assert!(matches!(eigen(&[1.0, f64::NAN, 0.0, 1.0], 2, 2), Error::NotFinite { row: 0, column: 1, .. }));
    assert!(matches!(eigen(&[1.0, 2.0, 2.1, 1.0], 2, 2), Error::NotSymmetric { row: 0, column: 1, .. }));
    let mut a = [1.0, 2.0, 2.0, 1.0];
    assert!(matches!(cholesky(context, &mut a, 2), Err(Error::NotPositive { index: 1, .. })));
    assert!(matches!(cholesky(context, &mut [1.0; 3], 2), Err(Error::Shape { .. })));
    let l = [1.0, 0.0, 3.0, 0.0];
    let l = MatRef::new(&l, 2, 2).unwrap();
    assert!(matches!(solve_lower(context, l, &mut [1.0; 2], 1), Err(Error::NotPositive { index: 1, .. })));
    assert!(matches!(solve_upper(context, l, &mut [1.0; 3], 1), Err(Error::Shape { expected: 2, actual: 3, .. })));
    assert!(matches!(svd(context, MatRef::new(&[f64::INFINITY], 1, 1).unwrap()), Err(Error::NotFinite { .. })));
}
