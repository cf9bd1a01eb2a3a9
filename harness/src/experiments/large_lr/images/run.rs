//! An arm: a network that trains from its first step to its last.

use regularity_engine::Context;
use regularity_engine::kernels::loss::{LossSum, Targets};
use regularity_engine::kernels::norm::Shape;
use regularity_engine::layers::NormKind;
use regularity_engine::memory::Buffer;
use regularity_engine::models::{Model, WideResNet, evaluate, gradients, wide_resnet};
use regularity_engine::optim::{Rate, Sgd};
use regularity_engine::params::Groups;
use regularity_engine::random::Stream;
use serde::{Deserialize, Serialize};

use super::load::{Pictures, Set};
use super::patch::{Kind, Patches, Recipe};
use super::settings::{Images, Patch, Schedule};
use crate::error::{Error, Result};
use crate::experiments::large_lr::Settings;
use crate::experiments::{Arm, Progress, State};
use crate::record::{Recorder, Tensors};

/// What an arm trains on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Images with patches, by the recipe.
    Patched,
    /// The images that the recipe leaves clean, and no others.
    CleanAlone,
    /// All images as they are.
    Plain,
}

/// How an arm trains, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub arm: &'static str,
    /// What it trains on.
    pub content: Content,
    /// Whether it begins with the large learning rate.
    pub large: bool,
    /// Whether it begins with noise before activations.
    pub noise: bool,
}

const fn plan(arm: &'static str, content: Content, large: bool, noise: bool) -> Plan {
    Plan { arm, content, large, noise }
}

/// Patches, large learning rate.
pub const PATCH_LARGE: Plan = plan("patch-large", Content::Patched, true, false);
/// Patches, small learning rate.
pub const PATCH_SMALL: Plan = plan("patch-small", Content::Patched, false, false);
/// Patches, small learning rate with noise.
pub const PATCH_NOISE: Plan = plan("patch-noise", Content::Patched, false, true);
/// The clean images alone, small learning rate.
pub const PATCH_FEW: Plan = plan("patch-few", Content::CleanAlone, false, false);
/// No patches, large learning rate.
pub const PLAIN_LARGE: Plan = plan("plain-large", Content::Plain, true, false);
/// No patches, small learning rate.
pub const PLAIN_SMALL: Plan = plan("plain-small", Content::Plain, false, false);
/// No patches, small learning rate with noise.
pub const PLAIN_NOISE: Plan = plan("plain-noise", Content::Plain, false, true);

/// The arms with patches, in the order of output.
pub const PATCHED: [Plan; 4] = [PATCH_LARGE, PATCH_SMALL, PATCH_NOISE, PATCH_FEW];
/// Those without.
pub const UNPATCHED: [Plan; 3] = [PLAIN_LARGE, PLAIN_SMALL, PLAIN_NOISE];

/// What an arm makes of images before the network reads them.
#[derive(Debug)]
struct Dressing {
    patches: Patches,
    train: Recipe,
    test: Recipe,
    alone: Recipe,
}

/// Which test images are looked at, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Clean,
    Mixed,
    PatchOnly,
}

/// A running arm.
#[derive(Debug)]
pub struct Run<'a> {
    settings: Images,
    schedule: Option<&'a Schedule>,
    patch: &'a Patch,
    plan: Plan,
    seed: u64,
    pictures: &'a Pictures,
    dressing: Dressing,
    /// The training images that it reads.
    own: Vec<u32>,
    /// Those in the order of a pass, with the number of the pass.
    order: (u64, Vec<u32>),
    network: WideResNet,
    values: Buffer<f32>,
    gradient: Buffer<f32>,
    sgd: Sgd,
    groups: Groups,
    /// Room for a batch.
    batch: (Vec<f32>, Vec<u32>),
    at: Position,
}

/// Where an arm stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Position {
    /// Steps taken.
    step: u64,
    /// Whether the test images were looked at after them, if they are to be.
    looked: bool,
    /// Training loss of this epoch so far: a sum over examples.
    loss: f64,
    /// Examples of this epoch that were classified right when they were read.
    right: u64,
    /// Examples of this epoch.
    read: u64,
    /// How far the look at the test images has come.
    look: Look,
}

/// Where a look at the test images stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Look {
    /// The number of its view.
    view: usize,
    /// Images of the view that were evaluated, the sum of their losses, and how many were classified right.
    images: usize,
    loss: f64,
    right: u64,
}

