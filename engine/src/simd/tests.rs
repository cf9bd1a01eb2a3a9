//! Every tier that this CPU has, against scalar arithmetic and against an oracle in integers.
//!
//! `REGULARITY_TEST_SCALE` sets the number of random cases: `small` for emulators, `large` for a thorough run
//! (minutes), anything else for the default.

mod elementwise;
mod environment;
mod fma;
mod hard_inputs;
mod isa;
mod lanes;
mod memory;
mod oracle;

use std::fmt::Write;

use super::{Isa, Kernel, Real, dispatch};

/// The number of random cases: `default`, or a fiftieth, or a hundredfold.
fn cases(default: usize) -> usize {
    match std::env::var("REGULARITY_TEST_SCALE").as_deref() {
        Ok("small") => default / 50,
        Ok("large") => default * 100,
        _ => default,
    }
}

/// Runs `kernel` on a tier that is known to be available.
fn run_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    dispatch(isa, kernel).expect("the tier was listed as available")
}

/// Collects failing cases, so that a test reports all of them at once.
#[derive(Default)]
struct Failures {
    text: String,
    failed: u64,
    checked: u64,
}

impl Failures {
    /// Cases that are written out in full; more are counted.
    const SHOWN: u64 = 1000;

    /// Records one case.
    fn check(&mut self, passed: bool, describe: impl FnOnce() -> String) {
        self.checked += 1;
        if !passed {
            self.failed += 1;
            if self.failed <= Self::SHOWN {
                writeln!(self.text, "  {}", describe()).expect("writing to a string");
            }
        }
    }

    /// Panics with the cases that failed.
    #[track_caller]
    fn report(self) {
        assert!(self.checked > 0, "no case was checked");
        assert!(self.failed == 0, "{} of {} cases failed:\n{}", self.failed, self.checked, self.text);
        println!("{} cases", self.checked);
    }
}

/// The bit pattern with all digits of the type.
fn hex<E: Real>(x: E) -> String {
    let digits = 2 * size_of::<E>();
    format!("{:#0width$x}", x.bits(), width = digits + 2)
}

/// Whether `x` is NaN.
#[expect(clippy::eq_op, reason = "the trait has no is_nan, and NaN alone differs from itself")]
fn is_nan<E: Real>(x: E) -> bool {
    x != x
}

/// The same bits, or both NaN: payloads of computed NaN are unspecified.
fn same_number<E: Real>(x: E, y: E) -> bool {
    x.bits() == y.bits() || (is_nan(x) && is_nan(y))
}

/// S. Vigna's SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// From `low` to `high`, both included.
    fn range(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }
    fn element<E: Real>(&mut self) -> E {
        E::from_bits_u64(self.next())
    }
}

/// The layout of an IEEE-754 binary format.
struct Format {
    /// Bits of the stored fraction.
    fraction: u32,
    /// The largest exponent field, that of infinities.
    max_field: u64,
}

impl Format {
    fn of<E: Real>() -> Self {
        match size_of::<E>() {
            4 => Self { fraction: 23, max_field: 0xff },
            _ => Self { fraction: 52, max_field: 0x7ff },
        }
    }
    fn bias(&self) -> i64 {
        (self.max_field / 2) as i64
    }
}

/// Numbers at which something changes: zeros, subnormal and normal ends, neighbours of one, integers at the end of
/// exactness, infinities, quiet and signalling NaN; each with both signs.
fn specials<E: Real>() -> Vec<E> {
    let Format { fraction, max_field } = Format::of::<E>();
    let one = (max_field / 2) << fraction;
    let infinity = max_field << fraction;
    let quiet = 1 << (fraction - 1);
    let positive = [
        0,
        1,
        2,
        3,
        (1 << fraction) - 1,
        1 << fraction,
        (1 << fraction) + 1,
        2 << fraction,
        one - (1 << fraction),
        one - 1,
        one,
        one + 1,
        one + quiet,
        one + (1 << fraction),
        one + ((u64::from(fraction) + 1) << fraction),
        one / 2,
        infinity - (1 << fraction),
        infinity - 2,
        infinity - 1,
        infinity,
        infinity + 1,
        infinity | quiet,
        infinity | quiet | 5,
        infinity + (1 << fraction) - 1,
    ];
    let sign = 1 << (8 * size_of::<E>() - 1);
    positive.into_iter().flat_map(|bits| [E::from_bits_u64(bits), E::from_bits_u64(bits | sign)]).collect()
}
