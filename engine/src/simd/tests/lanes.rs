//! Operations that look across lanes: folds, masks, conversions between the two lane counts.

use super::super::{Bits, Isa, Kernel, Mask, Real, Tier, Vector};
use super::oracle;
use super::{Failures, Random, cases, hex, run_on, same_number, specials};

/// Both folds of many vectors, and the sum again as one of many.
struct Folds<'a, E>(&'a [E]);

impl<E: Real> Kernel for Folds<'_, E> {
    type Output = Vec<[E; 3]>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Self::Output {
        let lanes = E::V::<S>::LANES;
        let mut results = Vec::new();
        for many in self.0.chunks(lanes * lanes) {
            let mut vectors = [E::V::<S>::zero(tier); 16];
            for (vector, x) in vectors.iter_mut().zip(many.chunks_exact(lanes)) {
                *vector = E::V::<S>::load(tier, x);
            }
            let mut each = [E::ZERO; 16];
            E::V::<S>::fold_halves_each(tier, vectors).store(&mut each);
            for (x, each) in vectors.iter().zip(each).take(many.len() / lanes) {
                results.push([x.fold_halves(), x.fold_halves_max(), each]);
            }
        }
        results
    }
}

/// The definition: lane `i` with lane `i + half`.
fn fold<E: Real>(lanes: &[E], combine: fn(E, E) -> E) -> E {
    if lanes.len() == 1 {
        return lanes[0];
    }
    let (low, high) = lanes.split_at(lanes.len() / 2);
    let halves: Vec<E> = low.iter().zip(high).map(|(&x, &y)| combine(x, y)).collect();
    fold(&halves, combine)
}

fn check_folds<E: Real>(values: &[E], lanes: usize) {
    let mut failures = Failures::default();
    for isa in Isa::available() {
        let results = run_on(isa, Folds(values));
        assert_eq!(results.len(), values.len() / lanes);
        for (lanes, [sum, max, each]) in values.chunks_exact(lanes).zip(results) {
            let expected = fold(lanes, |x, y| x + y);
            let list = || lanes.iter().map(|&x| hex(x)).collect::<Vec<_>>().join(" ");
            failures.check(same_number(sum, expected), || {
                format!("{isa} fold_halves of {}: got {}, expected {}", list(), hex(sum), hex(expected))
            });
            failures.check(same_number(each, expected), || {
                format!("{isa} fold_halves_each of {}: got {}, expected {}", list(), hex(each), hex(expected))
            });
            let expected = fold(lanes, |x, y| if x > y { x } else { y });
            failures.check(max.bits() == expected.bits(), || {
                format!("{isa} fold_halves_max of {}: got {}, expected {}", list(), hex(max), hex(expected))
            });
        }
    }
    failures.report();
}

fn folds_hold<E: Real>(lanes: usize, seed: u64) {
    let mut random = Random(seed);
    let specials = specials::<E>();
    let count = cases(20_000) * lanes;
    let arbitrary = (0..count).map(|_| random.element());
    check_folds(&arbitrary.collect::<Vec<E>>(), lanes);
    let special = (0..count).map(|_| specials[random.next() as usize % specials.len()]);
    check_folds(&special.collect::<Vec<E>>(), lanes);
    // Large and small values of both signs, where every order rounds in its own way.
    let mixed = (0..count).map(|_| {
        let small = E::from_f64(random.range(-9, 9) as f64 / 7.0);
        if random.next().is_multiple_of(4) { small * E::from_f64(1e9) } else { small }
    });
    check_folds(&mixed.collect::<Vec<E>>(), lanes);
}

#[test]
fn folds_follow_their_definition_f32() {
    folds_hold::<f32>(16, 21);
}
#[test]
fn folds_follow_their_definition_f64() {
    folds_hold::<f64>(8, 22);
}

/// Lanes `i` and `j` hold `±huge`, all others 1: ones that are added before the two meet are absorbed, so the sum is
/// the number of lanes outside of the smallest subtree with both. The sums of all pairs determine the tree
/// (P. Xie, Y. Gao, J. Xue, "FPRev", 2024).
fn fold_tree_is_revealed<E: Real>(lanes: usize) {
    let huge = E::from_f64(1e30);
    let mut failures = Failures::default();
    for isa in Isa::available() {
        for i in 0..lanes {
            for j in (0..lanes).filter(|&j| j != i) {
                let mut values = vec![E::ONE; lanes];
                (values[i], values[j]) = (huge, -huge);
                let got = run_on(isa, Folds(&values))[0][0];
                // Two lanes meet at the half that is the largest power of two to divide their distance; all lanes that
                // are congruent modulo that half are below the meeting point.
                let subtree = lanes >> (i ^ j).trailing_zeros();
                let expected = E::from_f64((lanes - subtree) as f64);
                failures.check(got.bits() == expected.bits(), || {
                    format!("{isa} {} lanes {i} and {j}: {got:?} lanes outside, expected {expected:?}", E::NAME)
                });
            }
        }
    }
    failures.report();
}

#[test]
fn the_order_of_a_fold_is_the_same_tree_on_every_tier() {
    fold_tree_is_revealed::<f32>(16);
    fold_tree_is_revealed::<f64>(8);
}

/// Selects by every mask, with `any` and `all` of it, of its complement, and of its union and meet with the next.
struct Masks<E>(std::marker::PhantomData<E>);

/// Mask, selected lanes, and the six answers.
type MaskCase<E> = (usize, Vec<E>, [bool; 6]);

