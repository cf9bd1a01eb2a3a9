//! What kernel regression refuses to do, with the quantity that was violated.

use regularity_engine as engine;

/// A problem that has no solution, or an input that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// No function of the space comes as near to the targets as is asked.
    #[error(
        "no function fits the targets to a mean squared error of {tolerance:e}: at least {least:e} remains in the \
         directions that the kernel does not reach"
    )]
    Infeasible {
        /// The mean squared error that was asked for.
        tolerance: f64,
        /// The mean squared error of the best fit.
        least: f64,
    },
    /// A tolerance that is no positive number.
    #[error("the tolerance must be a positive number, but is {0}")]
    Tolerance(f64),
    /// A kernel matrix with a negative eigenvalue that rounding does not explain.
    #[error("the kernel is not positive: its matrix has the eigenvalue {eigenvalue:e}, below {allowed:e}")]
    NotPositive {
        /// The smallest eigenvalue.
        eigenvalue: f64,
        /// The least that rounding explains.
        allowed: f64,
    },
    /// A kernel matrix without full rank where a condition number is needed.
    #[error("the kernel matrix is singular: its rank is {rank} of {size}, so it has no condition number")]
    Singular {
        /// The number of eigenvalues above zero.
        rank: usize,
        /// The number of points.
        size: usize,
    },
    /// Two points that are the same.
    #[error("points {first} and {second} are the same, so that the kernel matrix is singular")]
    Duplicate {
        /// The index of the first.
        first: usize,
        /// The index of the second.
        second: usize,
    },
    /// A number that is infinite or NaN, or outside of the domain.
    #[error("{what} must be {requirement}, but is {actual}")]
    Input {
        /// The quantity at fault.
        what: &'static str,
        /// What it must be.
        requirement: &'static str,
        /// What it is.
        actual: f64,
    },
    /// The equation for c was not solved, which no input is known to bring about.
    #[error("no root of the equation for c within {iterations} steps of Newton's method")]
    NoConvergence {
        /// The number of steps.
        iterations: usize,
    },
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

/// Shorthand for a result with a [`Refusal`].
pub type Result<T> = std::result::Result<T, Refusal>;
