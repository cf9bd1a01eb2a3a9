//! Tiers, threads, blockings, layouts, alignments, shapes and kinds of numbers: all give the reference's bits.

use super::*;
use crate::error::Error;

/// A blocking that a tier may or may not have a tile for.
fn odd_blocking<T: Scalar>(rng: &mut Rng) -> Blocking {
    let deepest = if T::NAME == "f32" { 384 } else { 192 };
    Blocking {
        height: 1 + rng.below(rng.clone().pick(&[3, 6, 16])),
        vectors: 1 + rng.below(4),
        depth: rng.pick(&[1, 3, 7, 16, 17, deepest]),
        task_rows: rng.pick(&[1, 65, 129, usize::MAX]),
        task_columns: rng.pick(&[1, 17, 33, 97, usize::MAX]),
    }
}

/// The result, unless the tier has no such tile, which must be said.
fn result_or_no_tile<T: Scalar>(result: crate::Result<Vec<T>>, blocking: Option<Blocking>) -> Option<Vec<T>> {
    match result {
        Ok(result) => Some(result),
        Err(Error::Argument { op: "gemm", what: "the height of the blocking", .. }) if blocking.is_some() => None,
        Err(error) => panic!("{error} with {blocking:?}"),
    }
}

fn random_problems<T: Scalar>(seed: u64, count: usize) {
    let mut rng = Rng(seed);
    let mut compared = 0;
    for _ in 0..scaled(count) {
        let shape = (rng.below(34), rng.below(34), rng.below(34));
        let kind = rng.pick(&Kind::ALL);
        let problem = Problem::<T>::random(&mut rng, kind, shape);
        let layouts = std::array::from_fn(|_| Layout::random(&mut rng));
        let expected = problem.expected();
        let placed = problem.placed(layouts);
        for context in contexts() {
            let blocking = (rng.below(2) == 0).then(|| odd_blocking::<T>(&mut rng));
            if let Some(actual) = result_or_no_tile(placed.run(context, blocking), blocking) {
                assert_same(&expected, &actual, context, &(shape, kind, layouts, blocking));
                compared += 1;
            }
        }
    }
    assert!(compared > scaled(count));
}

#[test]
fn random_small_f32() {
    random_problems::<f32>(1, 1000);
}
#[test]
fn random_small_f64() {
    random_problems::<f64>(2, 500);
}

/// All pairs of tails, the third size fixed.
fn tails<T: Scalar>() {
    let mut rng = Rng(3);
    for x in 0..=33 {
        for y in 0..=33 {
            let shapes = [(x, y, 5), (x, 17, y), (7, x, y)];
            for shape in shapes.into_iter().take(scaled(3)) {
                let problem = Problem::<T>::plain(&mut rng, Kind::Uniform, shape);
                let expected = problem.expected();
                // Rows along memory for the fast paths; every other layout is met in `random_problems`.
                let layouts = std::array::from_fn(|_| Layout { offset: rng.below(17), ..Layout::PLAIN });
                let placed = problem.placed(layouts);
                for context in tiers() {
                    assert_same(&expected, &placed.run(context, None).unwrap(), context, &(shape, layouts));
                }
            }
        }
    }
}

#[test]
fn all_pairs_of_tails_f32() {
    tails::<f32>();
}
#[test]
fn all_pairs_of_tails_f64() {
    tails::<f64>();
}

