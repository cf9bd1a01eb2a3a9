//! The twenty predictions that a program can check (section 5 of the specification), and its tables.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod arms;
mod networks;
mod refusals;
mod tables;
mod theorems;

use regularity_engine::{Context, Isa};

pub(crate) fn context() -> Context {
    Context::new(Isa::detect(), 2).unwrap()
}

/// Whether `x` equals `expected` up to a relative deviation.
pub(crate) fn close(x: f64, expected: f64, tolerance: f64) -> bool {
    (x - expected).abs() <= tolerance * expected.abs()
}

#[track_caller]
pub(crate) fn assert_close(x: f64, expected: f64, tolerance: f64) {
    assert!(close(x, expected, tolerance), "{x:e} for {expected:e}, off by {:e}", (x / expected - 1.0).abs());
}
