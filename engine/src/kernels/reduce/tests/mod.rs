//! Reductions against their twins, against integers, and against planted faults.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod trees;

use super::columns::columns;
use super::flat::{Dot, Fold, Sum, SumOfSquares, flat};
use super::*;
use crate::kernels::Scalar;
use crate::reference::reduce as reference;
use crate::simd::Vector;
use crate::tensor::MatRef;
use crate::testing::{Case, Kind, Outcome, Rng, compare, compare_values, contexts, in_turns, lengths, small_scale};

/// All flat results of a case, by the kernels.
fn kernels<T: Scalar>(context: &Context, case: &Case<'_, T>) -> Vec<T> {
    let (a, b) = (case.a, case.b);
    let index = first_non_finite(context, a).unwrap().map_or(T::from_f64(-1.0), |i| T::from_f64(i as f64));
    let mean = if a.is_empty() { T::ZERO } else { mean(context, a).unwrap() };
    vec![
        sum(context, a).unwrap(),
        mean,
        sum_of_squares(context, a).unwrap(),
        norm(context, a).unwrap(),
        dot(context, a, b).unwrap(),
        squared_distance(context, a, b).unwrap(),
        max(context, a).unwrap(),
        max_abs(context, a).unwrap(),
        index,
    ]
}

/// The same, by the reference.
fn references<T: Scalar>(case: &Case<'_, T>) -> Vec<T> {
    let (a, b) = (case.a, case.b);
    let index = reference::first_non_finite(a).map_or(T::from_f64(-1.0), |i| T::from_f64(i as f64));
    vec![
        reference::sum(a),
        if a.is_empty() { T::ZERO } else { reference::mean(a) },
        reference::sum_of_squares(a),
        reference::norm(a),
        reference::dot(a, b),
        reference::squared_distance(a, b),
        reference::max(a),
        reference::max_abs(a),
        index,
    ]
}

#[test]
fn flat_reductions_are_the_reference_everywhere_f32() {
    compare::<f32>(&lengths(), references, kernels).unwrap();
}

#[test]
fn flat_reductions_are_the_reference_everywhere_f64() {
    compare::<f64>(&lengths(), references, kernels).unwrap();
}

