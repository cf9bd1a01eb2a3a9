//! Inputs as pure functions of a name and an index.
//!
//! They are drawn by a hash of their own and not by the engine's generator, so that a fault in one kernel shows in the
//! lines of that kernel alone, and not in those of everything that is fed from it. Only integers and exact operations
//! make them.

use regularity_engine::simd::Real;

/// A source of inputs; the same name gives the same inputs for ever.
#[derive(Debug, Clone, Copy)]
pub struct Inputs {
    key: u64,
}

impl Inputs {
    /// The source of that name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        // FNV-1a.
        let key = name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self { key }
    }

    /// 64 bits, by the finaliser of SplitMix64.
    #[must_use]
    pub fn bits(&self, index: usize) -> u64 {
        let mut z = self.key.wrapping_add((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Integers below `bound`; slightly uneven, which is of no matter here.
    #[must_use]
    pub fn below(&self, len: usize, bound: usize) -> Vec<usize> {
        (0..len).map(|i| (self.bits(i) % bound as u64) as usize).collect()
    }

    /// Multiples of 2^-23 in [-1, 1): exact in `f32` and `f64`.
    #[must_use]
    pub fn uniform<T: Real>(&self, len: usize) -> Vec<T> {
        self.make(len, unit)
    }

    /// The same, scaled by powers of two from 2^-40 to 2^39: sums of them cancel and lose bits.
    #[must_use]
    pub fn wide<T: Real>(&self, len: usize) -> Vec<T> {
        self.make(len, |bits| unit(bits) * power_of_two((bits & 0xff) as i32 % 80 - 40))
    }

    /// Finite values that trip implementations: signed zeros, subnormals, neighbours of one, ties, and now and then a
    /// large one (up to 2^60, so that products stay finite).
    #[must_use]
    pub fn adversarial<T: Real>(&self, len: usize) -> Vec<T> {
        let value = |bits: u64| -> T {
            let sign = if bits & 1 == 0 { T::ONE } else { -T::ONE };
            let epsilon = if T::NAME == "f32" { power_of_two(-23) } else { power_of_two(-52) };
            sign * match (bits >> 1) & 15 {
                0 => T::ZERO,
                1 | 2 => T::from_bits_u64(bits >> 48),
                3 => T::ONE,
                4 => T::from_f64(1.0 + epsilon),
                5 => T::from_f64(1.0 - epsilon / 2.0),
                6 => T::from_f64(power_of_two(60) * unit(bits)),
                7 => T::from_f64(power_of_two(-60) * unit(bits)),
                8 => T::from_f64(power_of_two(-30) * unit(bits)),
                9 => T::from_f64(epsilon / 2.0),
                _ => T::from_f64(unit(bits)),
            }
        };
        (0..len).map(|i| value(self.bits(i))).collect()
    }

    fn make<T: Real>(&self, len: usize, value: impl Fn(u64) -> f64) -> Vec<T> {
        (0..len).map(|i| T::from_f64(value(self.bits(i)))).collect()
    }
}

/// A multiple of 2^-23 in [-1, 1), from the upper bits.
fn unit(bits: u64) -> f64 {
    ((bits >> 40) as f64 - f64::from(1 << 23)) / f64::from(1 << 23)
}

/// 2^exponent for normal numbers.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_pinned() {
        // The published first output of SplitMix64 with seed 0.
        assert_eq!(Inputs { key: 0 }.bits(0), 0xe220_a839_7b1d_cdaf);
        let (a, b) = (Inputs::new("a"), Inputs::new("b"));
        assert_ne!(a.bits(0), b.bits(0));
        let x: Vec<f32> = a.uniform(1000);
        assert!(x.iter().all(|x| (-1.0..1.0).contains(x)) && x.iter().any(|x| *x < -0.9) && x.iter().any(|x| *x > 0.9));
        assert!(a.wide::<f32>(1000).iter().zip(a.wide::<f64>(1000)).all(|(&x, y)| f64::from(x) == y));
    }

    #[test]
    fn adversarial_inputs_hold_what_they_promise() {
        let x: Vec<f32> = Inputs::new("a").adversarial(2000);
        assert!(x.iter().all(|x| x.is_finite()));
        assert!(x.iter().any(|x| x.to_bits() == 0) && x.iter().any(|x| x.to_bits() == 1 << 31));
        assert!(x.iter().any(|x| x.is_subnormal()) && x.iter().any(|x| x.abs() > 1e17));
    }
}
