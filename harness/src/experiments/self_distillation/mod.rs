//! "Self-Distillation Amplifies Regularization in Hilbert Space" (Mobahi, Farajtabar, Bartlett; NeurIPS 2020).
//!
//! # Theory, as a library
//! Kernel regression under a tolerance, and what repeating it on its own predictions does. In the eigenbasis of the kernel
//! matrix every part is diagonal:
//!
//! | module | what |
//! |---|---|
//! | [`kernels`], [`images`] | kernels on the line and of images, and their matrices |
//! | [`spectrum`] | the kernel matrix, decomposed by the engine |
//! | [`fit`] | one fit: the equation for the ridge coefficient c |
//! | [`chain`] | self-distillation: A, B, norms, errors, sparsity, collapse |
//! | [`bounds`] | what is known of a chain before it is run |
//! | [`equivalent`] | the kernel with which a single fit does the same |
//! | [`mixture`] | the extension with a share of the ground truth |
//! | [`laws`] | the theorems, counted on real chains |
//!
//! # Networks
//! Chains of perceptrons, of a small convolutional network and, in the profile `paper`, of ResNet-50 and VGG-16
//! (`networks`), on the same images.
//!
//! # Exactness
//! The project's own eigensolver serves all sizes, so that every number is the same on every machine: no part of the golden
//! needs a tolerance.
//!
//! # Arms
//! `spline` (the paper's illustrative example), `interior`, `gaussian`, `extension`, `draws` (the example with fresh noise), and
//! for each kernel of images `rbf-noisy`, `ntk-noisy`, and with the setting `images.clean` the same without label noise;
//! networks have the arms `mlp-l2-wd3e-3` and the like: network, loss, weight decay.

mod about;
pub mod bounds;
pub mod chain;
mod conclude;
pub mod equivalent;
pub mod expected;
mod figures;
pub mod fit;
mod image_arm;
pub mod images;
pub mod kernels;
pub mod laws;
pub mod line;
mod load;
pub mod mixture;
mod networks;
pub mod refusal;
mod settings;
pub mod spectrum;
#[cfg(test)]
mod tests;
mod toy_arms;

use std::path::Path;

use regularity_engine::Context;

pub use load::Pictures;
pub use refusal::Refusal;
pub use settings::{ImageSettings, NetworkSettings, Settings, Training};

use crate::config::Profile;
use crate::error::{Error, Result};
use crate::experiments::{About, Arm, Conclusion, Dataset, Experiment, Lab, Task};
use crate::record::Records;
use image_arm::ImageArm;
use images::ImageKernel;
use networks::chain::ChainArm;
use networks::{Recipe, recipes};
use toy_arms::{DrawsArm, LineArm, Part};

/// The arm that averages over noise.
const DRAWS: &str = "draws";

/// The experiment.
#[derive(Debug)]
pub struct SelfDistillation;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let help = match refusal {
            Refusal::Engine(error) => return Self::Engine(error),
            Refusal::Infeasible { .. } | Refusal::Tolerance(_) => "choose a larger tolerance",
            Refusal::Duplicate { .. } => "select other images, for example with another images.train",
            Refusal::NotPositive { .. } | Refusal::Singular { .. } => "choose another kernel, or other points",
            Refusal::Input { .. } => "correct the input that is named",
            Refusal::NoConvergence { .. } => "please report it with the command that you ran",
        };
        Self::Usage { message: refusal.to_string(), help: help.to_owned() }
    }
}

/// The arms on images: kernel, and whether there is label noise.
fn image_arms(settings: &ImageSettings) -> Vec<(ImageKernel, bool)> {
    let noisy: &[bool] = if settings.clean { &[true, false] } else { &[true] };
    noisy.iter().flat_map(|&noisy| ImageKernel::ALL.map(|kernel| (kernel, noisy))).collect()
}

fn check(settings: &Settings) -> Result<()> {
    let images = &settings.images;
    let refuse = |message: String, help: &str| Err(Error::Usage { message, help: help.to_owned() });
    let decreasing = images.tolerances.windows(2).all(|pair| pair[0] > pair[1]);
    if images.tolerances.is_empty() || !decreasing || images.tolerances.iter().any(|e| !(*e > 0.0 && *e < 1.0)) {
        let message = format!("images.tolerances are {:?}", images.tolerances);
        return refuse(message, "they must fall from one to the next, and lie between 0 and 1");
    }
    if !(0.0..=1.0).contains(&images.noise) {
        return refuse(format!("images.noise is {}", images.noise), "it is a share, from 0 to 1");
    }
    let counts = [
        ("draws", settings.draws),
        ("images.seeds", images.seeds),
        ("images.most_rounds", images.most_rounds),
        ("images.ridge_grid", images.ridge_grid),
    ];
    match counts.iter().find(|(_, count)| *count == 0) {
        Some((name, _)) => refuse(format!("{name} is 0"), "it must be at least 1"),
        None => recipes(&settings.networks).map(drop),
    }
}

