//! Layers: each file holds a derivation (the forward formula, the backward formula) and then both functions.
//!
//! There is no tape, no graph and no common trait. A layer knows its shape and the places of its tensors in the
//! [table](crate::params::Table); activations belong to the [model](crate::models), which lends them as slices, sources
//! and sinks. What a layer keeps between its forward and its backward pass is in the kernel's own state
//! ([`crate::kernels::norm::BatchNorm`]).

mod activation;
mod conv;
mod finish;
mod gradients;
mod linear;
mod norm;

pub use activation::Activation;
pub use conv::{Conv, Packs};
pub use finish::{Finish, Gate};
pub use gradients::{Accumulator, Gradients};
pub use linear::Linear;
pub use norm::{Mode, Norm, NormKind, NormMoments, NormSums};
