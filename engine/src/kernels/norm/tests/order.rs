//! The order of the sums, found from outside; definitions that are nearly right; and how exact the statistics are.

use super::*;
use crate::parallel::left_size;
use crate::reference::norm as reference;
use crate::reference::norm::Moments as Merged;
use crate::reference::reduce::tree;
use crate::testing::two_to;

/// Leaves of the smallest subtree of the left-balanced tree over `count` that holds both `i < j`.
fn subtree(count: usize, i: usize, j: usize) -> usize {
    if count == 1 {
        return 1;
    }
    let left = left_size(count);
    match (i < left, j < left) {
        (true, true) => subtree(left, i, j),
        (false, false) => subtree(count - left, i - left, j - left),
        _ => count,
    }
}

/// Terms of the smallest part of the documented sum that holds both `i < j`.
fn documented(n: usize, pixels: usize, i: usize, j: usize) -> usize {
    let (run_i, run_j) = (i % pixels / RUN, j % pixels / RUN);
    match i / pixels == j / pixels {
        // In a chain all that comes before the later one.
        true if run_i == run_j => j % pixels % RUN + 1,
        true => pixels.min((run_j + 1) * RUN),
        false => pixels * subtree(n, i / pixels, j / pixels),
    }
}

/// *Swallowed ones* (P. Xie et al., "FPRev", 2024): of terms that are 1 but for a huge one and its negative, those are lost
/// that meet one of them before these meet each other. `d_beta` is a sum that can be probed so.
#[test]
fn the_sums_of_gradients_are_bracketed_as_documented() {
    let context = Context::new(contexts().last().unwrap().isa(), 2).unwrap();
    for (n, h, w) in [(1, 1, 130), (3, 5, 13), (6, 1, 3), (5, 8, 16)] {
        let shape = Shape { n, h, w, c: 2 };
        let mut layer = BatchNorm::new(shape).unwrap();
        layer.eval(n, &[1.0; 2], &[0.0; 2], &[0.0; 2], &[1.0; 2]).unwrap();
        let x = vec![0.0; shape.len()];
        let total = n * shape.pixels();
        let mut d_a = vec![1.0; shape.len()];
        let mut d_x = vec![0.0; shape.len()];
        for i in (0..total).step_by(7) {
            for j in (i + 1..total).step_by(3) {
                (d_a[2 * i], d_a[2 * j]) = (two_to(100) as f32, -two_to(100) as f32);
                let (mut d_gamma, mut d_beta) = ([0.0; 2], [0.0; 2]);
                let rows = [&mut d_gamma[..], &mut d_beta[..]];
                let exact = BackwardStatistics::Exact;
                layer.backward(&context, &x, Post::default(), None, &d_a, &[1.0; 2], &mut d_x, rows, exact).unwrap();
                let size = total as f32 - d_beta[0];
                assert_eq!(size, documented(n, shape.pixels(), i, j) as f32, "{shape:?}: {i} and {j}");
                assert_eq!(d_beta[1], total as f32, "the other channel was touched");
                (d_a[2 * i], d_a[2 * j]) = (1.0, 1.0);
            }
        }
    }
}

/// A definition that differs from the contract in one point.
struct Mutant {
    name: &'static str,
    run: usize,
    /// Merges runs by a tree instead of a chain.
    tree_of_runs: bool,
    /// Merges examples by a chain instead of a tree.
    chain_of_examples: bool,
    /// Takes the run's last pixel as shift.
    shift_last: bool,
    /// Takes no shift at all.
    no_shift: bool,
}

const CONTRACT: Mutant = Mutant {
    name: "the contract itself",
    run: MOMENT_RUN,
    tree_of_runs: false,
    chain_of_examples: false,
    shift_last: false,
    no_shift: false,
};

impl Mutant {
    fn moments(&self, x: &[f32], n: usize) -> Merged {
        let example = x.len() / n;
        let run = |x: &[f32]| {
            let shift = match self {
                Self { no_shift: true, .. } => 0.0,
                Self { shift_last: true, .. } => x[x.len() - 1],
                _ => x[0],
            };
            let (mut s, mut q) = (0.0f32, 0.0f32);
            for x in x {
                let d = x - shift;
                s += d;
                q = crate::simd::Real::fma(d, d, q);
            }
            let count = x.len() as f64;
            let (s, q) = (f64::from(s), f64::from(q));
            let part = s * (1.0 / count);
            Merged { count, mean: f64::from(shift) + part, m2: q - s * part }
        };
        let of_example = |n: usize| {
            let runs: Vec<Merged> = x[n * example..][..example].chunks(self.run).map(run).collect();
            if self.tree_of_runs {
                tree(runs.len(), &|i| runs[i], &Merged::merge)
            } else {
                runs.into_iter().reduce(Merged::merge).unwrap()
            }
        };
        if self.chain_of_examples {
            (0..n).map(of_example).reduce(Merged::merge).unwrap()
        } else {
            tree(n, &of_example, &Merged::merge)
        }
    }
}

