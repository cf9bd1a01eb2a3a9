//! Tasks side by side.
//!
//! As many workers as there are tasks, threads and room in memory; each takes the next task of the plan and steps it. The
//! threads are shared evenly among the workers that are busy, and shared anew before every step: when the last long task
//! is left alone, it gets them all. That changes no bit, because no step depends on the number of threads, and it is
//! faster than splitting each step over all threads, because whole tasks wait for nobody.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use regularity_engine::{Context, Isa};

use super::folder::RunFolder;
use crate::error::{Error, Result};
use crate::experiments::{Arm, Progress, Session, State, Task};
use crate::host;
use crate::record::{Recorder, TaskRecord, Tensors, TraceLine};

/// How to run, as far as it changes no result.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The instruction-set tier.
    pub isa: Isa,
    /// Threads in all.
    pub threads: usize,
    /// The time between two checkpoints of a task: the most that a sudden end can lose.
    pub interval: Duration,
    /// Whether to note digests of everything after every step.
    pub trace: bool,
}

/// Somebody who watches.
pub trait Watch: Sync {
    /// Task `index` of the plan has done that share of its work.
    fn progress(&self, index: usize, share: f64);
}

/// Nobody.
impl Watch for () {
    fn progress(&self, _: usize, _: f64) {}
}

/// What came of a task.
#[derive(Debug)]
pub struct TaskOutcome {
    /// Its metrics and the digest of its final tensors.
    pub record: TaskRecord,
    /// What was traced.
    pub trace: Vec<TraceLine>,
}

/// Everything that the workers share.
struct Floor<'a> {
    session: &'a dyn Session,
    folder: &'a RunFolder,
    configuration_digest: &'a str,
    pace: &'a Pace,
    watch: &'a dyn Watch,
    /// Set from outside: save and stop.
    stop: &'a AtomicBool,
    /// Set when a task failed: the others save and stop.
    failed: AtomicBool,
    queue: Mutex<VecDeque<(usize, &'a Task)>>,
    busy: Mutex<Vec<bool>>,
    results: Mutex<BTreeMap<usize, Result<TaskOutcome>>>,
}

/// Nobody panics while holding one of these locks; if somebody did, the data would still be whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs all tasks to their ends, from their checkpoints where there are any.
///
/// # Errors
/// [`Error::Interrupted`] after `stop` was set and everything was saved; otherwise the error of the first task of the
/// plan that failed, after the others were saved.
pub fn execute(
    session: &dyn Session,
    tasks: &[Task],
    folder: &RunFolder,
    configuration_digest: &str,
    pace: &Pace,
    stop: &AtomicBool,
    watch: &dyn Watch,
) -> Result<Vec<TaskOutcome>> {
    let workers = workers(tasks, pace.threads, host::available_memory());
    let floor = Floor {
        session,
        folder,
        configuration_digest,
        pace,
        watch,
        stop,
        failed: AtomicBool::new(false),
        queue: Mutex::new(tasks.iter().enumerate().collect()),
        busy: Mutex::new(vec![true; workers]),
        results: Mutex::new(BTreeMap::new()),
    };
    std::thread::scope(|scope| {
        for worker in 0..workers {
            scope.spawn({
                let floor = &floor;
                move || floor.work(worker)
            });
        }
    });
    let results = floor.results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut outcomes = Vec::new();
    let mut interrupted = results.len() < tasks.len();
    for (_, result) in results {
        match result {
            Ok(outcome) => outcomes.push(outcome),
            Err(Error::Interrupted { .. }) => interrupted = true,
            Err(e) => return Err(e),
        }
    }
    if interrupted { Err(interruption()) } else { Ok(outcomes) }
}

fn interruption() -> Error {
    Error::Interrupted { help: "run the same command with --resume to go on".to_owned() }
}

/// How many tasks run at once: no more than tasks, threads, or what fits into three quarters of the free memory.
fn workers(tasks: &[Task], threads: usize, memory: Option<usize>) -> usize {
    let largest = tasks.iter().map(|task| task.memory_mib).max().unwrap_or(0);
    let room = match (memory, largest) {
        (Some(bytes), 1..) => ((bytes >> 20) / 4 * 3 / largest).max(1),
        _ => usize::MAX,
    };
    threads.min(tasks.len()).min(room).max(1)
}

/// The threads of one worker: an even share, and one of those left over.
fn share(threads: usize, busy: &[bool], worker: usize) -> usize {
    let count = busy.iter().filter(|&&b| b).count().max(1);
    let rank = busy[..worker].iter().filter(|&&b| b).count();
    (threads / count + usize::from(rank < threads % count)).max(1)
}

