//! Does this machine keep the numerics contract? Every kernel, on keyed inputs, against committed digests.
//!
//! A [`Case`] computes one kernel on inputs that are pure functions of integers, over shapes that have tails and odd
//! sizes, and returns what came out. Its SHA-256 digest is one line of `golden/selftest.snap`, which is built into the
//! binary: whoever has only that can compare too. The same line must come out on every tier, at every thread count, on
//! every platform.
//!
//! # Adding a kernel
//! Write a `fn(&Context) -> Result<Values>` in the file of `cases` where it belongs and add it to the table there; a
//! new file is one more line in [`cases::ALL`]. Then `regularity bless selftest --reason "..."`, and the diff of the
//! golden must show new lines only.

pub mod cases;
mod compare;
mod inputs;
mod values;

use regularity_engine::{Context, Isa, NUMERICS_VERSION};

pub use compare::{Comparison, Difference, compare};
pub use inputs::Inputs;
pub use values::Values;

use crate::error::{Error, Result};

/// The committed lines, as they were when the binary was built.
pub const GOLDEN: &str = include_str!("../../../golden/selftest.snap");

/// One kernel to be tested.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The name, `module/kernel`; part of the digest.
    pub name: &'static str,
    /// Computes it. Must finish within milliseconds on a hardware tier, and within some hundred on the portable one.
    pub run: fn(&Context) -> regularity_engine::Result<Values>,
}

/// What one case gave on each tier.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The name of the case.
    pub name: &'static str,
    /// The element type, as digests spell it.
    pub dtype: &'static str,
    /// The shape of the values.
    pub shape: Vec<usize>,
    /// The SHA-256 digest on each tier, in hexadecimal.
    pub digests: Vec<(Isa, String)>,
}

impl Outcome {
    /// The golden line for one of its digests: name, dtype, shape, digest.
    #[must_use]
    pub fn line(&self, digest: &str) -> String {
        let shape: Vec<_> = self.shape.iter().map(usize::to_string).collect();
        format!("{:<36} {:<4} {:<12} {digest}", self.name, self.dtype, shape.join("x"))
    }

    /// Whether all tiers gave the same.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.digests.windows(2).all(|pair| pair[0].1 == pair[1].1)
    }
}

/// Runs every case on every tier of `tiers` with `threads` threads.
///
/// # Errors
/// Those of the engine: a tier that this CPU lacks, threads that cannot be had, memory that cannot be had.
pub fn run(tiers: &[Isa], threads: usize) -> Result<Vec<Outcome>> {
    let contexts =
        tiers.iter().map(|&isa| Context::new(isa, threads)).collect::<regularity_engine::Result<Vec<_>>>()?;
    let mut outcomes = Vec::new();
    for case in cases::ALL.iter().copied().flatten() {
        let mut outcome: Option<Outcome> = None;
        for context in &contexts {
            let values = (case.run)(context)?;
            let digest = (context.isa(), values.digest(case.name)?.to_string());
            outcome
                .get_or_insert_with(|| Outcome {
                    name: case.name,
                    dtype: values.dtype(),
                    shape: values.shape().to_vec(),
                    digests: Vec::new(),
                })
                .digests
                .push(digest);
        }
        outcomes.extend(outcome);
    }
    Ok(outcomes)
}

/// The body of the golden that `outcomes` ask for.
///
/// # Errors
/// [`Error::Mismatch`] if the tiers disagree among themselves: then there is nothing that could be golden.
pub fn body(outcomes: &[Outcome]) -> Result<String> {
    let mut body = format!("{}\n", version_line());
    let mut apart = Vec::new();
    for outcome in outcomes {
        match outcome.digests.first() {
            Some((_, digest)) if outcome.agrees() => body += &(outcome.line(digest) + "\n"),
            _ => apart.push(outcome.name),
        }
    }
    if apart.is_empty() {
        return Ok(body);
    }
    Err(Error::Mismatch {
        message: format!("the tiers of this CPU disagree on {}", apart.join(", ")),
        help: "a golden holds on every tier, so nothing was written; `regularity selftest` shows the digests"
            .to_owned(),
    })
}

/// The first line of the golden.
#[must_use]
pub fn version_line() -> String {
    format!("numerics version {NUMERICS_VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_without_blanks() {
        let mut seen = HashSet::new();
        for case in cases::ALL.iter().copied().flatten() {
            assert!(seen.insert(case.name), "{} stands twice", case.name);
            assert!(case.name.len() <= 36 && !case.name.contains(char::is_whitespace), "{}", case.name);
        }
    }

    #[test]
    fn tiers_that_disagree_are_never_golden() {
        let digests = vec![(Isa::Portable, "aa".to_owned()), (Isa::Avx2, "ab".to_owned())];
        let outcome = Outcome { name: "x", dtype: "f32", shape: vec![1], digests };
        assert!(matches!(body(&[outcome]), Err(Error::Mismatch { .. })));
    }
}
