//! The theorems, counted: how many of them a round of a real chain breaks. None, unless rounding or the program is at fault.

use super::chain::{Round, norm};
use super::fit::{Fit, bracket, residual, roughness, solve};
use super::refusal::Result;
use super::spectrum::{rank, weights};

/// Relative slack for inequalities that hold up to rounding.
const SLACK: f64 = 1e-9;

/// What a chain is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Laws<'a> {
    /// The eigenvalues, in descending order.
    pub d: &'a [f64],
    /// The squares of the first targets in the eigenbasis.
    pub w0: &'a [f64],
    /// The tolerance.
    pub eps: f64,
    /// The number of outputs.
    pub columns: usize,
}

fn at_most(x: f64, y: f64) -> bool {
    x <= y + SLACK * (x.abs() + y.abs())
}

impl Laws<'_> {
    /// How many of the predictions 1 to 7, 10, 14 and 17 the round breaks, beside the one before it.
    ///
    /// # Errors
    /// Those of [`solve`].
    pub fn broken(&self, previous: Option<&Round>, round: &Round) -> Result<u64> {
        let (d, allowed) = (self.d, self.eps * self.d.len() as f64);
        let w = weights(&round.targets, self.columns);
        let (low, high) = bracket(d, &w, self.eps);
        let next = round.predictions(self.columns);
        let moved: f64 = round.targets.iter().zip(&next).map(|(a, b)| (a - b) * (a - b)).sum();
        let (before, after) = (norm(&round.targets), norm(&next));
        let reached = rank(d);
        let b = &round.log_b[..reached];
        let mut laws = vec![
            (residual(d, &w, round.ridge) / self.eps - 1.0).abs() < SLACK,
            at_most(low, round.ridge.c()) && at_most(round.ridge.c(), high),
            (moved / allowed - 1.0).abs() < SLACK,
            at_most(allowed, before * before - after * after),
            round.shrink.iter().all(|a| (0.0..=1.0).contains(a)) && round.shrink.windows(2).all(|a| a[0] >= a[1]),
            b.windows(2).all(|b| at_most(b[1], b[0])),
        ];
        if let Some(last) = previous {
            let pairs = last.log_b[..reached].iter().zip(b);
            let ratio = |l: &[f64], k: usize| l[k - 1] - l[k];
            laws.extend([
                round.ridge.c() > last.ridge.c(),
                pairs.clone().all(|(before, now)| now < before),
                round.roughness < last.roughness,
                round.training_error(self.w0) > last.training_error(self.w0),
                (1..reached).all(|k| at_most(ratio(&last.log_b, k), ratio(&round.log_b, k))),
                round.degrees_of_freedom() < last.degrees_of_freedom(),
            ]);
            let error = round.training_error(self.w0);
            if let Fit::Ridge(single) = solve(d, self.w0, error)? {
                laws.push(at_most(roughness(d, self.w0, single), round.roughness));
            }
        }
        Ok(laws.iter().filter(|holds| !**holds).count() as u64)
    }
}
