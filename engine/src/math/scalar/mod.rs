//! Elementary functions of one `f64`, for schedules, metrics and set-up code.
//!
//! Plain sums and products with their errors carried along: no fused multiply-add, so the machine's lack of one costs
//! nothing, and the same bits everywhere. Measured against the correctly rounded functions of CORE-MATH by
//! `cargo run --release -p regularity-engine --example exhaustive_f64`:
//!
//! | function | inputs | misrounded | share | max distance from correct rounding (ulp) | seconds |
//! |---|---:|---:|---:|---:|---:|
//! | exp | 100000000 | 81997 | 0.08 % | 1 | 4 |
//! | expm1 | 100000000 | 469941 | 0.47 % | 1 | 5 |
//! | ln | 100000000 | 183037 | 0.18 % | 1 | 6 |
//! | ln_1p | 100000000 | 705638 | 0.71 % | 1 | 3 |
//! | tanh | 100000000 | 61533 | 0.06 % | 1 | 5 |
//! | cos | 100000000 | 485483 | 0.49 % | 1 | 7 |
//!
//! So on no input of these was a result further than one unit from the correctly rounded one; a sample of the domain,
//! not all of it. [`acos`] came later and has only the sample of the tests behind it, with the same bound.

mod acos;
mod cos;
mod double;
mod exp;
mod ln;
mod tanh;

pub use acos::acos;
pub use cos::{COS_LIMIT, cos};
pub use exp::{exp, expm1};
pub use ln::{ln, ln_1p};
pub use tanh::tanh;
