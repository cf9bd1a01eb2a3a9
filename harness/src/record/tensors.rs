//! Named tensors of plain numbers.

use regularity_engine::digest::{self, Digest, Digester};

use crate::error::{Error, Result};

/// The elements of a tensor, row-major.
#[derive(Debug, Clone)]
pub enum Elements {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
    /// Bytes.
    U8(Vec<u8>),
    /// 32-bit counts.
    U32(Vec<u32>),
    /// 64-bit counts.
    U64(Vec<u64>),
    /// Integers.
    I64(Vec<i64>),
}

mod sealed {
    use super::Elements;

    pub trait Kind: Sized {
        fn wrap(data: Vec<Self>) -> Elements;
        fn unwrap(elements: &Elements) -> Option<&[Self]>;
    }
}

/// A type that tensors are made of.
pub trait Element: digest::Element + sealed::Kind {}

macro_rules! elements {
    ($($T:ident $Variant:ident,)*) => {
        $(
            impl sealed::Kind for $T {
                fn wrap(data: Vec<Self>) -> Elements {
                    Elements::$Variant(data)
                }
                fn unwrap(elements: &Elements) -> Option<&[Self]> {
                    match elements {
                        Elements::$Variant(data) => Some(data),
                        _ => None,
                    }
                }
            }
            impl Element for $T {}
        )*
        impl Elements {
            /// The name of the type, as digests spell it.
            #[must_use]
            pub fn dtype(&self) -> &'static str {
                match self {
                    $(Self::$Variant(_) => <$T as digest::Element>::DTYPE,)*
                }
            }

            /// How many there are.
            #[must_use]
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$Variant(data) => data.len(),)*
                }
            }

            /// Whether there are none.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            fn digest(&self, digester: Digester, name: &str, shape: &[usize]) -> regularity_engine::Result<Digester> {
                match self {
                    $(Self::$Variant(data) => digester.tensor(name, shape, data),)*
                }
            }

            /// The elements, little-endian.
            #[must_use]
            pub fn to_le_bytes(&self) -> Vec<u8> {
                match self {
                    $(Self::$Variant(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),)*
                }
            }

            /// Elements of that type from their little-endian bytes; None if the type is not known or bytes are left.
            #[must_use]
            pub fn from_le_bytes(dtype: &str, bytes: &[u8]) -> Option<Self> {
                $(
                    if dtype == <$T as digest::Element>::DTYPE {
                        let (chunks, rest) = bytes.as_chunks::<{ size_of::<$T>() }>();
                        let data = chunks.iter().map(|chunk| $T::from_le_bytes(*chunk)).collect();
                        return rest.is_empty().then_some(Self::$Variant(data));
                    }
                )*
                None
            }
        }
    };
}
elements!(f32 F32, f64 F64, u8 U8, u32 U32, u64 U64, i64 I64,);

/// One tensor.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Its name, unique among its neighbours.
    pub name: String,
    /// Its shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub elements: Elements,
}

impl Tensor {
    /// The SHA-256 digest over name, type, shape and elements.
    ///
    /// # Errors
    /// None in practice: the shape was checked when the tensor was made.
    pub fn digest(&self) -> Result<Digest> {
        Ok(self.elements.digest(Digester::new(), &self.name, &self.shape)?.finish())
    }
}

/// A list of named tensors, in the order in which they were put.
#[derive(Debug, Clone, Default)]
pub struct Tensors {
    list: Vec<Tensor>,
}

impl Tensors {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor; the elements are copied.
    ///
    /// # Errors
    /// [`Error::Defect`] if the name is taken or the shape has another number of elements.
    pub fn put<T: Element>(&mut self, name: &str, shape: &[usize], data: &[T]) -> Result<()> {
        self.put_tensor(Tensor { name: name.to_owned(), shape: shape.to_vec(), elements: T::wrap(data.to_vec()) })
    }

