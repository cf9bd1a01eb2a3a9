//! Deterministic numerics for training neural networks: the same bits at every SIMD width, thread count, alignment and
//! split of the work, at full speed.
//!
//! ```
//! use regularity_engine::kernels::reduce;
//! use regularity_engine::{Context, Isa, random::Stream};
//!
//! let mut x = [0.0f32; 1000];
//! let wide = Context::new(Isa::detect(), 2)?;
//! Stream::new(42, "example/x", 0).fill_normal(&wide, 0, &mut x, 0.0, 1.0)?;
//!
//! // Another tier, another number of threads, the same bits.
//! let plain = Context::new(Isa::Portable, 1)?;
//! assert_eq!(reduce::sum(&wide, &x)?.to_bits(), reduce::sum(&plain, &x)?.to_bits());
//! # Ok::<(), regularity_engine::Error>(())
//! ```
//!
//! # How to use it
//! Make one [`Context`] (a tier and a pool of threads) and pass it to every kernel. A program that calls many kernels
//! does so inside [`Context::install`]. Inputs and outputs are slices and [matrix views](tensor); every function checks
//! shapes and returns a typed [`Error`], and panics on no input.
//!
//! # What is promised
//! [`numerics`] is the contract. [`mod@reference`] is the same in code: each kernel equals its scalar twin there bit for
//! bit. The engine reads no file, clock or environment variable and has no global state.

pub mod curvature;
pub mod digest;
pub mod error;
pub mod kernels;
pub mod layers;
pub mod linalg;
pub mod math;
pub mod memory;
pub mod models;
pub mod optim;
pub mod parallel;
pub mod params;
pub mod random;
pub mod reference;
pub mod simd;
pub mod tensor;
#[cfg(test)]
mod testing;

#[doc = include_str!("../NUMERICS.md")]
#[allow(clippy::doc_lazy_continuation)] // the page is also read as a file, where its line breaks help
pub mod numerics {}

pub use error::{Error, Result};
pub use parallel::Context;
pub use simd::Isa;

/// The version of the numerics contract that this engine keeps. The same version promises the same bits.
pub const NUMERICS_VERSION: u32 = 1;