/// The memory that a chain takes, in MiB, about: weights, gradients and moments, and the activations of a batch.
fn network_memory_mib(recipe: &Recipe<'_>) -> usize {
    match recipe.net {
        networks::Net::Perceptron(_) => 32,
        networks::Net::Convolutional => 256,
        networks::Net::Deep(_) => 512 + 16 * recipe.training.batch,
    }
}

impl Experiment for SelfDistillation {
    type Settings = Settings;
    type Data = Pictures;

    fn about(&self) -> &'static About {
        &about::ABOUT
    }

    fn settings(&self, profile: Profile) -> Settings {
        Settings::of(profile)
    }

    fn load(&self, context: &Context, settings: &Settings, folder: Option<&Path>) -> Result<Dataset<Pictures>> {
        check(settings)?;
        load::load(context, settings, folder)
    }

    fn plan(&self, settings: &Settings, seed: u64) -> Result<Vec<Task>> {
        check(settings)?;
        let images = &settings.images;
        let n = images.train as f64;
        // The decomposition, and about 200 evaluations of ten outputs on all images.
        let gflop = 1e-9 * (9.0 * n * n * n + 200.0 * 20.0 * n * (n + images.test as f64));
        let memory_mib = (images.train * (4 * images.train + 2 * images.test) * 8) >> 20;
        let mut tasks: Vec<Task> = Part::ALL.iter().map(|part| Task::new(part.arm())).collect();
        tasks.push(Task::new(DRAWS).with_seed(seed));
        for (kernel, noisy) in image_arms(images) {
            let arm = image_arm::name(kernel, noisy);
            let seeds = seed..seed.saturating_add(images.seeds);
            tasks.extend(
                seeds.map(|seed| Task::new(&arm).with_seed(seed).with_gflop(gflop).with_memory_mib(memory_mib)),
            );
        }
        for recipe in recipes(&settings.networks)? {
            let (gflop, memory) = (recipe.gflop(), network_memory_mib(&recipe));
            let task = Task::new(&recipe.arm).with_gflop(gflop).with_memory_mib(memory);
            tasks.extend((seed..seed.saturating_add(recipe.chains)).map(|seed| task.clone().with_seed(seed)));
        }
        Ok(tasks)
    }

    fn start<'a>(
        &'a self,
        lab: &'a Lab<Settings, Pictures>,
        task: &Task,
        context: &Context,
    ) -> Result<Box<dyn Arm + 'a>> {
        let seed = task.seed.unwrap_or(0);
        if let Some(part) = Part::ALL.into_iter().find(|part| part.arm() == task.arm) {
            return Ok(Box::new(LineArm::new(part)));
        }
        if task.arm == DRAWS {
            return Ok(Box::new(DrawsArm::new(seed, lab.settings.draws)));
        }
        let images = &lab.settings.images;
        for (kernel, noisy) in image_arms(images) {
            if image_arm::name(kernel, noisy) == task.arm {
                return Ok(Box::new(ImageArm::new(kernel, noisy, seed, images, &lab.data)));
            }
        }
        let recipe = recipes(&lab.settings.networks)?.into_iter().find(|recipe| recipe.arm == task.arm);
        let images = |recipe: &Recipe<'_>| lab.data.networks.iter().find(|images| images.family == recipe.family);
        let Some((recipe, images)) = recipe.and_then(|recipe| images(&recipe).map(|images| (recipe, images))) else {
            return Err(Error::Defect { what: format!("self-distillation has no arm `{}`", task.arm) });
        };
        Ok(Box::new(ChainArm::new(context, recipe, images, seed)?))
    }

    fn conclude(&self, settings: &Settings, records: &Records) -> Result<Conclusion> {
        let mut conclusion = Conclusion::new();
        conclude::on_the_line(records, &mut conclusion)?;
        conclude::on_images(settings, records, &mut conclusion)?;
        networks::verdicts::conclude(&settings.networks, records, &mut conclusion)?;
        figures::draw(settings, records, &mut conclusion)?;
        networks::figures::draw(&settings.networks, records, &mut conclusion)?;
        Ok(conclusion)
    }
}
