//! Which instruction set to use: detected, or forced by name.

use std::fmt;
use std::str::FromStr;

use super::{Portable, Tier};
use crate::error::{Error, Result};

/// An instruction-set tier. Ordered from the narrowest to the widest within an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// No instruction beyond the baseline of the target; multiply-adds are fused in software.
    Portable,
    /// aarch64 Advanced SIMD.
    Neon,
    /// x86-64 with AVX2 and FMA (the level x86-64-v3).
    Avx2,
    /// x86-64 with AVX-512 F, BW, CD, DQ and VL (the level x86-64-v4).
    Avx512,
}

impl Isa {
    /// Every tier that the engine knows, on whatever machine.
    pub const ALL: [Isa; 4] = [Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512];

    /// The widest tier of this CPU.
    #[must_use]
    pub fn detect() -> Isa {
        *Self::available().last().unwrap_or(&Isa::Portable)
    }

    /// Every tier that this CPU can run, the portable one first.
    #[must_use]
    pub fn available() -> Vec<Isa> {
        Self::ALL.into_iter().filter(|isa| isa.require().is_ok()).collect()
    }

    /// The name, as `--isa` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Whether this CPU can run the tier.
    ///
    /// # Errors
    /// [`Error::IsaUnavailable`] names what is missing.
    pub fn require(self) -> Result<()> {
        dispatch(self, Nothing)
    }
}

struct Nothing;
impl Kernel for Nothing {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, _: S) {}
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = Error;

    /// Reads a tier's name, or `auto` for [`Isa::detect`].
    fn from_str(name: &str) -> Result<Self> {
        if name == "auto" {
            return Ok(Self::detect());
        }
        Self::ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| Error::UnknownIsa(name.to_owned()))
    }
}

/// A computation that is generic over the tier.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// Runs it. Must be `#[inline(always)]`; it is called inside [`Tier::vectorize`].
    fn run<S: Tier>(self, tier: S) -> Self::Output;
}

/// Runs `kernel` on the tier `isa`.
///
/// # Errors
/// [`Error::IsaUnavailable`] if this CPU does not have it.
#[inline]
pub fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> Result<K::Output> {
    #[inline(always)]
    fn enter<S: Tier, K: Kernel>(tier: S, kernel: K) -> K::Output {
        tier.vectorize(
            #[inline(always)]
            || kernel.run(tier),
        )
    }
    match isa {
        Isa::Portable => Ok(enter(Portable, kernel)),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => match super::Avx2::new() {
            Some(tier) => Ok(enter(tier, kernel)),
            None => Err(Error::IsaUnavailable { isa, reason: "it lacks AVX2 or FMA" }),
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => match super::Avx512::new() {
            Some(tier) => Ok(enter(tier, kernel)),
            None => Err(Error::IsaUnavailable { isa, reason: "it lacks AVX-512 F, BW, CD, DQ or VL" }),
        },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => match super::Neon::new() {
            Some(tier) => Ok(enter(tier, kernel)),
            None => Err(Error::IsaUnavailable { isa, reason: "it lacks Advanced SIMD" }),
        },
        #[allow(unreachable_patterns)] // reached on the architectures that lack the arms above
        _ => Err(Error::IsaUnavailable { isa, reason: "it belongs to another architecture" }),
    }
}
