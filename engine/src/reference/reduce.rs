//! Reductions, as the contract defines them: [`crate::kernels::reduce`] has the same rules in words.

use crate::kernels::reduce::{SHARD, SHARD_ROWS, STRIPES};
use crate::parallel::left_size;
use crate::simd::Real;
use crate::tensor::MatRef;

/// The left-balanced tree of `join` over `leaf(0)`, ..., `leaf(count - 1)`. There must be a leaf.
pub fn tree<R>(count: usize, leaf: &impl Fn(usize) -> R, join: &impl Fn(R, R) -> R) -> R {
    fn part<R>(from: usize, count: usize, leaf: &impl Fn(usize) -> R, join: &impl Fn(R, R) -> R) -> R {
        if count == 1 {
            return leaf(from);
        }
        let left = left_size(count);
        join(part(from, left, leaf, join), part(from + left, count - left, leaf, join))
    }
    part(0, count, leaf, join)
}

/// The stripes of elements `from..to`, halved: each stripe is one chain of `step(s, i)` from `start`.
pub fn shard<T: Copy>(from: usize, to: usize, start: T, step: &impl Fn(T, usize) -> T, join: &impl Fn(T, T) -> T) -> T {
    let mut stripes = [start; STRIPES];
    for i in from..to {
        stripes[(i - from) % STRIPES] = step(stripes[(i - from) % STRIPES], i);
    }
    let mut half = STRIPES / 2;
    while half > 0 {
        for i in 0..half {
            stripes[i] = join(stripes[i], stripes[i + half]);
        }
        half /= 2;
    }
    stripes[0]
}

/// A flat reduction over elements `0..len`: the tree over shards of `shard_len` elements, and the canonical zero.
pub fn flat<T: Real>(
    len: usize,
    shard_len: usize,
    start: T,
    step: impl Fn(T, usize) -> T,
    join: impl Fn(T, T) -> T,
) -> T {
    if len == 0 {
        return T::ZERO + start;
    }
    let leaf = |s: usize| shard(s * shard_len, ((s + 1) * shard_len).min(len), start, &step, &join);
    T::ZERO + tree(len.div_ceil(shard_len), &leaf, &join)
}

/// The sum.
pub fn sum<T: Real>(x: &[T]) -> T {
    flat(x.len(), SHARD, T::ZERO, |s, i| s + x[i], |a, b| a + b)
}

/// The sum divided by the number of elements.
pub fn mean<T: Real>(x: &[T]) -> T {
    sum(x) / T::from_f64(x.len() as f64)
}

/// The sum of squares.
pub fn sum_of_squares<T: Real>(x: &[T]) -> T {
    flat(x.len(), SHARD, T::ZERO, |s, i| x[i].fma(x[i], s), |a, b| a + b)
}

/// The Euclidean norm.
pub fn norm<T: Real>(x: &[T]) -> T {
    sum_of_squares(x).sqrt()
}

/// The sum of products.
pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    flat(a.len(), SHARD, T::ZERO, |s, i| a[i].fma(b[i], s), |a, b| a + b)
}

/// The sum of squared differences.
pub fn squared_distance<T: Real>(a: &[T], b: &[T]) -> T {
    let difference = |i: usize| a[i] - b[i];
    flat(a.len(), SHARD, T::ZERO, |s, i| difference(i).fma(difference(i), s), |a, b| a + b)
}

/// The largest element.
pub fn max<T: Real>(x: &[T]) -> T {
    flat(x.len(), SHARD, T::from_f64(f64::NEG_INFINITY), |s, i| x[i].max_select(s), T::max_select)
}

/// The largest magnitude.
pub fn max_abs<T: Real>(x: &[T]) -> T {
    flat(x.len(), SHARD, T::ZERO, |s, i| abs(x[i]).max_select(s), T::max_select)
}

/// The magnitude, of NaN too.
pub(crate) fn abs<T: Real>(x: T) -> T {
    let sign = (-T::ZERO).bits();
    T::from_bits_u64(x.bits() & !sign)
}

/// The index of the first element that is infinite or NaN.
pub fn first_non_finite<T: Real>(x: &[T]) -> Option<usize> {
    x.iter().position(|x| !x.to_f64().is_finite())
}

/// One column reduction for each column: the tree over shards of `shard_rows` rows, in which `step(s, x)` is one chain,
/// and the canonical zero.
pub fn columns<T: Real>(x: MatRef<'_, T>, shard_rows: usize, out: &mut [T], step: impl Fn(T, T) -> T) {
    for (j, out) in out.iter_mut().enumerate() {
        let shard = |s: usize| {
            let rows = s * shard_rows..((s + 1) * shard_rows).min(x.rows());
            rows.fold(T::ZERO, |s, i| step(s, x.at(i, j)))
        };
        *out = match x.rows().div_ceil(shard_rows) {
            0 => T::ZERO,
            shards => T::ZERO + tree(shards, &shard, &|a, b| a + b),
        };
    }
}

/// The sum of each column.
pub fn column_sums<T: Real>(x: MatRef<'_, T>, sums: &mut [T]) {
    columns(x, SHARD_ROWS, sums, |s, x| s + x);
}

/// The sum and the sum of squares of each column.
pub fn column_moments<T: Real>(x: MatRef<'_, T>, sums: &mut [T], squares: &mut [T]) {
    columns(x, SHARD_ROWS, sums, |s, x| s + x);
    columns(x, SHARD_ROWS, squares, |s, x| x.fma(x, s));
}

/// The sum of each row.
pub fn row_sums<T: Real>(x: MatRef<'_, T>, sums: &mut [T]) {
    for (i, out) in sums.iter_mut().enumerate() {
        *out = flat(x.cols(), SHARD, T::ZERO, |s, j| s + x.at(i, j), |a, b| a + b);
    }
}
