//! Outcomes against golden lines.

use std::collections::BTreeMap;

use regularity_engine::Isa;
use serde::Serialize;

use super::{Outcome, version_line};
use crate::error::{Error, Result};
use crate::golden::Snapshot;

/// A kernel that does not give what the golden says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The name of the case.
    pub name: String,
    /// What is wrong, for people.
    pub what: String,
}

/// All that differs.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// In the order of the table; empty if everything holds.
    pub differences: Vec<Difference>,
    /// The digest that the golden has for each name.
    pub expected: BTreeMap<String, String>,
}

/// Compares; `path` names the golden in errors.
///
/// # Errors
/// [`Error::GoldenDamaged`] for a line that cannot be read.
pub fn compare(outcomes: &[Outcome], golden: &Snapshot, path: &str) -> Result<Comparison> {
    let mut lines = golden.body.lines();
    let mut comparison = Comparison::default();
    let mut differ = |name: &str, what: String| {
        comparison.differences.push(Difference { name: name.to_owned(), what });
    };
    let version = lines.next().unwrap_or_default();
    if version != version_line() {
        differ("numerics version", format!("the golden has `{version}`, this program `{}`", version_line()));
    }
    let mut golden_lines = BTreeMap::new();
    for (number, line) in lines.enumerate() {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [name, _, _, digest] = fields[..] else {
            let reason = format!("line {} of its body is not `name dtype shape digest`: `{line}`", number + 2);
            return Err(Error::GoldenDamaged { path: path.to_owned(), reason });
        };
        golden_lines.insert(name.to_owned(), (fields.join(" "), digest.to_owned()));
    }
    for outcome in outcomes {
        let Some((expected, _)) = golden_lines.get(outcome.name) else {
            differ(outcome.name, "the golden does not have it".to_owned());
            continue;
        };
        let same = |digest: &str| outcome.line(digest).split_whitespace().eq(expected.split(' '));
        let wrong: Vec<_> = outcome.digests.iter().filter(|(_, d)| !same(d)).map(|(isa, _)| isa.name()).collect();
        if !wrong.is_empty() {
            let right: Vec<_> =
                outcome.digests.iter().map(|(isa, _)| isa.name()).filter(|isa| !wrong.contains(isa)).collect();
            let but = if right.is_empty() { String::new() } else { format!(", not on {}", right.join(", ")) };
            differ(outcome.name, format!("differs on {}{but}", wrong.join(", ")));
        }
    }
    for name in golden_lines.keys() {
        if outcomes.iter().all(|outcome| outcome.name != name) {
            differ(name, "the golden has it, this program does not".to_owned());
        }
    }
    comparison.expected = golden_lines.into_iter().map(|(name, (_, digest))| (name, digest)).collect();
    Ok(comparison)
}

impl Comparison {
    /// Nothing, or the error that lists the differences.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if there are any.
    pub fn verdict(&self, tiers: &[Isa], threads: usize) -> Result<()> {
        if self.differences.is_empty() {
            return Ok(());
        }
        let list: Vec<_> = self.differences.iter().map(|d| format!("\n  {}: {}", d.name, d.what)).collect();
        let tiers: Vec<_> = tiers.iter().map(|isa| isa.name()).collect();
        Err(Error::Mismatch {
            message: format!(
                "{} of the golden's lines do not hold (tiers {}, {threads} threads):{}",
                list.len(),
                tiers.join(", "),
                list.concat()
            ),
            help: "every machine must give the same digests. Unless you changed a kernel, please report this with the \
                   output of `regularity doctor --json` and of `regularity selftest --json`. If it holds with \
                   `--threads 1` or with `--isa portable`, say so: that tells where to look."
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &'static str, digests: &[(Isa, &str)]) -> Outcome {
        let digests = digests.iter().map(|&(isa, digest)| (isa, digest.to_owned())).collect();
        Outcome { name, dtype: "f32", shape: vec![2, 3], digests }
    }

    fn differences(outcomes: &[Outcome], body: &str) -> Vec<(String, String)> {
        let golden = Snapshot { expression: String::new(), description: String::new(), body: body.to_owned() };
        let comparison = compare(outcomes, &golden, "x").unwrap();
        comparison.differences.into_iter().map(|d| (d.name, d.what)).collect()
    }

    #[test]
    fn each_way_to_differ_is_told() {
        let version = version_line();
        let good = outcome("a", &[(Isa::Portable, "11"), (Isa::Avx2, "11")]);
        type Case<'a> = (&'a str, &'a [Outcome], String, &'a [(&'a str, &'a str)]);
        let cases: [Case<'_>; 6] = [
            ("equal", std::slice::from_ref(&good), format!("{version}\na f32 2x3 11\n"), &[]),
            (
                "shape",
                std::slice::from_ref(&good),
                format!("{version}\na f32 6 11\n"),
                &[("a", "differs on portable, avx2")],
            ),
            (
                "one tier",
                &[outcome("a", &[(Isa::Portable, "11"), (Isa::Avx2, "12")])],
                format!("{version}\na   f32  2x3   11\n"),
                &[("a", "differs on avx2, not on portable")],
            ),
            ("new", std::slice::from_ref(&good), format!("{version}\n"), &[("a", "the golden does not have it")]),
            ("gone", &[], format!("{version}\na f32 2x3 11\n"), &[("a", "the golden has it, this program does not")]),
            (
                "version",
                &[],
                "numerics version 0\n".to_owned(),
                &[("numerics version", "the golden has `numerics version 0`, this program `numerics version 1`")],
            ),
        ];
        for (what, outcomes, body, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect();
            assert_eq!(differences(outcomes, &body), expected, "{what}");
        }
    }
}
