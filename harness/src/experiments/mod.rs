//! Experiments: what a paper claims, and how it is put to the test.
//!
//! An [`Experiment`] plans *tasks* (an arm with a seed). Each is an [`Arm`]: a state machine that takes bounded steps,
//! records metrics, and can be saved and restored between any two steps. When all tasks are done, the experiment
//! [concludes](Experiment::conclude) from the recorded metrics alone: a verdict on each claim, and figures.
//!
//! The harness does all the rest: settings and overrides, threads, checkpoints, resume, files, digests, goldens, report.
//!
//! # Adding one
//! A folder here with a type that implements [`Experiment`], and one line in [`REGISTRY`]. CONTRIBUTING.md walks through
//! an example.
//!
//! # What an experiment must keep
//! Results are a function of settings, seed and data. No clock, environment variable, hash-map order or thread count;
//! elementary functions from `engine::math` only; all randomness from keyed streams, whose purposes begin with the
//! experiment's id.

mod about;
mod conclusion;
mod erased;
mod figure;
pub mod large_lr;
mod registry;
mod selected;
pub mod self_distillation;
pub mod statistics;

use std::path::Path;

use regularity_engine::Context;
use regularity_engine::digest::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use about::{About, Claim, Paper, Quoted, Status};
pub use conclusion::{Conclusion, Finding, Measured, Spread, Verdict};
pub use erased::{Registered, Session};
pub use figure::{Axis, Figure, Mark, Panel, Scale, Style};
pub use registry::{REGISTRY, Registry, find};

use crate::config::Profile;
use crate::error::{Error, Result};
use crate::record::{Recorder, Records, Tensors, task_id};

/// A claim of a paper made testable. See the [module](self).
pub trait Experiment: Send + Sync + 'static {
    /// The settings: a struct with `#[serde(deny_unknown_fields)]`; see [`crate::config`] for what it may hold.
    type Settings: Serialize + DeserializeOwned + Send + Sync;
    /// What all tasks share and none changes, such as images; `()` if nothing.
    type Data: Send + Sync;

    /// Who it is, which paper it is about, and what it claims.
    fn about(&self) -> &'static About;

    /// The settings of a profile; asked only for those that [`About::profiles`] lists.
    fn settings(&self, profile: Profile) -> Self::Settings;

    /// Loads or makes the data. `folder` is what `--data` named, None without it.
    ///
    /// # Errors
    /// Data that is missing or damaged; settings that make no sense together ([`Error::Usage`]).
    fn load(&self, context: &Context, settings: &Self::Settings, folder: Option<&Path>) -> Result<Dataset<Self::Data>>;

    /// The tasks: every arm with each of its seeds, `seed`, `seed + 1`, ... Their order is the order of all output.
    ///
    /// # Errors
    /// [`Error::Usage`] for settings that make no sense together.
    fn plan(&self, settings: &Self::Settings, seed: u64) -> Result<Vec<Task>>;

    /// Sets a task up at its very beginning. The arm may borrow settings and data from `lab`.
    ///
    /// # Errors
    /// Those of the engine.
    fn start<'a>(
        &'a self,
        lab: &'a Lab<Self::Settings, Self::Data>,
        task: &Task,
        context: &Context,
    ) -> Result<Box<dyn Arm + 'a>>;

    /// Judges every claim of [`About::claims`] and draws the figures, from the metrics alone.
    ///
    /// # Errors
    /// [`Error::Defect`] if a metric is missing.
    fn conclude(&self, settings: &Self::Settings, records: &Records) -> Result<Conclusion>;
}

/// What an experiment's tasks look at and never change.
#[derive(Debug)]
pub struct Lab<S, D> {
    /// The resolved settings.
    pub settings: S,
    /// The data.
    pub data: D,
}

/// One arm of an experiment, running. The harness calls, again and again, [`step`](Self::step); between two steps it may
/// [`save`](Self::save), and in another process [`restore`](Self::restore) into an arm that was just
/// [started](Experiment::start); at the end it calls [`finish`](Self::finish).
pub trait Arm: Send {
    /// Does the next piece of work: one step of the optimiser, one evaluation, or a few; at best some milliseconds, at
    /// most a second or two, since the harness reacts to Ctrl-C between steps only.
    ///
    /// `context` may have another number of threads at each call. It is installed already.
    ///
    /// # Errors
    /// [`Error::NonFinite`] when training diverges, and those of the engine.
    fn step(&mut self, context: &Context, recorder: &mut Recorder) -> Result<Progress>;

