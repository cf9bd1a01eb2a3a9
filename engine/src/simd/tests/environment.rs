//! Control registers set as a careless library would leave them.

use super::super::check_float_environment;
use crate::error::{Error, Result};

#[cfg(target_arch = "x86_64")]
mod control {
    pub const FIELDS: &[(&str, u64)] = &[
        ("denormals-are-zero", 1 << 6),
        ("flush-to-zero", 1 << 15),
        ("rounding mode", 1 << 13),
        ("rounding mode", 2 << 13),
        ("rounding mode", 3 << 13),
    ];
    /// Sticky flags of past exceptions, which change nothing.
    pub const HARMLESS: u64 = 0x3f;

    pub fn read() -> u64 {
        let mut mxcsr = 0u32;
        // SAFETY: stores MXCSR into the local variable.
        unsafe { core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags)) };
        u64::from(mxcsr)
    }
    /// # Safety
    /// The caller restores the old value before any arithmetic whose result matters.
    pub unsafe fn write(value: u64) {
        let mxcsr = value as u32;
        // SAFETY: the bits set by these tests are all defined, so the load does not fault.
        unsafe { core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod control {
    pub const FIELDS: &[(&str, u64)] = &[
        ("flush-to-zero", 1 << 24),
        ("flush-to-zero", 1),
        ("alternate handling", 1 << 1),
        ("alternate handling", 1 << 2),
        ("rounding mode", 1 << 22),
        ("rounding mode", 2 << 22),
        ("rounding mode", 3 << 22),
    ];
    /// Default NaN: payloads are unspecified anyway.
    pub const HARMLESS: u64 = 1 << 25;

    pub fn read() -> u64 {
        let fpcr: u64;
        // SAFETY: reads FPCR, which user code may always do.
        unsafe { core::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags)) };
        fpcr
    }
    /// # Safety
    /// The caller restores the old value before any arithmetic whose result matters.
    pub unsafe fn write(value: u64) {
        // SAFETY: user code may always write FPCR; bits that the CPU lacks are ignored.
        unsafe { core::arch::asm!("msr fpcr, {}", in(reg) value, options(nostack, preserves_flags)) };
    }
}

/// The verdict on a thread of its own whose control register has `bits` set; `None` if the CPU does not have them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn verdict_with(bits: u64) -> Option<Result<()>> {
    std::thread::spawn(move || {
        let before = control::read();
        // SAFETY: the old value is restored below; between, there is no floating-point arithmetic.
        unsafe { control::write(before | bits) };
        let written = control::read();
        let verdict = check_float_environment();
        // SAFETY: restores the value that the thread started with.
        unsafe { control::write(before) };
        (written & bits == bits).then_some(verdict)
    })
    .join()
    .expect("the thread does not panic")
}

#[test]
fn a_fresh_thread_is_accepted() {
    assert_eq!(check_float_environment(), Ok(()));
    assert_eq!(std::thread::spawn(check_float_environment).join().expect("it does not panic"), Ok(()));
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn each_changed_control_field_is_refused_by_name() {
    let mut tried = 0;
    for &(name, bits) in control::FIELDS {
        match verdict_with(bits) {
            None => println!("{bits:#x}: not on this CPU"),
            Some(Err(Error::FloatEnvironment { what })) => {
                assert!(what.contains(name), "{bits:#x} is {name}, but the message says: {what}");
                tried += 1;
            }
            Some(other) => panic!("{bits:#x} ({name}) was accepted: {other:?}"),
        }
    }
    assert!(tried >= 4, "only {tried} fields could be set");
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn bits_that_change_no_result_are_accepted() {
    assert_eq!(verdict_with(control::HARMLESS).unwrap_or(Ok(())), Ok(()));
}
