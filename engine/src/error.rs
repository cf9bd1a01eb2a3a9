//! The one error type of the engine.

use crate::simd::Isa;

/// What the engine refuses to do, and why.
///
/// Every variant names the operation or the quantity concerned, what was expected and what was found. No function of
/// this crate panics on bad input: it returns one of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Operands whose shapes do not fit together.
    #[error("{op}: {what} must be {expected}, but is {actual}")]
    Shape {
        /// The operation that refused.
        op: &'static str,
        /// The quantity at fault, such as "rows of b".
        what: &'static str,
        /// The value that the other operands ask for.
        expected: usize,
        /// The value that was given.
        actual: usize,
    },
    /// A buffer too small for the shape and strides that were said of it.
    #[error("{op}: {what} has {actual} elements, but its shape and strides reach to element {needed}")]
    TooShort {
        /// The operation that refused.
        op: &'static str,
        /// The buffer at fault.
        what: &'static str,
        /// The number of elements that the shape and strides need.
        needed: usize,
        /// The number of elements that are there.
        actual: usize,
    },
    /// A size whose product with another does not fit into the address space.
    #[error("{op}: the size of {what} overflows the address space")]
    Overflow {
        /// The operation that refused.
        op: &'static str,
        /// The quantity that overflows.
        what: &'static str,
    },
    /// An argument outside of its domain.
    #[error("{op}: {what} must be {requirement}, but is {actual}")]
    Argument {
        /// The operation that refused.
        op: &'static str,
        /// The argument at fault.
        what: &'static str,
        /// What it must be.
        requirement: &'static str,
        /// What it is, as text.
        actual: String,
    },
    /// An instruction-set tier that this CPU, or this build, does not have.
    #[error("this CPU cannot run the `{isa}` tier: {reason}; `auto` picks the best tier that it has")]
    IsaUnavailable {
        /// The tier that was asked for.
        isa: Isa,
        /// What is missing.
        reason: &'static str,
    },
    /// A name that is no instruction-set tier.
    #[error("`{0}` is no instruction-set tier; known are auto, portable, avx2, avx512, neon")]
    UnknownIsa(String),
    /// A thread pool that could not be built.
    #[error("cannot start a pool of {threads} threads: {reason}")]
    Threads {
        /// The number of threads asked for.
        threads: usize,
        /// The cause, in the words of the operating system.
        reason: String,
    },
    /// A floating-point environment that would change results.
    #[error(
        "the floating-point environment of this thread is changed ({what}); \
         the host program must restore IEEE defaults before it calls the engine"
    )]
    FloatEnvironment {
        /// Which control bits deviate.
        what: &'static str,
    },
    /// A number that is infinite or NaN where training cannot go on with it.
    #[error("the {quantity} of `{name}` is not finite")]
    NonFinite {
        /// What was looked at, such as `gradient` or `loss`.
        quantity: &'static str,
        /// The first tensor concerned.
        name: String,
    },
    /// A number that is infinite or NaN where only finite ones make sense.
    #[error("{op}: element ({row}, {column}) of {what} is not finite")]
    NotFinite {
        /// The operation that refused.
        op: &'static str,
        /// The matrix at fault.
        what: &'static str,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// A matrix that should equal its transpose and does not.
    #[error(
        "{op}: the matrix is not symmetric: elements ({row}, {column}) and ({column}, {row}) differ by {difference}"
    )]
    NotSymmetric {
        /// The operation that refused.
        op: &'static str,
        /// The row of one of the elements.
        row: usize,
        /// Its column.
        column: usize,
        /// The magnitude of their difference, as text.
        difference: String,
    },
    /// A matrix that should be positive definite and is not, to working accuracy.
    #[error("{op}: the matrix is not positive definite: pivot {index} is {pivot}")]
    NotPositive {
        /// The operation that refused.
        op: &'static str,
        /// The number of the pivot, from 0.
        index: usize,
        /// Its value, as text.
        pivot: String,
    },
    /// An iteration that did not come to its end.
    #[error("{op}: no convergence after {iterations} iterations")]
    NoConvergence {
        /// The operation that gave up.
        op: &'static str,
        /// How many iterations it made.
        iterations: usize,
    },
    /// Memory that could not be had.
    #[error("cannot allocate {bytes} bytes for {what}")]
    OutOfMemory {
        /// The number of bytes asked for.
        bytes: usize,
        /// What they are for.
        what: &'static str,
    },
}

/// Shorthand for a result with the engine's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
