//! Penalties of transfer learning, each with its exact gradient added to what the loss gave.
//!
//! [`l2_sp`] and [`delta`] rest on the pull towards a point, of strength `a`:
//!
//! ```text
//! loss  = (a / 2) sum (x - x0)^2           a * 0.5 and the product round once each
//! d     = fma(a, x - x0, d)
//! ```
//!
//! with the sum of [`squared_distance`].

use crate::error::{Error, Result};
use crate::kernels::elementwise::add_scaled_difference;
use crate::kernels::reduce::squared_distance;
use crate::linalg::{Svd, svd};
use crate::parallel::Context;
use crate::params::Groups;
use crate::tensor::MatRef;

/// L2-SP (X. Li et al., "Explicit Inductive Bias for Transfer Learning", 2018): every group of parameters is pulled
/// towards where it started, with a strength of its own. Gives the penalty: the sum over the segments of the groups, in
/// ascending order.
///
/// `start` holds the pre-trained parameters, and zeros where a part is to be pulled towards zero, such as a new head.
/// The penalty takes the place of weight decay; let that be zero.
///
/// # Errors
/// [`Error::Shape`] if `w`, `start`, `g` or `strengths` do not fit the groups; else as [`Context::tasks`].
pub fn l2_sp(
    context: &Context,
    groups: &Groups,
    strengths: &[f32],
    w: &[f32],
    start: &[f32],
    g: &mut [f32],
) -> Result<f32> {
    let (op, expected) = ("l2_sp", groups.trained_len());
    for (what, actual, fits) in [
        ("elements of the parameters", w.len(), w.len() >= expected),
        ("elements of the start", start.len(), start.len() >= expected),
        ("elements of the gradient", g.len(), g.len() == expected),
    ] {
        if !fits {
            return Err(Error::Shape { op, what, expected, actual });
        }
    }
    if strengths.len() != groups.count() {
        return Err(Error::Shape { op, what: "strengths", expected: groups.count(), actual: strengths.len() });
    }
    let mut penalty = 0.0;
    for (range, group) in groups.segments() {
        let (w, start) = (&w[range.clone()], &start[range.clone()]);
        penalty += pull(context, strengths[*group], w, start, &mut g[range.clone()])?;
    }
    Ok(penalty)
}

/// DELTA without attention (X. Li et al., "DELTA: Deep Learning Transfer using Feature Map with Attention", 2019): the
/// features of a layer are pulled towards those of the pre-trained network. Gives the penalty, summed over the batch, the
/// pixels and the channels, not averaged.
///
/// `features` and `reference` are a tap's outputs, of any shape; `d` is the gradient at the tap. In a network the tap is a
/// [map](crate::models::Model::map), and `d` goes into the backward pass by
/// [`InnerGradients`](crate::models::InnerGradients).
///
/// # Errors
/// [`Error::Shape`] if the lengths differ; else as [`Context::tasks`].
pub fn delta(context: &Context, strength: f32, features: &[f32], reference: &[f32], d: &mut [f32]) -> Result<f32> {
    pull(context, strength, features, reference, d)
}

/// BSS (X. Chen et al., "Catastrophic Forgetting Meets Negative Transfer: Batch Spectral Shrinkage for Safe Transfer
/// Learning", 2019): the `count` smallest singular values of a batch's features are shrunk. Gives the penalty.
///
/// `features` is `[n, c]`, F; `d` is its gradient. With the singular values s, the smallest last, and their vectors u and v,
/// all in `f64` by [`svd`]:
///
/// ```text
/// loss  = strength sum over the last `count` of s^2           one chain from +0, the smallest first, rounded once
/// d     = d + 2 strength sum of s u v'                        each element's sum the same chain, rounded once
/// ```
///
/// The gradient is exact wherever the last value that is penalised differs from the next; where they are equal, it is one of
/// the subgradients. Features of `min(n, c)` or fewer values are all penalised.
///
/// # Errors
/// [`Error::Shape`] if the lengths do not fit, [`Error::Argument`] for no examples; else as [`svd`].
pub fn bss(context: &Context, strength: f32, count: usize, n: usize, features: &[f32], d: &mut [f32]) -> Result<f32> {
    let op = "bss";
    if n == 0 {
        let (what, requirement) = ("the number of examples", "at least 1");
        return Err(Error::Argument { op, what, requirement, actual: "0".to_owned() });
    }
    for (what, actual) in [("elements of the features", features.len() / n * n), ("elements of the gradient", d.len())]
    {
        if actual != features.len() {
            return Err(Error::Shape { op, what, expected: features.len(), actual });
        }
    }
    let features: Vec<f64> = features.iter().map(|&x| f64::from(x)).collect();
    let (squares, gradient) = spectral(context, count, n, &features)?;
    let strength = f64::from(strength);
    d.iter_mut().zip(&gradient).for_each(|(d, g)| *d += (2.0 * strength * g) as f32);
    Ok((strength * squares) as f32)
}

