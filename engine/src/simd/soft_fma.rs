//! Exact fused multiply-add without the hardware's.
//!
//! The portable tier and the reference kernels use these. The platform's `fmaf` and `fma` are never called: shipped
//! versions of them round twice.
//!
//! Method: the product of two `f32` is exact in `f64`; the sum with `c` is rounded *to odd* there (S. Boldo and
//! G. Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008),
//! which makes the final rounding to `f32` the only one that counts. For `f64` the product is split into two numbers
//! by T. J. Dekker's method and the same theorem applies, as long as no exponent is near an end of its range; the rest
//! goes through integers of 128 bits.
//!
//! All of it but the last is free of branches, so that the loops of the portable tier over its lanes become vector code
//! of whatever baseline the target has.

use std::array::from_fn;

/// `a * b + c`, rounded once to nearest even. NaN operands and `inf * 0` give NaN.
#[inline(always)]
#[must_use]
pub fn fma_f32(a: f32, b: f32, c: f32) -> f32 {
    let product = f64::from(a) * f64::from(b); // exact: 24 + 24 <= 53 bits, exponents well inside
    round_to_odd_sum(product, f64::from(c)) as f32
}

/// [`fma_f32`] of each lane. A call a vector costs little beside the work, and every kernel of the portable tier would
/// otherwise hold hundreds of copies.
#[inline(never)]
pub(super) fn fma_f32_lanes(a: &[f32; 16], b: &[f32; 16], c: &[f32; 16]) -> [f32; 16] {
    from_fn(|i| fma_f32(a[i], b[i], c[i]))
}

/// `x + y` rounded to odd: the exact sum if representable, else the neighbour whose last bit is set.
///
/// Infinities and NaN come out as in `x + y`.
#[inline(always)]
fn round_to_odd_sum(x: f64, y: f64) -> f64 {
    let (sum, error) = two_sum(x, y);
    // All bits set, or none. An infinite or NaN sum has a NaN error, for which the comparison is false.
    let inexact = u64::from(error.abs() > 0.0).wrapping_neg();
    // Where the error points towards zero, one unit less is the sum rounded towards zero (a sum of zero is exact); the
    // sum rounded to odd is that with its last bit set. No branch, so that loops over lanes become vector code.
    let towards_zero = (error.to_bits() ^ sum.to_bits()) >> 63;
    let truncated = sum.to_bits().wrapping_sub(towards_zero & inexact);
    f64::from_bits(truncated | (inexact & 1))
}

/// D. E. Knuth's exact sum: `sum + error == x + y`, `sum = fl(x + y)`.
#[inline(always)]
fn two_sum(x: f64, y: f64) -> (f64, f64) {
    let sum = x + y;
    let y_part = sum - x;
    let x_part = sum - y_part;
    (sum, (x - x_part) + (y - y_part))
}

/// `a * b + c`, rounded once to nearest even. NaN operands and `inf * 0` give NaN.
#[inline(always)]
#[must_use]
pub fn fma_f64(a: f64, b: f64, c: f64) -> f64 {
    let (result, exact) = fma_f64_fast(a, b, c);
    if exact { result } else { fma_f64_wide(a, b, c) }
}

/// [`fma_f64`] of each lane; a call a vector, as for [`fma_f32_lanes`].
#[inline(never)]
pub(super) fn fma_f64_lanes(a: &[f64; 8], b: &[f64; 8], c: &[f64; 8]) -> [f64; 8] {
    const N: usize = 8;
    let mut results = [0.0; N];
    let mut all_exact = true;
    // An indexed loop, which stays one until the vectoriser sees it. (Unrolled earlier, as `from_fn` is, it is paired up
    // within lanes instead of across them: 1.8 times slower.)
    for i in 0..N {
        let (result, exact) = fma_f64_fast(a[i], b[i], c[i]);
        results[i] = result;
        all_exact &= exact;
    }
    if all_exact { results } else { from_fn(|i| fma_f64(a[i], b[i], c[i])) }
}

/// The Boldo-Melquiond algorithm, and whether it applies to these operands.
///
/// It does if nothing overflows or underflows on the way. An overflow anywhere, and an operand that is not finite, leaves
/// infinity or NaN in every later sum, so a finite result had none. Underflow matters in the error of the product alone,
/// for sums in the subnormal range are exact: its last place is at least 2^-106 of the product, so the product must not
/// be small, unless a factor is zero.
#[inline(always)]
pub(super) fn fma_f64_fast(a: f64, b: f64, c: f64) -> (f64, bool) {
    const SMALLEST_PRODUCT: f64 = f64::from_bits((1023 - 900) << 52); // 2^-900
    let (product, product_error) = two_product(a, b);
    let (low, low_error) = two_sum(c, product_error);
    let (high, high_error) = two_sum(product, low);
    let rounded_once = high + round_to_odd_sum(high_error, low_error);
    // A product of zero leaves `c`; the errors above would lose the sign if that is a zero, too.
    let result = if product == 0.0 { product + c } else { rounded_once };
    // No short circuits: the test, too, becomes vector code.
    let exact = (result.abs() < f64::INFINITY) & ((product.abs() >= SMALLEST_PRODUCT) | (a == 0.0) | (b == 0.0));
    (result, exact)
}

