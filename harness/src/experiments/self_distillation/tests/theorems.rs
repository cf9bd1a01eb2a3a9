//! What the theory proves, on random problems. The numbers are those of section 5.

use proptest::prelude::*;
use regularity_engine::math::scalar;

use super::super::bounds::{Bounds, collapse_bracket};
use super::super::chain::{Chain, Round, Rule, norm};
use super::super::fit::{Fit, Ridge, bracket, residual, roughness, solve};
use super::super::spectrum::weights;
use super::super::{equivalent, mixture};

/// A problem in its eigenbasis: distinct eigenvalues in descending order, targets, and a feasible tolerance below the mean
/// square of the targets.
#[derive(Debug, Clone)]
struct Problem {
    d: Vec<f64>,
    z: Vec<f64>,
    columns: usize,
    eps: f64,
}

impl Problem {
    fn weights(&self) -> Vec<f64> {
        weights(&self.z, self.columns)
    }
    /// `K eps`.
    fn allowed(&self) -> f64 {
        self.eps * self.d.len() as f64
    }
    fn r0(&self) -> f64 {
        norm(&self.z) / self.allowed().sqrt()
    }
    fn rounds(&self) -> Vec<Round> {
        Chain::new(&self.d, self.z.clone(), self.columns, Rule::Tolerance(self.eps)).rounds(10_000).unwrap()
    }
}

prop_compose! {
    /// Condition numbers from 1.05 to about 10^9, one to three outputs, from near interpolation to near collapse.
    fn problem()(columns in 1usize..4, spread in 0.05f64..2.0)(
        gaps in prop::collection::vec(0.05f64..2.0, 2..12),
        largest in -8.0f64..4.0,
        spread in Just(spread),
        columns in Just(columns),
        targets in prop::collection::vec(-1.0f64..1.0, 36),
        share in 0.003f64..0.95,
    ) -> Problem {
        let mut log = largest;
        let d: Vec<f64> = gaps.iter().map(|gap| { log -= 0.05 + gap * spread; scalar::exp(log) }).collect();
        // One output of the first direction is kept away from zero, so that there is something to fit.
        let mut z = targets[..d.len() * columns].to_vec();
        z[0] = if z[0] < 0.0 { z[0] - 0.1 } else { z[0] + 0.1 };
        let square: f64 = z.iter().map(|z| z * z).sum();
        let eps = share * square / d.len() as f64;
        Problem { d, z, columns, eps }
    }
}

/// `x <= y` up to rounding.
fn at_most(x: f64, y: f64) -> bool {
    x <= y + 1e-12 * (x.abs() + y.abs())
}

/// The root by bisection on ln c, as an independent audit.
fn bisect(d: &[f64], w: &[f64], eps: f64) -> f64 {
    let (mut low, mut high) = (-700.0, 700.0);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if residual(d, w, Ridge::with_c(scalar::exp(middle))) < eps { low = middle } else { high = middle }
    }
    scalar::exp(0.5 * (low + high))
}

