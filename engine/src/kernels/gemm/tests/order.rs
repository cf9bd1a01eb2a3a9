//! The order of summation, recovered from results alone.
//!
//! A large number L swallows what is added while it is in the sum. A chain that starts at L, meets -L at step q and a
//! one at step r ends with one if r comes after q, and with zero if it came before. So a product with a column for each
//! pair (q, r) tells, for any two steps, which comes first; nothing in it looks at the code.

use super::*;

/// What a chain over `k` steps leaves for each pair of steps: -L at the first, a one at the second.
fn survivors<T: Scalar>(context: &Context, k: usize, pairs: &[(usize, usize)], blocking: Option<Blocking>) -> Vec<T> {
    let large = T::from_f64((1u64 << 60) as f64);
    let n = pairs.len();
    let mut b = vec![T::ZERO; k * n];
    for (j, &(q, r)) in pairs.iter().enumerate() {
        b[q * n + j] = -large;
        b[r * n + j] = T::ONE;
    }
    let a = vec![T::ONE; k];
    let mut c = vec![large; n];
    let options = Options { beta: T::ONE, blocking, ..Options::default() };
    let view = MatMut::new(&mut c, 1, n).unwrap();
    gemm(context, MatRef::new(&a, 1, k).unwrap(), MatRef::new(&b, k, n).unwrap(), view, &options).unwrap();
    c
}

fn check<T: Scalar>(context: &Context, k: usize, pairs: &[(usize, usize)], blocking: Option<Blocking>) {
    let found = survivors::<T>(context, k, pairs, blocking);
    for (&(q, r), x) in pairs.iter().zip(found) {
        let expected = if r > q { 1.0 } else { 0.0 };
        assert_eq!(x.to_f64(), expected, "steps {q} and {r} of {k}, {} {blocking:?}", context.isa());
    }
}

fn order<T: Scalar>() {
    let mut rng = Rng(30);
    for context in contexts().iter().filter(|context| context.threads() <= 2) {
        // All pairs.
        for k in [2, 3, 4, 5, 16, 17, 33, 70] {
            let pairs: Vec<_> = (0..k).flat_map(|q| (0..k).map(move |r| (q, r))).filter(|(q, r)| q != r).collect();
            if context.threads() == 1 && scaled(70) >= k {
                check::<T>(context, k, &pairs, None);
            }
        }
        // Longer than a block: neighbours, the borders of blocks, and pairs from anywhere.
        let k = 801;
        let mut pairs: Vec<_> = (0..k - 1).flat_map(|q| [(q, q + 1), (q + 1, q)]).collect();
        let borders = [0, 1, 15, 16, 191, 192, 193, 207, 208, 383, 384, 385, 399, 400, 401, 767, 768, 769, 800];
        pairs.extend(borders.into_iter().flat_map(|q| borders.map(|r| (q, r))).filter(|(q, r)| q != r));
        pairs.extend((0..300).map(|_| (rng.below(k), rng.below(k))).filter(|(q, r)| q != r));
        let pairs = &pairs[..scaled(pairs.len())];
        check::<T>(context, k, pairs, None);
        let blocking = Blocking { height: 1, vectors: 1, depth: 7, task_rows: 1, task_columns: 65 };
        check::<T>(context, k, pairs, Some(blocking));
    }
}

#[test]
fn steps_of_k_ascend_f32() {
    order::<f32>();
}
#[test]
fn steps_of_k_ascend_f64() {
    order::<f64>();
}

/// The start comes before every step, wherever it is from: L at any step swallows it, and -L later leaves nothing.
#[test]
fn the_start_comes_first() {
    let large = (1u64 << 60) as f32;
    for context in tiers() {
        for k in [2, 3, 4, 7, 70, 500] {
            for at in [0, (k - 2) / 2, k - 2] {
                let mut a = vec![0.0; k];
                (a[at], a[at + 1]) = (large, -large);
                let ones = vec![1.0f32; k];
                for (bias, beta) in [(Bias::Rows(&[1.0]), 0.0), (Bias::Columns(&[1.0]), 0.0), (Bias::None, 1.0)] {
                    let mut c = [1.0f32];
                    let options = Options { beta, bias, ..Options::default() };
                    let (a, b) = (MatRef::new(&a, 1, k).unwrap(), MatRef::new(&ones, k, 1).unwrap());
                    gemm(context, a, b, MatMut::new(&mut c, 1, 1).unwrap(), &options).unwrap();
                    assert_eq!(c, [0.0], "{k} {at} {beta}");
                }
            }
        }
    }
}

/// A residual is added after the last step, rounded by itself: what the sum swallows stays lost, the residual does not.
#[test]
fn the_residual_comes_last() {
    let large = (1u64 << 60) as f32;
    for context in tiers() {
        let (a, b) = ([large, 1.0, -large], [1.0f32; 3]);
        let residual = MatRef::new(&[1.0], 1, 1).unwrap();
        let mut c = [0.0f32];
        let options = Options { residual: Some(residual), ..Options::default() };
        let (a, b) = (MatRef::new(&a, 1, 3).unwrap(), MatRef::new(&b, 3, 1).unwrap());
        gemm(context, a, b, MatMut::new(&mut c, 1, 1).unwrap(), &options).unwrap();
        assert_eq!(c, [1.0]);
    }
}
