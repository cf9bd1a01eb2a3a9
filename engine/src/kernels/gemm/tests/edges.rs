//! Bad input is a typed error, odd input is not bad, and nothing panics.

use super::*;
use crate::error::Error;
use crate::kernels::gemm::{PackedA, PackedB, Sums, gemm_with_sums};

/// The product of ones of these shapes with these options and lengths of sums.
fn call(shapes: [(usize, usize); 3], options: &Options<'_, f32>, sums: [Option<usize>; 4]) -> crate::Result<()> {
    let context = tiers().next().unwrap();
    let ones = [1.0f32; 100];
    let [a, b, c] = shapes;
    let mut to = [0.0f32; 100];
    let mut lengths = sums.map(|length| length.map(|length| vec![0.0; length]));
    let [columns, column_squares, rows, row_squares] = lengths.each_mut().map(|sums| sums.as_deref_mut());
    gemm_with_sums(
        context,
        MatRef::new(&ones, a.0, a.1)?,
        MatRef::new(&ones, b.0, b.1)?,
        MatMut::new(&mut to, c.0, c.1)?,
        options,
        Sums { columns, column_squares, rows, row_squares },
    )
}

#[test]
fn shapes_that_do_not_fit_are_typed_errors() {
    let plain = Options::default();
    let good = [(3, 4), (4, 5), (3, 5)];
    let ones = [1.0f32; 100];
    let none = [None; 4];
    assert_eq!(call(good, &plain, none), Ok(()));
    let shape = |result: crate::Result<()>, expected: usize, actual: usize| match result {
        Err(Error::Shape { op: "gemm", expected: e, actual: a, .. }) => assert_eq!((e, a), (expected, actual)),
        other => panic!("{other:?}"),
    };
    shape(call([(3, 4), (6, 5), (3, 5)], &plain, none), 4, 6);
    shape(call([(3, 4), (4, 5), (2, 5)], &plain, none), 3, 2);
    shape(call([(3, 4), (4, 5), (3, 6)], &plain, none), 5, 6);
    for bias in [Bias::Columns(&ones[..4]), Bias::Rows(&ones[..4])] {
        let expected = if matches!(bias, Bias::Columns(_)) { 5 } else { 3 };
        shape(call(good, &Options { bias, ..plain }, none), expected, 4);
    }
    let residual = |rows, cols| Options { residual: Some(MatRef::new(&ones, rows, cols).unwrap()), ..plain };
    shape(call(good, &residual(4, 5), none), 3, 4);
    shape(call(good, &residual(3, 4), none), 5, 4);
    for (i, expected) in [5, 5, 3, 3].into_iter().enumerate() {
        for actual in [0, expected - 1, expected + 1] {
            let mut sums = [None; 4];
            sums[i] = Some(actual);
            shape(call(good, &plain, sums), expected, actual);
        }
    }
}

#[test]
fn arguments_out_of_their_domain_are_typed_errors() {
    let plain = Options::default();
    let good = [(3, 4), (4, 5), (3, 5)];
    let ones = [1.0f32; 100];
    let argument = |result: crate::Result<()>, expected: &str| match result {
        Err(Error::Argument { op: "gemm", what, .. }) => assert_eq!(what, expected),
        other => panic!("{other:?}"),
    };
    for beta in [1.0, 0.5, f32::NAN, f32::INFINITY] {
        for bias in [Bias::Columns(&ones[..5]), Bias::Rows(&ones[..3])] {
            argument(call(good, &Options { bias, beta, ..plain }, [None; 4]), "beta");
        }
    }
    let blocking = Blocking { height: 1, vectors: 1, depth: 16, task_rows: 64, task_columns: 64 };
    let with = |blocking| Options { blocking: Some(blocking), ..plain };
    assert_eq!(call(good, &with(blocking), [None; 4]), Ok(()));
    for (height, vectors) in [(0, 1), (1, 0), (17, 1), (5, 4), (1, 5), (usize::MAX, 1), (1, usize::MAX)] {
        let result = call(good, &with(Blocking { height, vectors, ..blocking }), [None; 4]);
        argument(result, "the height of the blocking");
    }
    for depth in [0, 385, usize::MAX] {
        argument(call(good, &with(Blocking { depth, ..blocking }), [None; 4]), "the depth of the blocking");
    }
    // Tasks of zero or of all rows and columns are as good as any.
    for size in [0, 1, usize::MAX] {
        let blocking = Blocking { task_rows: size, task_columns: size, ..blocking };
        assert_eq!(call(good, &with(blocking), [None; 4]), Ok(()));
    }
    for context in tiers() {
        let (a, b) = (MatRef::new(&ones, 3, 4).unwrap(), MatRef::new(&ones, 4, 5).unwrap());
        let (packed_a, packed_b) = (PackedA::new(context, 1.0, a).unwrap(), PackedB::new(context, b).unwrap());
        for alpha in [0.0, 2.0, f32::NAN] {
            let options = Options { alpha, ..plain };
            let mut to = [0.0f32; 15];
            let mut c = MatMut::new(&mut to, 3, 5).unwrap();
            argument(gemm(context, &packed_a, b, c.reborrow(), &options), "alpha");
            argument(gemm(context, a, &packed_b, c.reborrow(), &options), "alpha");
            argument(gemm(context, &packed_a, &packed_b, c, &options), "alpha");
        }
    }
}