/// Every tile that a tier has, at every depth, with several tasks; and the typed error for those it has not.
fn every_tile<T: Scalar>() {
    let mut rng = Rng(4);
    let deepest = if T::NAME == "f32" { 384 } else { 192 };
    let problem = Problem::<T>::random(&mut rng, Kind::Cancelling, (67, 75, 37));
    let expected = problem.expected();
    let placed = problem.placed([Layout::PLAIN; 4]);
    for context in tiers() {
        // Accumulators beside one row of B and one element of A; at most 16 rows.
        let tiles = match context.isa() {
            Isa::Portable => [4, 0, 0, 0],
            Isa::Avx512 => [16, 14, 4, 4],
            _ => [6, 3, 2, 1],
        };
        let four_threads = contexts().iter().find(|c| c.isa() == context.isa() && c.threads() == 3).unwrap();
        for vectors in 0..=5 {
            for height in 0..=17 {
                let exists = (1..=4).contains(&vectors) && (1..=tiles[vectors - 1]).contains(&height);
                for depth in [1, 3, 7, 16, 17, deepest] {
                    if rng.below(scaled(20)) != 0 {
                        continue;
                    }
                    let blocking = Blocking { height, vectors, depth, task_rows: 65, task_columns: 17 };
                    for context in [context, four_threads] {
                        let actual = result_or_no_tile(placed.run(context, Some(blocking)), Some(blocking));
                        assert_eq!(actual.is_some(), exists, "{} {blocking:?}", context.isa());
                        if let Some(actual) = actual {
                            assert_same(&expected, &actual, context, &blocking);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_tile_f32() {
    every_tile::<f32>();
}
#[test]
fn every_tile_f64() {
    every_tile::<f64>();
}

/// Shapes beyond one block of k, one block of columns, one task of rows.
fn large<T: Scalar>(shapes: &[(usize, usize, usize)]) {
    let mut rng = Rng(5);
    for &shape in &shapes[..scaled(shapes.len())] {
        let kind = rng.pick(&[Kind::Uniform, Kind::Cancelling, Kind::Tiny]);
        let problem = Problem::<T>::random(&mut rng, kind, shape);
        let expected = problem.expected();
        for round in 0..2 {
            // First as it is usual, then anything.
            let layouts = std::array::from_fn(|_| if round == 0 { Layout::PLAIN } else { Layout::random(&mut rng) });
            let placed = problem.placed(layouts);
            for context in contexts() {
                // The portable tier multiplies slowly.
                if context.isa() == Isa::Portable && context.threads() != 2 + round {
                    continue;
                }
                let blocking = (round == 1 && rng.below(2) == 0).then(|| odd_blocking::<T>(&mut rng));
                if let Some(actual) = result_or_no_tile(placed.run(context, blocking), blocking) {
                    assert_same(&expected, &actual, context, &(shape, kind, layouts, blocking));
                }
            }
        }
    }
}

#[test]
fn beyond_a_block_f32() {
    large::<f32>(&[(21, 333, 401), (530, 35, 400), (30, 1300, 40), (1, 700, 800), (515, 327, 20), (600, 1, 900)]);
}
#[test]
fn beyond_a_block_f64() {
    large::<f64>(&[(21, 333, 201), (530, 35, 200), (30, 700, 40), (1, 400, 500), (515, 167, 20), (600, 1, 500)]);
}

/// Integers are exact, so the truth needs no floating point at all.
fn integers<T: Scalar>() {
    let mut rng = Rng(6);
    for _ in 0..scaled(200) {
        let shape = (1 + rng.below(40), 1 + rng.below(70), rng.below(450));
        let (m, n, k) = shape;
        let mut problem = Problem::<T>::random(&mut rng, Kind::Integers, shape);
        problem.alpha = T::from_f64(rng.pick(&[1.0, -1.0, 2.0]));
        if problem.beta != T::ZERO {
            problem.beta = T::from_f64(rng.pick(&[1.0, 3.0]));
        }
        let int = |x: T| x.to_f64() as i64;
        let mut truth = vec![T::ZERO; m * n];
        for i in 0..m {
            for j in 0..n {
                let mut sum = match problem.with {
                    With::Columns => int(problem.bias[j]),
                    With::Rows => int(problem.bias[i]),
                    With::Nothing if problem.beta == T::ZERO => 0,
                    With::Nothing => int(problem.beta) * int(problem.c[i * n + j]),
                };
                for p in 0..k {
                    sum += int(problem.alpha) * int(problem.a[i * k + p]) * int(problem.b[p * n + j]);
                }
                sum += problem.residual.as_ref().map_or(0, |r| int(r[i * n + j]));
                truth[i * n + j] = T::from_f64(if problem.relu { sum.max(0) } else { sum } as f64);
            }
        }
        let placed = problem.placed(std::array::from_fn(|_| Layout::random(&mut rng)));
        for context in contexts() {
            if context.isa() != Isa::Portable || context.threads() == 2 {
                assert_same(&truth, &placed.run(context, None).unwrap(), context, &shape);
            }
        }
    }
}

#[test]
fn integers_are_exact_f32() {
    integers::<f32>();
}
#[test]
fn integers_are_exact_f64() {
    integers::<f64>();
}

/// One panel of columns: A is read where it is, panels of the full height and a packed one with what is left, over several
/// blocks of k; unless its rows are a multiple of 4 KiB apart.
fn narrow<T: Scalar>() {
    let mut rng = Rng(7);
    for m in [6, 16, 23, 48, 600] {
        for (n, k) in [(1, 17), (3, 401), (8, 64), (10, 512), (16, 800)].into_iter().take(scaled(5)) {
            let problem = Problem::<T>::plain(&mut rng, Kind::Uniform, (m, n, k));
            let expected = problem.expected();
            for gap in [0, 5, 1024 - k % 1024] {
                let mut layouts = [Layout::PLAIN; 4];
                layouts[0] = Layout { gap, offset: rng.below(17), ..Layout::PLAIN };
                let placed = problem.placed(layouts);
                for context in contexts() {
                    if context.isa() != Isa::Portable || context.threads() == 2 {
                        assert_same(&expected, &placed.run(context, None).unwrap(), context, &(m, n, k, gap));
                    }
                }
            }
        }
    }
}

#[test]
fn narrow_f32() {
    narrow::<f32>();
}
#[test]
fn narrow_f64() {
    narrow::<f64>();
}