impl<E: Real> Kernel for Masks<E> {
    type Output = Vec<MaskCase<E>>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Self::Output {
        let lanes = E::V::<S>::LANES;
        let yes: Vec<E> = (0..lanes).map(|i| E::from_f64(i as f64 + 1.0)).collect();
        let (yes, no) = (E::V::<S>::load(tier, &yes), -E::V::<S>::load(tier, &yes));
        let mut results = Vec::new();
        let mut previous = E::V::<S>::zero(tier).lt(E::V::<S>::zero(tier));
        for bits in 0..1usize << lanes {
            let ones: Vec<E> = (0..lanes).map(|i| if bits >> i & 1 == 1 { E::ONE } else { E::ZERO }).collect();
            let mask = E::V::<S>::zero(tier).lt(E::V::<S>::load(tier, &ones));
            let mut selected = vec![E::ZERO; lanes];
            E::V::<S>::select(mask, yes, no).store(&mut selected);
            let answers = [
                mask.any(),
                mask.all(),
                (!mask).any(),
                (!mask).all(),
                (mask & previous).any(),
                (mask | previous).all(),
            ];
            results.push((bits, selected, answers));
            previous = mask;
        }
        results
    }
}

fn masks_hold<E: Real>(lanes: usize) {
    let all = (1 << lanes) - 1;
    let mut failures = Failures::default();
    for isa in Isa::available() {
        let results = run_on(isa, Masks::<E>(std::marker::PhantomData));
        assert_eq!(results.len(), 1 << lanes);
        for (bits, selected, answers) in results {
            let expected = |i: usize| (i as f64 + 1.0) * if bits >> i & 1 == 1 { 1.0 } else { -1.0 };
            let right = selected.iter().enumerate().all(|(i, x)| x.to_f64() == expected(i));
            failures.check(right, || format!("{isa} select by {bits:#b}: {selected:?}"));
            let previous = usize::saturating_sub(bits, 1);
            let expected =
                [bits != 0, bits == all, bits != all, bits == 0, bits & previous != 0, bits | previous == all];
            failures.check(answers == expected, || format!("{isa} mask {bits:#b}: {answers:?}, expected {expected:?}"));
        }
    }
    failures.report();
}

#[test]
fn select_any_and_all_hold_for_every_mask() {
    masks_hold::<f32>(16);
    masks_hold::<f64>(8);
}

/// `widen`, `narrow` and `widen_bits` of whole vectors.
struct Conversions<'a> {
    singles: &'a [f32],
    doubles: &'a [f64],
}

impl Kernel for Conversions<'_> {
    type Output = (Vec<f64>, Vec<f32>, Vec<f64>);
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Self::Output {
        let (mut widened, mut zero_extended) = (vec![0.0; self.singles.len()], vec![0.0; self.singles.len()]);
        let mut narrowed = vec![0.0; self.doubles.len()];
        for i in (0..self.singles.len()).step_by(16) {
            let x = S::F32::load(tier, &self.singles[i..]);
            let [low, high] = tier.widen(x);
            low.store(&mut widened[i..]);
            high.store(&mut widened[i + 8..]);
            let [low, high] = tier.widen_bits(x.to_bits());
            low.to_float().store(&mut zero_extended[i..]);
            high.to_float().store(&mut zero_extended[i + 8..]);
        }
        for i in (0..self.doubles.len()).step_by(16) {
            let halves = [S::F64::load(tier, &self.doubles[i..]), S::F64::load(tier, &self.doubles[i + 8..])];
            tier.narrow(halves).store(&mut narrowed[i..]);
        }
        (widened, narrowed, zero_extended)
    }
}

#[test]
fn conversions_keep_lanes_in_order_and_round_once() {
    let mut random = Random(23);
    let count = cases(100_000).next_multiple_of(16);
    let mut singles = specials::<f32>();
    singles.resize_with(count, || random.element());
    let mut doubles = specials::<f64>();
    doubles.resize_with(count, || match random.next() % 4 {
        // Ties between two `f32` and their neighbours, normal and subnormal ones.
        0 => f64::from_bits(random.next() << 28 >> 2).max_select(f64::from_bits(random.next() << 29)),
        1 => f64::from_bits(f64::from(random.element::<f32>()).to_bits() ^ 1 << 28),
        2 => f64::from_bits((random.range(1023 - 151, 1023 - 120) as u64) << 52 | (random.next() & !0 << 44)),
        _ => random.element(),
    });
    let mut failures = Failures::default();
    for isa in Isa::available() {
        let (widened, narrowed, zero_extended) = run_on(isa, Conversions { singles: &singles, doubles: &doubles });
        for (i, &x) in singles.iter().enumerate() {
            let expected = f64::from(x);
            failures.check(same_number(widened[i], expected), || {
                format!("{isa} widen lane {i} of {}: got {}, expected {}", hex(x), hex(widened[i]), hex(expected))
            });
            failures.check(zero_extended[i].to_bits() == u64::from(x.to_bits()), || {
                format!("{isa} widen_bits lane {i} of {}: got {}", hex(x), hex(zero_extended[i]))
            });
        }
        for (i, &x) in doubles.iter().enumerate() {
            let expected = oracle::fma::<f32>(x, 1.0, -0.0);
            failures.check(same_number(narrowed[i], expected), || {
                format!("{isa} narrow lane {i} of {}: got {}, expected {}", hex(x), hex(narrowed[i]), hex(expected))
            });
        }
    }
    failures.report();
}
