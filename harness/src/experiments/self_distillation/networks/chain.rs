//! The arm of networks: the rounds of a chain, then its twin.
//!
//! A step is one step of the optimiser, or judges one piece of the images. Everything that a later step depends on is
//! saved, in the middle of an epoch and in the middle of a judgement too.
//!
//! | metric | at | what |
//! |---|---|---|
//! | `train_loss`, `train_accuracy` | round | of the training images against the labels of the beginning, noise included |
//! | `clean_accuracy` | round | of the training images against the true labels |
//! | `test_accuracy` | round | of the test images |
//! | `target_loss` | round | of the training images against the targets of the round |
//! | `epochs`, `spread` | round | with a tolerance: epochs made, and the mean square of the targets around 1 / classes |
//! | `rounds`, `collapsed` | 0 | with a tolerance: rounds that reached it, and whether the targets were within it at the end |
//! | `twin/train_loss`, `twin/test_accuracy` | epoch | the same of the twin |

use regularity_engine::Context;
use regularity_engine::random::Stream;
use serde::{Deserialize, Serialize};

use super::super::images::noisy_labels;
use super::data::NetworkImages;
use super::trainer::Trainer;
use super::{Recipe, Variant};
use crate::data::Split;
use crate::error::Result;
use crate::experiments::{Arm, Progress, State};
use crate::record::{Recorder, Tensors};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// The next step of training.
    Train,
    /// The next piece of the training images to be judged.
    JudgeTrain,
    /// The next piece of the test images.
    JudgeTest,
    /// Nothing: the chain is finished.
    Done,
}

/// Where the work is. After the last round comes the twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    round: u64,
    epoch: u64,
    stage: Stage,
    /// The next batch of the epoch, or piece of the judgement.
    next: u64,
}

/// What was found in a judgement so far.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Tally {
    first_loss: f64,
    target_loss: f64,
    right: u64,
    clean: u64,
    test: u64,
}

/// A chain.
pub(in super::super) struct ChainArm<'a> {
    recipe: Recipe<'a>,
    data: &'a NetworkImages,
    seed: u64,
    trainer: Trainer<'a>,
    /// Training labels with noise, and one-hot.
    labels: Vec<u8>,
    first: Vec<f32>,
    /// The targets of the round, and the outputs of its network so far: the targets of the next.
    targets: Vec<f32>,
    outputs: Vec<f32>,
    place: Place,
    tally: Tally,
}

impl<'a> ChainArm<'a> {
    /// At the beginning.
    ///
    /// # Errors
    /// Those of the engine.
    pub(in super::super) fn new(
        context: &Context,
        recipe: Recipe<'a>,
        data: &'a NetworkImages,
        seed: u64,
    ) -> Result<Self> {
        let mut trainer = Trainer::new(context, &recipe, data)?;
        let labels = noisy_labels(data.train.labels(), data.classes, recipe.noise(), seed)?;
        let one_hot = |&label: &u8| (0..data.classes).map(move |q| if usize::from(label) == q { 1.0 } else { 0.0 });
        let first: Vec<f32> = labels.iter().flat_map(one_hot).collect();
        let place = Place { round: 0, epoch: 0, stage: Stage::Train, next: 0 };
        trainer.restart(context, &recipe, network_seed(seed, &recipe, 0))?;
        let (targets, outputs, tally) = (first.clone(), vec![0.0; first.len()], Tally::default());
        Ok(Self { recipe, data, seed, trainer, labels, first, targets, outputs, place, tally })
    }

    fn is_twin(&self) -> bool {
        self.place.round == self.recipe.training.rounds
    }

    /// The mean squared error at which a round stops.
    fn tolerance(&self) -> Option<f64> {
        let Variant::Tolerance(share) = self.recipe.variant else { return None };
        // One-hot targets have the mean square 1 - 1 / Q around their mean.
        Some(share * (1.0 - 1.0 / self.data.classes as f64))
    }

