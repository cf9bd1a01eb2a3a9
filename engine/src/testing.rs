//! What the kernels' tests share: contexts, inputs, and the one comparison.
//!
//! `REGULARITY_TEST_SCALE=small` cuts the number of cases, for emulators.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::fmt::Write;
use std::sync::OnceLock;

use crate::memory::Buffer;
use crate::parallel::Context;
use crate::simd::{Isa, Real};

/// Whether to run few cases.
pub(crate) fn small_scale() -> bool {
    // A test may look at the environment; the engine may not.
    std::env::var("REGULARITY_TEST_SCALE").is_ok_and(|scale| scale == "small")
}

/// One context for each tier that this CPU has and each number of threads.
pub(crate) fn contexts() -> &'static [Context] {
    static CONTEXTS: OnceLock<Vec<Context>> = OnceLock::new();
    CONTEXTS.get_or_init(|| {
        let threads: &[usize] = if small_scale() { &[1, 3] } else { &[1, 2, 3, 5, 8] };
        let tiers = Isa::available().into_iter();
        tiers.flat_map(|isa| threads.iter().map(move |&t| Context::new(isa, t).unwrap())).collect()
    })
}

/// One context for each tier, whose number of threads changes from case to case.
///
/// For work that is one task, whatever the number of threads: a test with many such cases asks each tier once in each,
/// and every tier with every number of threads over the cases.
pub(crate) fn in_turns(case: usize) -> Vec<&'static Context> {
    let threads = contexts().len() / Isa::available().len();
    contexts().chunks(threads).enumerate().map(|(tier, contexts)| &contexts[(case + tier) % threads]).collect()
}

/// Elements up to which every flat kernel is one task.
const ONE_TASK: usize = 40_000;

/// D. Lea, G. Steele and S. Vigna's SplitMix64: enough for test inputs, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
    /// Below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
    /// From -1 to 1.
    pub(crate) fn signed<T: Real>(&mut self) -> T {
        T::from_f64((self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
    }
}

/// What the inputs of a case look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Uniform from -1 to 1.
    Uniform,
    /// Magnitudes over many powers of two, each followed by almost its negative.
    Cancelling,
    /// Subnormals, zeros of both signs, the smallest normals, and numbers whose squares underflow.
    Tiny,
    /// Near overflow.
    Huge,
    /// Integers from -3 to 3.
    Integers,
    /// Magnitudes over many powers of two at multiples of 64, zero elsewhere: no sum of others hides the last bits of a
    /// chain, and its rounding errors depend on its order.
    OneStripe,
    /// Uniform with an infinity or NaN here and there.
    Special,
}

impl Kind {
    pub(crate) const ALL: [Kind; 7] =
        [Kind::Uniform, Kind::Cancelling, Kind::Tiny, Kind::Huge, Kind::Integers, Kind::OneStripe, Kind::Special];

    /// The element at index `i`, `previous` the one before.
    fn draw<T: Real>(self, rng: &mut Rng, i: usize, previous: T) -> T {
        let (exponent_min, exponent_max) = if T::NAME == "f32" { (-149, 127) } else { (-1074, 1023) };
        let two_to = |e: i32| T::from_f64(two_to(e));
        match self {
            Kind::Uniform => rng.signed(),
            Kind::Cancelling if !i.is_multiple_of(2) => -previous * T::from_f64(1.0 + 1e-6),
            Kind::Cancelling => rng.signed::<T>() * two_to(rng.below(40) as i32 - 20),
            Kind::Tiny => match rng.below(6) {
                0 => T::ZERO,
                1 => -T::ZERO,
                2 => rng.signed::<T>() * two_to(exponent_min / 2),
                3 => two_to(exponent_min),
                4 => -two_to(exponent_min),
                _ => rng.signed::<T>() * two_to(exponent_min + 25),
            },
            Kind::Huge => rng.signed::<T>() * two_to(exponent_max - rng.below(4) as i32),
            Kind::Integers => T::from_f64(rng.below(7) as f64 - 3.0),
            Kind::OneStripe if i.is_multiple_of(64) => rng.signed::<T>() * two_to(rng.below(16) as i32 - 8),
            Kind::OneStripe => T::ZERO,
            Kind::Special => match rng.below(97) {
                0 => T::from_f64(f64::INFINITY),
                1 => T::from_f64(f64::NEG_INFINITY),
                2 => T::from_f64(f64::NAN),
                _ => rng.signed(),
            },
        }
    }

    /// `len` elements.
    pub(crate) fn vector<T: Real>(self, seed: u64, len: usize) -> Vec<T> {
        let mut rng = Rng(seed.wrapping_mul(1_000_003) ^ len as u64);
        let mut previous = T::ZERO;
        (0..len)
            .map(|i| {
                previous = self.draw(&mut rng, i, previous);
                previous
            })
            .collect()
    }
}

