//! What can be said of a chain before it is run: bounds from the condition number, and from the norms alone.

use regularity_engine::math::scalar;

use super::refusal::{Refusal, Result};

/// A chain as the bounds see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// `|y_0| / sqrt(K eps)`, above 1 if there is a round at all.
    pub r0: f64,
    /// `d_max / d_min`.
    pub kappa: f64,
    /// The smallest eigenvalue.
    d_min: f64,
    /// `sqrt(K eps)`.
    radius: f64,
}

impl Bounds {
    /// For eigenvalues `d` in descending order, targets of norm `norm` and tolerance `eps`.
    ///
    /// # Errors
    /// [`Refusal::Singular`] if an eigenvalue is zero: then there is no condition number.
    pub fn new(d: &[f64], norm: f64, eps: f64) -> Result<Self> {
        let (size, rank) = (d.len(), super::spectrum::rank(d));
        let (Some(&largest), Some(&d_min)) = (d.first(), d.last()) else {
            return Err(Refusal::Singular { rank, size });
        };
        if rank < size {
            return Err(Refusal::Singular { rank, size });
        }
        let radius = (size as f64 * eps).sqrt();
        Ok(Self { r0: norm / radius, kappa: largest / d_min, d_min, radius })
    }

    /// Rounds that the paper guarantees: `(r0 - 1) / kappa`.
    #[must_use]
    pub fn guaranteed(&self) -> f64 {
        (self.r0 - 1.0) / self.kappa
    }

    /// `a` and `b` of the tangent recursion `r -> a r - b`.
    fn tangent(&self) -> (f64, f64) {
        let (r, k) = (self.r0, self.kappa);
        let denominator = (r - 1.0 + k) * (r - 1.0 + k);
        (((r - 1.0) * (r - 1.0) + k * (2.0 * r - 1.0)) / denominator, r * r * k / denominator)
    }

    /// A lower bound of the norm of the targets of round t.
    #[must_use]
    pub fn norm_after(&self, t: usize) -> f64 {
        let (a, b) = self.tangent();
        let (mut power, mut series) = (1.0, 0.0);
        for _ in 0..t {
            series += power;
            power *= a;
        }
        self.radius * (power * self.r0 - b * series)
    }

    /// Where that bound meets `sqrt(K eps)`: rounds that it guarantees.
    #[must_use]
    pub fn crossing(&self) -> f64 {
        let (r, k) = (self.r0, self.kappa);
        let (a, _) = self.tangent();
        if a == 1.0 {
            return r - 1.0;
        }
        scalar::ln((r * r + k - 1.0) / (r * (r + k - 1.0))) / scalar::ln(a)
    }

    /// A lower bound of `ln(B[k] / B[j])` after `rounds` fits, for eigenvalues `larger > smaller`.
    #[must_use]
    pub fn log_ratio(&self, larger: f64, smaller: f64, rounds: f64) -> f64 {
        // Of (r0 - 1 + d_min / smaller) / (r0 - 1 + d_min / larger), which may be close to 1.
        let denominator = self.r0 - 1.0 + self.d_min / larger;
        rounds * scalar::ln_1p((self.d_min / smaller - self.d_min / larger) / denominator)
    }

    /// The sparsity index that is guaranteed when the guaranteed rounds are done, over neighbours in `d`.
    #[must_use]
    pub fn sparsity(&self, d: &[f64]) -> f64 {
        let least = d.windows(2).map(|w| self.log_ratio(w[0], w[1], self.guaranteed()));
        scalar::exp(least.fold(f64::INFINITY, |m, x| if x < m { x } else { m }))
    }

    /// What [`sparsity`](Self::sparsity) tends to as the tolerance goes to zero.
    #[must_use]
    pub fn sparsity_limit(&self, d: &[f64]) -> f64 {
        let least = d.windows(2).map(|w| self.d_min / w[1] - self.d_min / w[0]);
        scalar::exp(least.fold(f64::INFINITY, |m, x| if x < m { x } else { m }) / self.kappa)
    }
}

/// The first and the last round at which a chain can collapse, whatever the kernel: `ceil(r0 - 1)` and `ceil(r0^2 - 1)`.
#[must_use]
pub fn collapse_bracket(r0: f64) -> (f64, f64) {
    ((r0 - 1.0).ceil(), (r0 * r0 - 1.0).ceil())
}
