mod chacha;
mod invariance;
mod sample;
mod statistics;
mod vectors;

use crate::{Context, Isa};

/// Whether to do less, as on an emulated CPU.
fn small() -> bool {
    std::env::var_os("REGULARITY_TEST_SCALE").is_some_and(|scale| scale == "small")
}

/// A context for tests that ask nothing about tiers and threads.
fn context() -> Context {
    Context::new(Isa::detect(), 1).unwrap()
}
