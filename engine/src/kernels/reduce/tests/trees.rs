//! The order of a reduction, found from the outside.
//!
//! Two kinds of probe tell how a sum of `n` terms is bracketed, whatever its code looks like.
//!
//! *Swallowed ones* (P. Xie et al., "FPRev", 2024): term `i` is a huge `M`, term `j` is `-M`, the others are 1. A one
//! that meets `M` or `-M` before these meet each other is lost, so the result is `n` less the size of the smallest
//! subtree that holds both `i` and `j`.
//!
//! *Triples*, where no term can be negative: term `i` is `2^24`, terms `j` and `k` are 1, the others zero. Alone a one is
//! half of the last place and lost to the even; the two together are not. So the result says whether `j` and `k` meet
//! before either meets `i`.
//!
//! The sizes for all pairs, or the answers for all triples, determine the tree.

use super::super::flat::{Dot, Fold, Sum, SumOfSquares, flat};
use super::super::*;
use crate::kernels::Scalar;
use crate::parallel::left_size;
use crate::tensor::MatRef;
use crate::testing::{Outcome, Rng, contexts, in_turns, small_scale, two_to};

/// The documented order, as brackets.
enum Tree {
    Leaf(usize),
    Node(Box<Tree>, Box<Tree>),
}

fn node(left: Option<Tree>, right: Option<Tree>) -> Option<Tree> {
    match (left, right) {
        (Some(left), Some(right)) => Some(Tree::Node(Box::new(left), Box::new(right))),
        (left, right) => left.or(right),
    }
}

fn chain(leaves: impl Iterator<Item = usize>) -> Option<Tree> {
    leaves.fold(None, |tree, i| node(tree, Some(Tree::Leaf(i))))
}

fn left_balanced(count: usize, leaf: &dyn Fn(usize) -> Option<Tree>) -> Option<Tree> {
    fn part(from: usize, count: usize, leaf: &dyn Fn(usize) -> Option<Tree>) -> Option<Tree> {
        if count <= 1 {
            return leaf(from);
        }
        let left = left_size(count);
        node(part(from, left, leaf), part(from + left, count - left, leaf))
    }
    part(0, count, leaf)
}

/// Stripes, halving, shards.
fn flat_tree(len: usize, shard_len: usize) -> Tree {
    let shard = |s: usize| {
        let (from, to) = (s * shard_len, ((s + 1) * shard_len).min(len));
        let mut stripes: Vec<_> = (0..64).map(|stripe| chain((from + stripe..to).step_by(64))).collect();
        while stripes.len() > 1 {
            let upper = stripes.split_off(stripes.len() / 2);
            stripes = stripes.into_iter().zip(upper).map(|(a, b)| node(a, b)).collect();
        }
        stripes.pop().unwrap()
    };
    left_balanced(len.div_ceil(shard_len), &shard).unwrap()
}

/// Chains of rows, shards.
fn column_tree(rows: usize) -> Tree {
    left_balanced(rows.div_ceil(64), &|s| chain(s * 64..((s + 1) * 64).min(rows))).unwrap()
}

/// For each pair of leaves the size of the smallest subtree that holds both.
struct Sizes {
    n: usize,
    sizes: Vec<u32>,
}

impl Sizes {
    fn of(tree: &Tree, n: usize) -> Self {
        fn visit(tree: &Tree, n: usize, sizes: &mut [u32]) -> Vec<usize> {
            match tree {
                Tree::Leaf(i) => vec![*i],
                Tree::Node(left, right) => {
                    let (mut left, right) = (visit(left, n, sizes), visit(right, n, sizes));
                    let size = (left.len() + right.len()) as u32;
                    for &i in &left {
                        for &j in &right {
                            sizes[i * n + j] = size;
                            sizes[j * n + i] = size;
                        }
                    }
                    left.extend(right);
                    left
                }
            }
        }
        let mut sizes = vec![0; n * n];
        visit(tree, n, &mut sizes);
        Self { n, sizes }
    }
    fn at(&self, i: usize, j: usize) -> u32 {
        self.sizes[i * self.n + j]
    }
}

/// Probes `reduce` with swallowed ones at all pairs whose first is in `firsts`.
fn check_sizes<T: Scalar>(sizes: &Sizes, firsts: impl Iterator<Item = usize>, reduce: impl Fn(&[T]) -> T) -> Outcome {
    let huge = T::from_f64(two_to(100));
    let mut x = vec![T::ONE; sizes.n];
    for i in firsts {
        for j in (0..sizes.n).filter(|&j| j != i) {
            (x[i], x[j]) = (huge, -huge);
            let size = sizes.n as f64 - reduce(&x).to_f64();
            (x[i], x[j]) = (T::ONE, T::ONE);
            if size != f64::from(sizes.at(i, j)) {
                return Err(format!("{i} and {j} meet in a subtree of {size} instead of {}", sizes.at(i, j)));
            }
        }
    }
    Ok(())
}

/// Probes `reduce` with triples; `big` and `one` are what makes the terms `2^24` and 1.
fn check_triples(sizes: &Sizes, triples: usize, big: f32, one: f32, reduce: impl Fn(&[f32]) -> f32) -> Outcome {
    let mut rng = Rng(sizes.n as u64);
    let mut x = vec![0.0; sizes.n];
    for _ in 0..triples {
        let [i, j, k] = std::array::from_fn(|_| rng.below(sizes.n));
        if i == j || j == k || i == k {
            continue;
        }
        (x[i], x[j], x[k]) = (big, one, one);
        let together = reduce(&x) == 16_777_218.0;
        (x[i], x[j], x[k]) = (0.0, 0.0, 0.0);
        if together != (sizes.at(j, k) < sizes.at(i, j)) {
            return Err(format!("{j} and {k} meet {} {i}", if together { "before" } else { "after" }));
        }
    }
    Ok(())
}

