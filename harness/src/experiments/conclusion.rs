//! What came out: a finding for each claim, and figures.

use serde::{Deserialize, Serialize};

use super::about::{About, Claim};
use super::figure::Figure;
use super::statistics::Interval;
use crate::error::{Error, Result};

/// Whether a claim holds in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Reproduced,
    /// It does not.
    NotReproduced,
    /// This run cannot tell.
    NotTested,
}

impl Verdict {
    /// [`Reproduced`](Self::Reproduced) if the condition holds.
    #[must_use]
    pub const fn of(holds: bool) -> Self {
        if holds { Self::Reproduced } else { Self::NotReproduced }
    }

    /// The name, as files spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::NotReproduced => "not-reproduced",
            Self::NotTested => "not-tested",
        }
    }
}

/// What was measured for a claim.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// A phrase that stands beside what the paper says, such as `87.1 % against 84.9 %`.
    pub text: String,
    /// The numbers behind it, by name.
    pub values: Vec<(String, f64)>,
}

impl Measured {
    /// A phrase without numbers yet.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    /// With a number.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.values.push((name.to_owned(), value));
        self
    }
}

/// How far what was measured varies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Over what, such as `95 % interval of the mean over 5 seeds`.
    pub text: String,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl From<Interval> for Spread {
    fn from(i: Interval) -> Self {
        Self { text: format!("95 % interval of the mean over {} seeds", i.n), low: i.low, high: i.high }
    }
}

/// The judgement on one claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The claim's id.
    pub claim: &'static str,
    /// What was measured.
    pub measured: Measured,
    /// How far it varies, if that can be told.
    pub spread: Option<Spread>,
    /// Whether the claim holds.
    pub verdict: Verdict,
}

/// All that an experiment concludes from a run.
#[derive(Debug, Clone, Default)]
pub struct Conclusion {
    findings: Vec<Finding>,
    figures: Vec<Figure>,
}

impl Conclusion {
    /// Nothing concluded yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the judgement on a claim.
    pub fn claim(&mut self, claim: &'static str, verdict: Verdict, measured: Measured, spread: Option<Spread>) {
        self.findings.push(Finding { claim, measured, spread, verdict });
    }

    /// Adds a figure.
    pub fn figure(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// The figures, in the order of the report.
    #[must_use]
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// Every claim of the experiment with its finding; those that were not judged are not tested.
    #[must_use]
    pub fn findings(&self, about: &'static About) -> Vec<(&'static Claim, Finding)> {
        let find = |claim: &'static Claim| {
            let missing = || Finding {
                claim: claim.id,
                measured: Measured::new("not measured in this run"),
                spread: None,
                verdict: Verdict::NotTested,
            };
            (claim, self.findings.iter().find(|f| f.claim == claim.id).cloned().unwrap_or_else(missing))
        };
        about.claims.iter().map(find).collect()
    }

    /// Checks that the experiment judged only what it claims, each once, with finite numbers.
    ///
    /// # Errors
    /// [`Error::Defect`] if not.
    pub fn check(&self, about: &About) -> Result<()> {
        for (index, finding) in self.findings.iter().enumerate() {
            let id = finding.claim;
            let known = about.claims.iter().any(|claim| claim.id == id);
            let twice = self.findings[..index].iter().any(|f| f.claim == id);
            let spread = finding.spread.iter().flat_map(|s| [s.low, s.high]);
            let finite = finding.measured.values.iter().map(|v| v.1).chain(spread).all(f64::is_finite);
            if !known || twice || !finite {
                let why = if !known {
                    "is no claim of it"
                } else if twice {
                    "was judged twice"
                } else {
                    "was judged by a number that is not finite"
                };
                return Err(Error::Defect { what: format!("{}: {id} {why}", about.id) });
            }
        }
        Ok(())
    }
}
