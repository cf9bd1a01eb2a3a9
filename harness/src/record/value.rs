//! One measured number, exact.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A number with its type. Two values are equal if their bits are.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// A single-precision number.
    F32(f32),
    /// A double-precision number.
    F64(f64),
    /// A count.
    U64(u64),
}

impl Value {
    /// The nearest f64; exact for both kinds of floats, and for counts below 2^53.
    #[must_use]
    pub fn get(self) -> f64 {
        match self {
            Self::F32(x) => f64::from(x),
            Self::F64(x) => x,
            Self::U64(n) => n as f64,
        }
    }

    /// Whether it is a number at all, and finite.
    #[must_use]
    pub fn is_finite(self) -> bool {
        self.get().is_finite()
    }

    /// The name of the type, as digests spell it.
    #[must_use]
    pub const fn dtype(self) -> &'static str {
        match self {
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
            Self::U64(_) => "u64",
        }
    }

    /// The bits in hexadecimal, as many digits as the type has.
    #[must_use]
    pub fn bits(self) -> String {
        match self {
            Self::F32(x) => format!("{:08x}", x.to_bits()),
            Self::F64(x) => format!("{:016x}", x.to_bits()),
            Self::U64(n) => format!("{n:016x}"),
        }
    }

    /// The value of that type and those bits.
    ///
    /// # Errors
    /// [`Error::Damaged`] without a file name if they are none.
    pub fn from_bits(dtype: &str, bits: &str) -> Result<Self> {
        let read = |digits: usize| (bits.len() == digits).then(|| u64::from_str_radix(bits, 16).ok()).flatten();
        match dtype {
            "f32" => read(8).map(|n| Self::F32(f32::from_bits(n as u32))),
            "f64" => read(16).map(|n| Self::F64(f64::from_bits(n))),
            "u64" => read(16).map(Self::U64),
            _ => None,
        }
        .ok_or_else(|| Error::Damaged { path: "".into(), reason: format!("`{bits}` are not the bits of an {dtype}") })
    }

    /// How many numbers of the type lie between this one and the other; None if their types differ.
    #[must_use]
    pub fn ulps(self, other: Self) -> Option<u64> {
        // Floats in the order of their values, as integers: negative ones count backwards.
        let ordered32 =
            |x: f32| if x.is_sign_negative() { -i64::from(x.to_bits() & !(1 << 31)) } else { x.to_bits().into() };
        let ordered64 = |x: f64| {
            let bits = i128::from(x.to_bits() & !(1 << 63));
            if x.is_sign_negative() { -bits } else { bits }
        };
        match (self, other) {
            (Self::F32(a), Self::F32(b)) => Some(ordered32(a).abs_diff(ordered32(b))),
            (Self::F64(a), Self::F64(b)) => u64::try_from(ordered64(a).abs_diff(ordered64(b))).ok(),
            (Self::U64(a), Self::U64(b)) => Some(a.abs_diff(b)),
            _ => None,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::F32(a), Self::F32(b)) => a.to_bits() == b.to_bits(),
            (Self::F64(a), Self::F64(b)) => a.to_bits() == b.to_bits(),
            (Self::U64(a), Self::U64(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl fmt::Display for Value {
    /// The shortest decimal that reads back as the same bits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32(x) => f.pad(&format!("{x:?}")),
            Self::F64(x) => f.pad(&format!("{x:?}")),
            Self::U64(n) => f.pad(&n.to_string()),
        }
    }
}

impl From<f32> for Value {
    fn from(x: f32) -> Self {
        Self::F32(x)
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Self {
        Self::F64(x)
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::U64(n)
    }
}

/// As files spell it: the decimal for people, the bits for certainty.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelt {
    value: serde_json::Number,
    #[serde(rename = "type")]
    dtype: String,
    bits: String,
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        // The decimal goes through its text, so that an f32 is not shown with the digits of an f64.
        let value = self.to_string().parse().map_err(serde::ser::Error::custom)?;
        Spelt { value, dtype: self.dtype().to_owned(), bits: self.bits() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let spelt = Spelt::deserialize(deserializer)?;
        Self::from_bits(&spelt.dtype, &spelt.bits).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_files_with_all_their_bits() {
        let values = [
            Value::F32(0.1),
            Value::F32(-0.0),
            Value::F32(f32::from_bits(1)),
            Value::F64(0.1),
            Value::F64(f64::MAX),
            Value::F64(5e-324),
            Value::U64(u64::MAX),
        ];
        for value in values {
            let text = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value, "{text}");
        }
        let text = serde_json::to_string(&Value::F32(0.1)).unwrap();
        assert_eq!(text, r#"{"value":0.1,"type":"f32","bits":"3dcccccd"}"#);
    }

    #[test]
    fn distances_are_in_steps_of_the_type_and_cross_zero() {
        let next = f32::from_bits(1.0f32.to_bits() + 3);
        assert_eq!(Value::F32(1.0).ulps(Value::F32(next)), Some(3));
        assert_eq!(Value::F32(f32::from_bits(1)).ulps(Value::F32(-f32::from_bits(1))), Some(2));
        assert_eq!(Value::F64(-0.0).ulps(Value::F64(0.0)), Some(0));
        assert_eq!(Value::F64(1.0).ulps(Value::F32(1.0)), None);
        assert_ne!(Value::F64(-0.0), Value::F64(0.0));
    }
}
