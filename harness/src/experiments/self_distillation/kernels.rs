//! Kernels on the line, and their matrices.

use regularity_engine::math::scalar;

use super::refusal::{Refusal, Result};

/// A positive kernel of two numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kernel {
    /// The Green's function of `f -> integral of f''^2` over [0, 1] with `f = f'' = 0` at both ends: a simply supported
    /// beam, `g(x, s) = max(x - s, 0)^3 / 6 - x (1 - s) (x^2 - 2 s + s^2) / 6`.
    Spline,
    /// `exp(-gamma (x - s)^2)`.
    Gaussian {
        /// The inverse squared width.
        gamma: f64,
    },
}

impl Kernel {
    /// `g(x, s)`.
    #[must_use]
    pub fn at(self, x: f64, s: f64) -> f64 {
        match self {
            Self::Spline => {
                let beyond = if x > s { x - s } else { 0.0 };
                (beyond * beyond * beyond - x * (1.0 - s) * (x * x - 2.0 * s + s * s)) / 6.0
            }
            Self::Gaussian { gamma } => scalar::exp(-gamma * (x - s) * (x - s)),
        }
    }

    /// The second derivative of [`Spline`](Self::Spline) by x; None for other kernels.
    #[must_use]
    pub fn curvature(self, x: f64, s: f64) -> Option<f64> {
        match self {
            Self::Spline => Some((if x > s { x - s } else { 0.0 }) - x * (1.0 - s)),
            Self::Gaussian { .. } => None,
        }
    }

    /// The symmetric matrix `g(x_j, x_k) * factor`, row after row: the mean of the two orders, which rounding may tell
    /// apart.
    ///
    /// # Errors
    /// [`Refusal::Duplicate`] for equal points, [`Refusal::Input`] for one that is not finite or, for the spline, outside
    /// of [0, 1].
    pub fn matrix(self, points: &[f64], factor: f64) -> Result<Vec<f64>> {
        check_points(self, points)?;
        let n = points.len();
        let entry = |j: usize, k: usize| self.at(points[j], points[k]);
        Ok((0..n * n).map(|i| (i / n, i % n)).map(|(j, k)| 0.5 * (entry(j, k) + entry(k, j)) * factor).collect())
    }

    /// `g(x, x_k) * factor` for every point x_k.
    #[must_use]
    pub fn row(self, x: f64, points: &[f64], factor: f64) -> Vec<f64> {
        points.iter().map(|&s| self.at(x, s) * factor).collect()
    }
}

fn check_points(kernel: Kernel, points: &[f64]) -> Result<()> {
    for (second, &x) in points.iter().enumerate() {
        let inside = kernel != Kernel::Spline || (0.0..=1.0).contains(&x);
        if !x.is_finite() || !inside {
            let requirement = if kernel == Kernel::Spline { "a number from 0 to 1" } else { "a finite number" };
            return Err(Refusal::Input { what: "a point", requirement, actual: x });
        }
        if let Some(first) = points[..second].iter().position(|&y| y == x) {
            return Err(Refusal::Duplicate { first, second });
        }
    }
    Ok(())
}

/// `sin(2 pi x)`, the truth of the illustrative example.
#[must_use]
pub fn sine(x: f64) -> f64 {
    scalar::cos(2.0 * std::f64::consts::PI * (x - 0.25))
}
