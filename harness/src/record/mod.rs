//! What a run leaves behind: metrics, named tensors, and their digests.
//!
//! [`Recorder`] takes metrics down while a task runs; [`Records`] is what remains of all tasks, and all that claims and
//! figures may look at. [`Tensors`] are the numbers of a model or a checkpoint, by name; [`container`] is their file.
//! [`Manifest`] and its neighbours are the other files of a finished run.

pub mod container;
mod manifest;
mod recorder;
mod records;
mod tensors;
mod value;

pub use manifest::{
    ClaimEntry, DataEntry, Host, Manifest, PaperEntry, SCHEMA, TaskEntry, metrics_text, outcome_digest, read_metrics,
};
pub use recorder::{Recorder, TraceLine};
pub use records::{Records, Series, TaskRecord, task_id};
pub use tensors::{Element, Elements, Tensor, Tensors};
pub use value::Value;