/// T. J. Dekker's exact product, with G. W. Veltkamp's split: `p + e == a * b`, `p = fl(a b)`.
#[inline(always)]
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let (a_high, a_low) = split(a);
    let (b_high, b_low) = split(b);
    let p = a * b;
    let e = ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low;
    (p, e)
}

/// Splits into two parts of at most 26 bits each.
#[inline(always)]
fn split(x: f64) -> (f64, f64) {
    const FACTOR: f64 = 134_217_729.0; // 2^27 + 1
    let scaled = FACTOR * x;
    let high = scaled - (scaled - x);
    (high, x - high)
}

/// The same by integers, for every operand.
#[cold]
pub(super) fn fma_f64_wide(a: f64, b: f64, c: f64) -> f64 {
    let finite = a.is_finite() & b.is_finite() & c.is_finite();
    if !finite || a == 0.0 || b == 0.0 {
        // Infinite, NaN or a zero product: at most the addition rounds. A product that is finite here may overflow
        // only if c is not finite, and then c alone decides.
        if a.is_finite() && b.is_finite() && !c.is_finite() {
            return c + 0.0;
        }
        return a * b + c;
    }
    if c == 0.0 {
        // One rounding of the product; a product that underflows to zero keeps its own sign.
        let product = a * b;
        return if product == 0.0 { product } else { product + c };
    }
    let (negative_p, mantissa_a, exponent_a) = decompose(a);
    let (negative_b, mantissa_b, exponent_b) = decompose(b);
    let negative_p = negative_p != negative_b;
    let (negative_c, mantissa_c, exponent_c) = decompose(c);

    // Both terms as 128-bit magnitudes with the top bit at 125, so that their sum cannot overflow.
    let (p, exponent_p) = normalise(u128::from(mantissa_a) * u128::from(mantissa_b), exponent_a + exponent_b);
    let (q, exponent_q) = normalise(u128::from(mantissa_c), exponent_c);
    let (big, exponent, negative_big, small, gap, negative_small) = if (exponent_p, p) >= (exponent_q, q) {
        (p, exponent_p, negative_p, q, exponent_p - exponent_q, negative_c)
    } else {
        (q, exponent_q, negative_c, p, exponent_q - exponent_p, negative_p)
    };
    // Align the smaller; what is shifted out survives as a sticky bit. Both have their top bit at 125 and at most 106
    // significant bits, so twenty low bits are zero and a sticky bit at position 0 is far below a half-ulp.
    let small = if gap == 0 {
        small
    } else if gap > 125 {
        1
    } else {
        (small >> gap) | u128::from(small & ((1u128 << gap) - 1) != 0)
    };
    let sum = if negative_big == negative_small { big + small } else { big - small };
    if sum == 0 {
        return 0.0; // exact cancellation of opposite signs: +0 in round-to-nearest
    }
    compose(negative_big, sum, exponent)
}

/// Sign, integer mantissa and exponent of a finite nonzero number: `±mantissa * 2^exponent`.
fn decompose(x: f64) -> (bool, u64, i32) {
    let bits = x.to_bits();
    let biased = ((bits >> 52) & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let (mantissa, exponent) = if biased == 0 { (fraction, -1074) } else { (fraction | (1 << 52), biased - 1075) };
    (bits >> 63 == 1, mantissa, exponent)
}

/// Shifts the top bit to position 125.
fn normalise(magnitude: u128, exponent: i32) -> (u128, i32) {
    let shift = magnitude.leading_zeros() as i32 - 2;
    (magnitude << shift, exponent - shift)
}

/// Rounds `±magnitude * 2^exponent` to nearest even; the lowest bit of `magnitude` may be sticky.
fn compose(negative: bool, magnitude: u128, exponent: i32) -> f64 {
    let top = 127 - magnitude.leading_zeros() as i32; // position of the top bit
    // The result keeps 53 bits, or fewer if that would go below the smallest subnormal.
    let drop = (top - 52).max(-1074 - exponent);
    let sign = u64::from(negative) << 63;
    if drop > 127 {
        return f64::from_bits(sign); // below half of the smallest subnormal
    }
    let (kept, remainder, half) = if drop <= 0 {
        (magnitude << -drop, 0, 1)
    } else {
        (magnitude >> drop, magnitude & ((1u128 << drop) - 1), 1u128 << (drop - 1))
    };
    let mut kept = kept as u64;
    if remainder > half || (remainder == half && kept & 1 == 1) {
        kept += 1;
    }
    // `kept` has at most 54 bits; its exponent field follows by plain addition, carries included.
    let biased = drop + exponent + 1075; // exponent field of a normal number with its leading bit at 52
    if kept < 1 << 52 {
        return f64::from_bits(sign | kept); // subnormal: drop + exponent == -1074
    }
    let bits = ((biased as u64) << 52).wrapping_add(kept - (1 << 52));
    if biased >= 0x7ff || bits >= 0x7ff << 52 {
        return f64::from_bits(sign | 0x7ff << 52);
    }
    f64::from_bits(sign | bits)
}
