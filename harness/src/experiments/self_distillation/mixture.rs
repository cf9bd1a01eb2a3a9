//! The extension with a share of the ground truth in every round (Borup and Andersen, 2021).
//!
//! Round 1 fits y; round tau fits `alpha y + (1 - alpha) y^(tau-1)`, always with the same ridge coefficient lambda on
//! the kernel matrix M (without the factor 1/K). All of it is diagonal in the eigenbasis of M.

/// The diagonal of `A = M (M + lambda)^-1`.
#[must_use]
pub fn shrink(d: f64, lambda: f64) -> f64 {
    d / (d + lambda)
}

/// The diagonal of `B` after round `rounds` (from 1), by its recursion: `A`, then `A ((1 - alpha) B + alpha)`.
#[must_use]
pub fn recursion(d: f64, lambda: f64, alpha: f64, rounds: usize) -> f64 {
    let a = shrink(d, lambda);
    (1..rounds).fold(a, |b, _| a * ((1.0 - alpha) * b + alpha))
}

/// The same in closed form: `B_inf + ((1 - alpha) A)^rounds (1 - B_inf)`.
#[must_use]
pub fn closed_form(d: f64, lambda: f64, alpha: f64, rounds: usize) -> f64 {
    let ratio = (1.0 - alpha) * shrink(d, lambda);
    let limit = limit(d, lambda, alpha);
    limit + (0..rounds).fold(1.0, |p, _| p * ratio) * (1.0 - limit)
}

/// The limit of many rounds: a ridge regression with `lambda / alpha`; zero for `alpha = 0`.
#[must_use]
pub fn limit(d: f64, lambda: f64, alpha: f64) -> f64 {
    if alpha == 0.0 { 0.0 } else { alpha * d / (alpha * d + lambda) }
}

/// The coefficients of the kernel functions in round `rounds`, in the eigenbasis: `(M + lambda)^-1 w` for the targets
/// `w = (alpha + (1 - alpha) B^(rounds - 1)) y`.
#[must_use]
pub fn coefficient(d: f64, z: f64, lambda: f64, alpha: f64, rounds: usize) -> f64 {
    let weight = if rounds == 1 { 1.0 } else { alpha + (1.0 - alpha) * recursion(d, lambda, alpha, rounds - 1) };
    weight * z / (d + lambda)
}

/// The coefficient in the limit.
#[must_use]
pub fn limit_coefficient(d: f64, z: f64, lambda: f64, alpha: f64) -> f64 {
    (alpha + (1.0 - alpha) * limit(d, lambda, alpha)) * z / (d + lambda)
}

/// The share of the ground truth that brings the next round nearest to validation targets `v`: with `p` the predictions
/// of the first round and `q` those of a fit to the last round's predictions, the minimum over alpha of
/// `|alpha p + (1 - alpha) q - v|^2`. It may lie outside of [0, 1]; None if p equals q.
#[must_use]
pub fn best_share(v: &[f64], p: &[f64], q: &[f64]) -> Option<f64> {
    let (mut product, mut square) = (0.0, 0.0);
    for ((v, p), q) in v.iter().zip(p).zip(q) {
        product += (v - p) * (q - p);
        square += (q - p) * (q - p);
    }
    (square > 0.0).then(|| 1.0 - product / square)
}