    /// Writes down everything that later steps depend on and [`start`](Experiment::start) does not rebuild. Metrics are
    /// saved by the harness.
    ///
    /// # Errors
    /// [`Error::Defect`] for names that collide.
    fn save(&self, state: &mut State) -> Result<()>;

    /// Takes up the state that [`save`](Self::save) wrote, to the bit.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it does not fit.
    fn restore(&mut self, state: &State) -> Result<()>;

    /// The results in numbers, such as the trained parameters: they are stored, digested and compared with the golden.
    ///
    /// # Errors
    /// [`Error::Defect`] for names that collide.
    fn finish(&self, tensors: &mut Tensors) -> Result<()>;
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// There is more to do; the share of the work that is done, from 0 to 1, as far as can be told. For people only.
    Running(f64),
    /// Done: `step` is not called again.
    Finished,
}

impl Progress {
    /// After `done` steps of `total`.
    #[must_use]
    pub fn of(done: u64, total: u64) -> Self {
        if done >= total { Self::Finished } else { Self::Running(done as f64 / total as f64) }
    }
}

/// An arm with a seed: the unit that is run, checkpointed and resumed by itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    /// The arm's name: lower case, digits and hyphens.
    pub arm: String,
    /// The seed; None for an arm that draws nothing at random.
    pub seed: Option<u64>,
    /// An estimate of its arithmetic in 10^9 floating-point operations, for the estimated time.
    pub gflop: f64,
    /// An estimate of the memory that it takes in MiB, so that not too many run side by side.
    pub memory_mib: usize,
}

impl Task {
    /// An arm without seed, of negligible work.
    #[must_use]
    pub fn new(arm: &str) -> Self {
        Self { arm: arm.to_owned(), seed: None, gflop: 0.0, memory_mib: 0 }
    }

    /// The same arm with a seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// With an estimate of its arithmetic, in 10^9 operations.
    #[must_use]
    pub fn with_gflop(self, gflop: f64) -> Self {
        Self { gflop, ..self }
    }

    /// With an estimate of its memory.
    #[must_use]
    pub fn with_memory_mib(self, memory_mib: usize) -> Self {
        Self { memory_mib, ..self }
    }

    /// Every arm with `count` seeds from `seed` on; seeds of an arm stand together.
    #[must_use]
    pub fn grid(arms: &[&str], seed: u64, count: u64) -> Vec<Self> {
        let seeds = seed..seed.saturating_add(count);
        arms.iter().flat_map(|arm| seeds.clone().map(|seed| Self::new(arm).with_seed(seed))).collect()
    }

    /// Its name in files and tables: `arm`, or `arm-s1` with a seed.
    #[must_use]
    pub fn id(&self) -> String {
        task_id(&self.arm, self.seed)
    }
}

/// Loaded data with what the run folder says about it.
#[derive(Debug)]
pub struct Dataset<D> {
    /// What the tasks share.
    pub data: D,
    /// What is recorded about it.
    pub facts: DataFacts,
}

/// What is recorded about data.
#[derive(Debug, Clone, Default)]
pub struct DataFacts {
    /// The name, such as `cifar10` or `procedural`; None if there is no data.
    pub name: Option<String>,
    /// Whether it came from files of the user: then the golden's file name holds the name.
    pub external: bool,
    /// The digest over the *selected* records.
    pub digest: Option<Digest>,
    /// Some of it, for the report.
    pub pictures: Vec<Picture>,
}

/// An image for the report.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What it shows.
    pub caption: String,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of each pixel, rows from the top.
    pub rgb: Vec<u8>,
}

impl Dataset<()> {
    /// No data.
    #[must_use]
    pub fn none() -> Self {
        Self { data: (), facts: DataFacts::default() }
    }
}

/// A saved arm: named tensors, and a note of all that is no tensor.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The tensors.
    pub tensors: Tensors,
    /// The note; see [`set_note`](Self::set_note).
    pub note: serde_json::Value,
}

impl State {
    /// Writes the note. Its floats survive to the bit if they are finite.
    ///
    /// # Errors
    /// [`Error::Defect`] for what JSON cannot say.
    pub fn set_note(&mut self, note: &impl Serialize) -> Result<()> {
        self.note = serde_json::to_value(note)
            .map_err(|e| Error::Defect { what: format!("the note of a checkpoint cannot be written: {e}") })?;
        Ok(())
    }

    /// Reads the note.
    ///
    /// # Errors
    /// [`Error::Damaged`] without a file name if it is another; whoever read the file adds its name.
    pub fn note<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.note)
            .map_err(|e| Error::Damaged { path: "".into(), reason: format!("its note does not fit: {e}") })
    }
}
