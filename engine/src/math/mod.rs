//! Elementary functions: correctly rounded `f32` on lanes, and scalar `f64` in [`scalar`].
//!
//! Each lane function is evaluated in `f64` lanes and rounded once, with the same operations on every tier, so that all
//! tiers give the same bits. The few inputs whose exact result lies too near to a tie for that are in tables.
//!
//! # Measured
//! All 2^32 inputs of each function against its correctly rounded reference (CORE-MATH's `f32` functions; `sigmoid` and
//! `softplus` from its `f64` ones, in double-double where these leave the rounding open; the quantile by the
//! distribution function at the neighbouring midpoints), any NaN counting as equal to any other:
//!
//! `cargo run --release -p regularity-engine --example exhaustive -- --threads 1`
//!
//! | function | tier | inputs | misrounded | max ulp | seconds |
//! |---|---|---:|---:|---:|---:|
//! | exp | avx512 | 4294967296 | 0 | 0 | 22 |
//! | expm1 | avx512 | 4294967296 | 0 | 0 | 18 |
//! | ln | avx512 | 4294967296 | 0 | 0 | 21 |
//! | ln_1p | avx512 | 4294967296 | 0 | 0 | 31 |
//! | tanh | avx512 | 4294967296 | 0 | 0 | 26 |
//! | sigmoid | avx512 | 4294967296 | 0 | 0 | 43 |
//! | softplus | avx512 | 4294967296 | 0 | 0 | 56 |
//! | erf | avx512 | 4294967296 | 0 | 0 | 43 |
//! | sin | avx512 | 4294967296 | 0 | 0 | 100 |
//! | cos | avx512 | 4294967296 | 0 | 0 | 128 |
//! | normal_quantile | avx512 | 4294967296 | 0 | 0 | 99 |
//!
//! The seconds are those of a shared two-core Xeon and contain the reference.
//!
//! # Why one tier's full run speaks for all
//! A lane's result is a fixed sequence of IEEE-754 operations in `f64` (sum, difference, product, quotient, square root,
//! fused multiply-add), comparisons, selects and integer operations, and one rounding to `f32`. Each of them has exactly
//! one right result for given operands, on every tier, and no operation sees another lane. The only branches that ask about
//! several lanes (the tail of the quantile, far arguments of sine and cosine) decide whether a value is computed, not which
//! value a lane takes. So the full run of one tier is the full run of all, as long as each tier's operations are what they
//! claim; that is what the tests of [`simd`](crate::simd) and the samples on each tier check.
//!
//! Samples with `--isa avx2 --step 61` (70,409,300 inputs a function) and `--isa portable --step 1021` (4,206,629): none
//! misrounded.
//!
//! # Special values
//! NaN gives NaN. Subnormal inputs and results are treated like all others.
//!
//! | function | -inf | -0 | +0 | +inf | elsewhere |
//! |---|---|---|---|---|---|
//! | `exp` | +0 | 1 | 1 | +inf | +inf from 88.722839, +0 up to -103.972084 |
//! | `expm1` | -1 | -0 | +0 | +inf | +inf from 88.722839 |
//! | `ln` | NaN | -inf | -inf | +inf | NaN below zero, `ln 1 = +0` |
//! | `ln_1p` | NaN | -0 | +0 | +inf | -inf at -1, NaN below |
//! | `tanh` | -1 | -0 | +0 | 1 | |
//! | `sigmoid` | +0 | 1/2 | 1/2 | 1 | +0 up to -103.972084 |
//! | `softplus` | +0 | ln 2 | ln 2 | +inf | +0 up to -103.972084 |
//! | `erf` | -1 | -0 | +0 | 1 | |
//! | `sin` | NaN | -0 | +0 | NaN | |
//! | `cos` | NaN | 1 | 1 | NaN | |
//!
//! `normal_quantile` takes words; its values lie between -6.3378 and 6.3378 and are never zero.
//!
//! # What a change of a polynomial means
//! The contract is the correctly rounded result, so a polynomial is free to change as long as the full run stays at zero.
//! A last bit of a last coefficient changes no result and no test sees it; a coefficient wrong by more than its share of
//! the error is seen by the samples, a subtler one by the full run, a near-tie left out of its table by the tests.
//!
//! # Throughput
//! Nanoseconds per element, least of many passes over 4096 elements in cache on a shared Xeon at 2.6 GHz; `cargo bench -p
//! regularity-benches --bench math` measures the same. `std` and CORE-MATH are called element by element.
//!
//! | function | portable | avx2 | avx512 | `std` | CORE-MATH |
//! |---|---:|---:|---:|---:|---:|
//! | exp | 65 | 0.74 | 0.56 | 1.9 | 2.5 |
//! | expm1 | 69 | 0.80 | 0.58 | 6.4 | 2.6 |
//! | ln | 108 | 1.48 | 0.93 | 2.1 | 2.2 |
//! | ln_1p | 111 | 1.82 | 1.20 | 5.0 | 2.7 |
//! | tanh | 69 | 0.96 | 0.81 | 8.3 | 2.6 |
//! | sigmoid | 67 | 1.05 | 0.82 | 2.0 | |
//! | softplus | 170 | 2.20 | 1.66 | 7.0 | |
//! | erf | 185 | 1.68 | 1.44 | | 2.6 |
//! | sin | 54 | 0.75 | 0.48 | 2.5 | 3.0 |
//! | cos | 55 | 0.78 | 0.53 | 2.6 | 3.0 |
//! | normal_quantile | 227 | 4.74 | 2.21 | | |

mod cos;
mod erf;
mod exp;
mod expm1;
mod ln;
mod ln_1p;
mod map;
mod normal_quantile;
mod poly;
pub mod scalar;
mod sigmoid;
mod sin;
mod softplus;
mod tanh;
mod trig;

pub use cos::cos;
pub use erf::erf;
pub use exp::exp;
pub use expm1::expm1;
pub use ln::ln;
pub use ln_1p::ln_1p;
pub use map::{Unary, map, map_in_place, map_normal_quantile};
pub use normal_quantile::normal_quantile;
pub use sigmoid::sigmoid;
pub use sin::sin;
pub use softplus::softplus;
pub use tanh::tanh;

/// The functions as types, for [`map`].
pub mod unary {
    pub use super::map::{Cos, Erf, Exp, Expm1, Ln, Ln1p, Sigmoid, Sin, Softplus, Tanh};
}