    /// The mean square of the targets around 1 / Q, the answer without a preference.
    fn spread(&self) -> f64 {
        let mean = 1.0 / self.data.classes as f64;
        let squares = self.targets.iter().map(|&t| (f64::from(t) - mean) * (f64::from(t) - mean));
        squares.sum::<f64>() / self.labels.len() as f64
    }

    /// After a whole epoch: it is judged if it is the last one, or if somebody waits for what it has reached.
    fn end_of_epoch(&mut self) {
        self.place.epoch += 1;
        let waits = self.is_twin() || self.tolerance().is_some();
        let last = self.place.epoch == self.recipe.training.epochs;
        self.place.stage = if last || waits { Stage::JudgeTrain } else { Stage::Train };
        self.tally = Tally::default();
    }

    /// Judges a piece of the training images.
    fn judge_train(&mut self, context: &Context) -> Result<()> {
        let Some(range) = self.trainer.piece(Split::Train, self.place.next) else {
            (self.place.stage, self.place.next) = (Stage::JudgeTest, 0);
            return Ok(());
        };
        let targets = [&self.first[..], &self.targets[..]];
        let (judged, losses) = self.trainer.judge(context, Split::Train, range.clone(), &targets)?;
        self.tally.first_loss += losses[0];
        self.tally.target_loss += losses[1];
        let own = judged.classes.iter().zip(&self.labels[range.clone()]);
        self.tally.right += own.filter(|(found, label)| **found == usize::from(**label)).count() as u64;
        self.tally.clean += right(&judged.classes, judged.labels);
        let classes = self.data.classes;
        self.outputs[range.start * classes..range.end * classes].copy_from_slice(judged.outputs);
        self.place.next += 1;
        Ok(())
    }

    /// Judges a piece of the test images, or ends the judgement.
    fn judge_test(&mut self, context: &Context, recorder: &mut Recorder) -> Result<()> {
        let Some(range) = self.trainer.piece(Split::Test, self.place.next) else {
            return self.end_of_judgement(context, recorder);
        };
        let (judged, _) = self.trainer.judge(context, Split::Test, range, &[])?;
        self.tally.test += right(&judged.classes, judged.labels);
        self.place.next += 1;
        Ok(())
    }

    fn end_of_judgement(&mut self, context: &Context, recorder: &mut Recorder) -> Result<()> {
        let (n, m) = (self.labels.len() as f64, self.data.test.len() as f64);
        let Tally { first_loss, target_loss, right, clean, test } = self.tally;
        let (epoch, last) = (self.place.epoch, self.place.epoch == self.recipe.training.epochs);
        (self.place.stage, self.place.next) = (Stage::Train, 0);
        if self.is_twin() {
            recorder.record("twin/train_loss", epoch, first_loss / n)?;
            recorder.record("twin/test_accuracy", epoch, test as f64 / m)?;
            if last {
                self.place.stage = Stage::Done;
            }
            return Ok(());
        }
        let t = self.place.round;
        let reached = self.tolerance().is_none_or(|tolerance| target_loss / n <= tolerance);
        if !reached && !last {
            return Ok(());
        }
        if !reached {
            // Nothing comes near enough in the time that is given: the chain ends here, and the round does not count.
            return self.end_with_tolerance(recorder, t, false);
        }
        if self.tolerance().is_some() {
            recorder.record("epochs", t, epoch)?;
            recorder.record("spread", t, self.spread())?;
        }
        recorder.record("train_loss", t, first_loss / n)?;
        recorder.record("train_accuracy", t, right as f64 / n)?;
        recorder.record("clean_accuracy", t, clean as f64 / n)?;
        recorder.record("test_accuracy", t, test as f64 / m)?;
        recorder.record("target_loss", t, target_loss / n)?;
        self.next_round(context, recorder)
    }

