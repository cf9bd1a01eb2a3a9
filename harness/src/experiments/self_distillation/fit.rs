//! One fit: the smoothest function within a mean squared error of the targets.
//!
//! `f = argmin R(f)` subject to `(1/K) sum (f(x_k) - y_k)^2 <= eps`. If zero fits, it is the answer (*collapse*). Else the
//! constraint is active and `f(x) = g_x' (c I + G)^-1 y` with the one `c > 0` for which
//! `(1/K) sum_k (c z_k / (c + d_k))^2 = eps`, in the eigenbasis.

use super::refusal::{Refusal, Result};

/// Steps of Newton's method at most; four to seven are usual, fourteen the most that was seen.
const MOST_STEPS: usize = 100;
/// A relative step below this changes nothing any more.
const SMALLEST_STEP: f64 = 4e-16;

/// The solution of one problem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fit {
    /// The zero function is within the tolerance, and it is the smoothest of all.
    Collapsed,
    /// A ridge regression.
    Ridge(Ridge),
}

/// A ridge regression, by its coefficient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ridge {
    /// The inverse of the ridge coefficient c.
    pub mu: f64,
    /// Steps of Newton's method that were taken.
    pub steps: usize,
}

impl Ridge {
    /// With a given coefficient.
    #[must_use]
    pub fn with_c(c: f64) -> Self {
        Self { mu: 1.0 / c, steps: 0 }
    }

    /// The ridge coefficient.
    #[must_use]
    pub fn c(self) -> f64 {
        1.0 / self.mu
    }

    /// The factor of a direction: `d / (c + d)`, as `mu d / (1 + mu d)` so that a large c loses nothing.
    #[must_use]
    pub fn shrink(self, d: f64) -> f64 {
        let t = self.mu * d;
        t / (1.0 + t)
    }

    /// The coefficient of `(c I + G)^-1` in a direction: `1 / (c + d)`.
    #[must_use]
    pub fn weight(self, d: f64) -> f64 {
        self.mu / (1.0 + self.mu * d)
    }
}

/// Solves the problem with eigenvalues `d`, weights `w_k = sum_q z_kq^2`, and tolerance `eps` on the mean over
/// `d.len()` points.
///
/// # Method
/// Newton's method on `h(mu) = 1 / |s(mu)| - 1 / sqrt(K eps)` with `s_k = z_k / (1 + mu d_k)` and `mu = 1 / c`: h is
/// increasing and concave, so that from the left of the root every step goes to the right and none beyond it. It needs no
/// bracket, and no special treatment of zero eigenvalues.
///
/// # Errors
/// [`Refusal::Infeasible`] if the part of the targets with `d_k = 0` alone has a mean square of `eps` or more;
/// [`Refusal::Tolerance`], [`Refusal::Input`] for numbers that make no sense.
pub fn solve(d: &[f64], w: &[f64], eps: f64) -> Result<Fit> {
    if !(eps > 0.0 && eps.is_finite()) {
        return Err(Refusal::Tolerance(eps));
    }
    let points = d.len() as f64;
    let allowed = points * eps;
    let total: f64 = w.iter().sum();
    if !total.is_finite() {
        return Err(Refusal::Input { what: "the sum of squares of the targets", requirement: "finite", actual: total });
    }
    if total <= allowed {
        return Ok(Fit::Collapsed);
    }
    let unreached: f64 = d.iter().zip(w).filter(|(d, _)| **d == 0.0).map(|(_, w)| w).sum();
    if unreached >= allowed {
        return Err(Refusal::Infeasible { tolerance: eps, least: unreached / points });
    }
    let largest = d.iter().fold(0.0, |m: f64, &d| if d > m { d } else { m });
    let (norm, radius) = (total.sqrt(), allowed.sqrt());
    let mut mu = (norm - radius) / (largest * radius);
    for steps in 1..=MOST_STEPS {
        let (mut square, mut slope) = (0.0, 0.0);
        for (&d, &w) in d.iter().zip(w) {
            let denominator = 1.0 + mu * d;
            let s = w / (denominator * denominator);
            square += s;
            slope += s * d / denominator;
        }
        // h / h' = (1 / |s| - 1 / r) |s|^3 / slope = |s|^2 (1 - |s| / r) / slope, and a root to the right needs -h > 0.
        let size = square.sqrt();
        let step = square * (size - radius) / (radius * slope);
        if step.is_nan() || step <= SMALLEST_STEP * mu {
            return Ok(Fit::Ridge(Ridge { mu, steps }));
        }
        mu += step;
    }
    Err(Refusal::NoConvergence { iterations: MOST_STEPS })
}

/// The mean squared error that a ridge regression leaves: `(1/K) sum_k (c z_k / (c + d_k))^2`.
#[must_use]
pub fn residual(d: &[f64], w: &[f64], ridge: Ridge) -> f64 {
    let left = |d: f64| 1.0 / (1.0 + ridge.mu * d);
    d.iter().zip(w).map(|(&d, &w)| left(d) * left(d) * w).sum::<f64>() / d.len() as f64
}

/// The smoothness functional of a ridge regression: `R(f) = (1/K) a' G a` with `a = (c I + G)^-1 y`.
#[must_use]
pub fn roughness(d: &[f64], w: &[f64], ridge: Ridge) -> f64 {
    d.iter().zip(w).map(|(&d, &w)| d * ridge.weight(d) * ridge.weight(d) * w).sum::<f64>() / d.len() as f64
}

/// The interval in which c lies, from the smallest and the largest eigenvalue: `d radius / (|z| - radius)`.
#[must_use]
pub fn bracket(d: &[f64], w: &[f64], eps: f64) -> (f64, f64) {
    let radius = (d.len() as f64 * eps).sqrt();
    let excess = w.iter().sum::<f64>().sqrt() - radius;
    let at = |d: Option<&f64>| d.map_or(0.0, |d| d * radius / excess);
    (at(d.last()), at(d.first()))
}