/// `2^e` for the exponents that an `f64` can have.
pub(crate) fn two_to(e: i32) -> f64 {
    f64::from_bits(if e < -1022 { 1 << (e + 1074) } else { ((e + 1023) as u64) << 52 })
}

/// Values at a chosen distance, in elements, from a 64-byte boundary.
pub(crate) struct Placed<T: Real> {
    buffer: Buffer<T>,
    offset: usize,
}

impl<T: Real> Placed<T> {
    pub(crate) fn new(values: &[T], offset: usize) -> Self {
        let mut buffer = Buffer::zeroed(offset + values.len()).unwrap();
        buffer[offset..].copy_from_slice(values);
        Self { buffer, offset }
    }
    pub(crate) fn get(&self) -> &[T] {
        &self.buffer[self.offset..]
    }
    pub(crate) fn get_mut(&mut self) -> &mut [T] {
        &mut self.buffer[self.offset..]
    }
}

/// The operands of a case.
pub(crate) struct Case<'a, T> {
    pub(crate) a: &'a [T],
    pub(crate) b: &'a [T],
}

/// Whether two results are the same: the same bits, or both NaN, whose payload nobody promises.
pub(crate) fn same<T: Real>(x: T, y: T) -> bool {
    x.bits() == y.bits() || (x.to_f64().is_nan() && y.to_f64().is_nan())
}

/// Nothing, or what differed.
pub(crate) type Outcome = Result<(), String>;

/// The comparison: `kernel` on every context and alignment against `reference`, for these lengths and all kinds of
/// inputs. The message describes the first difference.
pub(crate) fn compare<T: Real>(
    lens: &[usize],
    reference: impl Fn(&Case<'_, T>) -> Vec<T>,
    kernel: impl Fn(&Context, &Case<'_, T>) -> Vec<T>,
) -> Outcome {
    for &len in lens {
        let offsets: &[usize] = match len {
            _ if small_scale() => &[0, 3],
            0..=200 => &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
            201..=ONE_TASK => &[0, 1, 8, 15],
            _ => &[0, 5],
        };
        for (k, kind) in Kind::ALL.into_iter().enumerate() {
            let (a, b) = (kind.vector::<T>(k as u64, len), kind.vector::<T>(k as u64 + 100, len));
            let expected = reference(&Case { a: &a, b: &b });
            for (i, &offset) in offsets.iter().enumerate() {
                let (a, b) = (Placed::new(&a, offset), Placed::new(&b, 16 - offset));
                let case = Case { a: a.get(), b: b.get() };
                let all = || contexts().iter().collect();
                for context in if len <= ONE_TASK { in_turns(len + k + i) } else { all() } {
                    let actual = kernel(context, &case);
                    let place = format!(
                        "{} {kind:?}, length {len}, offset {offset}, {} with {} threads",
                        T::NAME,
                        context.isa(),
                        context.threads()
                    );
                    compare_values(&expected, &actual).map_err(|m| format!("{place}: {m}"))?;
                }
            }
        }
    }
    Ok(())
}

/// The same for two lists of results.
pub(crate) fn compare_values<T: Real>(expected: &[T], actual: &[T]) -> Outcome {
    if expected.len() != actual.len() {
        return Err(format!("{} results instead of {}", actual.len(), expected.len()));
    }
    let differing: Vec<usize> = (0..expected.len()).filter(|&i| !same(expected[i], actual[i])).collect();
    let Some(&i) = differing.first() else { return Ok(()) };
    let mut message = String::new();
    let (x, y) = (expected[i], actual[i]);
    let _ = write!(message, "{} of {} results differ, first number {i}: ", differing.len(), expected.len());
    let _ = write!(message, "{x:?} ({:#x}) expected, {y:?} ({:#x}) found", x.bits(), y.bits());
    Err(message)
}

/// The lengths that every flat kernel is tried at: all short ones, around a row of stripes, around shards, and longer
/// than what one task takes.
pub(crate) fn lengths() -> Vec<usize> {
    let mut lens: Vec<usize> = (0..=33).chain(62..=66).chain(126..=150).collect();
    if small_scale() {
        lens.extend([1000, 16_384 + 7]);
        return lens;
    }
    lens.extend([200, 1000, 4097]);
    for shards in [1usize, 2, 3, 5] {
        lens.extend([shards * 16_384 - 1, shards * 16_384, shards * 16_384 + 3]);
    }
    lens.extend([131_072, 131_072 + 65, 3 * 131_072 + 16_384 * 3 + 9]);
    lens
}
