//! The floating-point environment of the calling thread.

use crate::error::{Error, Result};

/// Refuses a thread whose control register would change results.
///
/// The engine needs rounding to nearest even and gradual underflow. A host program, or a library compiled with
/// `-ffast-math`, may have set flush-to-zero, denormals-are-zero or another rounding mode for this thread.
///
/// # Errors
/// [`Error::FloatEnvironment`] names the bits that deviate.
#[inline]
pub fn check_float_environment() -> Result<()> {
    match deviation(control_register()) {
        None => Ok(()),
        Some(what) => Err(Error::FloatEnvironment { what }),
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn control_register() -> u64 {
    let mut mxcsr = 0u32;
    // SAFETY: stores the 32 bits of MXCSR into the local variable, and does nothing else.
    unsafe {
        core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags));
    }
    u64::from(mxcsr)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn deviation(mxcsr: u64) -> Option<&'static str> {
    const DAZ: u64 = 1 << 6;
    const FTZ: u64 = 1 << 15;
    const ROUNDING: u64 = 3 << 13;
    if mxcsr & (DAZ | FTZ | ROUNDING) == 0 {
        return None;
    }
    Some(if mxcsr & ROUNDING != 0 {
        "MXCSR: rounding mode is not to-nearest"
    } else if mxcsr & FTZ != 0 {
        "MXCSR: flush-to-zero is on"
    } else {
        "MXCSR: denormals-are-zero is on"
    })
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn control_register() -> u64 {
    let fpcr: u64;
    // SAFETY: reads FPCR, which user code may always read, and does nothing else.
    unsafe {
        core::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags));
    }
    fpcr
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn deviation(fpcr: u64) -> Option<&'static str> {
    const FZ: u64 = 1 << 24;
    const ROUNDING: u64 = 3 << 22;
    /// FIZ, AH and NEP: flushed inputs, alternate handling, and numeric elements kept from another register.
    const ALTERNATE: u64 = 0b111;
    if fpcr & (FZ | ROUNDING | ALTERNATE) == 0 {
        return None;
    }
    Some(if fpcr & ROUNDING != 0 {
        "FPCR: rounding mode is not to-nearest"
    } else {
        "FPCR: flush-to-zero or alternate handling is on"
    })
}

/// On other architectures the environment is probed by arithmetic that such settings would change.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn control_register() -> u64 {
    use std::hint::black_box;
    let tiny = black_box(f32::from_bits(1));
    let flushed = black_box(tiny + tiny).to_bits() != 2;
    let third = black_box(1.0f64) / black_box(3.0f64);
    let up = black_box(1.0f64) + black_box(f64::EPSILON * 0.75);
    let directed = third.to_bits() != 0x3fd5_5555_5555_5555 || up != 1.0 + f64::EPSILON;
    u64::from(flushed) | u64::from(directed) << 1
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn deviation(probe: u64) -> Option<&'static str> {
    match probe {
        0 => None,
        1 => Some("subnormal numbers are flushed to zero"),
        _ => Some("rounding mode is not to-nearest"),
    }
}