fn ridge(d: &[f64], w: &[f64], eps: f64) -> Ridge {
    match solve(d, w, eps).unwrap() {
        Fit::Ridge(ridge) => ridge,
        Fit::Collapsed => panic!("collapsed"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn p01_the_root_is_unique_exact_and_grows_with_the_tolerance(p in problem()) {
        let w = p.weights();
        let found = ridge(&p.d, &w, p.eps);
        prop_assert!((residual(&p.d, &w, found) / p.eps - 1.0).abs() < 1e-13, "{:e}", residual(&p.d, &w, found) / p.eps);
        prop_assert!((bisect(&p.d, &w, p.eps) / found.c() - 1.0).abs() < 1e-10);
        prop_assert!(found.steps <= 20, "{} steps", found.steps);
        let tighter = ridge(&p.d, &w, 0.9 * p.eps);
        prop_assert!(tighter.c() < found.c());
    }

    #[test]
    fn p02_c_lies_between_its_bounds_in_every_round(p in problem()) {
        for round in p.rounds() {
            let (low, high) = bracket(&p.d, &weights(&round.targets, p.columns), p.eps);
            prop_assert!(at_most(low, round.ridge.c()) && at_most(round.ridge.c(), high));
        }
    }

    #[test]
    fn p03_every_round_moves_the_targets_by_the_tolerance(p in problem()) {
        for round in p.rounds() {
            let next = round.predictions(p.columns);
            let moved: f64 = round.targets.iter().zip(next).map(|(a, b)| (a - b) * (a - b)).sum();
            prop_assert!((moved / p.allowed() - 1.0).abs() < 1e-10);
        }
    }

    #[test]
    fn p04_norms_fall_and_the_collapse_lies_in_its_bracket(p in problem()) {
        let rounds = p.rounds();
        for round in &rounds {
            let (before, after) = round.norms(p.columns);
            prop_assert!(at_most(p.allowed(), before * before - after * after));
        }
        let (first, last) = collapse_bracket(p.r0());
        // Rounding may decide a tie between a norm and the radius.
        prop_assert!(rounds.len() as f64 >= first - 1e-9 && rounds.len() as f64 <= last + 1e-9,
            "{} rounds, {first} to {last}", rounds.len());
    }

    #[test]
    fn p05_c_grows_and_every_shrinkage_falls(p in problem()) {
        for pair in p.rounds().windows(2) {
            prop_assert!(pair[1].ridge.c() > pair[0].ridge.c());
            prop_assert!(pair[0].shrink.iter().zip(&pair[1].shrink).all(|(a, b)| b <= a));
        }
    }

    #[test]
    fn p06_shrinkages_are_ordered_like_the_eigenvalues_and_products_fall(p in problem()) {
        let rounds = p.rounds();
        for round in &rounds {
            // 1 - A below 2^-54 rounds to A = 1.
            prop_assert!(round.shrink.iter().all(|a| (0.0..=1.0).contains(a)));
            prop_assert!(round.shrink.windows(2).all(|a| a[0] >= a[1]));
            prop_assert!(round.log_b.windows(2).all(|b| b[0] > b[1]) && round.log_b.iter().all(|&b| b < 0.0));
        }
        for pair in rounds.windows(2) {
            prop_assert!(pair[0].log_b.iter().zip(&pair[1].log_b).all(|(a, b)| b < a));
        }
    }

    #[test]
    fn p07_roughness_falls_and_the_error_against_the_first_targets_grows(p in problem()) {
        let (rounds, w) = (p.rounds(), p.weights());
        for pair in rounds.windows(2) {
            prop_assert!(pair[1].roughness < pair[0].roughness);
            prop_assert!(pair[1].training_error(&w) > pair[0].training_error(&w));
        }
        prop_assert!((rounds[0].training_error(&w) / p.eps - 1.0).abs() < 1e-10);
    }

    #[test]
    fn p08_norms_and_numbers_of_rounds_keep_the_paper_s_bounds(p in problem()) {
        let bounds = Bounds::new(&p.d, norm(&p.z), p.eps).unwrap();
        let rounds = p.rounds();
        for round in &rounds {
            let (before, after) = round.norms(p.columns);
            prop_assert!(at_most(bounds.norm_after(round.t), before));
            prop_assert!(at_most(bounds.norm_after(round.t + 1), after));
        }
        prop_assert!(at_most(bounds.guaranteed(), bounds.crossing()));
        prop_assert!(at_most(bounds.crossing(), bounds.r0 - 1.0));
        prop_assert!(rounds.len() as f64 > bounds.guaranteed());
    }

    #[test]
    fn p09_ratios_keep_their_lower_bound(p in problem()) {
        let bounds = Bounds::new(&p.d, norm(&p.z), p.eps).unwrap();
        for round in p.rounds() {
            for k in 0..p.d.len() {
                for j in k + 1..p.d.len() {
                    let least = bounds.log_ratio(p.d[k], p.d[j], (round.t + 1) as f64);
                    prop_assert!(at_most(least, round.log_b[k] - round.log_b[j]));
                }
            }
        }
    }

    #[test]
    fn p10_ratios_grow_with_the_rounds_and_those_of_one_fit_stay_below_that_of_the_eigenvalues(p in problem()) {
        for pair in p.rounds().windows(2) {
            for k in 1..p.d.len() {
                prop_assert!(pair[1].log_b[k - 1] - pair[1].log_b[k] > pair[0].log_b[k - 1] - pair[0].log_b[k]);
            }
        }
        for exponent in -12..=6 {
            let c = scalar::exp(std::f64::consts::LN_10 * f64::from(exponent));
            for pair in p.d.windows(2) {
                let ratio = (1.0 + c / pair[1]) / (1.0 + c / pair[0]);
                prop_assert!(ratio >= 1.0 && at_most(ratio, pair[0] / pair[1]));
            }
        }
    }

    #[test]
    fn p12_the_sparsity_bound_falls_with_the_tolerance_to_its_limit(p in problem()) {
        let at = |share: f64| {
            let eps = share * p.eps;
            let bounds = Bounds::new(&p.d, norm(&p.z), eps).unwrap();
            (bounds.sparsity(&p.d), bounds.sparsity_limit(&p.d))
        };
        let shares = [1.0, 0.3, 0.1, 1e-2, 1e-4, 1e-8, 1e-12];
        for pair in shares.windows(2) {
            prop_assert!(at_most(at(pair[0]).0, at(pair[1]).0));
            prop_assert!(at_most(at(pair[1]).0, at(pair[1]).1));
        }
        let (last, limit) = at(1e-12);
        prop_assert!((last / limit - 1.0).abs() < 1e-4);
    }

    #[test]
    fn p13_one_fit_with_the_equivalent_kernel_does_what_the_chain_did(p in problem()) {
        let rounds = p.rounds();
        for lambda in [rounds[0].ridge.c(), 1.0] {
            for round in rounds.iter().take(20) {
                let values = equivalent::eigenvalues(&round.log_b, lambda);
                let b = round.b();
                for (l, b) in values.iter().zip(b).filter(|(_, b)| *b > 1e-290) {
                    prop_assert!((l / (lambda + l) / b - 1.0).abs() < 1e-10);
                }
            }
        }
    }

    #[test]
    fn p14_effective_dimensions_fall(p in problem()) {
        let rounds = p.rounds();
        let c0 = rounds[0].ridge.c();
        let trace = |round: &Round| equivalent::eigenvalues(&round.log_b, c0).iter().sum::<f64>();
        for pair in rounds.windows(2) {
            prop_assert!(pair[1].degrees_of_freedom() < pair[0].degrees_of_freedom());
            prop_assert!(trace(&pair[1]) < trace(&pair[0]));
        }
    }

    #[test]
    fn p15_scaling_kernel_or_targets_changes_what_it_should_and_order_changes_nothing(p in problem(), s in 0.01f64..100.0) {
        let w = p.weights();
        let base = ridge(&p.d, &w, p.eps);
        let d: Vec<f64> = p.d.iter().map(|d| d * s).collect();
        prop_assert!((ridge(&d, &w, p.eps).c() / (s * base.c()) - 1.0).abs() < 1e-10);
        let scaled: Vec<f64> = w.iter().map(|w| w * s * s).collect();
        prop_assert!((ridge(&p.d, &scaled, s * s * p.eps).c() / base.c() - 1.0).abs() < 1e-10);
        let backwards: Vec<f64> = p.d.iter().rev().copied().collect();
        let w_backwards: Vec<f64> = w.iter().rev().copied().collect();
        prop_assert!((ridge(&backwards, &w_backwards, p.eps).c() / base.c() - 1.0).abs() < 1e-10);
    }

    #[test]
    fn p16_with_a_fixed_coefficient_factors_are_powers_and_nothing_collapses(p in problem(), c in 1e-6f64..1.0) {
        let rounds = Chain::new(&p.d, p.z.clone(), p.columns, Rule::Fixed(c)).rounds(50).unwrap();
        prop_assert_eq!(rounds.len(), 50);
        for round in rounds {
            for (log_b, d) in round.log_b.iter().zip(&p.d) {
                let expected = -((round.t + 1) as f64) * scalar::ln_1p(c / d);
                prop_assert!((log_b - expected).abs() <= 1e-12 * expected.abs());
            }
        }
    }

    #[test]
    fn p17_a_single_fit_of_the_same_training_error_is_smoother(p in problem()) {
        let w = p.weights();
        for round in p.rounds().iter().skip(1).take(20) {
            let error = round.training_error(&w);
            if error < 0.999 * w.iter().sum::<f64>() / w.len() as f64 {
                let single = ridge(&p.d, &w, error);
                prop_assert!(at_most(roughness(&p.d, &w, single), round.roughness));
            }
        }
    }

    #[test]
    fn p20_the_mixture_has_its_closed_form_and_its_limit(
        d in 1e-4f64..10.0, lambda in 1e-3f64..1.0, alpha in 0.0f64..=1.0, rounds in 1usize..40,
    ) {
        let (recursion, closed) = (mixture::recursion(d, lambda, alpha, rounds), mixture::closed_form(d, lambda, alpha, rounds));
        prop_assert!((recursion - closed).abs() < 1e-14);
        if alpha > 0.0 {
            prop_assert!((mixture::limit(d, lambda, alpha) - d / (d + lambda / alpha)).abs() < 1e-14);
        }
        let late = mixture::closed_form(d, lambda, alpha, 400_000);
        let slowest = (1.0 - alpha) * mixture::shrink(d, lambda);
        if slowest < 0.999 {
            prop_assert!((late - mixture::limit(d, lambda, alpha)).abs() < 1e-14);
        }
    }

    #[test]
    fn p20_the_best_share_is_the_minimum(values in prop::collection::vec((-1.0f64..1.0, -1.0f64..1.0, -1.0f64..1.0), 3..20)) {
        let v: Vec<f64> = values.iter().map(|x| x.0).collect();
        let p: Vec<f64> = values.iter().map(|x| x.1).collect();
        let q: Vec<f64> = values.iter().map(|x| x.2).collect();
        let error = |a: f64| -> f64 {
            v.iter().zip(&p).zip(&q).map(|((v, p), q)| { let f = a * p + (1.0 - a) * q; (f - v) * (f - v) }).sum()
        };
        let best = mixture::best_share(&v, &p, &q).unwrap();
        for step in [1e-3, 0.1, 1.0] {
            prop_assert!(error(best) <= error(best + step) && error(best) <= error(best - step));
        }
    }
}