    /// Adds a tensor.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_tensor(&mut self, tensor: Tensor) -> Result<()> {
        let Tensor { name, shape, elements } = &tensor;
        if self.list.iter().any(|t| t.name == *name) {
            return Err(Error::Defect { what: format!("two tensors are called `{name}`") });
        }
        if shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n)) != Some(elements.len()) {
            let what = format!("the tensor `{name}` of shape {shape:?} has {} elements", elements.len());
            return Err(Error::Defect { what });
        }
        self.list.push(tensor);
        Ok(())
    }

    /// The elements of a tensor.
    ///
    /// # Errors
    /// [`Error::Damaged`] without a file name if there is none of that name and type: whoever read the file adds its
    /// name.
    pub fn get<T: Element>(&self, name: &str) -> Result<&[T]> {
        let damaged = |reason| Error::Damaged { path: "".into(), reason };
        let tensor = self.list.iter().find(|t| t.name == name);
        let tensor = tensor.ok_or_else(|| damaged(format!("it has no tensor `{name}`")))?;
        T::unwrap(&tensor.elements).ok_or_else(|| {
            damaged(format!("its tensor `{name}` is of {}, not of {}", tensor.elements.dtype(), T::DTYPE))
        })
    }

    /// Copies the elements of a tensor to where they belong.
    ///
    /// # Errors
    /// As [`get`](Self::get), and if the number of elements differs.
    pub fn copy_to<T: Element>(&self, name: &str, out: &mut [T]) -> Result<()> {
        let data = self.get::<T>(name)?;
        if data.len() != out.len() {
            let reason = format!("its tensor `{name}` has {} elements, not {}", data.len(), out.len());
            return Err(Error::Damaged { path: "".into(), reason });
        }
        out.copy_from_slice(data);
        Ok(())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Tensor> {
        self.list.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The SHA-256 digest of the whole list, in order.
    ///
    /// # Errors
    /// None in practice: shapes were checked when tensors were put.
    pub fn digest(&self) -> Result<Digest> {
        let mut digester = Digester::new();
        for Tensor { name, shape, elements } in &self.list {
            digester = elements.digest(digester, name, shape)?;
        }
        Ok(digester.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_found_by_name_and_type() {
        let mut tensors = Tensors::new();
        tensors.put("w", &[2, 1], &[1.0f32, -0.0]).unwrap();
        tensors.put("n", &[], &[7u64]).unwrap();
        assert_eq!(tensors.get::<u64>("n").unwrap(), [7]);
        let mut w = [0.0f32; 2];
        tensors.copy_to("w", &mut w).unwrap();
        assert_eq!(w.map(f32::to_bits), [1.0f32, -0.0].map(f32::to_bits));
        for wrong in [tensors.get::<f64>("w").is_err(), tensors.copy_to("w", &mut [0.0f32; 3]).is_err()] {
            assert!(wrong);
        }
        assert!(tensors.put("w", &[1], &[0u8]).is_err() && tensors.put("v", &[3], &[0u8; 2]).is_err());
    }

    #[test]
    fn bytes_come_back_as_the_same_elements() {
        let elements = Elements::F64(vec![0.1, -0.0, f64::MAX]);
        let again = Elements::from_le_bytes("f64", &elements.to_le_bytes()).unwrap();
        assert_eq!(again.to_le_bytes(), elements.to_le_bytes());
        assert!(Elements::from_le_bytes("f64", &[0; 9]).is_none() && Elements::from_le_bytes("f16", &[]).is_none());
    }

    #[test]
    fn the_digest_is_the_engines_own() {
        let mut tensors = Tensors::new();
        tensors.put("w", &[2], &[1.0f32, 2.0]).unwrap();
        let expected = Digester::new().tensor("w", &[2], &[1.0f32, 2.0]).unwrap().finish();
        assert_eq!(tensors.digest().unwrap(), expected);
        assert_eq!(tensors.iter().next().unwrap().digest().unwrap(), expected);
    }
}
