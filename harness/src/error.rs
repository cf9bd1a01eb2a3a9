//! What can go wrong, said so that a person can act on it.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use miette::Diagnostic;
use regularity_engine as engine;

use crate::data::DataError;

/// The exit codes of the command line. They are an interface: scripts depend on them, so they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and everything held.
    Fine = 0,
    /// A golden or a claim does not hold.
    Mismatch = 1,
    /// Usage or configuration: the request itself cannot be carried out.
    Usage = 2,
    /// Data is missing or damaged.
    Data = 3,
    /// Training reached a number that is not finite.
    NonFinite = 4,
    /// Input or output failed.
    Io = 5,
    /// Interrupted by the user.
    Interrupted = 130,
}

/// The one error type of the harness. Each variant tells the cause; [`Diagnostic::help`] tells the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// Data that is missing or damaged, or a request that it cannot serve.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A request that cannot be carried out.
    #[error("{message}")]
    Usage {
        /// What is wrong with it.
        message: String,
        /// What to do instead.
        help: String,
    },
    /// Results differ from the committed ones.
    #[error("{message}")]
    Mismatch {
        /// What differs.
        message: String,
        /// What to do about it.
        help: String,
    },
    /// A folder with data that is not whole, as a report has told in detail.
    #[error("something in {} is not as it should be", folder.display())]
    DataUnsound {
        /// The folder.
        folder: PathBuf,
    },
    /// A golden file that cannot be understood.
    #[error("the golden {path} is damaged: {reason}")]
    GoldenDamaged {
        /// The file, or the name of the golden that is built in.
        path: String,
        /// Where and why.
        reason: String,
    },
    /// Training reached a number that is not finite.
    #[error("training is not finite: {what} at step {step}")]
    NonFinite {
        /// Which number, and what it is.
        what: String,
        /// The step.
        step: u64,
    },
    /// A file of a run that cannot be understood.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// An experiment that breaks the rules of the harness.
    #[error("this is a defect of the program: {what}")]
    Defect {
        /// What it did.
        what: String,
    },
    /// The user, or the system, asked to stop.
    #[error("interrupted; what was done is saved")]
    Interrupted {
        /// How to go on.
        help: String,
    },
    /// A checkpoint or a file of weights that is damaged, or belongs to something else.
    #[error("{} cannot be used: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason, in the words of the system.
        source: io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason, in the words of the system.
        source: io::Error,
    },
    /// Standard output that cannot be written.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

/// Shorthand for a result with the harness's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// How the process ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Mismatch { .. } => Exit::Mismatch,
            Self::Engine(engine::Error::OutOfMemory { .. }) | Self::Read { .. } | Self::Write { .. } => Exit::Io,
            // Whoever closed the pipe has seen what they wanted.
            Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => Exit::Fine,
            Self::Output(_) => Exit::Io,
            Self::Data(DataError::Read { .. }) => Exit::Io,
            Self::Data(DataError::Request { .. } | DataError::Engine(_)) => Exit::Usage,
            Self::GoldenDamaged { .. }
            | Self::Damaged { .. }
            | Self::Data(_)
            | Self::DataUnsound { .. }
            | Self::Checkpoint { .. } => Exit::Data,
            Self::NonFinite { .. } | Self::Engine(engine::Error::NonFinite { .. }) => Exit::NonFinite,
            Self::Interrupted { .. } => Exit::Interrupted,
            Self::Engine(_) | Self::Usage { .. } | Self::Defect { .. } => Exit::Usage,
        }
    }
}

impl Diagnostic for Error {
    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        Some(match self {
            Self::Engine(e) | Self::Data(DataError::Engine(e)) => Box::new(engine_help(e)?),
            Self::Data(e) => Box::new(e.help()?),
            Self::DataUnsound { .. } => Box::new("download the marked files again"),
            Self::Usage { help, .. } | Self::Mismatch { help, .. } | Self::Interrupted { help } => Box::new(help),
            Self::NonFinite { .. } => Box::new(
                "lower the learning rate or the noise; it happens at the same step on every machine, and `regularity \
                 trace` shows the steps before",
            ),
            Self::Damaged { .. } => Box::new("remove the run's folder and run again, or restore it from a copy"),
            Self::Defect { .. } => Box::new("please report it with the command that you ran"),
            Self::GoldenDamaged { .. } => Box::new(
                "restore it from the repository, e.g. with `git restore golden`, or name another with --golden",
            ),
            Self::Checkpoint { .. } => Box::new(
                "name the file that belongs to this network and run; a damaged one can only be written again, by \
                 the run that wrote it or from its start",
            ),
            Self::Read { .. } => Box::new("check that the path is right, and that you may read it"),
            Self::Write { .. } => {
                Box::new("check that the folder exists, that you may write there, and that the disk has room")
            }
            Self::Output(_) => Box::new("check that the disk has room, if the output goes to a file"),
        })
    }
}

fn engine_help(error: &engine::Error) -> Option<String> {
    Some(match error {
        engine::Error::IsaUnavailable { .. } | engine::Error::UnknownIsa(_) => {
            let names: Vec<_> = engine::Isa::available().into_iter().map(engine::Isa::name).collect();
            format!(
                "use one that this CPU has ({}), or leave --isa away; results are the same on every tier",
                names.join(", ")
            )
        }
        engine::Error::Threads { .. } => {
            "ask for fewer with --threads; results are the same at every number".to_owned()
        }
        engine::Error::OutOfMemory { .. } => "close other programs, or ask for a smaller problem".to_owned(),
        engine::Error::FloatEnvironment { .. } => {
            "something in this process changed the CPU's floating-point control register, often a library compiled \
             with -ffast-math and loaded through LD_PRELOAD: run without it"
                .to_owned()
        }
        engine::Error::Overflow { .. } => "ask for a smaller problem".to_owned(),
        engine::Error::NonFinite { .. } => {
            "training diverged: a smaller learning rate, a warm-up or gradient clipping may help; the step and the \
             tensor are the same on every machine"
                .to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let all = [Exit::Fine, Exit::Mismatch, Exit::Usage, Exit::Data, Exit::NonFinite, Exit::Io, Exit::Interrupted];
        assert_eq!(all.map(|exit| exit as u8), [0, 1, 2, 3, 4, 5, 130]);
        let closed = Error::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!(closed.exit(), Exit::Fine);
        assert_eq!(Error::from(engine::Error::UnknownIsa("sse9".to_owned())).exit(), Exit::Usage);
    }
}
