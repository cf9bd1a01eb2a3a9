//! What an experiment is about.

use serde::{Deserialize, Serialize};

use crate::config::Profile;

/// The fixed facts of an experiment.
#[derive(Debug)]
pub struct About {
    /// The name in commands, folders and goldens: lower case and hyphens.
    pub id: &'static str,
    /// One line for tables.
    pub title: &'static str,
    /// A paragraph for the report: the question, and how it is put.
    pub summary: &'static str,
    /// The paper.
    pub paper: Paper,
    /// What is put to the test, in the order of the report.
    pub claims: &'static [Claim],
    /// The profiles that it has.
    pub profiles: &'static [Profile],
}

/// A paper.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Paper {
    /// The title.
    pub title: &'static str,
    /// The authors, as they are cited.
    pub authors: &'static str,
    /// Where and when it appeared.
    pub venue: &'static str,
    /// A link to it.
    pub link: &'static str,
}

/// One claim.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// A short name, unique in its experiment, such as `T4`.
    pub id: &'static str,
    /// A sentence that can be true or false of a run.
    pub statement: &'static str,
    /// What the paper says.
    pub paper: Quoted,
}

/// What a paper says of a claim, and how sure we are that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quoted {
    /// The paper's figure, in words or numbers; empty if it gives none.
    pub figure: &'static str,
    /// How that figure is known.
    pub status: Status,
}

/// How a figure that is said to be the paper's is known. Only what was [`Read`](Self::Read) may be shown without a doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Read in the paper or in its authors' code.
    Read,
    /// Not read there; agrees with an independent source that was read.
    Corroborated,
    /// Follows from the paper's definitions, and was checked numerically; its wording or numbering may differ there.
    Derived,
    /// Recalled only: the source could not be obtained. It may be wrong.
    Unverified,
    /// The paper gives no figure; the claim is a prediction made here.
    None,
}

impl Status {
    /// A phrase for people.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Read => "read in the paper",
            Self::Corroborated => "corroborated by another source",
            Self::Derived => "derived here and checked numerically",
            Self::Unverified => "unverified: recalled, not read",
            Self::None => "no figure in the paper",
        }
    }
}
