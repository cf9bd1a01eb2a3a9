//! "Towards Explaining the Regularization Effect of Initial Large Learning Rate in Training Neural Networks" (Y. Li,
//! C. Wei, T. Ma; NeurIPS 2019).
//!
//! The paper: a network that starts with a large learning rate and anneals it generalises better than one that starts with a
//! small one, although it is behind before annealing, because the two learn patterns in another order. Here: the
//! two-layer network of its theorems ([`theory`]), in which the order can be watched, and a wide residual network on
//! images with and without a patch that can be memorised ([`images`]). CALIBRATION.md tells how the settings were found.
//!
//! Each part has a number of seeds of its own, `theory.seeds`, `patch.seeds` and `plain.seeds`; 0 leaves it out, and its
//! claims are not tested.

mod about;
pub mod images;
mod phrases;
mod settings;
#[cfg(test)]
mod tests;
pub mod theory;

use std::path::Path;

use regularity_engine::Context;

pub use settings::{Settings, Theory};

use super::{About, Arm, Conclusion, Dataset, Experiment, Lab, Task};
use crate::config::Profile;
use crate::error::{Error, Result};
use crate::record::Records;
use images::load::Pictures;
use images::run::{Content, PATCHED, Plan, UNPATCHED};
use images::{claims as image_claims, figures as image_figures, load};
use theory::{claims as theory_claims, figures as theory_figures, run as theory_run};

/// The experiment.
#[derive(Debug)]
pub struct LargeLr;

impl LargeLr {
    /// The tasks of the theory network.
    fn plan_theory(settings: &Theory, seed: u64) -> impl Iterator<Item = Task> {
        theory_run::PLANS.iter().flat_map(move |plan| {
            let seeds = seed..seed.saturating_add(settings.seeds);
            // A unit that reads Q took 31 ns a step where a core does 70 operations in one: two normal numbers, the
            // patterns, and runs that are longer than the least.
            let with_q =
                if plan.patterns == theory::data::Patterns::All { settings.units_q as f64 * 2200.0 } else { 0.0 };
            let with_p = (settings.d * settings.units_p) as f64 * (40.0 + 4.0 * settings.total() as f64);
            let steps = f64::from(plan.divisor) * settings.time1 * 1.5 / settings.step;
            let gflop = steps * (with_q + with_p) * 1e-9;
            let memory = 1 + settings.units_q * 32 / (1 << 20);
            seeds.map(move |seed| Task::new(plan.arm).with_seed(seed).with_gflop(gflop).with_memory_mib(memory))
        })
    }

    /// The arms on images, each with its number of seeds.
    fn image_arms(settings: &Settings) -> impl Iterator<Item = (Plan, u64)> {
        let patched = PATCHED.into_iter().zip(std::iter::repeat(settings.patch.seeds));
        patched
            .chain(UNPATCHED.into_iter().zip(std::iter::repeat(settings.plain.seeds)))
            .filter(|(_, seeds)| *seeds > 0)
    }
}

impl Experiment for LargeLr {
    type Settings = Settings;
    type Data = Pictures;

    fn about(&self) -> &'static About {
        &about::ABOUT
    }

    fn settings(&self, profile: Profile) -> Settings {
        Settings::of(profile)
    }

    fn load(&self, context: &Context, settings: &Settings, folder: Option<&Path>) -> Result<Dataset<Pictures>> {
        settings.check()?;
        match Self::image_arms(settings).next() {
            Some(_) => load::load(context, &settings.images, folder),
            None => Ok(load::nothing()),
        }
    }

    fn plan(&self, settings: &Settings, seed: u64) -> Result<Vec<Task>> {
        settings.check()?;
        // The long ones first.
        let mut tasks = Vec::new();
        for (plan, seeds) in Self::image_arms(settings) {
            let (gflop, memory) = match plan.content {
                Content::Plain => settings.plain.training(&settings.images).cost()?,
                Content::Patched => settings.images.cost()?,
                Content::CleanAlone => {
                    let (gflop, memory) = settings.images.cost()?;
                    (gflop * settings.patch.clean, memory)
                }
            };
            let task = |seed| Task::new(plan.arm).with_seed(seed).with_gflop(gflop).with_memory_mib(memory);
            tasks.extend((seed..seed.saturating_add(seeds)).map(task));
        }
        tasks.extend(Self::plan_theory(&settings.theory, seed));
        Ok(tasks)
    }

    fn start<'a>(
        &'a self,
        lab: &'a Lab<Settings, Pictures>,
        task: &Task,
        context: &Context,
    ) -> Result<Box<dyn Arm + 'a>> {
        let unknown = || Error::Defect { what: format!("large-lr has no arm `{}`", task.id()) };
        let seed = task.seed.ok_or_else(unknown)?;
        let theory = &lab.settings.theory;
        if let Some(&plan) = theory_run::PLANS.iter().find(|plan| plan.arm == task.arm) {
            return Ok(Box::new(theory_run::Run::new(theory, plan, seed, context)?));
        }
        let (plan, _) = Self::image_arms(&lab.settings).find(|(plan, _)| plan.arm == task.arm).ok_or_else(unknown)?;
        Ok(Box::new(images::run::Run::new(&lab.settings, &lab.data, plan, seed, context)?))
    }

    fn conclude(&self, settings: &Settings, records: &Records) -> Result<Conclusion> {
        let mut conclusion = Conclusion::new();
        let Settings { theory, images, patch, plain } = settings;
        if theory.seeds > 0 {
            theory_claims::judge(theory, records, &mut conclusion)?;
            theory_figures::draw(records, &mut conclusion)?;
        }
        if plain.seeds > 0 {
            let training = plain.training(images);
            image_claims::judge_plain(&training, records, &mut conclusion)?;
            image_figures::draw_plain(&training, records, &mut conclusion)?;
        }
        if patch.seeds > 0 {
            image_claims::judge_patch(images, records, &mut conclusion)?;
            image_figures::draw_patch(images, records, &mut conclusion)?;
        }
        Ok(conclusion)
    }
}