impl<'a> Run<'a> {
    /// An arm at its beginning.
    ///
    /// # Errors
    /// Those of the engine; [`Error::Usage`] for a recipe that leaves no image clean where the arm wants those alone.
    pub fn new(all: &'a Settings, pictures: &'a Pictures, plan: Plan, seed: u64, context: &Context) -> Result<Self> {
        let patch = &all.patch;
        let (settings, schedule) = match plan.content {
            Content::Plain => (all.plain.training(&all.images), Some(&all.plain.schedule)),
            Content::Patched | Content::CleanAlone => (all.images.clone(), None),
        };
        let shape = pictures.train.shape;
        let dressing = Dressing {
            patches: Patches::draw(context, patch, shape, pictures.classes, seed)?,
            train: Recipe::new(patch, "train", seed),
            test: Recipe::new(patch, "test", seed),
            alone: Recipe::new(patch, "patch-only", seed),
        };
        let clean = |&image: &u32| dressing.train.kind(0, u64::from(image)) == Kind::Clean;
        let all = 0..pictures.train.labels.len() as u32;
        let own: Vec<u32> = match plan.content {
            Content::CleanAlone => all.filter(clean).collect(),
            Content::Patched | Content::Plain => all.collect(),
        };
        if own.is_empty() {
            return Err(Error::Usage {
                message: format!("no training image is clean with patch.clean = {}", patch.clean),
                help: "choose a larger share, or more images".to_owned(),
            });
        }
        let input = Shape::new(settings.batch, shape.height, shape.width, shape.channels)?;
        let network = wide_resnet(context, settings.shape()?, NormKind::Batch, input, pictures.classes, seed)?;
        let (mut values, gradient) = (network.table().values()?, network.table().gradients()?);
        network.init(context, seed, &mut values)?;
        let sgd = Sgd::new(network.table(), settings.momentum as f32, true)?;
        let groups = Groups::one(network.table());
        let batch = (vec![0.0; input.len()], vec![0; settings.batch]);
        let order = (u64::MAX, own.clone());
        let at = Position { step: 0, looked: false, loss: 0.0, right: 0, read: 0, look: Look::default() };
        Ok(Self {
            settings,
            schedule,
            patch,
            plan,
            seed,
            pictures,
            dressing,
            own,
            order,
            network,
            values,
            gradient,
            sgd,
            groups,
            batch,
            at,
        })
    }

    fn last_step(&self) -> u64 {
        self.settings.epochs * self.settings.steps()
    }

    /// The epoch that the next step belongs to, from 1.
    fn epoch(&self) -> u64 {
        self.at.step / self.settings.steps() + 1
    }

    /// Makes the next batch, and says how many images are in it.
    fn fill(&mut self) -> usize {
        let (n, batch) = (self.own.len(), self.settings.batch);
        let per_pass = n.div_ceil(batch) as u64;
        let (pass, place) = (self.at.step / per_pass, (self.at.step % per_pass) as usize);
        if self.order.0 != pass {
            let mut order = self.own.clone();
            Stream::new(self.seed, "large-lr/order", pass).shuffle(&mut order);
            self.order = (pass, order);
        }
        let images = &self.order.1[place * batch..n.min((place + 1) * batch)];
        let (pixels, labels) = &mut self.batch;
        let (set, len) = (&self.pictures.train, self.pictures.train.shape.len());
        for ((&image, out), label) in images.iter().zip(pixels.chunks_exact_mut(len)).zip(labels) {
            *label = set.labels[image as usize];
            out.copy_from_slice(set.image(image as usize));
            if self.plan.content == Content::Patched {
                self.dressing.train.apply(&self.dressing.patches, pass, u64::from(image), *label, out);
            }
        }
        images.len()
    }

    /// One step of the optimiser.
    fn advance(&mut self, context: &Context, recorder: &mut Recorder) -> Result<()> {
        let Images { large, small, noise, weight_decay, anneal, .. } = self.settings;
        let early = self.epoch() < anneal;
        let n = self.fill();
        self.network.set_noise(if self.plan.noise && early { noise as f32 } else { 0.0 });
        let lr = match self.schedule {
            Some(schedule) => (if self.plan.large { large } else { small }) * schedule.factor(self.epoch()),
            None if self.plan.large && early => large,
            None => small,
        } as f32;
        let (pixels, labels) = (&self.batch.0[..n * self.pictures.train.shape.len()], &self.batch.1[..n]);
        let step = self.at.step;
        let network: &mut dyn Model = &mut self.network;
        let targets = Targets::Hard(labels);
        let sum = gradients(context, network, &mut self.values, pixels, targets, step, &mut self.gradient);
        let sum = sum.map_err(|error| not_finite(error, step))?;
        if recorder.is_tracing() {
            recorder.trace("gradient", step, &[self.gradient.len()], &self.gradient)?;
        }
        let rates = [Rate { lr, weight_decay: weight_decay as f32 }];
        self.sgd.step(context, &self.groups, &rates, &mut self.values, &self.gradient)?;
        self.at.step += 1;
        self.at.looked = false;
        self.at.loss += f64::from(sum.sum);
        self.at.right += sum.correct as u64;
        self.at.read += n as u64;
        if self.at.step.is_multiple_of(self.settings.steps()) {
            let epoch = self.at.step / self.settings.steps();
            recorder.record("train_loss", epoch, self.at.loss / self.at.read as f64)?;
            recorder.record("train_accuracy", epoch, self.at.right as f64 / self.at.read as f64)?;
            (self.at.loss, self.at.right, self.at.read) = (0.0, 0, 0);
        }
        Ok(())
    }