#[test]
fn integers_are_summed_exactly() {
    fn check<T: Scalar>() {
        for len in lengths() {
            let a = Kind::Integers.vector::<T>(1, len);
            let b = Kind::Integers.vector::<T>(2, len);
            let integer = |x: &T| x.to_f64() as i64;
            let truth = [
                a.iter().map(integer).sum::<i64>(),
                a.iter().map(|x| integer(x) * integer(x)).sum(),
                a.iter().zip(&b).map(|(a, b)| integer(a) * integer(b)).sum(),
                a.iter().map(|x| integer(x).abs()).max().unwrap_or(0),
            ]
            .map(|x| T::from_f64(x as f64));
            for context in contexts() {
                let (a, b) = (&a[..], &b[..]);
                let found = [sum(context, a), sum_of_squares(context, a), dot(context, a, b), max_abs(context, a)];
                compare_values(&truth, &found.map(|x| x.unwrap())).unwrap();
            }
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn zeros_and_empty_slices_give_positive_zero() {
    for context in contexts() {
        for x in [&[][..], &[-0.0f32], &[-0.0; 100]] {
            let tiny = vec![-1e-30f32; x.len()];
            let results = [sum(context, x), sum_of_squares(context, x), max_abs(context, x)];
            assert!(results.into_iter().all(|r| r.unwrap().to_bits() == 0));
            assert_eq!(dot(context, &tiny, &vec![1e-30; x.len()]).unwrap().to_bits(), 0);
        }
        assert_eq!(max::<f32>(context, &[]).unwrap(), f32::NEG_INFINITY);
        assert_eq!(max(context, &[f32::NAN, -0.0]).unwrap().to_bits(), 0);
    }
}

#[test]
fn bad_arguments_are_errors() {
    let context = &contexts()[0];
    assert!(matches!(mean::<f32>(context, &[]), Err(Error::Argument { op: "mean", .. })));
    assert!(matches!(dot(context, &[1.0f32], &[]), Err(Error::Shape { op: "dot", expected: 1, actual: 0, .. })));
    let x = MatRef::new(&[1.0f32; 6], 2, 3).unwrap();
    assert!(matches!(column_sums(context, x, &mut [0.0; 2]), Err(Error::Shape { expected: 3, actual: 2, .. })));
    assert!(matches!(column_moments(context, x, &mut [0.0; 3], &mut [0.0; 4]), Err(Error::Shape { .. })));
    assert!(matches!(row_sums(context, x, &mut [0.0; 3]), Err(Error::Shape { expected: 2, .. })));
    assert!(matches!(column_sums(context, x.transposed(), &mut [0.0; 2]), Err(Error::Argument { .. })));
    assert!(matches!(row_sums(context, x.transposed(), &mut [0.0; 3]), Err(Error::Argument { .. })));
}

/// Shapes (rows, columns, row stride): every remainder of a vector, of four shards, of a block of columns, and more
/// than one task.
fn shapes() -> Vec<(usize, usize, usize)> {
    let mut shapes = vec![(0, 3, 3), (3, 0, 0), (1, 1, 1), (1, 100, 100), (5, 7, 0)];
    for cols in (1..=17).chain([31, 32, 33, 48, 63, 64, 65, 100, 130]) {
        for rows in [1, 2, 63, 64, 65, 130, 300] {
            shapes.push((rows, cols, cols + cols % 5));
        }
    }
    if !small_scale() {
        shapes.extend([
            (3, 70_000, 70_000),
            (200, 2100, 2105),
            (10_000, 16, 16),
            (64 * 67 + 3, 33, 40),
            (100_000, 3, 3),
        ]);
    }
    shapes
}

/// All results of a matrix, by `run(x, sums, squares, row sums)`.
fn matrix_results<T: Scalar>(x: MatRef<'_, T>, run: impl Fn(MatRef<'_, T>, [&mut [T]; 4])) -> Vec<T> {
    // What was there before must not matter.
    let mut results = vec![T::from_f64(f64::NAN); 3 * x.cols() + x.rows()];
    let (only, rest) = results.split_at_mut(x.cols());
    let (sums, rest) = rest.split_at_mut(x.cols());
    let (squares, rows) = rest.split_at_mut(x.cols());
    run(x, [only, sums, squares, rows]);
    results
}

fn matrices_match<T: Scalar>(kernel: impl Fn(&Context, MatRef<'_, T>, [&mut [T]; 4])) -> Outcome {
    for (case, (rows, cols, stride)) in shapes().into_iter().enumerate() {
        for (k, kind) in Kind::ALL.into_iter().enumerate() {
            let len = if rows == 0 { 0 } else { (rows - 1) * stride + cols };
            let values = kind.vector::<T>(3, len + 3);
            for offset in [0, 3] {
                let x = MatRef::with_strides(&values[offset..offset + len], rows, cols, stride, 1).unwrap();
                let expected = matrix_results(x, |x, [only, sums, squares, row_sums]| {
                    reference::column_sums(x, only);
                    reference::column_moments(x, sums, squares);
                    reference::row_sums(x, row_sums);
                });
                // Beyond that, there are several tasks.
                let all = || contexts().iter().collect();
                for context in if rows * cols <= 1 << 15 { in_turns(case + k + offset) } else { all() } {
                    let actual = matrix_results(x, |x, results| kernel(context, x, results));
                    let place = format!("{} {kind:?} {rows} x {cols}, {context:?}", T::NAME);
                    compare_values(&expected, &actual).map_err(|m| format!("{place}: {m}"))?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn column_and_row_reductions_are_the_reference_everywhere() {
    fn check<T: Scalar>() {
        matrices_match::<T>(|context, x, [only, sums, squares, rows]| {
            column_sums(context, x, only).unwrap();
            column_moments(context, x, sums, squares).unwrap();
            row_sums(context, x, rows).unwrap();
        })
        .unwrap();
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn another_shard_of_rows_is_noticed() {
    for shard_rows in [32, 63, 128] {
        let found = matrices_match::<f32>(|context, x, [only, sums, squares, rows]| {
            columns::<f32, false>(context, "test", shard_rows, x, only, &mut []).unwrap();
            columns::<f32, true>(context, "test", shard_rows, x, sums, squares).unwrap();
            row_sums(context, x, rows).unwrap();
        });
        assert!(found.is_err(), "{shard_rows}");
    }
}

/// A reduction with a fault, or without one, in place of each of `sum`, `sum_of_squares` and `dot`.
fn flawed<T: Scalar>(run: impl Fn(&Context, &[T], &[T]) -> [T; 3]) -> Outcome {
    compare::<T>(
        &[1, 64, 65, 150, 1000, 16_384 + 7, 3 * 16_384 + 3],
        |case| references(case)[..5].iter().copied().enumerate().filter(|(i, _)| i % 2 == 0).map(|(_, x)| x).collect(),
        |context, case| run(context, case.a, case.b).to_vec(),
    )
}

fn with_order<T: Scalar, const STRIPES: usize>(shard_len: usize) -> Outcome {
    flawed::<T>(|context, a, b| {
        [
            flat::<T, _, STRIPES>(context, Sum, shard_len, a, a).unwrap(),
            flat::<T, _, STRIPES>(context, SumOfSquares, shard_len, a, a).unwrap(),
            flat::<T, _, STRIPES>(context, Dot, shard_len, a, b).unwrap(),
        ]
    })
}

#[test]
fn another_number_of_stripes_or_another_shard_is_noticed() {
    with_order::<f32, 64>(16_384).unwrap();
    with_order::<f64, 64>(16_384).unwrap();
    assert!(with_order::<f32, 32>(16_384).is_err());
    assert!(with_order::<f32, 64>(8_192).is_err());
    assert!(with_order::<f64, 64>(8_192).is_err());
    assert!(with_order::<f32, 64>(16_384 + 64).is_err());
}

/// `s + a * b` with two roundings.
#[derive(Debug, Clone, Copy)]
struct SplitDot;
impl<T: Scalar> Fold<T> for SplitDot {
    fn start(self) -> T {
        T::ZERO
    }
    #[inline(always)]
    fn step<V: Vector<Elem = T>>(self, acc: V, a: V, b: V) -> V {
        acc + a * b
    }
    #[inline(always)]
    fn join<V: Vector<Elem = T>>(self, left: V, right: V) -> V {
        left + right
    }
    #[inline(always)]
    fn join_lanes<V: Vector<Elem = T>>(self, stripes: V) -> T {
        stripes.fold_halves()
    }
    fn join_one(self, left: T, right: T) -> T {
        left + right
    }
}

#[test]
fn a_split_multiply_add_is_noticed() {
    let correct = |context: &Context, a: &[f32], b: &[f32]| {
        [sum(context, a).unwrap(), sum_of_squares(context, a).unwrap(), dot(context, a, b).unwrap()]
    };
    flawed::<f32>(correct).unwrap();
    let split = |context: &Context, a: &[f32], b: &[f32]| flat::<f32, _, 64>(context, SplitDot, SHARD, a, b).unwrap();
    assert!(flawed::<f32>(|c, a, b| [correct(c, a, b)[0], correct(c, a, b)[1], split(c, a, b)]).is_err());
    assert!(flawed::<f32>(|c, a, b| [correct(c, a, b)[0], split(c, a, a), correct(c, a, b)[2]]).is_err());
}

/// The reference's sum with one detail of its order changed by hand.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The first halving joins neighbours.
    HalvingSwapped,
    /// Elements 64 and 128 of a shard change places in their chain.
    ChainSwapped,
    /// The shards are joined from left to right.
    ShardsInAChain,
    /// No `+0 +` at the end.
    ZeroKept,
}

fn faulty_sum_of_products(a: &[f32], b: &[f32], fault: Fault) -> f32 {
    let leaf = |s: usize| {
        let range = s * SHARD..((s + 1) * SHARD).min(a.len());
        let mut stripes = [0.0f32; 64];
        for i in range.clone() {
            let at = match (i - range.start, fault) {
                (64, Fault::ChainSwapped) if range.len() > 128 => i + 64,
                (128, Fault::ChainSwapped) => i - 64,
                _ => i,
            };
            let stripe = &mut stripes[(i - range.start) % 64];
            *stripe = Real::fma(a[at], b[at], *stripe);
        }
        let mut half = 32;
        if fault == Fault::HalvingSwapped {
            stripes = std::array::from_fn(|i| if i < 32 { stripes[2 * i] + stripes[2 * i + 1] } else { 0.0 });
            half = 16;
        }
        while half > 0 {
            for i in 0..half {
                stripes[i] += stripes[i + half];
            }
            half /= 2;
        }
        stripes[0]
    };
    let shards = a.len().div_ceil(SHARD);
    let root = match (shards, fault) {
        (0, _) => 0.0,
        (_, Fault::ShardsInAChain) => (1..shards).fold(leaf(0), |acc, s| acc + leaf(s)),
        _ => reference::tree(shards, &leaf, &|x, y| x + y),
    };
    if fault == Fault::ZeroKept { root } else { 0.0 + root }
}

#[test]
fn a_changed_order_is_noticed() {
    let run = |fault| {
        compare::<f32>(
            &lengths(),
            |case| vec![faulty_sum_of_products(case.a, case.b, fault)],
            |context, case| vec![dot(context, case.a, case.b).unwrap()],
        )
    };
    run(Fault::None).unwrap();
    for fault in [Fault::HalvingSwapped, Fault::ChainSwapped] {
        assert!(run(fault).is_err(), "{fault:?}");
    }
    // Every stripe underflows to -0.
    let (a, b) = ([-1e-30; 64], [1e-30; 64]);
    let faulty =
        |fault| compare_values(&[dot(&contexts()[0], &a, &b).unwrap()], &[faulty_sum_of_products(&a, &b, fault)]);
    faulty(Fault::None).unwrap();
    assert!(faulty(Fault::ZeroKept).is_err());
    assert!(run(Fault::ShardsInAChain).is_err() || small_scale());
    // Every stripe underflows to -0: the only way to a negative root.
    let (a, b) = ([-1e-30; 64], [1e-30; 64]);
    assert_eq!(faulty_sum_of_products(&a, &b, Fault::ZeroKept).to_bits(), (-0.0f32).to_bits());
    assert_eq!(faulty_sum_of_products(&a, &b, Fault::None).to_bits(), 0);
    assert!(contexts().iter().all(|context| dot(context, &a, &b).unwrap().to_bits() == 0));
}

#[test]
fn a_batch_cut_at_a_power_of_two_of_shards_is_put_together_by_the_tree() {
    let mut rng = Rng(5);
    let x: Vec<f32> = (0..7 * SHARD + 11).map(|_| rng.signed()).collect();
    for context in contexts() {
        let part = |from: usize, to: usize| sum(context, &x[from * SHARD..(to * SHARD).min(x.len())]).unwrap();
        assert_eq!(part(0, 8).to_bits(), (part(0, 4) + (part(4, 6) + part(6, 8))).to_bits());
    }
}
