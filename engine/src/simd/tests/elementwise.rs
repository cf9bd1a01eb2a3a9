//! Each row of the table of edge cases: vectors of each tier against the scalar definition.

use std::hint::black_box;

use super::super::{Bits, Isa, Kernel, Real, Tier, Vector};
use super::{Failures, Random, cases, hex, run_on, same_number, specials};

/// How a row is compared.
#[derive(Clone, Copy, PartialEq)]
enum Compare {
    /// Bit for bit, NaN included: the operation moves bits.
    Bits,
    /// Bit for bit, except that any NaN equals any other: the operation computes.
    Number,
}

/// Computes one row for all inputs.
#[inline(always)]
fn map<V: Vector>(tier: V::Tier, [a, b, c]: [&[V::Elem]; 3], f: impl Fn(V, V, V) -> V) -> Vec<V::Elem> {
    let mut result = vec![V::Elem::ZERO; a.len()];
    for (i, chunk) in result.chunks_exact_mut(V::LANES).enumerate() {
        let from = i * V::LANES;
        f(V::load(tier, &a[from..]), V::load(tier, &b[from..]), V::load(tier, &c[from..])).store(chunk);
    }
    result
}

/// Defines `vector_rows`, which computes every row with vectors, and `scalar_rows`, which defines them. The two
/// expressions of a row see `a`, `b`, `c`; that of vectors the tier as well.
macro_rules! rows {
    ($tier:ident, $V:ident, $E:ident, $a:ident, $b:ident, $c:ident;
     $($name:literal, $compare:ident, $vector:expr, $scalar:expr;)+) => {
        #[inline(always)]
        fn vector_rows<$V: Vector>($tier: $V::Tier, inputs: [&[$V::Elem]; 3]) -> Vec<Vec<$V::Elem>> {
            vec![$(map::<$V>($tier, inputs, #[inline(always)] |$a, $b, $c| { let _ = ($a, $b, $c); $vector })),+]
        }
        #[allow(unused_variables)]
        fn scalar_rows<$E: Real>() -> Vec<(&'static str, Compare, fn($E, $E, $E) -> $E)> {
            vec![$(($name, Compare::$compare, |$a, $b, $c| $scalar)),+]
        }
    };
}

/// `1` or `0`.
fn truth<E: Real>(x: bool) -> E {
    if x { E::ONE } else { E::ZERO }
}

/// Integer arithmetic on the bits.
fn on_bits<E: Real>(bits: u64) -> E {
    E::from_bits_u64(bits)
}

rows! { tier, V, E, a, b, c;
    "a + b", Number, a + b, a + b;
    "a - b", Number, a - b, a - b;
    "a * b", Number, a * b, a * b;
    "a / b", Number, a / b, a / b;
    "a.fma(b, c)", Number, a.fma(b, c), a.fma(b, c);
    "(-a).fma(b, c)", Number, (-a).fma(b, c), (-a).fma(b, c);
    "a.sqrt()", Number, a.sqrt(), a.sqrt();
    "-a", Bits, -a, on_bits(a.bits() ^ sign_bit::<E>());
    "a.abs()", Bits, a.abs(), on_bits(a.bits() & !sign_bit::<E>());
    "a.lt(b)", Bits, V::select(a.lt(b), V::splat(tier, V::Elem::ONE), V::zero(tier)), truth(a < b);
    "a.le(b)", Bits, V::select(a.le(b), V::splat(tier, V::Elem::ONE), V::zero(tier)), truth(a <= b);
    "a.eq(b)", Bits, V::select(a.eq(b), V::splat(tier, V::Elem::ONE), V::zero(tier)), truth(a == b);
    "select(a < b, b, c)", Bits, V::select(a.lt(b), b, c), if a < b { b } else { c };
    "select(!(a <= b), a, c)", Bits, V::select(!a.le(b), a, c), if a <= b { c } else { a };
    "select(a < b & b < c, a, c)", Bits, V::select(a.lt(b) & b.lt(c), a, c), if a < b && b < c { a } else { c };
    "select(a < b | b < c, a, c)", Bits, V::select(a.lt(b) | b.lt(c), a, c), if a < b || b < c { a } else { c };
    "a.max(b)", Bits, a.max(b), if a > b { a } else { b };
    "a.min(b)", Bits, a.min(b), if a < b { a } else { b };
    "a.max(0)", Bits, a.max(V::zero(tier)), if black_box(a > E::ZERO) { a } else { E::ZERO };
    "max(0, a)", Bits, V::zero(tier).max(a), if black_box(E::ZERO > a) { E::ZERO } else { a };
    "min(0, a)", Bits, V::zero(tier).min(a), if black_box(E::ZERO < a) { E::ZERO } else { a };
    "to_bits, to_float", Bits, a.to_bits().to_float(), a;
    "bits: a & b", Bits, (a.to_bits() & b.to_bits()).to_float(), on_bits(a.bits() & b.bits());
    "bits: a | b", Bits, (a.to_bits() | b.to_bits()).to_float(), on_bits(a.bits() | b.bits());
    "bits: a ^ b", Bits, (a.to_bits() ^ b.to_bits()).to_float(), on_bits(a.bits() ^ b.bits());
    "bits: a + b", Bits, (a.to_bits() + b.to_bits()).to_float(), on_bits(a.bits().wrapping_add(b.bits()));
    "bits: a - b", Bits, (a.to_bits() - b.to_bits()).to_float(), on_bits(a.bits().wrapping_sub(b.bits()));
    "bits: a << 0", Bits, a.to_bits().shl::<0>().to_float(), a;
    "bits: a << 1", Bits, a.to_bits().shl::<1>().to_float(), on_bits(a.bits() << 1);
    "bits: a << 23", Bits, a.to_bits().shl::<23>().to_float(), on_bits(a.bits() << 23);
    "bits: a << 31", Bits, a.to_bits().shl::<31>().to_float(), on_bits(a.bits() << 31);
    "bits: a >> 0", Bits, a.to_bits().shr::<0>().to_float(), a;
    "bits: a >> 1", Bits, a.to_bits().shr::<1>().to_float(), on_bits(a.bits() >> 1);
    "bits: a >> 23", Bits, a.to_bits().shr::<23>().to_float(), on_bits(a.bits() >> 23);
    "bits: a >> 31", Bits, a.to_bits().shr::<31>().to_float(), on_bits(a.bits() >> 31);
    "bits: a ^ splat", Bits, (a.to_bits() ^ V::Bits::splat(tier, SPLAT)).to_float(), on_bits(a.bits() ^ SPLAT);
    "splat(1) - 0", Bits, V::splat(tier, V::Elem::ONE) - V::zero(tier), E::ONE;
}

/// More bits than 32-bit lanes have; the excess must be dropped.
const SPLAT: u64 = 0xdead_beef_8765_4321;

fn sign_bit<E: Real>() -> u64 {
    1 << (8 * size_of::<E>() - 1)
}

struct Rows<'a, E>([&'a [E]; 3]);

impl<E: Real> Kernel for Rows<'_, E> {
    type Output = Vec<Vec<E>>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Self::Output {
        vector_rows::<E::V<S>>(tier, self.0)
    }
}

