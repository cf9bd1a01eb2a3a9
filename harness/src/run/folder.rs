//! The folder of a run: who may write there, what is there already, and what goes where.
//!
//! ```text
//! runs/<experiment>-<profile>-<first 12 of the configuration digest>/
//!   lock                        held by the process that works here
//!   started.json                configuration, data, numerics version; until the run is finished
//!   tasks/<task>.checkpoint     state of a task that is under way
//!   tasks/<task>.json           metrics of a task that is done
//!   final-<task>.safetensors    its final tensors
//!   metrics.jsonl claims.json figures/ report.html
//!   manifest.json               written last: the run is finished
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use regularity_engine::NUMERICS_VERSION;
use serde::{Deserialize, Serialize};

use crate::config::Configuration;
use crate::error::{Error, Result};
use crate::experiments::{State, Task};
use crate::files;
use crate::record::{DataEntry, Manifest, SCHEMA, Series, TaskRecord, Tensors, container};

/// What a run is, as its folder states it from the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The version of the run's files.
    pub schema: u32,
    /// The version of the numerics contract.
    pub numerics_version: u32,
    /// The settings.
    pub configuration: Configuration,
    /// The data, if any.
    pub data: Option<DataEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Started {
    identity: Identity,
    resumed: u64,
}

/// What was found in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the run starts.
    Fresh,
    /// A run under way that another process left.
    Unfinished,
    /// The run, finished.
    Finished,
}

/// A run's folder, locked by this process.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The lock goes when the file is closed, by whatever end the process meets.
    _lock: File,
    resumed: u64,
}

/// A checkpoint of a task.
#[derive(Debug)]
pub struct Checkpoint {
    /// The state of its arm.
    pub state: State,
    /// Its metrics so far.
    pub series: BTreeMap<String, Series>,
}

/// What a checkpoint holds beside tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    configuration: String,
    series: BTreeMap<String, Series>,
    arm: serde_json::Value,
}

impl Identity {
    /// The identity of a run of this program.
    #[must_use]
    pub fn new(configuration: Configuration, data: Option<DataEntry>) -> Self {
        Self { schema: SCHEMA, numerics_version: NUMERICS_VERSION, configuration, data }
    }

    /// The name of the run's folder.
    ///
    /// # Errors
    /// None in practice.
    pub fn name(&self) -> Result<String> {
        let Configuration { experiment, profile, .. } = &self.configuration;
        Ok(format!("{experiment}-{profile}-{}", self.configuration.digest()?.short()))
    }
}

impl RunFolder {
    /// Makes or takes over the folder `out/<name>`, and finds out that it can be written.
    ///
    /// # Errors
    /// [`Error::Usage`] if another process works there, if what is there is another run's, or if it is an unfinished run
    /// and `resume` is not set; [`Error::Write`] if it cannot be written.
    pub fn open(out: &Path, identity: &Identity, resume: bool) -> Result<(Self, Found)> {
        let path = out.join(identity.name()?);
        files::make_folder(&path)?;
        let lock = lock(&path)?;
        let manifest = path.join("manifest.json");
        let started = path.join("started.json");
        let mut folder = Self { path, _lock: lock, resumed: 0 };
        if manifest.exists() {
            let manifest: Manifest = files::read_json(&manifest)?;
            let there = Identity {
                schema: manifest.schema,
                numerics_version: manifest.numerics_version,
                configuration: manifest.configuration.clone(),
                data: manifest.data.clone(),
            };
            folder.same(identity, &there)?;
            // A process that ended between its last two steps may have left something.
            folder.tidy()?;
            return Ok((folder, Found::Finished));
        }
        files::remove_partial(&folder.path)?;
        let found = if started.exists() {
            let there: Started = files::read_json(&started)?;
            folder.same(identity, &there.identity)?;
            if !resume {
                return Err(Error::Usage {
                    message: format!("{} holds a run that was interrupted", folder.path.display()),
                    help: "add --resume to go on with it; remove the folder to start anew".to_owned(),
                });
            }
            files::remove_partial(&folder.tasks())?;
            folder.resumed = there.resumed + 1;
            Found::Unfinished
        } else {
            files::make_folder(&folder.tasks())?;
            Found::Fresh
        };
        files::write_json(&started, &Started { identity: identity.clone(), resumed: folder.resumed })?;
        Ok((folder, found))
    }

