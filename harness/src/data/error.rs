//! What can be wrong with data, naming the file and the record.

use std::io;
use std::path::PathBuf;

use regularity_engine as engine;

/// Why data cannot be used. `file` is a path, or `archive: member` for a file inside of an archive; records count from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No file where one was looked for.
    #[error("{what} is not there: {} has no {expected}", folder.display())]
    Missing {
        /// The data set.
        what: &'static str,
        /// The folder that was searched.
        folder: PathBuf,
        /// What would have been taken, in words.
        expected: String,
    },
    /// A file that the system does not let us read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason, in the words of the system.
        source: io::Error,
    },
    /// A compressed file or an archive that cannot be unpacked.
    #[error("{} is damaged: {reason}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A file that ends inside of a record.
    #[error("{file} is truncated: record {record} has {actual} of {expected} bytes")]
    Truncated {
        /// The file.
        file: String,
        /// The record that is cut.
        record: usize,
        /// Bytes of a record.
        expected: usize,
        /// Bytes that are there.
        actual: usize,
    },
    /// A label that names no class.
    #[error("{file}: record {record} has the label {label}, but there are {classes} classes")]
    Label {
        /// The file.
        file: String,
        /// The record.
        record: usize,
        /// The label.
        label: u8,
        /// The number of classes; labels are below it.
        classes: usize,
    },
    /// A file that begins with other bytes than its format does.
    #[error("{file} begins with {actual:08x}, but a file of {what} begins with {expected:08x}")]
    Magic {
        /// The file.
        file: String,
        /// What the file should hold.
        what: &'static str,
        /// The first four bytes of the format, big-endian.
        expected: u32,
        /// The first four bytes of the file.
        actual: u32,
    },
    /// A number that is not what the format, or another file, says.
    #[error("{file} has {actual} {what}, but {expected} are expected")]
    Count {
        /// The file.
        file: String,
        /// What is counted.
        what: &'static str,
        /// The number that should be there.
        expected: usize,
        /// The number that is there.
        actual: usize,
    },
    /// A request that the data cannot serve.
    #[error("{what} must be {requirement}, but is {actual}")]
    Request {
        /// The quantity asked for.
        what: &'static str,
        /// What it must be.
        requirement: &'static str,
        /// What it is.
        actual: String,
    },
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

/// Shorthand for a result with [`DataError`].
pub type Result<T> = std::result::Result<T, DataError>;

impl DataError {
    /// The remedy, for people.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing { .. } => {
                "give --data the folder that holds the data set (unpacked, or as the official archive), or leave --data \
                 away to use the procedural images"
            }
            Self::Read { .. } => "check that the path is right, and that you may read it",
            Self::Archive { .. } | Self::Truncated { .. } | Self::Count { .. } => {
                "the file is not whole: download it again, and look at `regularity data verify DIR`"
            }
            Self::Label { .. } | Self::Magic { .. } => {
                "the file is not what its name says, or damaged: download it again, in the binary version"
            }
            Self::Request { .. } | Self::Engine(_) => return None,
        })
    }
}
