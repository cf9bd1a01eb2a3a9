//! The software FMA against the oracle, and each tier's FMA against the software's.

use super::super::soft_fma::{fma_f32, fma_f64, fma_f64_fast, fma_f64_wide};
use super::super::{Isa, Kernel, Real, Tier, Vector};
use super::hard_inputs::HardInputs;
use super::{Failures, cases, hex, oracle, run_on, same_number};

fn describe<E: Real>(who: &str, [a, b, c]: [E; 3], got: E, expected: E) -> String {
    let (a, b, c, got, expected) = (hex(a), hex(b), hex(c), hex(got), hex(expected));
    format!("{who} {}: a {a} b {b} c {c}: got {got}, expected {expected}", E::NAME)
}

/// Shipped versions of `fmaf` give `0x00010002` here: they round the exact sum to `f64` first, which is a tie in `f32`.
#[test]
fn fma_does_not_round_twice() {
    let [a, b, c] = [0x9700_0800, 0x1cff_f001, 0x0001_0002].map(f32::from_bits);
    assert_eq!(fma_f32(a, b, c).to_bits(), 0x0001_0001);
    for isa in Isa::available() {
        let got = run_on(isa, Fma { a: &[a; 16], b: &[b; 16], c: &[c; 16] });
        assert_eq!(got.map(f32::to_bits), [0x0001_0001; 16], "{isa}");
    }
}

#[test]
fn software_fma_equals_the_oracle_f32() {
    against_oracle::<f32>(11);
}
#[test]
fn software_fma_equals_the_oracle_f64() {
    against_oracle::<f64>(12);
}

fn against_oracle<E: Real>(seed: u64) {
    let mut failures = Failures::default();
    let mut inputs = HardInputs::<E>::new(seed);
    for _ in 0..cases(250_000) {
        let triple @ [a, b, c] = inputs.triple();
        let got = a.fma(b, c);
        let expected = oracle::fma::<E>(a.to_f64(), b.to_f64(), c.to_f64());
        failures.check(same_number(got, expected), || describe("soft_fma", triple, got, expected));
    }
    failures.report();
}

/// The two `f64` paths are two algorithms, so they check each other wherever both apply.
#[test]
fn both_paths_of_the_f64_software_fma_agree() {
    let mut failures = Failures::default();
    let mut inputs = HardInputs::<f64>::new(13);
    let count = cases(1_000_000);
    for _ in 0..count {
        let triple @ [a, b, c] = inputs.triple();
        let wide = fma_f64_wide(a, b, c);
        let (fast, exact) = fma_f64_fast(a, b, c);
        if exact {
            failures.check(same_number(fast, wide), || describe("fast against wide", triple, fast, wide));
        }
        let chosen = fma_f64(a, b, c);
        failures.check(same_number(chosen, wide), || describe("chosen against wide", triple, chosen, wide));
    }
    assert!(failures.checked > count as u64 * 3 / 2, "the fast path applied to too few inputs: {}", failures.checked);
    failures.report();
}

/// One vector of fused multiply-adds.
struct Fma<'a, E, const N: usize> {
    a: &'a [E; N],
    b: &'a [E; N],
    c: &'a [E; N],
}

impl<E: Real, const N: usize> Kernel for Fma<'_, E, N> {
    type Output = [E; N];
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> [E; N] {
        let mut result = [E::ZERO; N];
        for i in (0..N).step_by(E::V::<S>::LANES) {
            let [a, b, c] = [&self.a[i..], &self.b[i..], &self.c[i..]].map(
                #[inline(always)]
                |x| E::V::<S>::load(tier, x),
            );
            a.fma(b, c).store(&mut result[i..]);
        }
        result
    }
}

#[test]
fn every_tier_equals_the_software_fma_f32() {
    tiers_against_software::<f32>(14);
}
#[test]
fn every_tier_equals_the_software_fma_f64() {
    tiers_against_software::<f64>(15);
}

fn tiers_against_software<E: Real>(seed: u64) {
    const BLOCK: usize = 256;
    let mut failures = Failures::default();
    let mut inputs = HardInputs::<E>::new(seed);
    let (mut a, mut b, mut c) = ([E::ZERO; BLOCK], [E::ZERO; BLOCK], [E::ZERO; BLOCK]);
    for _ in 0..cases(2_000_000).div_ceil(BLOCK) {
        for i in 0..BLOCK {
            [a[i], b[i], c[i]] = inputs.triple();
        }
        for isa in Isa::available() {
            let got = run_on(isa, Fma { a: &a, b: &b, c: &c });
            for i in 0..BLOCK {
                let expected = a[i].fma(b[i], c[i]);
                failures.check(same_number(got[i], expected), || {
                    describe(isa.name(), [a[i], b[i], c[i]], got[i], expected)
                });
            }
        }
    }
    failures.report();
}