    /// On to the next round, or to the twin, or to the end.
    fn next_round(&mut self, context: &Context, recorder: &mut Recorder) -> Result<()> {
        self.place = Place { round: self.place.round + 1, epoch: 0, stage: Stage::Train, next: 0 };
        let (round, over) = (self.place.round, self.is_twin());
        self.targets.copy_from_slice(if over { &self.first } else { &self.outputs });
        if let Some(tolerance) = self.tolerance() {
            let collapsed = !over && self.spread() <= tolerance;
            if collapsed || over {
                return self.end_with_tolerance(recorder, round, collapsed);
            }
        }
        if over && self.recipe.variant == Variant::Clean {
            self.place.stage = Stage::Done;
            return Ok(());
        }
        self.trainer.restart(context, &self.recipe, network_seed(self.seed, &self.recipe, round))
    }

    fn end_with_tolerance(&mut self, recorder: &mut Recorder, rounds: u64, collapsed: bool) -> Result<()> {
        self.place.stage = Stage::Done;
        recorder.record("rounds", 0, rounds)?;
        recorder.record("collapsed", 0, u64::from(collapsed))
    }

    /// Work that is done, of all; rounds with a tolerance may be shorter.
    fn progress(&self) -> Progress {
        if self.place.stage == Stage::Done {
            return Progress::Finished;
        }
        let training = self.recipe.training;
        let networks = training.rounds + u64::from(self.recipe.variant == Variant::Main);
        let steps = (training.epochs * self.trainer.batches()) as f64;
        let within = if self.place.stage == Stage::Train { self.place.next } else { 0 };
        let done = (self.place.epoch * self.trainer.batches() + within) as f64 / steps;
        Progress::Running((self.place.round as f64 + done) / networks as f64)
    }
}

/// The seed of a network of a chain. That of the twin does not depend on the number of rounds.
fn network_seed(seed: u64, recipe: &Recipe<'_>, round: u64) -> u64 {
    let purpose = if round == recipe.training.rounds { "twin" } else { "round" };
    let index = if round == recipe.training.rounds { 0 } else { round };
    Stream::new(seed, &format!("self-distillation/network/{purpose}"), 0).u64_at(index)
}

fn right(found: &[usize], labels: &[u32]) -> u64 {
    found.iter().zip(labels).filter(|(found, label)| **found == **label as usize).count() as u64
}

impl Arm for ChainArm<'_> {
    fn step(&mut self, context: &Context, recorder: &mut Recorder) -> Result<Progress> {
        match self.place.stage {
            Stage::Train => {
                self.trainer.step(context, self.place.epoch, self.place.next, &self.targets)?;
                self.place.next += 1;
                if self.place.next == self.trainer.batches() {
                    self.place.next = 0;
                    self.end_of_epoch();
                }
            }
            Stage::JudgeTrain => self.judge_train(context)?,
            Stage::JudgeTest => self.judge_test(context, recorder)?,
            Stage::Done => {}
        }
        Ok(self.progress())
    }

    fn save(&self, state: &mut State) -> Result<()> {
        self.trainer.save(&mut state.tensors)?;
        let shape = [self.labels.len(), self.data.classes];
        state.tensors.put("targets", &shape, &self.targets)?;
        state.tensors.put("outputs", &shape, &self.outputs)?;
        state.set_note(&(self.place, self.tally))
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        (self.place, self.tally) = state.note()?;
        state.tensors.copy_to("targets", &mut self.targets)?;
        state.tensors.copy_to("outputs", &mut self.outputs)?;
        let Place { round, epoch, stage, next } = self.place;
        let within = if stage == Stage::Train { next } else { 0 };
        let steps = epoch * self.trainer.batches() + within;
        self.trainer.restore(state, network_seed(self.seed, &self.recipe, round), steps)
    }

    fn finish(&self, tensors: &mut Tensors) -> Result<()> {
        self.trainer.finish(tensors)
    }
}
