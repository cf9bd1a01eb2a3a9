//! The kernel with which one ordinary fit does what a chain of rounds did.

use regularity_engine::math::scalar;

/// The eigenvalues of `G+` for the gauge `lambda`: `lambda / (prod_i (1 + c_i / d_k) - 1)`, zero where d is.
///
/// A ridge regression with coefficient lambda and this spectrum shrinks direction k by exactly `B_t[k]`.
#[must_use]
pub fn eigenvalues(log_b: &[f64], lambda: f64) -> Vec<f64> {
    log_b.iter().map(|&l| if l.is_finite() { lambda / scalar::expm1(-l) } else { 0.0 }).collect()
}

/// The values `g+(x, x_k) / K` in the eigenbasis of the training points, from those of the old kernel, `V g_x`:
/// `diag(Lambda / d) V g_x`.
#[must_use]
pub fn values(eigenvalues: &[f64], d: &[f64], old: &[f64]) -> Vec<f64> {
    let of = |(l, (d, g)): (&f64, (&f64, &f64))| if *d > 0.0 { l / d * g } else { 0.0 };
    eigenvalues.iter().zip(d.iter().zip(old)).map(of).collect()
}
