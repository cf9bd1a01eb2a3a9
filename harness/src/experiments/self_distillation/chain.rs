//! Self-distillation: fit, take the predictions as targets, fit again.

use regularity_engine::math::scalar;

use super::fit::{Fit, Ridge, roughness, solve};
use super::refusal::Result;
use super::spectrum::weights;

/// How the ridge coefficient of each round is found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// From the same tolerance in every round, as the paper has it.
    Tolerance(f64),
    /// The same coefficient in every round: then nothing collapses.
    Fixed(f64),
}

/// One round that did not collapse: the fit `f_t` to the targets `y_t`.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// The number of the round, from 0 for the ordinary fit.
    pub t: usize,
    /// The fit.
    pub ridge: Ridge,
    /// The targets in the eigenbasis, `z_t` (size x columns).
    pub targets: Vec<f64>,
    /// The diagonal of `A_t`: what this round makes of each direction.
    pub shrink: Vec<f64>,
    /// The logarithm of the diagonal of `B_t = A_t ... A_0`: what all rounds together do. `-inf` where the eigenvalue is
    /// zero.
    pub log_b: Vec<f64>,
    /// `R(f_t)`.
    pub roughness: f64,
}

impl Round {
    /// The diagonal of `B_t`.
    #[must_use]
    pub fn b(&self) -> Vec<f64> {
        self.log_b.iter().map(|&l| scalar::exp(l)).collect()
    }

    /// The predictions on the training points in the eigenbasis: the targets of the next round.
    #[must_use]
    pub fn predictions(&self, columns: usize) -> Vec<f64> {
        let rows = self.targets.chunks(columns.max(1)).zip(&self.shrink);
        rows.flat_map(|(row, a)| row.iter().map(move |z| a * z)).collect()
    }

    /// The coefficients of the kernel functions in the eigenbasis, `(c I + D)^-1 z_t`: `f_t(x) = g_x' V' coefficients`.
    #[must_use]
    pub fn coefficients(&self, d: &[f64], columns: usize) -> Vec<f64> {
        coefficients(d, &self.targets, columns, self.ridge)
    }

    /// The Euclidean norms of the targets and of the predictions.
    #[must_use]
    pub fn norms(&self, columns: usize) -> (f64, f64) {
        (norm(&self.targets), norm(&self.predictions(columns)))
    }

    /// The mean squared error on the training points against the *first* targets, of weights `w0`: `|(I - B_t) z_0|^2 / K`.
    #[must_use]
    pub fn training_error(&self, w0: &[f64]) -> f64 {
        let missing = |l: f64| scalar::expm1(l);
        self.log_b.iter().zip(w0).map(|(&l, &w)| missing(l) * missing(l) * w).sum::<f64>() / w0.len() as f64
    }

    /// The trace of `B_t`: the effective number of basis functions.
    #[must_use]
    pub fn degrees_of_freedom(&self) -> f64 {
        self.b().iter().sum()
    }

    /// The sparsity index `min_k B[k] / B[k+1]` over neighbouring directions that the kernel reaches; 1 if there are
    /// fewer than two.
    #[must_use]
    pub fn sparsity(&self) -> f64 {
        let reached: Vec<f64> = self.log_b.iter().copied().filter(|l| l.is_finite()).collect();
        let least = reached.windows(2).map(|w| w[0] - w[1]).fold(f64::INFINITY, |m, x| if x < m { x } else { m });
        if least.is_finite() { scalar::exp(least) } else { 1.0 }
    }
}

/// The coefficients `(c I + D)^-1 z`.
#[must_use]
pub fn coefficients(d: &[f64], z: &[f64], columns: usize, ridge: Ridge) -> Vec<f64> {
    let rows = z.chunks(columns.max(1)).zip(d);
    rows.flat_map(|(row, &d)| row.iter().map(move |z| ridge.weight(d) * z)).collect()
}

/// The Euclidean norm.
#[must_use]
pub fn norm(z: &[f64]) -> f64 {
    z.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// A chain of rounds; [`next_round`](Self::next_round) makes one after another.
#[derive(Debug, Clone)]
pub struct Chain {
    d: Vec<f64>,
    columns: usize,
    rule: Rule,
    t: usize,
    z: Vec<f64>,
    log_b: Vec<f64>,
    collapsed: bool,
}

impl Chain {
    /// A chain that begins with targets `z_0` (size x columns, in the eigenbasis of the eigenvalues `d`).
    #[must_use]
    pub fn new(d: &[f64], z: Vec<f64>, columns: usize, rule: Rule) -> Self {
        Self { d: d.to_vec(), columns, rule, t: 0, z, log_b: vec![0.0; d.len()], collapsed: false }
    }

    /// The next fit; None when it is the zero function, and for ever after.
    ///
    /// # Errors
    /// Those of [`solve`].
    pub fn next_round(&mut self) -> Result<Option<Round>> {
        if self.collapsed {
            return Ok(None);
        }
        let w = weights(&self.z, self.columns);
        let fit = match self.rule {
            Rule::Tolerance(eps) => solve(&self.d, &w, eps)?,
            Rule::Fixed(c) => Fit::Ridge(Ridge::with_c(c)),
        };
        let Fit::Ridge(ridge) = fit else {
            self.collapsed = true;
            return Ok(None);
        };
        // 1 + c / d is the factor by which a direction shrinks; without a reach, c / 0 is infinite and so is the logarithm.
        for (log_b, &d) in self.log_b.iter_mut().zip(&self.d) {
            *log_b -= scalar::ln_1p(1.0 / (ridge.mu * d));
        }
        let round = Round {
            t: self.t,
            ridge,
            targets: std::mem::take(&mut self.z),
            shrink: self.d.iter().map(|&d| ridge.shrink(d)).collect(),
            log_b: self.log_b.clone(),
            roughness: roughness(&self.d, &w, ridge),
        };
        self.z = round.predictions(self.columns);
        self.t += 1;
        Ok(Some(round))
    }

    /// All rounds until the collapse, `most` at most.
    ///
    /// # Errors
    /// Those of [`solve`].
    pub fn rounds(mut self, most: usize) -> Result<Vec<Round>> {
        let mut rounds = Vec::new();
        while rounds.len() < most {
            match self.next_round()? {
                Some(round) => rounds.push(round),
                None => break,
            }
        }
        Ok(rounds)
    }

    /// The targets of the next round, in the eigenbasis.
    #[must_use]
    pub fn targets(&self) -> &[f64] {
        &self.z
    }

    /// The number of the next round.
    #[must_use]
    pub fn t(&self) -> usize {
        self.t
    }
}
