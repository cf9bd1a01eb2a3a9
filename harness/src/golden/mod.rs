//! Goldens: committed results, in the file format of insta's snapshots.
//!
//! ```text
//! ---
//! source: harness
//! description: "why it was last blessed"
//! expression: selftest
//! ---
//! the lines that must not change
//! ```
//!
//! People read such a file in a diff, `cargo test` compares it through insta, and the command line through this module.
//! A golden has no platform: the same lines hold everywhere. The golden of an experiment is an [`Outline`] of its run.

mod outline;

use std::path::Path;

pub use outline::{Deviation, Outline, deviations, golden_path, judge};

use crate::error::{Error, Result};
use crate::files;

/// A golden file, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What the body shows.
    pub expression: String,
    /// Why it was last blessed.
    pub description: String,
    /// The lines that must not change, with a newline after each.
    pub body: String,
}

impl Snapshot {
    /// Reads the text of a file; `path` is for the error.
    ///
    /// # Errors
    /// [`Error::GoldenDamaged`] if the header is not there or not closed.
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        let damaged = |reason: &str| Error::GoldenDamaged { path: path.to_owned(), reason: reason.to_owned() };
        let text = text.replace("\r\n", "\n");
        let rest = text.strip_prefix("---\n").ok_or_else(|| damaged("it does not begin with a line `---`"))?;
        let (header, body) = rest.split_once("\n---\n").ok_or_else(|| damaged("its header is not closed by `---`"))?;
        let field = |name: &str| {
            let line = header.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.map_or_else(String::new, |value| serde_json::from_str(value).unwrap_or_else(|_| value.to_owned()))
        };
        Ok(Self {
            expression: field("expression"),
            description: field("description"),
            body: body.trim_end_matches('\n').to_owned() + "\n",
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Read`], and as [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &files::read_text(path)?)
    }

    /// The text of the file.
    #[must_use]
    pub fn render(&self) -> String {
        // A JSON string is a YAML string too.
        let quoted = serde_json::Value::from(self.description.as_str()).to_string();
        let Self { expression, body, .. } = self;
        format!("---\nsource: harness\ndescription: {quoted}\nexpression: {expression}\n---\n{body}")
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self, path: &Path) -> Result<()> {
        files::write_whole(path, self.render().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot { expression: "selftest".into(), description: "a \"quoted\": reason".into(), body: "a b\nc\n".into() }
    }

    #[test]
    fn what_is_rendered_is_read_back() {
        assert_eq!(Snapshot::parse("x", &snapshot().render()).unwrap(), snapshot());
        let windows = snapshot().render().replace('\n', "\r\n");
        assert_eq!(Snapshot::parse("x", &windows).unwrap(), snapshot());
    }

    #[test]
    fn damaged_headers_are_errors() {
        for text in ["", "a b\n", "---\nsource: x\n", "---\n"] {
            assert!(matches!(Snapshot::parse("x", text), Err(Error::GoldenDamaged { .. })), "{text:?}");
        }
    }
}