#[test]
fn views_that_reach_too_far_or_overlap_are_typed_errors() {
    let mut x = [0.0f32; 100];
    assert!(matches!(MatRef::new(&x, 10, 11), Err(Error::TooShort { needed: 110, actual: 100, .. })));
    assert!(matches!(MatRef::with_strides(&x, 2, 2, 99, 1), Err(Error::TooShort { needed: 101, .. })));
    for (rows, cols, row, col) in [
        (2, 2, usize::MAX, 1),
        (3, 1, usize::MAX / 2 + 1, 0),
        (usize::MAX, usize::MAX, 1, 1),
        (usize::MAX, 2, usize::MAX, 7),
        (2, 2, usize::MAX / 2 + 1, usize::MAX / 2),
    ] {
        assert!(matches!(MatRef::with_strides(&x, rows, cols, row, col), Err(Error::Overflow { .. })));
        assert!(matches!(MatMut::with_strides(&mut x, rows, cols, row, col), Err(Error::Overflow { .. })));
    }
    for (rows, cols, row, col) in [(2, 2, 0, 1), (2, 2, 1, 1), (3, 4, 3, 1), (4, 3, 1, 3), (5, 5, 4, 2), (2, 1, 0, 1)] {
        assert!(MatRef::with_strides(&x, rows, cols, row, col).is_ok());
        assert!(matches!(MatMut::with_strides(&mut x, rows, cols, row, col), Err(Error::Argument { .. })));
    }
}

/// Sizes of zero, with strides that mean nothing then.
#[test]
fn sizes_of_zero_are_allowed() {
    let ones = [1.0f32; 40];
    for context in contexts() {
        for (m, n, k) in [(0, 3, 4), (3, 0, 4), (20, 3, 0), (0, 0, 4), (0, 3, 0), (3, 0, 0), (0, 0, 0)] {
            for stride in [0, 1, 5, usize::MAX] {
                let view = |rows: usize, cols: usize| {
                    let empty = rows == 0 || cols == 0;
                    let (row, col) = if empty { (stride, stride) } else { (cols, 1) };
                    MatRef::with_strides(if empty { &ones[..0] } else { &ones }, rows, cols, row, col).unwrap()
                };
                let mut to = [f32::NAN; 60];
                let c = MatMut::with_strides(&mut to, m, n, n, 1).unwrap();
                gemm(context, view(m, k), view(k, n), c, &Options { alpha: 2.0, ..Options::default() }).unwrap();
                // With k = 0 the chains are empty; with m or n = 0 there is nothing to write.
                assert!(to[..m * n].iter().all(|x| x.to_bits() == 0));
                assert!(to[m * n..].iter().all(|x| x.is_nan()));
                let mut c = MatMut::with_strides(&mut to, m, n, n, 1).unwrap();
                let a = PackedA::new(context, 1.0, view(m, k)).unwrap();
                let b = PackedB::new(context, view(k, n)).unwrap();
                gemm(context, &a, view(k, n), c.reborrow(), &Options::default()).unwrap();
                gemm(context, view(m, k), &b, c.reborrow(), &Options::default()).unwrap();
                gemm(context, &a, &b, c, &Options::default()).unwrap();
            }
        }
    }
}

/// A stride that is never taken may be anything, a stride of zero repeats what it is over.
#[test]
fn strides_that_are_huge_or_zero() {
    let x: Vec<f32> = Kind::Uniform.values(&mut Rng(40), 4000);
    for context in contexts().iter().filter(|context| context.threads() <= 2) {
        for (m, n, k) in
            [(1, 40, 9), (40, 1, 9), (30, 40, 1), (1, 1, 50), (1, 40, 1), (40, 1, 1), (1, 1, 1), (30, 30, 9)]
        {
            let huge = |rows: usize, cols: usize| {
                let row = if rows == 1 { usize::MAX } else { cols };
                MatRef::with_strides(&x, rows, cols, row, if cols == 1 { usize::MAX } else { 1 })
            };
            let repeated = |rows: usize, cols: usize| MatRef::with_strides(&x, rows, cols, 0, 1);
            let constant = |rows: usize, cols: usize| MatRef::with_strides(&x, rows, cols, 0, 0);
            let pairs = [
                // The huge stride only where it is never taken.
                (huge(m, k), huge(k, n)),
                (repeated(m, k), repeated(k, n)),
                (constant(m, k), constant(k, n)),
                (MatRef::with_strides(&x, m, k, 1, 0), MatRef::with_strides(&x, k, n, 1, 0)),
            ];
            for (round, (a, b)) in pairs.into_iter().enumerate() {
                let Ok((a, b)) = a.and_then(|a| b.map(|b| (a, b))) else { continue };
                let (mut expected, mut actual) = (vec![0.0; m * n], vec![0.0; m * n]);
                let c = MatMut::new(&mut expected, m, n).unwrap();
                reference::gemm::gemm(1.0, a, b, 0.0, c, Bias::None, None, false);
                let c = MatMut::new(&mut actual, m, n).unwrap();
                gemm(context, a, b, c, &Options { residual: None, ..Options::default() }).unwrap();
                assert_same(&expected, &actual, context, &(m, n, k, round));
            }
        }
    }
}

/// Infinities and NaN everywhere, factors included: results as IEEE-754 has them, and no panic.
#[test]
fn infinities_and_nan_never_panic() {
    let mut rng = Rng(41);
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45];
    for _ in 0..scaled(60) {
        let shape = (1 + rng.below(20), 21, 18);
        let mut problem = Problem::<f32>::plain(&mut rng, Kind::Uniform, shape);
        for values in [&mut problem.a, &mut problem.b, &mut problem.c] {
            values.iter_mut().for_each(|x| *x = rng.pick(&odd));
        }
        (problem.alpha, problem.beta) = (rng.pick(&odd), rng.pick(&odd));
        problem.relu = rng.below(2) == 0;
        let expected = problem.expected();
        for context in tiers() {
            let actual = problem.placed([Layout::PLAIN; 4]).run(context, None).unwrap();
            assert_same(&expected, &actual, context, &(problem.alpha, problem.beta));
        }
    }
}