/// The sum of the `count` smallest squared singular values, and half of its gradient.
fn spectral(context: &Context, count: usize, n: usize, features: &[f64]) -> Result<(f64, Vec<f64>)> {
    let c = features.len() / n;
    let Svd { values, left, right } = svd(context, MatRef::new(features, n, c)?)?;
    let (mut squares, mut gradient) = (0.0, vec![0.0; features.len()]);
    for (i, s) in values.iter().enumerate().rev().take(count) {
        squares += s * s;
        for (row, u) in gradient.chunks_exact_mut(c).zip(&left[i * n..(i + 1) * n]) {
            row.iter_mut().zip(&right[i * c..(i + 1) * c]).for_each(|(g, v)| *g += s * u * v);
        }
    }
    Ok((squares, gradient))
}

fn pull(context: &Context, strength: f32, x: &[f32], x0: &[f32], d: &mut [f32]) -> Result<f32> {
    add_scaled_difference(context, strength, x, x0, d)?;
    Ok(strength * 0.5 * squared_distance(context, x, x0)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test fails by panicking

    use super::*;
    use crate::testing::{Kind, contexts};

    /// More examples than features, fewer, and one of each.
    const SHAPES: [(usize, usize); 4] = [(9, 5), (5, 9), (1, 6), (6, 1)];

    #[test]
    fn the_gradient_of_the_spectral_penalty_equals_central_differences() {
        let context = contexts().last().unwrap();
        for (n, c) in SHAPES {
            let features = Kind::Uniform.vector::<f64>(1, n * c);
            for count in [1, 2, 99] {
                let (squares, gradient) = spectral(context, count, n, &features).unwrap();
                if count >= n.min(c) {
                    let norm: f64 = features.iter().map(|x| x * x).sum();
                    assert!((squares - norm).abs() < 1e-12 * norm, "all values are the Frobenius norm");
                }
                let scale = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
                for i in 0..features.len() {
                    let at = |h: f64| {
                        let mut moved = features.clone();
                        moved[i] += h;
                        spectral(context, count, n, &moved).unwrap().0
                    };
                    let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                    let error = (difference - 2.0 * gradient[i]).abs() / scale;
                    assert!(error < 1e-6, "{n} x {c}, {count}, {i}: {difference} but {}", 2.0 * gradient[i]);
                }
            }
        }
    }

    #[test]
    fn the_spectral_penalty_has_the_same_bits_everywhere_and_adds_to_the_gradient() {
        for (n, c) in SHAPES {
            let (features, before) = (Kind::Uniform.vector::<f32>(2, n * c), Kind::Uniform.vector::<f32>(3, n * c));
            let wide: Vec<f64> = features.iter().map(|&x| f64::from(x)).collect();
            let (squares, gradient) = spectral(&contexts()[0], 2, n, &wide).unwrap();
            let strength = 0.25f32;
            for context in contexts() {
                let mut d = before.clone();
                let penalty = bss(context, strength, 2, n, &features, &mut d).unwrap();
                assert_eq!(penalty.to_bits(), ((0.25 * squares) as f32).to_bits());
                for i in 0..d.len() {
                    assert_eq!(d[i].to_bits(), (before[i] + (0.5 * gradient[i]) as f32).to_bits());
                }
            }
        }
    }

    #[test]
    fn features_without_a_small_direction_are_left_alone() {
        // Of rank one: the smallest value is zero, and so is its gradient.
        let (features, mut d) = ([1.0f32, 2.0, 2.0, 4.0, 3.0, 6.0], [0.0; 6]);
        let penalty = bss(&contexts()[0], 1.0, 1, 3, &features, &mut d).unwrap();
        assert!(penalty < 1e-12 && d.iter().all(|d| d.abs() < 1e-6), "{penalty} {d:?}");
        assert!(matches!(bss(&contexts()[0], 1.0, 1, 0, &features, &mut d), Err(Error::Argument { .. })));
        assert!(matches!(bss(&contexts()[0], 1.0, 1, 4, &features, &mut d), Err(Error::Shape { .. })));
        assert!(matches!(bss(&contexts()[0], 1.0, 1, 3, &features, &mut d[1..]), Err(Error::Shape { .. })));
        let nan = [f32::NAN; 6];
        assert!(matches!(bss(&contexts()[0], 1.0, 1, 3, &nan, &mut d), Err(Error::NotFinite { .. })));
    }
}