#[test]
fn statistics_tell_the_contract_from_its_neighbours() {
    let mutants = [
        CONTRACT,
        Mutant { name: "runs of 32", run: 32, ..CONTRACT },
        Mutant { name: "runs of 15", run: 15, ..CONTRACT },
        Mutant { name: "runs as long as examples", run: usize::MAX, ..CONTRACT },
        Mutant { name: "a tree of runs", tree_of_runs: true, ..CONTRACT },
        Mutant { name: "a chain of examples", chain_of_examples: true, ..CONTRACT },
        Mutant { name: "the last pixel as shift", shift_last: true, ..CONTRACT },
        Mutant { name: "no shift", no_shift: true, ..CONTRACT },
    ];
    let shape = Shape { n: 7, h: 9, w: 31, c: 1 };
    for context in contexts() {
        for mutant in &mutants {
            let mut differs = false;
            for seed in 0..4 {
                let x = Kind::Uniform.vector::<f32>(seed, shape.len());
                let mut layer = BatchNorm::new(shape).unwrap();
                layer.measure(context, &x).unwrap();
                let (mut mean, mut var) = ([0.0], [0.0]);
                let running = Running { mean: &mut mean, var: &mut var };
                layer.train(context, &[1.0], &[0.0], running, Branch::Batch).unwrap();
                let expected = mutant.moments(&x, shape.n);
                let actual = layer.channel(0);
                differs |= actual.batch_mean.to_bits() != expected.mean.to_bits()
                    || actual.batch_invstd.to_bits() != expected.invstd(1e-5).to_bits();
            }
            assert_eq!(differs, mutant.name != CONTRACT.name, "{} on {context:?}", mutant.name);
        }
    }
}

#[test]
fn variances_are_exact_to_five_digits_whatever_the_mean() {
    let context = contexts().last().unwrap();
    for (n, h, w, c) in [(1, 1, 2, 40), (1, 8, 8, 40), (2, 5, 13, 40), (8, 32, 32, 16), (128, 8, 8, 16)] {
        let shape = Shape { n, h, w, c };
        for ratio in [0.0f32, 1.0, 30.0, 1000.0] {
            let noise = Kind::Uniform.vector::<f32>(u64::from(ratio.to_bits()), shape.len());
            let x: Vec<f32> = noise.iter().map(|x| x + ratio * 0.577).collect();
            for channel in 0..c {
                let values = || x[channel..].iter().step_by(c).map(|&x| f64::from(x));
                let count = values().count() as f64;
                let mean = values().sum::<f64>() / count;
                let var = values().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
                let moments = reference::batch_moments(&x, n, c, channel);
                let error = (moments.var() - var).abs() / var;
                assert!(error < 1e-5, "{shape:?} at {ratio}: variance {} instead of {var}", moments.var());
                assert!((moments.mean - mean).abs() < 1e-6 * var.sqrt() * (1.0 + f64::from(ratio) / 100.0));
            }
        }
        // A first pixel far from the others is the worst that a run can have.
        let x: Vec<f32> = (0..shape.len())
            .map(|i| if i / c % MOMENT_RUN == 0 { 1000.0 } else { (i * 7 % 11) as f32 * 0.1 })
            .collect();
        let values: Vec<f64> = x.iter().step_by(c).map(|&x| f64::from(x)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let var = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64;
        let error = (reference::batch_moments(&x, n, c, 0).var() - var).abs() / var;
        assert!(error < 1e-5, "{shape:?}: {error}");
    }
    // What the kernel makes of it, in the end: outputs of mean 0 and variance 1.
    let shape = Shape { n: 16, h: 16, w: 16, c: 3 };
    let x: Vec<f32> = Kind::Uniform.vector::<f32>(1, shape.len()).iter().map(|x| x + 577.0).collect();
    let mut layer = BatchNorm::new(shape).unwrap();
    layer.measure(context, &x).unwrap();
    let (mut mean, mut var) = ([0.0; 3], [1.0; 3]);
    let running = Running { mean: &mut mean, var: &mut var };
    layer.train(context, &[1.0; 3], &[0.0; 3], running, Branch::Batch).unwrap();
    let mut y = vec![0.0; shape.len()];
    write(context, &layer.forward(&x, Post::default()).unwrap(), shape, &mut y).unwrap();
    let values: Vec<f64> = y.iter().step_by(3).map(|&y| f64::from(y)).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let var = values.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / values.len() as f64;
    assert!(mean.abs() < 1e-6 && (var - 1.0).abs() < 1e-4, "{mean} {var}");
}

#[test]
fn a_constant_channel_has_no_variance() {
    let shape = Shape { n: 3, h: 9, w: 9, c: 5 };
    let x = vec![1234.567f32; shape.len()];
    for channel in 0..shape.c {
        let moments = reference::batch_moments(&x, shape.n, shape.c, channel);
        assert_eq!((moments.mean, moments.var()), (f64::from(1234.567f32), 0.0));
    }
}
