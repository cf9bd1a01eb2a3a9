//! The harness of `regularity`: everything that knows files, clocks and people.
//!
//! The engine (`regularity-engine`) computes numbers and knows nothing else. This crate asks it to, judges what comes
//! back, and tells people about it. Floors, upper ones may use lower ones:
//!
//! ```text
//! cli                     one file a subcommand; words, flags, exit codes
//! run                     from a request to a finished folder, through whatever interrupts it
//! report     golden       figures and the page    snapshots, and what deviates from them
//! experiments             what papers claim, put to the test
//! record     config       metrics, tensors, digests          settings of a run
//! selftest   measure      every kernel against the golden    speeds of this machine
//! files      host         files that are whole or not there  facts about this machine
//! exchange                a short training run in files, for other systems
//! checkpoint network      the state of a run, as safetensors; networks by name
//! data                    images: CIFAR, IDX files, and made by a procedure
//! error                   what can go wrong, and the exit code of each
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed"))]

pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod data;
pub mod error;
pub mod exchange;
pub mod experiments;
pub mod files;
pub mod golden;
pub mod host;
pub mod measure;
pub mod network;
pub mod record;
pub mod report;
pub mod run;
pub mod selftest;

pub use error::{Error, Result};
