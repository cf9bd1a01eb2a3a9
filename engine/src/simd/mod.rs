//! Fixed-width logical lanes over every instruction set.
//!
//! A kernel is written once, against two vector types: sixteen `f32` lanes and eight `f64` lanes. They are sixteen and
//! eight on **every** machine. One AVX-512 register holds them, or two AVX2 registers, or four NEON registers, or a
//! plain array; so the width of the hardware decides how many instructions an operation takes and never which numbers
//! meet in it.
//!
//! | tier | type | registers for 16 `f32` | fused multiply-add |
//! |---|---|---|---|
//! | [`Portable`] | arrays | none | [`soft_fma`], exact |
//! | `Avx2` | `[__m256; 2]` | 2 | hardware |
//! | `Avx512` | `__m512` | 1 | hardware |
//! | `Neon` | `[float32x4_t; 4]` | 4 | hardware |
//!
//! # Values are proofs
//! A vector value of a hardware tier can only be made from that tier's token, and the token only by asking the CPU
//! ([`Isa::detect`], [`dispatch`]). So whoever holds a vector may use its instructions, and arithmetic on vectors is
//! safe code with ordinary operators.
//!
//! # Inlining
//! A function compiled for the baseline CPU cannot hold AVX-512 values in registers. Everything between
//! [`Tier::vectorize`] and the last vector operation must therefore be `#[inline(always)]`, the closures included;
//! otherwise each operation becomes a call through memory, correct and about twenty times slower.
//!
//! # Operations and their edge cases
//! The same on every tier; `tests` in this module hold each tier against the portable one.
//!
//! | operation | result | NaN | signed zero | subnormal |
//! |---|---|---|---|---|
//! | `a + b`, `a - b`, `a * b`, `a / b` | IEEE-754, to nearest even | NaN if an operand is NaN or the operation invalid; payload and sign unspecified | IEEE-754 | kept, gradual underflow |
//! | `a.fma(b, c)` | `a b + c` rounded once | as above; `inf * 0 + c` is NaN | an exact zero sum is `+0` unless both addends are `-0` | kept |
//! | `a.sqrt()` | IEEE-754 | NaN below `-0` | `sqrt(-0) = -0` | kept |
//! | `-a`, `a.abs()` | sign bit flipped, cleared | sign bit of a NaN changes too | `-(+0) = -0` | kept |
//! | `a.lt(b)`, `a.le(b)`, `a.eq(b)` | quiet comparison | false | `-0 = +0` | compared by value |
//! | `a.max(b)` | `if a > b { a } else { b }` | **b** if either is NaN | **b** of two zeros | kept |
//! | `a.min(b)` | `if a < b { a } else { b }` | **b** if either is NaN | **b** of two zeros | kept |
//! | `V::select(m, a, b)` | lane of `a` where `m`, else of `b` | bits pass through | bits pass through | bits pass through |
//! | `a.fold_halves()` | lanes `i` and `i + half` added, halves 8, 4, 2, 1 (4, 2, 1 for `f64`) | as `+` | as `+` | kept |
//! | `widen`, `narrow` | exact; to nearest even | NaN stays NaN | kept | kept |
//! | `load_partial`, `store_partial` | missing lanes read as `+0`, are not written | bits pass through | bits pass through | bits pass through |
//! | `Bits` operations | integers modulo 2^32 or 2^64, logical shifts | | | |

mod lanes;
mod operators;
pub mod soft_fma;

mod portable;
mod stream;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

mod environment;
mod isa;
#[cfg(test)]
mod tests;

pub use environment::check_float_environment;
pub use isa::{Isa, Kernel, dispatch};
pub use lanes::{Bits, Mask, Real, Tier, Vector};
pub use portable::Portable;
pub use stream::{StreamWriter, stream_into};

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
