//! What a person would rather look at: figures, and one page with everything.

mod axis;
mod page;
mod png;
mod svg;

pub use page::page;
pub use png::{base64, png};
pub use svg::svg;

use crate::experiments::{About, Conclusion};
use crate::record::{ClaimEntry, Manifest};

/// All that the page of a run shows.
#[derive(Debug, Clone)]
pub struct View {
    /// The experiment.
    pub about: &'static About,
    /// What was run.
    pub manifest: Manifest,
    /// What came out.
    pub claims: Vec<ClaimEntry>,
    /// The figures.
    pub conclusion: Conclusion,
    /// Some of the data: captions and PNG files.
    pub pictures: Vec<(String, Vec<u8>)>,
    /// The settings of the profile as they are without overrides.
    pub usual: toml::Table,
}
