//! Fused multiply-add by integers of 4,224 bits: too slow for anything else, and too simple to be wrong.

use super::super::Real;
use super::Format;

/// Words of a number in units of 2^-2148, the square of the smallest subnormal `f64`.
const WORDS: usize = 66;
/// The binary exponent of the unit.
const UNIT: i64 = -2148;

type Wide = [u64; WORDS];

/// `a * b + c` rounded once, to nearest even, to the format of `E`. The operands are `f64`, so that those of `f32`
/// are exact.
pub fn fma<E: Real>(a: f64, b: f64, c: f64) -> E {
    let Format { fraction, max_field } = Format::of::<E>();
    let infinity = max_field << fraction;
    let sign = 1u64 << (8 * size_of::<E>() - 1);
    let signed = |negative: bool, bits: u64| E::from_bits_u64(if negative { bits | sign } else { bits });
    let negative_product = a.is_sign_negative() != b.is_sign_negative();

    if !(a.is_finite() && b.is_finite() && c.is_finite()) {
        let infinite_product = a.is_infinite() || b.is_infinite();
        let invalid = a.is_nan()
            || b.is_nan()
            || c.is_nan()
            || (infinite_product && (a == 0.0 || b == 0.0))
            || (infinite_product && c.is_infinite() && negative_product != c.is_sign_negative());
        return if invalid {
            E::from_bits_u64(infinity | 1 << (fraction - 1))
        } else {
            signed(if infinite_product { negative_product } else { c.is_sign_negative() }, infinity)
        };
    }

    let (mantissa_a, exponent_a) = parts(a);
    let (mantissa_b, exponent_b) = parts(b);
    let (mantissa_c, exponent_c) = parts(c);
    let product = wide(u128::from(mantissa_a) * u128::from(mantissa_b), exponent_a + exponent_b);
    let addend = wide(u128::from(mantissa_c), exponent_c);
    let (negative, sum) = if negative_product == c.is_sign_negative() {
        (negative_product, combine(&product, &addend, add_with_carry))
    } else if product.iter().rev().ge(addend.iter().rev()) {
        (negative_product, combine(&product, &addend, subtract_with_borrow))
    } else {
        (c.is_sign_negative(), combine(&addend, &product, subtract_with_borrow))
    };
    let Some(top) = (0..64 * WORDS as i64).rev().find(|&i| bit(&sum, i)) else {
        // An exact zero is positive, unless both terms are negative (zeros).
        return signed(negative_product && c.is_sign_negative(), 0);
    };

    // The exponent of the last place of the result, and that place as a bit of the sum.
    let smallest = 1 - (max_field as i64) / 2 - i64::from(fraction);
    let last = (top + UNIT - i64::from(fraction)).max(smallest);
    let place = last - UNIT;
    let mut kept = (place..=top).rev().fold(0, |kept, i| 2 * kept + u64::from(bit(&sum, i)));
    let half = bit(&sum, place - 1);
    let below_half = (0..place - 1).any(|i| bit(&sum, i));
    if half && (below_half || kept % 2 == 1) {
        kept += 1;
    }
    // A subnormal has exponent field 0 and no hidden bit; the carry of a rounding runs into the field by itself.
    let bits = if kept < 1 << fraction { kept } else { (((last - smallest) as u64) << fraction) + kept };
    signed(negative, bits.min(infinity))
}

/// Mantissa and exponent of `|x|`.
fn parts(x: f64) -> (u64, i64) {
    let field = x.to_bits() >> 52 & 0x7ff;
    let fraction = x.to_bits() & ((1 << 52) - 1);
    if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field as i64 - 1075) }
}

/// `mantissa * 2^exponent` in units.
fn wide(mantissa: u128, exponent: i64) -> Wide {
    let mut result = [0; WORDS];
    for i in 0..128 {
        if mantissa >> i & 1 == 1 {
            let position = (exponent - UNIT) as usize + i;
            result[position / 64] |= 1 << (position % 64);
        }
    }
    result
}

fn bit(x: &Wide, position: i64) -> bool {
    position >= 0 && x[position as usize / 64] >> (position % 64) & 1 == 1
}

fn combine(x: &Wide, y: &Wide, step: fn(u64, u64, bool) -> (u64, bool)) -> Wide {
    let mut carry = false;
    let result = std::array::from_fn(|i| {
        let (word, next) = step(x[i], y[i], carry);
        carry = next;
        word
    });
    assert!(!carry, "the sum leaves the wide integer");
    result
}

fn add_with_carry(x: u64, y: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = x.overflowing_add(y);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first || second)
}

fn subtract_with_borrow(x: u64, y: u64, borrow: bool) -> (u64, bool) {
    let (difference, first) = x.overflowing_sub(y);
    let (difference, second) = difference.overflowing_sub(u64::from(borrow));
    (difference, first || second)
}

/// Results that can be found by hand.
#[test]
fn the_oracle_gives_results_known_by_hand() {
    let tiny = f64::from_bits(1);
    let epsilon = f64::EPSILON;
    let known = [
        (2.0, 3.0, 4.0, 10.0),
        (-2.0, 3.0, 6.0, 0.0),
        (0.0, -1.0, -0.0, -0.0),
        (0.0, 1.0, -0.0, 0.0),
        (tiny, 0.5, 0.0, 0.0),            // half of the smallest: a tie, to even
        (tiny, 0.5 + epsilon, 0.0, tiny), // above the tie
        (-tiny, 0.5, 0.0, -0.0),
        (tiny, 1.5, 0.0, 2.0 * tiny),
        (1.0 + epsilon, 1.0 + epsilon, -(1.0 + 2.0 * epsilon), epsilon * epsilon),
        (1.0, epsilon / 2.0, 1.0, 1.0), // a tie, to even
        (1.0, epsilon / 2.0, 1.0 + epsilon, 1.0 + 2.0 * epsilon),
        (f64::MAX, 1.0, f64::MAX * epsilon / 8.0, f64::MAX),
        (f64::MAX, 1.0, f64::MAX * epsilon / 2.0, f64::INFINITY),
        (f64::MAX, 2.0, -f64::MAX, f64::MAX),
        (f64::MAX, 2.0, f64::NEG_INFINITY, f64::NEG_INFINITY),
        (f64::MIN_POSITIVE, 1.0, -tiny, f64::from_bits((1 << 52) - 1)),
    ];
    for (a, b, c, expected) in known {
        let got: f64 = fma(a, b, c);
        assert_eq!(got.to_bits(), expected.to_bits(), "{a:e} * {b:e} + {c:e}: got {got:e}, expected {expected:e}");
    }
    assert!(fma::<f64>(f64::INFINITY, 0.0, 1.0).is_nan());
    assert!(fma::<f64>(f64::INFINITY, 1.0, f64::NEG_INFINITY).is_nan());
    assert_eq!(fma::<f32>(1.0, 1.0, f64::from(f32::EPSILON) * 0.75), 1.0 + f32::EPSILON);
}
