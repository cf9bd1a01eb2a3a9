//! What the tests of networks share: contexts, inputs, and the one comparison.
#![allow(dead_code)] // each test uses some of it

use std::sync::OnceLock;

use regularity_engine::{Context, Isa};

/// One context for each tier that this CPU has and each number of threads; fewer with `REGULARITY_TEST_SCALE=small`.
pub fn contexts() -> &'static [Context] {
    static CONTEXTS: OnceLock<Vec<Context>> = OnceLock::new();
    CONTEXTS.get_or_init(|| {
        let small = std::env::var("REGULARITY_TEST_SCALE").is_ok_and(|scale| scale == "small");
        let threads: &[usize] = if small { &[1, 3] } else { &[1, 2, 3, 5, 8] };
        let tiers = Isa::available().into_iter();
        tiers.flat_map(|isa| threads.iter().map(move |&t| Context::new(isa, t).unwrap())).collect()
    })
}

/// What inputs look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Inputs {
    /// Uniform from -1 to 1.
    Uniform,
    /// Subnormals, zeros of both signs, and numbers whose squares underflow.
    Tiny,
    /// Uniform with an infinity or NaN here and there.
    Special,
}

impl Inputs {
    /// `len` elements.
    pub fn vector(self, seed: u64, len: usize) -> Vec<f32> {
        (0..len as u64)
            .map(|i| {
                let bits = mix(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i);
                let uniform = ((bits >> 40) as f32 - 8_388_608.0) / 8_388_608.0;
                match (self, bits % 61) {
                    (Self::Tiny, 0..20) => f32::from_bits((bits >> 41) as u32),
                    (Self::Tiny, 20..30) => -0.0,
                    (Self::Tiny, 30..40) => 0.0,
                    (Self::Tiny, _) => uniform * 1e-22,
                    (Self::Special, 0) => f32::INFINITY,
                    (Self::Special, 1) => f32::NEG_INFINITY,
                    (Self::Special, 2) => f32::NAN,
                    _ => uniform,
                }
            })
            .collect()
    }
}

/// The finaliser of SplitMix64.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The same bits everywhere, or both NaN, whose payload nobody promises.
pub fn assert_same(expected: &[f32], actual: &[f32]) {
    assert_eq!(expected.len(), actual.len());
    for (i, (x, y)) in expected.iter().zip(actual).enumerate() {
        assert!(x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()), "number {i}: {x:?} expected, {y:?} found");
    }
}
