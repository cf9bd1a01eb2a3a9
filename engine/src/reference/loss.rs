//! Losses, as the contract defines them: [`crate::kernels::loss`] has the same rules in words.
//!
//! Each function writes the losses of the examples and the gradient, and gives the number of examples classified right;
//! [`batch`] is the sum of the losses.

use super::elementary::Elementary;
use super::reduce::{shard, tree};
use crate::simd::Real;
use crate::tensor::{MatMut, MatRef};

/// The tree over the losses of the examples.
pub fn batch<T: Real>(losses: &[T]) -> T {
    if losses.is_empty() { T::ZERO } else { tree(losses.len(), &|i| losses[i], &|a, b| a + b) }
}

fn row_sum<T: Real>(k: usize, step: impl Fn(T, usize) -> T) -> T {
    T::ZERO + shard(0, k, T::ZERO, &step, &|a, b| a + b)
}

fn row_max<T: Real>(k: usize, x: impl Fn(usize) -> T) -> T {
    T::ZERO + shard(0, k, T::from_f64(f64::NEG_INFINITY), &|s, i| x(i).max_select(s), &T::max_select)
}

/// What a row of logits should become.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a, T> {
    /// One class for each example.
    Hard(&'a [u32]),
    /// `on` for the class of the example, `off` for the others.
    Smoothed(&'a [u32], T, T),
    /// A number for each example and class.
    Soft(MatRef<'a, T>),
}

impl<T: Real> Targets<'_, T> {
    /// The target of class `i` for example `n`.
    fn at(&self, n: usize, i: usize) -> T {
        match *self {
            Targets::Hard(labels) => {
                if labels[n] as usize == i {
                    T::ONE
                } else {
                    T::ZERO
                }
            }
            Targets::Smoothed(labels, on, off) => {
                if labels[n] as usize == i {
                    on
                } else {
                    off
                }
            }
            Targets::Soft(targets) => targets.at(n, i),
        }
    }
    /// The class of example `n`: the first of the largest targets.
    fn label(&self, n: usize, k: usize) -> Option<usize> {
        match *self {
            Targets::Hard(labels) | Targets::Smoothed(labels, ..) => Some(labels[n] as usize),
            Targets::Soft(targets) => {
                let most = row_max(k, |i| targets.at(n, i));
                (0..k).find(|&i| targets.at(n, i) == most)
            }
        }
    }
}

/// Cross-entropy of the softmax.
pub fn softmax_cross_entropy<T: Elementary>(
    x: MatRef<'_, T>,
    targets: Targets<'_, T>,
    scale: T,
    losses: &mut [T],
    mut d: MatMut<'_, T>,
) -> usize {
    let k = x.cols();
    let mut correct = 0;
    for (n, loss) in losses.iter_mut().enumerate() {
        let m = row_max(k, |i| x.at(n, i));
        let e = |i: usize| (x.at(n, i) - m).exp();
        let s = row_sum(k, |s: T, i| s + e(i));
        let label = targets.label(n, k);
        *loss = match (targets, label) {
            (Targets::Hard(_), Some(label)) => s.ln() - (x.at(n, label) - m),
            _ => row_sum(k, |acc, i| targets.at(n, i).fma(s.ln() - (x.at(n, i) - m), acc)),
        };
        for i in 0..k {
            let p = e(i) / s;
            *d.at_mut(n, i) = (p - targets.at(n, i)) * scale;
        }
        let prediction = (0..k).find(|&i| x.at(n, i) == m);
        correct += usize::from(label.is_some() && prediction == label);
    }
    correct
}

/// The softmax of each row.
pub fn softmax_forward<T: Elementary>(x: MatRef<'_, T>, mut p: MatMut<'_, T>) {
    for n in 0..x.rows() {
        let m = row_max(x.cols(), |i| x.at(n, i));
        let e = |i: usize| (x.at(n, i) - m).exp();
        let s = row_sum(x.cols(), |s: T, i| s + e(i));
        for i in 0..x.cols() {
            *p.at_mut(n, i) = e(i) / s;
        }
    }
}

/// The gradient by the logits from that by the probabilities.
pub fn softmax_backward<T: Real>(p: MatRef<'_, T>, d_p: MatRef<'_, T>, mut d: MatMut<'_, T>) {
    for n in 0..p.rows() {
        let c = row_sum(p.cols(), |s, i| d_p.at(n, i).fma(p.at(n, i), s));
        for i in 0..p.cols() {
            *d.at_mut(n, i) = p.at(n, i) * (d_p.at(n, i) - c);
        }
    }
}

/// Half the squared distance from the targets.
pub fn squared_error<T: Real>(x: MatRef<'_, T>, t: MatRef<'_, T>, scale: T, losses: &mut [T], mut d: MatMut<'_, T>) {
    for (n, loss) in losses.iter_mut().enumerate() {
        let r = |i: usize| x.at(n, i) - t.at(n, i);
        *loss = T::from_f64(0.5) * row_sum(x.cols(), |s, i| r(i).fma(r(i), s));
        for i in 0..x.cols() {
            *d.at_mut(n, i) = r(i) * scale;
        }
    }
}

/// Logistic loss with labels of -1 or +1.
pub fn logistic<T: Elementary>(x: &[T], y: &[T], scale: T, losses: &mut [T], d: &mut [T]) -> usize {
    let mut correct = 0;
    for n in 0..x.len() {
        let z = -y[n] * x[n];
        losses[n] = z.softplus();
        d[n] = (-y[n] * z.sigmoid()) * scale;
        correct += usize::from(z < T::ZERO);
    }
    correct
}
