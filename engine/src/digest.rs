//! Digests of named numbers: SHA-256 over names, types, shapes and little-endian bytes.
//!
//! ```
//! use regularity_engine::digest::Digester;
//! let weights = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
//! let digest = Digester::new().tensor("weight", &[2, 3], &weights)?.tensor("step", &[], &[7u64])?.finish();
//! assert_eq!(digest.short(), "2a5a7a43db74");
//! assert_eq!(digest, digest.to_string().parse()?);
//! # Ok::<(), regularity_engine::Error>(())
//! ```
//!
//! # The exact bytes
//! Frozen in numerics version 1. What is hashed is the text `regularity/digest/1`, then for each tensor in the order of
//! the calls
//!
//! ```text
//! length of the name in bytes     8 bytes, little-endian, as all numbers here
//! name                            UTF-8
//! length of the type's name       8 bytes
//! type                            f32, f64, u8, u32, u64 or i64
//! number of dimensions            8 bytes; 0 for a scalar
//! dimensions                      8 bytes each
//! elements                        row-major, little-endian bytes of each
//! ```
//!
//! Every length comes before what it measures, so that different lists of tensors never hash the same bytes: neither a
//! letter moved from a name to its neighbour, nor a reshape, nor a split goes unseen. Floats count by their bits: `-0`
//! differs from `+0`. The result does not depend on the byte order of the machine.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// The first bytes of what is hashed.
const DOMAIN: &[u8] = b"regularity/digest/1";
/// Bytes that are brought into order at a time.
const CHUNK: usize = 4096;

/// An element type of a tensor to digest.
pub trait Element: Copy + sealed::LittleEndian {
    /// The name of the type in the digest.
    const DTYPE: &'static str;
}

mod sealed {
    /// The bytes of a number.
    pub trait LittleEndian {
        /// Appends them at the front of `out` and returns the rest.
        fn put(self, out: &mut [u8]) -> &mut [u8];
    }
}

macro_rules! elements {
    ($($T:ident)*) => {$(
        impl Element for $T {
            const DTYPE: &'static str = stringify!($T);
        }
        impl sealed::LittleEndian for $T {
            #[inline]
            fn put(self, out: &mut [u8]) -> &mut [u8] {
                let (now, later) = out.split_at_mut(size_of::<$T>());
                now.copy_from_slice(&self.to_le_bytes());
                later
            }
        }
    )*};
}
elements!(f32 f64 u8 u32 u64 i64);

/// Collects tensors into a [`Digest`].
#[derive(Debug, Clone)]
pub struct Digester {
    hash: Sha256,
}

impl Default for Digester {
    fn default() -> Self {
        Self::new()
    }
}

impl Digester {
    /// No tensor yet.
    #[must_use]
    pub fn new() -> Self {
        Self { hash: Sha256::new_with_prefix(DOMAIN) }
    }

    /// Adds a tensor; `shape` is empty for a scalar.
    ///
    /// # Errors
    /// [`Error::Shape`] if `data` has another number of elements than `shape`, [`Error::Overflow`] if that number does
    /// not fit.
    pub fn tensor<T: Element>(mut self, name: &str, shape: &[usize], data: &[T]) -> Result<Self> {
        let (op, what) = ("digest", "elements of data");
        let expected = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        let expected = expected.ok_or(Error::Overflow { op, what: "a shape" })?;
        if data.len() != expected {
            return Err(Error::Shape { op, what, expected, actual: data.len() });
        }
        self.text(name);
        self.text(T::DTYPE);
        self.number(shape.len());
        shape.iter().for_each(|&n| self.number(n));
        let mut bytes = [0; CHUNK];
        for data in data.chunks(CHUNK / size_of::<T>()) {
            let mut rest = &mut bytes[..];
            for &x in data {
                rest = x.put(rest);
            }
            self.hash.update(&bytes[..size_of_val(data)]);
        }
        Ok(self)
    }

    /// The digest of what was added.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.hash.finalize().into())
    }

    fn number(&mut self, n: usize) {
        self.hash.update((n as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.hash.update(text);
    }
}

/// The SHA-256 of a list of tensors; shown and read as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digits of the short form.
    pub const SHORT: usize = 12;

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first twelve digits: enough to tell runs apart by eye (48 bits), not to compare them by.
    #[must_use]
    pub fn short(&self) -> String {
        let mut digits = self.to_string();
        digits.truncate(Self::SHORT);
        digits
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = Error;

    /// Reads 64 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self> {
        let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
        let read = || {
            let (pairs, rest) = text.as_bytes().as_chunks::<2>();
            let pairs: &[[u8; 2]; 32] = pairs.try_into().ok().filter(|_| rest.is_empty())?;
            let mut bytes = [0; 32];
            for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
                *byte = digit(high)? << 4 | digit(low)?;
            }
            Some(Self(bytes))
        };
        read().ok_or_else(|| {
            let (op, what, requirement) = ("digest", "a digest", "64 hexadecimal digits");
            Error::Argument { op, what, requirement, actual: format!("`{text}`") }
        })
    }
}

#[cfg(test)]
mod tests;