    /// The epoch that has just ended, if the test images are to be looked at after it.
    fn due(&self) -> Option<u64> {
        let Images { epochs, every, anneal, .. } = self.settings;
        let steps = self.settings.steps();
        let epoch = self.at.step / steps;
        let wanted = epoch.is_multiple_of(every) || epoch + 1 == anneal || epoch == epochs;
        (!self.at.looked && self.at.step.is_multiple_of(steps) && wanted).then_some(epoch)
    }

    /// The views of a look after `epoch`, each with its number of images and the metrics of its loss and its accuracy.
    fn views(&self, epoch: u64) -> Vec<(View, usize, Option<&'static str>, &'static str)> {
        let (watched, all) = (self.settings.watched, self.settings.test);
        let (last, patched) = (epoch == self.settings.epochs, self.plan.content != Content::Plain);
        let mut views = vec![(View::Clean, watched, Some("test_loss"), "test_accuracy")];
        if patched {
            views.push((View::Mixed, watched, None, "mixed_accuracy"));
            views.push((View::PatchOnly, self.patch.test, None, "patch_only_accuracy"));
        }
        if last {
            views.push((View::Clean, all, None, "final_accuracy"));
        }
        if last && patched {
            views.push((View::Mixed, all, None, "final_mixed_accuracy"));
        }
        views
    }

    /// Looks at the next batch of test images: a whole look at a large network takes too long to be interrupted after it.
    fn look(&mut self, context: &Context, recorder: &mut Recorder, epoch: u64) -> Result<()> {
        let views = self.views(epoch);
        let (view, count, loss, accuracy) = views[self.at.look.view];
        let n = self.settings.batch.min(count - self.at.look.images);
        let sum = self.evaluate(context, view, n)?;
        let look = &mut self.at.look;
        look.images += n;
        look.loss += f64::from(sum.sum);
        look.right += sum.correct as u64;
        if look.images == count {
            if let Some(loss) = loss {
                recorder.record(loss, epoch, look.loss / count as f64)?;
            }
            recorder.record(accuracy, epoch, look.right as f64 / count as f64)?;
            *look = Look { view: look.view + 1, ..Look::default() };
        }
        if look.view == views.len() {
            (self.at.look, self.at.looked) = (Look::default(), true);
        }
        Ok(())
    }

    /// Evaluates the next `n` images of a view.
    fn evaluate(&mut self, context: &Context, view: View, n: usize) -> Result<LossSum> {
        let Self { pictures, dressing, network, values, batch: (pixels, labels), at, .. } = self;
        let (set, len): (&Set, _) = (&pictures.test, pictures.test.shape.len());
        for (i, (out, label)) in pixels.chunks_exact_mut(len).zip(labels.iter_mut()).take(n).enumerate() {
            let image = at.look.images + i;
            if view == View::PatchOnly {
                *label = (image % pictures.classes) as u32;
                dressing.alone.alone(&dressing.patches, image as u64, *label, out);
                continue;
            }
            *label = set.labels[image];
            out.copy_from_slice(set.image(image));
            if view == View::Mixed {
                dressing.test.apply(&dressing.patches, 0, image as u64, *label, out);
            }
        }
        Ok(evaluate(context, network, values, &pixels[..n * len], Targets::Hard(&labels[..n]))?)
    }
}

/// The engine's refusal of numbers that are not finite, with the step.
fn not_finite(error: regularity_engine::Error, step: u64) -> Error {
    match error {
        regularity_engine::Error::NonFinite { quantity, name } => {
            Error::NonFinite { what: format!("the {quantity} of {name}"), step }
        }
        other => other.into(),
    }
}

impl Arm for Run<'_> {
    fn step(&mut self, context: &Context, recorder: &mut Recorder) -> Result<Progress> {
        if let Some(epoch) = self.due() {
            self.look(context, recorder, epoch)?;
        } else {
            self.advance(context, recorder)?;
        }
        let last = self.last_step();
        // The last look comes after the last step.
        Ok(if self.at.step == last && !self.at.looked {
            Progress::Running(1.0)
        } else {
            Progress::of(self.at.step, last)
        })
    }

    fn save(&self, state: &mut State) -> Result<()> {
        state.tensors.put("values", &[self.values.len()], &self.values)?;
        state.tensors.put("velocity", &[self.sgd.velocity().len()], self.sgd.velocity())?;
        state.set_note(&self.at)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.at = state.note()?;
        let steps = self.at.step;
        for (name, to) in [("values", &mut self.values[..]), ("velocity", self.sgd.restore(steps))] {
            let from = state.tensors.get::<f32>(name)?;
            if from.len() != to.len() {
                let reason = format!("`{name}` has {} numbers, and this network {}", from.len(), to.len());
                return Err(Error::Damaged { path: "".into(), reason });
            }
            to.copy_from_slice(from);
        }
        Ok(())
    }

    fn finish(&self, tensors: &mut Tensors) -> Result<()> {
        for entry in self.network.table().entries() {
            tensors.put(entry.name(), entry.shape(), &self.values[entry.range()])?;
        }
        Ok(())
    }
}
