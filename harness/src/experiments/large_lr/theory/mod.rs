//! The setting of the paper's theorems (its sections 2 and 3), at finite size.
//!
//! [`data`] draws P and Q patterns, [`network`] is the two-layer network and a step of noisy gradient descent, [`run`]
//! is an arm, [`measure`] what is measured on the way.
//!
//! # Departures from the paper
//! - A small learning rate is simulated at the time step of the large one, with the noise of the small one: in the limit of
//!   small steps both follow the same stochastic differential equation, in which the learning rate enters through the
//!   temperature `D = eta tau_xi^2` alone. (A thousand times as many steps are out of reach. The arm `theory-noise` takes
//!   half the step at the temperature of the large one, to show which of the two matters.)
//! - Weight decay acts while the learning rate is large, where the paper's assumption 3.1 ties it to the noise
//!   (`lambda = D1 / (2 tau0^2)`), and not afterwards nor with a small rate: there it would bound the margins.
//! - The Q patterns are scaled by `scale` and their `alpha` starts at `alpha_min`; the paper's exponents show no effect at
//!   a size that can be computed.
//! - Numbers of examples of each kind are exact, and labels balanced.

pub(super) mod claims;
pub mod data;
pub(super) mod figures;
pub mod measure;
pub mod network;
pub mod run;
#[cfg(test)]
mod tests;
