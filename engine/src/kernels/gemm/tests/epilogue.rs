//! Packed operands, rows and columns alone, and everything around the product.

use super::*;
use crate::kernels::gemm::{Left, PackedA, PackedB, Right};
use crate::testing::small_scale;

/// A row or a column of a product has the same bits alone: the order never depends on the shape.
fn alone<T: Scalar>() {
    let mut rng = Rng(10);
    // More than a panel of rows, a panel of columns and a block of k, with a tail of each.
    let (m, n, k) = if small_scale() { (20, 37, 400) } else { (70, 90, 410) };
    for kind in [Kind::Uniform, Kind::Cancelling] {
        let mut problem = Problem::<T>::random(&mut rng, kind, (m, n, k));
        problem.residual = Some(kind.values(&mut rng, m * n));
        for context in tiers() {
            let all = problem.placed([Layout::PLAIN; 4]).run(context, None).unwrap();
            for _ in 0..scaled(20) {
                // One row, or a run of them that starts anywhere; the same of columns.
                let (i, j) = (rng.below(m), rng.below(n));
                let (rows, columns) = match rng.below(4) {
                    0 => (i..i + 1, 0..n),
                    1 => (0..m, j..j + 1),
                    2 => (i..i + 1, j..j + 1),
                    _ => (i..m, j..n),
                };
                let block = |x: &[T], rows: &std::ops::Range<usize>, cols: &std::ops::Range<usize>, width: usize| {
                    let row = |i: usize| x[i * width + cols.start..i * width + cols.end].to_vec();
                    rows.clone().flat_map(row).collect::<Vec<T>>()
                };
                let part = Problem {
                    m: rows.len(),
                    n: columns.len(),
                    a: block(&problem.a, &rows, &(0..k), k),
                    b: block(&problem.b, &(0..k), &columns, n),
                    c: block(&problem.c, &rows, &columns, n),
                    bias: match problem.with {
                        With::Rows => problem.bias[rows.clone()].to_vec(),
                        _ => problem.bias[columns.clone()].to_vec(),
                    },
                    residual: problem.residual.as_ref().map(|r| block(r, &rows, &columns, n)),
                    ..problem.clone()
                };
                let actual = part.placed([Layout::PLAIN; 4]).run(context, None).unwrap();
                assert_same(&block(&all, &rows, &columns, n), &actual, context, &(kind, &rows, &columns));
            }
        }
    }
}

#[test]
fn a_row_or_column_alone_is_the_same() {
    alone::<f32>();
    alone::<f64>();
}

/// Operands packed beforehand, on the same tier and on others.
fn packed<T: Scalar>(seed: u64, count: usize) {
    let mut rng = Rng(seed);
    for round in 0..scaled(count) {
        let shape = match round % 8 {
            0 => (rng.below(5), rng.below(5), rng.below(5)),
            1 if small_scale() => (rng.below(20), rng.below(40), 380 + rng.below(30)),
            1 => (rng.below(300), rng.below(120), 380 + rng.below(30)),
            _ => (rng.below(60), rng.below(80), rng.below(60)),
        };
        let kind = rng.pick(&Kind::ALL);
        let mut problem = Problem::<T>::random(&mut rng, kind, shape);
        let factor = std::mem::replace(&mut problem.alpha, T::ONE);
        let expected = problem.expected();
        let scaled_expected = Problem { alpha: factor, ..problem.clone() }.expected();
        let layouts = std::array::from_fn(|_| Layout::random(&mut rng));
        let placed = problem.placed(layouts);
        let (a, b) = (placed.a.view(), placed.b.view());
        for context in contexts() {
            // The portable tier multiplies slowly.
            if context.isa() == Isa::Portable && context.threads() > 2 {
                continue;
            }
            let [packed_a, packed_scaled] = [T::ONE, factor].map(|alpha| PackedA::new(context, alpha, a).unwrap());
            let packed_b = PackedB::new(context, b).unwrap();
            assert_eq!((packed_a.shape(), packed_b.shape()), ((shape.0, shape.2), (shape.2, shape.1)));
            let lefts = [Left::Plain(a), Left::Packed(&packed_a), Left::Packed(&packed_scaled)];
            for (left, expected) in lefts.into_iter().zip([&expected, &expected, &scaled_expected]) {
                for right in [Right::Plain(b), Right::Packed(&packed_b)] {
                    let mut c = placed.target();
                    gemm(context, left, right, c.view_mut(), &placed.options(None)).unwrap();
                    let which = (matches!(left, Left::Packed(_)), matches!(right, Right::Packed(_)));
                    assert_same(expected, &c.values(), context, &(shape, kind, layouts, which));
                }
            }
        }
    }
}

