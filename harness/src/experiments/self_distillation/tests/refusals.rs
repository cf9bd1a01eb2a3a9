//! Edge cases, and what is refused: prediction 18, and bad input.

use super::super::bounds::Bounds;
use super::super::chain::{Chain, Rule};
use super::super::fit::{Fit, solve};
use super::super::kernels::Kernel;
use super::super::line::{LABELS, Line};
use super::super::refusal::Refusal;
use super::super::spectrum::Spectrum;
use super::context;

#[test]
fn zero_is_the_answer_exactly_from_the_norm_of_the_targets_on() {
    let (d, w) = ([2.0, 1.0], [3.0, 1.0]);
    // K eps = 4 is the square of the norm.
    assert_eq!(solve(&d, &w, 2.0).unwrap(), Fit::Collapsed);
    assert_eq!(solve(&d, &w, 2.0 * (1.0 + 1e-9)).unwrap(), Fit::Collapsed);
    assert!(matches!(solve(&d, &w, 2.0 * (1.0 - 1e-9)).unwrap(), Fit::Ridge(_)));
    assert_eq!(solve(&d, &[0.0, 0.0], 1e-300).unwrap(), Fit::Collapsed);
    let mut chain = Chain::new(&d, vec![0.0, 0.0], 1, Rule::Tolerance(0.1));
    assert!(chain.next_round().unwrap().is_none() && chain.next_round().unwrap().is_none());
}

#[test]
fn a_tolerance_below_what_the_kernel_cannot_reach_is_refused_with_that_amount() {
    let line = Line::illustration(&context(), Kernel::Spline, 11).unwrap();
    assert!((line.irreducible() - 0.0418610611).abs() < 1e-10);
    let Err(Refusal::Infeasible { tolerance, least }) = line.chain(Rule::Tolerance(0.04)).next_round() else {
        panic!("0.04 was accepted")
    };
    assert_eq!(tolerance, 0.04);
    assert!((least - line.irreducible()).abs() < 1e-15);
    assert!(line.chain(Rule::Tolerance(1.003 * line.irreducible())).next_round().unwrap().is_some());
    // All targets out of reach, and yet zero is near enough.
    assert_eq!(solve(&[0.0], &[1.0], 1.0).unwrap(), Fit::Collapsed);
    assert!(matches!(solve(&[0.0], &[1.0], 0.5), Err(Refusal::Infeasible { .. })));
}

#[test]
fn tolerances_and_targets_that_are_no_numbers_are_refused() {
    for eps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(solve(&[1.0], &[1.0], eps), Err(Refusal::Tolerance(_))), "{eps}");
    }
    assert!(matches!(solve(&[1.0], &[f64::NAN], 0.1), Err(Refusal::Input { .. })));
}

#[test]
fn duplicate_points_and_points_outside_of_the_domain_are_refused() {
    let spline = |points: &[f64]| Kernel::Spline.matrix(points, 1.0).unwrap_err();
    assert_eq!(spline(&[0.1, 0.5, 0.1]), Refusal::Duplicate { first: 0, second: 2 });
    assert!(matches!(spline(&[0.1, 1.5]), Refusal::Input { .. }));
    let gaussian = Kernel::Gaussian { gamma: 1.0 };
    assert!(matches!(gaussian.matrix(&[f64::NAN], 1.0), Err(Refusal::Input { .. })));
    assert!(gaussian.matrix(&[-3.0, 7.0], 1.0).is_ok());
    let short = Line::new(&context(), gaussian, vec![0.0, 1.0], &[1.0], 11);
    assert!(matches!(short, Err(Refusal::Input { actual: 1.0, .. })));
}

#[test]
fn a_kernel_that_is_not_positive_is_refused_with_its_eigenvalue() {
    let matrix = [1.0, 2.0, 2.0, 1.0];
    let Err(Refusal::NotPositive { eigenvalue, .. }) = Spectrum::new(&context(), &matrix, 2) else {
        panic!("eigenvalues 3 and -1 were accepted")
    };
    assert!((eigenvalue + 1.0).abs() < 1e-15);
    assert!(matches!(Spectrum::new(&context(), &[-1.0], 1), Err(Refusal::NotPositive { .. })));
    assert!(matches!(Spectrum::new(&context(), &[1.0, 2.0, 2.5, 1.0], 2), Err(Refusal::Engine(_))));
}

#[test]
fn bounds_that_need_a_condition_number_refuse_a_singular_matrix() {
    let line = Line::illustration(&context(), Kernel::Spline, 11).unwrap();
    let singular = Bounds::new(line.spectrum.d(), line.norm(), 0.045);
    assert_eq!(singular, Err(Refusal::Singular { rank: 9, size: 11 }));
    assert_eq!(LABELS.len(), line.spectrum.size());
}