fn check_rows<E: Real>(inputs: [&[E]; 3]) {
    let definitions = scalar_rows::<E>();
    let mut failures = Failures::default();
    for isa in Isa::available() {
        let rows = run_on(isa, Rows(inputs));
        assert_eq!(rows.len(), definitions.len());
        for (got, (name, compare, scalar)) in rows.iter().zip(&definitions) {
            for (i, &got) in got.iter().enumerate() {
                let [a, b, c] = inputs.map(|x| x[i]);
                let expected = scalar(a, b, c);
                let same = match compare {
                    Compare::Bits => got.bits() == expected.bits(),
                    Compare::Number => same_number(got, expected),
                };
                failures.check(same, || {
                    let (a, b, c, got, expected) = (hex(a), hex(b), hex(c), hex(got), hex(expected));
                    format!("{isa} {} {name}: a {a} b {b} c {c}: got {got}, expected {expected}", E::NAME)
                });
            }
        }
    }
    failures.report();
}

/// All triples of `values`, as three lists filled up to whole vectors.
fn triples<E: Real>(values: &[E]) -> [Vec<E>; 3] {
    let mut lists = [const { Vec::new() }; 3];
    for &a in values {
        for &b in values {
            for &c in values {
                lists[0].push(a);
                lists[1].push(b);
                lists[2].push(c);
            }
        }
    }
    lists.map(|mut list| {
        list.resize(list.len().next_multiple_of(16), E::ONE);
        list
    })
}

fn all_triples_of_specials<E: Real>() {
    let [a, b, c] = triples(&specials::<E>());
    check_rows([&a, &b, &c]);
}

fn random_bits<E: Real>(seed: u64) {
    let mut random = Random(seed);
    let count = cases(200_000).next_multiple_of(16);
    let [a, b, c] = [(); 3].map(|()| (0..count).map(|_| random.element()).collect::<Vec<E>>());
    check_rows([&a, &b, &c]);
}

#[test]
fn every_row_holds_for_all_triples_of_special_f32() {
    all_triples_of_specials::<f32>();
}
#[test]
fn every_row_holds_for_all_triples_of_special_f64() {
    all_triples_of_specials::<f64>();
}
#[test]
fn every_row_holds_for_random_f32() {
    random_bits::<f32>(1);
}
#[test]
fn every_row_holds_for_random_f64() {
    random_bits::<f64>(2);
}