impl Floor<'_> {
    fn work(&self, worker: usize) {
        let mut contexts = BTreeMap::new();
        while let Some((index, task)) = self.next() {
            let result = self.run(worker, index, task, &mut contexts);
            if result.is_err() {
                self.failed.store(true, Ordering::Relaxed);
            }
            locked(&self.results).insert(index, result);
        }
        locked(&self.busy)[worker] = false;
    }

    fn next(&self) -> Option<(usize, &Task)> {
        if self.stopped() { None } else { locked(&self.queue).pop_front() }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }

    /// The context of this worker's present share of the threads.
    fn context<'c>(&self, worker: usize, contexts: &'c mut BTreeMap<usize, Context>) -> Result<&'c Context> {
        let threads = share(self.pace.threads, &locked(&self.busy), worker);
        Ok(match contexts.entry(threads) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Context::new(self.pace.isa, threads)?),
        })
    }

    fn run(
        &self,
        worker: usize,
        index: usize,
        task: &Task,
        contexts: &mut BTreeMap<usize, Context>,
    ) -> Result<TaskOutcome> {
        // A trace begins at the beginning, so it takes up nothing.
        if !self.pace.trace
            && let Some(record) = self.folder.read_done(task)?
        {
            self.watch.progress(index, 1.0);
            return Ok(TaskOutcome { record, trace: Vec::new() });
        }
        let context = self.context(worker, contexts)?;
        let mut arm = context.install(|| self.session.start(task, context))?;
        let mut recorder = Recorder::new();
        if self.pace.trace {
            recorder.start_trace();
        } else {
            match self.folder.read_checkpoint(task, self.configuration_digest)? {
                Some(checkpoint) => {
                    let restored = context.install(|| arm.restore(&checkpoint.state));
                    restored.map_err(|e| self.folder.blame_checkpoint(task, e))?;
                    recorder = Recorder::resume(checkpoint.series);
                }
                // The first checkpoint comes at once: if the disk has no room for it, that is known now.
                None => self.save(task, arm.as_ref(), &recorder)?,
            }
        }
        let mut trace = Vec::new();
        let mut saved = Instant::now();
        for tick in 1.. {
            if self.stopped() {
                self.save(task, arm.as_ref(), &recorder)?;
                return Err(interruption());
            }
            let context = self.context(worker, contexts)?;
            let progress = context.install(|| arm.step(context, &mut recorder))?;
            if self.pace.trace {
                trace.append(&mut recorder.take_trace());
                trace.append(&mut state_digests(arm.as_ref(), tick)?);
            }
            match progress {
                Progress::Finished => break,
                Progress::Running(share) => self.watch.progress(index, share),
            }
            if saved.elapsed() >= self.pace.interval {
                self.save(task, arm.as_ref(), &recorder)?;
                saved = Instant::now();
            }
        }
        let mut tensors = Tensors::new();
        arm.finish(&mut tensors)?;
        let record = TaskRecord {
            arm: task.arm.clone(),
            seed: task.seed,
            parameters: tensors.digest()?.to_string(),
            series: recorder.into_series(),
        };
        self.folder.write_done(task, &record, &tensors)?;
        self.watch.progress(index, 1.0);
        Ok(TaskOutcome { record, trace })
    }

    fn save(&self, task: &Task, arm: &dyn Arm, recorder: &Recorder) -> Result<()> {
        if self.pace.trace {
            return Ok(());
        }
        let mut state = State::default();
        arm.save(&mut state)?;
        self.folder.write_checkpoint(task, self.configuration_digest, state, recorder.series())
    }
}

/// The digests of all that an arm would save.
fn state_digests(arm: &dyn Arm, step: u64) -> Result<Vec<TraceLine>> {
    let mut state = State::default();
    arm.save(&mut state)?;
    let note = state.note.to_string();
    state.tensors.put("(note)", &[note.len()], note.as_bytes())?;
    let line = |tensor: &crate::record::Tensor| {
        Ok(TraceLine { step, tensor: tensor.name.clone(), digest: tensor.digest()?.to_string() })
    };
    state.tensors.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_shared_evenly_among_those_who_are_busy() {
        let all = [true; 3];
        assert_eq!([0, 1, 2].map(|w| share(8, &all, w)), [3, 3, 2]);
        assert_eq!([0, 1, 2].map(|w| share(2, &all, w)), [1, 1, 1]);
        assert_eq!(share(8, &[false, false, true], 2), 8);
    }

    #[test]
    fn memory_limits_how_many_run_at_once() {
        let tasks = vec![Task::new("a").with_memory_mib(1000); 4];
        assert_eq!(workers(&tasks, 8, Some(4 << 30)), 3);
        assert_eq!(workers(&tasks, 8, Some(1 << 20)), 1);
        assert_eq!(workers(&tasks, 2, None), 2);
        assert_eq!(workers(&[Task::new("a")], 8, Some(0)), 1);
    }
}