#[test]
fn packed_operands_change_nothing_f32() {
    packed::<f32>(11, 80);
}
#[test]
fn packed_operands_change_nothing_f64() {
    packed::<f64>(12, 40);
}

/// B packed for one tier serves every other; A too, or the refusal is typed.
#[test]
fn packed_operands_cross_tiers() {
    let problem = Problem::<f32>::plain(&mut Rng(13), Kind::Uniform, (50, 70, 400));
    let expected = problem.expected();
    let placed = problem.placed([Layout::PLAIN; 4]);
    for packer in tiers() {
        let a = PackedA::new(packer, 1.0, placed.a.view()).unwrap();
        let b = PackedB::new(packer, placed.b.view()).unwrap();
        for context in tiers() {
            let lefts: [Left<'_, f32>; 2] = [Left::Packed(&a), Left::Plain(placed.a.view())];
            for (left, right) in [(lefts[0], Right::Plain(placed.b.view())), (lefts[1], Right::Packed(&b))] {
                let mut c = placed.target();
                match gemm(context, left, right, c.view_mut(), &Options::default()) {
                    Ok(()) => assert_same(&expected, &c.values(), context, &packer.isa()),
                    Err(crate::Error::Argument { op: "gemm", .. }) => assert!(packer.isa() > context.isa()),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

/// Every combination of start, residual and ReLU, over numbers that tell them apart.
fn combinations<T: Scalar>() {
    let mut rng = Rng(14);
    for (kind, k) in [(Kind::Special, 30), (Kind::Tiny, 2), (Kind::Tiny, 0), (Kind::Uniform, 400), (Kind::Huge, 7)] {
        let base = Problem::<T>::plain(&mut rng, kind, (19, 37, k));
        let c = kind.values(&mut rng, base.c.len());
        let residual = kind.values(&mut rng, base.c.len());
        // In steps of five, every start and every choice still comes up.
        for case in (0..6 * 2 * 2 * 2).step_by(if small_scale() { 5 } else { 1 }) {
            let (start, residual_too, relu, scaled_a) = (case % 6, case / 6 % 2, case / 12 % 2, case / 24);
            let mut problem = base.clone();
            match start {
                // C holds NaN here, which must not be read.
                0 => {}
                1 => problem.with = With::Columns,
                2 => problem.with = With::Rows,
                // -0 is zero: C is not read either.
                3 => problem.beta = -T::ZERO,
                4 => (problem.beta, problem.c) = (T::ONE, c.clone()),
                _ => (problem.beta, problem.c) = (T::from_f64(-0.3), c.clone()),
            }
            problem.residual = (residual_too == 1).then(|| residual.clone());
            problem.relu = relu == 1;
            problem.alpha = T::from_f64(if scaled_a == 1 { 0.7 } else { 1.0 });
            let expected = problem.expected();
            let strided = Layout { step: 3, gap: 5, offset: 3, transposed: true };
            for layouts in [[Layout::PLAIN; 4], [Layout::PLAIN, Layout::PLAIN, Layout::PLAIN, strided], [strided; 4]] {
                for context in contexts().iter().filter(|context| context.threads() <= 2) {
                    let actual = problem.placed(layouts).run(context, None).unwrap();
                    assert_same(&expected, &actual, context, &(kind, k, case, layouts));
                }
            }
        }
    }
}

#[test]
fn all_combinations_f32() {
    combinations::<f32>();
}
#[test]
fn all_combinations_f64() {
    combinations::<f64>();
}

/// ReLU keeps NaN and makes every other value that is not positive +0; a residual is added after the canonical zero.
#[test]
fn relu_by_hand() {
    let c = [f32::NAN, -0.0, -1.0, 2.0, f32::NEG_INFINITY, f32::INFINITY, -1e-45, 1e-45];
    let none: [f32; 0] = [];
    for context in tiers() {
        let (a, b) = (MatRef::new(&none, 1, 0).unwrap(), MatRef::new(&none, 0, 8).unwrap());
        let mut out = c;
        let options = Options { beta: 1.0, relu: true, ..Options::default() };
        gemm(context, a, b, MatMut::new(&mut out, 1, 8).unwrap(), &options).unwrap();
        assert!(out[0].is_nan());
        let bits = out[1..].iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits, [0.0, 0.0, 2.0, 0.0, f32::INFINITY, 0.0, 1e-45].map(f32::to_bits));
        // Without ReLU, -0 becomes +0 all the same.
        let mut out = c;
        let options = Options { beta: 1.0, ..Options::default() };
        gemm(context, a, b, MatMut::new(&mut out, 1, 8).unwrap(), &options).unwrap();
        assert_eq!(out[1].to_bits(), 0);
    }
}
