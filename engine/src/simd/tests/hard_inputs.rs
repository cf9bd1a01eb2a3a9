//! Operands at which a fused multiply-add that is almost right goes wrong.

use super::super::Real;
use super::{Format, Random, specials};

/// Makes triples of one element type.
pub struct HardInputs<E> {
    random: Random,
    specials: Vec<E>,
    format: Format,
    next: u64,
}

impl<E: Real> HardInputs<E> {
    /// The triples of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), specials: specials(), format: Format::of::<E>(), next: 0 }
    }

    /// A number with a random sign and the given unbiased exponent; beyond the ends of the range, the first subnormal
    /// binades (which shift the fraction down) and the largest normal one.
    fn number(&mut self, exponent: i64, fraction: u64) -> E {
        let Format { fraction: width, max_field } = self.format;
        let fraction = fraction & ((1 << width) - 1);
        let field = (exponent + self.format.bias()).min(max_field as i64 - 1);
        let bits = if field > 0 {
            (field as u64) << width | fraction
        } else {
            let down = (1 - field).min(i64::from(width) + 1);
            (1 << width | fraction) >> down
        };
        let sign = (self.random.next() & 1) << (8 * size_of::<E>() - 1);
        E::from_bits_u64(bits | sign)
    }

    /// A fraction: dense, sparse, all ones at one end, or nearly a power of two.
    fn fraction(&mut self) -> u64 {
        let width = i64::from(self.format.fraction);
        match self.random.next() % 5 {
            0 | 1 => self.random.next(),
            2 => 1 << self.random.range(0, width - 1) | 1 << self.random.range(0, width - 1),
            3 => u64::MAX << self.random.range(0, width),
            _ => (self.random.range(-2, 2)) as u64,
        }
    }

    fn exponent_of(&self, x: E) -> i64 {
        ((x.bits() >> self.format.fraction) & self.format.max_field) as i64 - self.format.bias()
    }

    /// The next triple; the kinds take turns.
    pub fn triple(&mut self) -> [E; 3] {
        let precision = i64::from(self.format.fraction) + 1;
        let bias = self.format.bias();
        self.next += 1;
        match self.next % 11 {
            // Anything.
            0 => [(); 3].map(|()| self.random.element()),
            // Special values, alone or with one arbitrary operand.
            1 => {
                let mut triple = [(); 3].map(|()| self.specials[self.random.next() as usize % self.specials.len()]);
                if self.random.next().is_multiple_of(2) {
                    triple[self.random.next() as usize % 3] = self.random.element();
                }
                triple
            }
            // The addend as large as the product, up to the distances where only a sticky bit is left of one.
            2..=4 => {
                let [a, b] = [(); 2].map(|()| self.moderate());
                let distance = self.random.range(-2 * precision - 3, precision + 3);
                let fraction = self.fraction();
                [a, b, self.number(self.exponent_of(a * b) + distance, fraction)]
            }
            // Cancellation: the addend is the rounded product, or a few units in the last place away.
            5 => {
                let [a, b] = [(); 2].map(|()| self.moderate());
                let near = (-(a * b)).bits().wrapping_add_signed(self.random.range(-2, 2));
                [a, b, E::from_bits_u64(near)]
            }
            // Ties: the product of a short number and a power of two meets an addend half a unit away.
            6 => {
                let (short, exponent) = (self.random.next() << (precision - 4), self.random.range(-20, 20));
                let a = self.number(exponent, short);
                let exponent = self.random.range(-20, 20);
                let b = self.number(exponent, 0);
                let distance = self.random.range(precision - 2, precision + 3);
                let fraction = self.fraction();
                [a, b, self.number(self.exponent_of(a * b) + distance, fraction)]
            }
            // Subnormal results, with an addend that is subnormal, tiny or zero.
            7 => {
                let exponent = self.random.range(-bias + 1, 0);
                let other = -bias - exponent + self.random.range(-2 * precision, precision);
                let (f, g, h) = (self.fraction(), self.fraction(), self.fraction());
                let c_exponent = -bias + self.random.range(-precision - 1, precision);
                let c = if self.random.next().is_multiple_of(4) { E::ZERO } else { self.number(c_exponent, h) };
                [self.number(exponent, f), self.number(other, g), c]
            }
            // The overflow boundary, from both sides.
            8 => {
                let exponent = self.random.range(0, bias);
                let (f, g, h) = (self.fraction(), self.fraction(), self.fraction());
                let c_exponent = bias - self.random.range(0, precision + 3);
                let other = bias - exponent + self.random.range(-2, 1);
                [self.number(exponent, f), self.number(other, g), self.number(c_exponent, h)]
            }
            // Near ties that a bit far below decides: (x + 1) (x^2 - x + 1) = x^3 + 1 and (x - 1) (x^2 + x + 1) = x^3 - 1,
            // where x^3 is about half a unit in the last place of the addend. Rounding twice, or losing what is shifted
            // out, shows here.
            9 => {
                let j = (precision - 1) / 2 - self.random.range(0, 3);
                let (x, s) = ((1i64 << j) as f64, if self.random.next().is_multiple_of(2) { 1.0 } else { -1.0 });
                let [a, b] = [x + s, x * x - s * x + 1.0].map(E::from_f64);
                let (exponent, fraction) = (3 * j + precision + self.random.range(-1, 1), self.fraction());
                [a, b, self.number(exponent, fraction)]
            }
            // The ends of the fast path of the `f64` software FMA (ordinary numbers for `f32`): products about 2^-900 and
            // about the largest number, of factors up to the ends themselves; addends of any size beside them.
            _ => {
                let product = [-900, bias, 0][self.random.next() as usize % 3].clamp(-bias, bias);
                let a_exponent = match self.random.next() % 3 {
                    0 => bias - self.random.range(0, 60),
                    1 => -bias - self.random.range(-2, precision),
                    _ => self.random.range(-bias, bias),
                };
                let b_exponent = product - a_exponent + self.random.range(-3, 3);
                let c_exponent = match self.random.next() % 3 {
                    0 => bias - self.random.range(0, 60),
                    1 => product + self.random.range(-2 * precision - 3, precision + 3),
                    _ => self.random.range(-bias - precision, bias),
                };
                let (f, g, h) = (self.fraction(), self.fraction(), self.fraction());
                [self.number(a_exponent, f), self.number(b_exponent, g), self.number(c_exponent, h)]
            }
        }
    }

    fn moderate(&mut self) -> E {
        let (exponent, fraction) = (self.random.range(-20, 20), self.fraction());
        self.number(exponent, fraction)
    }
}