fn triples() -> usize {
    if small_scale() { 200 } else { 20_000 }
}

/// Lengths below a shard, and with several shards of the length that the test chooses.
fn cases() -> Vec<(usize, usize)> {
    if small_scale() {
        return vec![(70, SHARD), (200, 64)];
    }
    vec![(2, SHARD), (63, SHARD), (64, SHARD), (65, SHARD), (200, SHARD), (330, 64), (450, 128), (700, 128)]
}

fn firsts(n: usize) -> impl Iterator<Item = usize> {
    (0..n).step_by(if small_scale() { 37 } else { 5 })
}

fn fold<T: Scalar>(fold: impl Fold<T>, context: &Context, shard_len: usize, a: &[T], b: &[T]) -> T {
    flat::<T, _, STRIPES>(context, fold, shard_len, a, b).unwrap()
}

#[test]
fn flat_sums_have_the_documented_tree() {
    for (case, (n, shard_len)) in cases().into_iter().enumerate() {
        let sizes = Sizes::of(&flat_tree(n, shard_len), n);
        // Short shards make several tasks of a short sum.
        let all = || contexts().iter().collect();
        for context in if n <= 8 * shard_len { in_turns(case) } else { all() } {
            let ones = vec![1.0; n];
            check_sizes::<f32>(&sizes, firsts(n), |x| fold(Sum, context, shard_len, x, x)).unwrap();
            check_sizes::<f64>(&sizes, firsts(n), |x| fold(Sum, context, shard_len, x, x)).unwrap();
            check_sizes::<f32>(&sizes, firsts(n), |x| fold(Dot, context, shard_len, x, &ones)).unwrap();
            check_triples(&sizes, triples(), 4096.0, 1.0, |x| fold(SumOfSquares, context, shard_len, x, x)).unwrap();
        }
    }
}

#[test]
fn long_sums_have_the_documented_tree() {
    // More than one task of shards; the model's pairs are too many, so single leaves stand for their shards.
    let (shards, n) = (19, 18 * SHARD + 100);
    let tree = left_balanced(shards, &|s| Some(Tree::Leaf(s))).unwrap();
    let sizes = Sizes::of(&tree, shards);
    let context_count = if small_scale() { 1 } else { usize::MAX };
    for context in contexts().iter().take(context_count) {
        check_sizes::<f32>(&sizes, [0, 4, 8, 15, 18].into_iter(), |x| {
            let mut long = vec![0.0; n];
            x.iter().enumerate().for_each(|(s, &x)| long[s * SHARD + s % 64] = x);
            sum(context, &long).unwrap()
        })
        .unwrap();
    }
}

#[test]
fn column_reductions_have_the_documented_tree() {
    for rows in if small_scale() { vec![130] } else { vec![2, 64, 65, 200, 450] } {
        let sizes = Sizes::of(&column_tree(rows), rows);
        // The column at the end of a full vector, and one in a partial vector.
        for (case, (cols, j)) in [(1, 0), (19, 15), (19, 18)].into_iter().enumerate() {
            for context in in_turns(rows + case) {
                let column = |x: &[f32], squares: bool| {
                    let mut values = vec![0.0; rows * cols];
                    x.iter().enumerate().for_each(|(i, &x)| values[i * cols + j] = x);
                    let mut results = [vec![0.0; cols], vec![0.0; cols]];
                    let [sums, square_sums] = &mut results;
                    let matrix = MatRef::new(&values, rows, cols).unwrap();
                    column_moments(context, matrix, sums, square_sums).unwrap();
                    results[usize::from(squares)][j]
                };
                let firsts = (0..rows).step_by(if small_scale() { 50 } else { 23 });
                check_sizes::<f32>(&sizes, firsts, |x| column(x, false)).unwrap();
                check_triples(&sizes, triples() / 20, 4096.0, 1.0, |x| column(x, true)).unwrap();
            }
        }
    }
}

#[test]
fn rows_have_the_tree_of_flat_sums() {
    let (n, rows) = (200, 3);
    let sizes = Sizes::of(&flat_tree(n, SHARD), n);
    for context in contexts() {
        check_sizes::<f32>(&sizes, firsts(n), |x| {
            let mut sums = [0.0; 3];
            row_sums(context, MatRef::new(&x.repeat(rows), rows, n).unwrap(), &mut sums).unwrap();
            assert_eq!(sums[0].to_bits(), sums[2].to_bits());
            sums[1]
        })
        .unwrap();
    }
}

#[test]
fn the_probes_notice_another_tree() {
    let context = &contexts()[0];
    let sizes = Sizes::of(&flat_tree(200, SHARD), 200);
    let other = |x: &[f32]| flat::<f32, _, 32>(context, Sum, SHARD, x, x).unwrap();
    assert!(check_sizes::<f32>(&sizes, 0..200, other).is_err());
    assert!(check_sizes::<f32>(&sizes, 0..200, |x| x.iter().fold(0.0, |s, x| s + x)).is_err());
    let other = |x: &[f32]| flat::<f32, _, 64>(context, SumOfSquares, 64, x, x).unwrap();
    assert!(check_triples(&sizes, triples(), 4096.0, 1.0, other).is_err());
}
