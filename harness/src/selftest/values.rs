//! What a case computed.
//!
//! Whether a result is a NaN belongs to the contract; its sign and payload do not, so a NaN counts as one and the same.

use regularity_engine::Result;
use regularity_engine::digest::{Digest, Digester, Element};

/// Typed values with a shape.
#[derive(Debug, Clone)]
pub struct Values {
    shape: Vec<usize>,
    data: Data,
}

/// The numbers of a case, whatever their type.
#[derive(Debug, Clone)]
pub enum Data {
    /// `f32`.
    F32(Vec<f32>),
    /// `f64`.
    F64(Vec<f64>),
    /// `u32`.
    U32(Vec<u32>),
    /// `u64`.
    U64(Vec<u64>),
}

/// The element type of a case.
pub trait Value: Element {
    /// Wraps the numbers, any NaN replaced by the quiet positive one.
    fn wrap(values: &[Self]) -> Data;
}

macro_rules! values {
    ($($T:ident $Variant:ident $canonical:expr;)*) => {$(
        impl Value for $T {
            fn wrap(values: &[Self]) -> Data {
                let canonical: fn(Self) -> Self = $canonical;
                Data::$Variant(values.iter().map(|&x| canonical(x)).collect())
            }
        }
    )*};
}
values! {
    f32 F32 |x| if x.is_nan() { f32::from_bits(0x7fc0_0000) } else { x };
    f64 F64 |x| if x.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { x };
    u32 U32 |x| x;
    u64 U64 |x| x;
}

impl Values {
    /// Values in one row: what a case gathers over several shapes.
    #[must_use]
    pub fn list<E: Value>(values: &[E]) -> Self {
        Self::shaped(&[values.len()], values)
    }

    /// Values of a shape, the last index fastest. That it holds as many is checked by [`digest`](Self::digest).
    #[must_use]
    pub fn shaped<E: Value>(shape: &[usize], values: &[E]) -> Self {
        Self { shape: shape.to_vec(), data: E::wrap(values) }
    }

    /// The element type, as digests spell it.
    #[must_use]
    pub fn dtype(&self) -> &'static str {
        match self.data {
            Data::F32(_) => f32::DTYPE,
            Data::F64(_) => f64::DTYPE,
            Data::U32(_) => u32::DTYPE,
            Data::U64(_) => u64::DTYPE,
        }
    }

    /// The shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The digest of this one tensor under `name`.
    ///
    /// # Errors
    /// [`regularity_engine::Error::Shape`] if the shape has another number of elements than there are.
    pub fn digest(&self, name: &str) -> Result<Digest> {
        let (digester, shape) = (Digester::new(), &self.shape);
        let digester = match &self.data {
            Data::F32(data) => digester.tensor(name, shape, data),
            Data::F64(data) => digester.tensor(name, shape, data),
            Data::U32(data) => digester.tensor(name, shape, data),
            Data::U64(data) => digester.tensor(name, shape, data),
        };
        Ok(digester?.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_nan_is_the_same_and_nothing_else_is() {
        let digest = |bits| Values::list(&[f32::from_bits(bits)]).digest("a").unwrap();
        assert_eq!(digest(0x7fc0_0000), digest(0xffa0_0001));
        assert_ne!(digest(0x7fc0_0000), digest(0x7f80_0000));
        assert_ne!(digest(0x8000_0000), digest(0));
    }

    #[test]
    fn a_case_that_miscounts_its_values_is_an_error() {
        assert!(Values::shaped(&[2, 2], &[1u32, 2, 3]).digest("a").is_err());
    }
}