    /// Removes what an earlier run of that name left, unless another process works there.
    ///
    /// # Errors
    /// [`Error::Usage`] if one does; [`Error::Write`].
    pub fn discard(out: &Path, identity: &Identity) -> Result<()> {
        let path = out.join(identity.name()?);
        if !path.exists() {
            return Ok(());
        }
        // Not held while the folder goes: some systems do not remove what is open.
        drop(lock(&path)?);
        fs::remove_dir_all(&path).map_err(|source| Error::Write { path, source })
    }

    fn same(&self, expected: &Identity, there: &Identity) -> Result<()> {
        let what = if there.schema != expected.schema {
            "the files of another version of this program"
        } else if there.numerics_version != expected.numerics_version {
            "a run by another version of the numerics contract"
        } else if there.data != expected.data {
            "a run on other data"
        } else if there.configuration != expected.configuration {
            "a run with other settings"
        } else {
            return Ok(());
        };
        Err(Error::Usage {
            message: format!("{} holds {what}", self.path.display()),
            help: "choose another place with --out, or remove the folder".to_owned(),
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How often the run was resumed.
    #[must_use]
    pub fn resumed(&self) -> u64 {
        self.resumed
    }

    fn tasks(&self) -> PathBuf {
        self.path.join("tasks")
    }

    fn checkpoint(&self, task: &Task) -> PathBuf {
        self.tasks().join(format!("{}.checkpoint", task.id()))
    }

    fn done(&self, task: &Task) -> PathBuf {
        self.tasks().join(format!("{}.json", task.id()))
    }

    /// The file of a task's final tensors.
    #[must_use]
    pub fn final_name(task: &str) -> String {
        format!("final-{task}.safetensors")
    }

    /// What a task left when it was done; None if it is not.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Damaged`].
    pub fn read_done(&self, task: &Task) -> Result<Option<TaskRecord>> {
        let path = self.done(task);
        if path.exists() { files::read_json(&path).map(Some) } else { Ok(None) }
    }

    /// The last checkpoint of a task; None if it has none.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Damaged`] if it is not whole, or of other settings.
    pub fn read_checkpoint(&self, task: &Task, configuration_digest: &str) -> Result<Option<Checkpoint>> {
        let path = self.checkpoint(task);
        if !path.exists() {
            return Ok(None);
        }
        let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
        let (tensors, note) = container::read(&path)?;
        let note: Note = serde_json::from_value(note).map_err(|e| damaged(e.to_string()))?;
        if note.configuration != configuration_digest {
            return Err(damaged("it belongs to a run with other settings".to_owned()));
        }
        Ok(Some(Checkpoint { state: State { tensors, note: note.arm }, series: note.series }))
    }

    /// Puts an error that knows no file down to a task's checkpoint.
    #[must_use]
    pub fn blame_checkpoint(&self, task: &Task, error: Error) -> Error {
        match error {
            Error::Damaged { path, reason } if path.as_os_str().is_empty() => {
                Error::Damaged { path: self.checkpoint(task), reason }
            }
            other => other,
        }
    }

    /// Writes a checkpoint, which replaces the one before.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write_checkpoint(
        &self,
        task: &Task,
        configuration_digest: &str,
        state: State,
        series: &BTreeMap<String, Series>,
    ) -> Result<()> {
        let path = self.checkpoint(task);
        let note = Note { configuration: configuration_digest.to_owned(), series: series.clone(), arm: state.note };
        let note = serde_json::to_value(note).map_err(|e| Error::Write { path: path.clone(), source: e.into() })?;
        container::write(&path, &state.tensors, &note)
    }

    /// Writes what a task leaves when it is done, then forgets its checkpoint.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write_done(&self, task: &Task, record: &TaskRecord, tensors: &Tensors) -> Result<()> {
        let note = serde_json::json!({ "arm": task.arm, "seed": task.seed });
        container::write(&self.path.join(Self::final_name(&task.id())), tensors, &note)?;
        files::write_json(&self.done(task), record)?;
        remove_file(&self.checkpoint(task))
    }

    /// Removes what only an unfinished run needs.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn tidy(&self) -> Result<()> {
        let tasks = self.tasks();
        if tasks.exists() {
            fs::remove_dir_all(&tasks).map_err(|source| Error::Write { path: tasks, source })?;
        }
        remove_file(&self.path.join("started.json"))
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn lock(path: &Path) -> Result<File> {
    let path = path.join("lock");
    let failed = |source| Error::Write { path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Usage {
            message: format!("another process runs in {}", path.parent().unwrap_or(&path).display()),
            help: "wait until it has finished, or choose another place with --out".to_owned(),
        }),
        // A file system without locks: better to run than not to.
        Err(TryLockError::Error(source)) if source.kind() == std::io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
