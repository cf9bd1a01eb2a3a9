//! Sums over columns and rows against the reference.

use super::*;
use crate::kernels::gemm::{Sums, gemm_with_sums};

fn sums<T: Scalar>(seed: u64, shapes: &[(usize, usize, usize)]) {
    let mut rng = Rng(seed);
    for (round, &(m, n, k)) in shapes.iter().enumerate() {
        let kind = Kind::ALL[round % Kind::ALL.len()];
        let problem = Problem::<T>::random(&mut rng, kind, (m, n, k));
        let product = problem.expected();
        let mut expected = [vec![T::ZERO; n], vec![T::ZERO; n], vec![T::ZERO; m], vec![T::ZERO; m]];
        let [columns, column_squares, rows, row_squares] = &mut expected;
        reference::gemm::sums(
            MatRef::new(&product, m, n).unwrap(),
            Sums {
                columns: Some(columns),
                column_squares: Some(column_squares),
                rows: Some(rows),
                row_squares: Some(row_squares),
            },
        );
        let random = std::array::from_fn(|_| Layout::random(&mut rng));
        let columns_first = [Layout { transposed: true, ..Layout::PLAIN }; 4];
        for layouts in [[Layout::PLAIN; 4], columns_first, random] {
            let placed = problem.placed(layouts);
            for context in contexts() {
                // The portable tier multiplies slowly.
                let seldom = m * n * k > 100_000 && (context.threads() != 2 || layouts != [Layout::PLAIN; 4]);
                if context.isa() == Isa::Portable && seldom {
                    continue;
                }
                let blocking = Blocking { height: 1, vectors: 1, depth: 16, task_rows: 65, task_columns: 33 };
                let blocking = (rng.below(3) == 0).then_some(blocking);
                // Any of the four may be asked for.
                let wanted = rng.below(16);
                let mut actual = expected.clone().map(|sums| vec![T::from_f64(f64::NAN); sums.len()]);
                let mut parts = actual.iter_mut().enumerate();
                let mut part = || parts.next().and_then(|(i, sums)| (wanted >> i & 1 == 1).then_some(&mut sums[..]));
                let asked = Sums { columns: part(), column_squares: part(), rows: part(), row_squares: part() };
                let mut c = placed.target();
                let (a, b) = (placed.a.view(), placed.b.view());
                gemm_with_sums(context, a, b, c.view_mut(), &placed.options(blocking), asked).unwrap();
                let case = (m, n, k, kind, layouts, blocking, wanted);
                assert_same(&product, &c.values(), context, &case);
                for (i, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
                    if wanted >> i & 1 == 1 {
                        assert_same(expected, actual, context, &(case, "sum number", i));
                    }
                }
            }
        }
    }
}

/// Around the 64 rows of a shard, the 64 stripes, the 16,384 elements of a shard of a row, and trees that are ragged.
const SHAPES: [(usize, usize, usize); 18] = [
    (0, 5, 3),
    (5, 0, 3),
    (4, 3, 0),
    (1, 1, 1),
    (63, 17, 5),
    (64, 16, 3),
    (65, 33, 4),
    (129, 63, 7),
    (200, 64, 20),
    (449, 65, 3),
    (1030, 7, 2),
    (530, 130, 9),
    (70, 340, 401),
    (3, 16_383, 1),
    (2, 16_384, 2),
    (3, 16_385, 1),
    (2, 40_000, 1),
    (1, 100_001, 1),
];

#[test]
fn sums_f32() {
    sums::<f32>(20, &SHAPES[..scaled(400).min(SHAPES.len())]);
}
#[test]
fn sums_f64() {
    sums::<f64>(21, &SHAPES[..scaled(400).min(SHAPES.len())]);
}
