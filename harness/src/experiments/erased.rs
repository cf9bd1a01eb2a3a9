//! Experiments without their types, as the rest of the harness sees them.

use std::path::Path;

use regularity_engine::Context;

use super::{About, Arm, Conclusion, DataFacts, Experiment, Lab, Task};
use crate::config::{self, Configuration, Profile};
use crate::error::{Error, Result};
use crate::record::Records;

/// Any [`Experiment`]; do not implement it.
pub trait Registered: Send + Sync {
    /// See [`Experiment::about`].
    fn about(&self) -> &'static About;

    /// The settings of a profile as a table.
    ///
    /// # Errors
    /// [`Error::Usage`] if the experiment has no such profile.
    fn settings(&self, profile: Profile) -> Result<toml::Table>;

    /// See [`Experiment::plan`]; checked: there are tasks, and their names are proper and unique.
    ///
    /// # Errors
    /// [`Error::Usage`] for settings that do not fit, [`Error::Defect`] for a bad plan.
    fn plan(&self, configuration: &Configuration) -> Result<Vec<Task>>;

    /// Loads the data and holds it with the settings.
    ///
    /// # Errors
    /// As [`Experiment::load`].
    fn open<'a>(
        &'a self,
        context: &Context,
        configuration: &Configuration,
        folder: Option<&Path>,
    ) -> Result<Box<dyn Session + 'a>>;

    /// See [`Experiment::conclude`]; checked.
    ///
    /// # Errors
    /// As there.
    fn conclude(&self, configuration: &Configuration, records: &Records) -> Result<Conclusion>;
}

/// An experiment with settings and data, ready to start tasks.
pub trait Session: Send + Sync {
    /// What is recorded about the data.
    fn facts(&self) -> &DataFacts;

    /// See [`Experiment::start`].
    ///
    /// # Errors
    /// As there.
    fn start<'a>(&'a self, task: &Task, context: &Context) -> Result<Box<dyn Arm + 'a>>;
}

struct Open<'a, E: Experiment> {
    experiment: &'a E,
    lab: Lab<E::Settings, E::Data>,
    facts: DataFacts,
}

impl<E: Experiment> Session for Open<'_, E> {
    fn facts(&self) -> &DataFacts {
        &self.facts
    }

    fn start<'a>(&'a self, task: &Task, context: &Context) -> Result<Box<dyn Arm + 'a>> {
        self.experiment.start(&self.lab, task, context)
    }
}

impl<E: Experiment> Registered for E {
    fn about(&self) -> &'static About {
        Experiment::about(self)
    }

    fn settings(&self, profile: Profile) -> Result<toml::Table> {
        let about = Experiment::about(self);
        if !about.profiles.contains(&profile) {
            let names: Vec<_> = about.profiles.iter().map(|p| p.name()).collect();
            return Err(Error::Usage {
                message: format!("{} has no profile `{profile}`", about.id),
                help: format!("it has {}", names.join(", ")),
            });
        }
        config::table(about.id, &Experiment::settings(self, profile))
    }

    fn plan(&self, configuration: &Configuration) -> Result<Vec<Task>> {
        let tasks = Experiment::plan(self, &configuration.typed()?, configuration.seed)?;
        check_plan(Experiment::about(self).id, &tasks)?;
        Ok(tasks)
    }

    fn open<'a>(
        &'a self,
        context: &Context,
        configuration: &Configuration,
        folder: Option<&Path>,
    ) -> Result<Box<dyn Session + 'a>> {
        let settings = configuration.typed()?;
        let dataset = context.install(|| self.load(context, &settings, folder))?;
        let lab = Lab { settings, data: dataset.data };
        Ok(Box::new(Open { experiment: self, lab, facts: dataset.facts }))
    }

    fn conclude(&self, configuration: &Configuration, records: &Records) -> Result<Conclusion> {
        let conclusion = Experiment::conclude(self, &configuration.typed()?, records)?;
        conclusion.check(Experiment::about(self))?;
        Ok(conclusion)
    }
}

fn check_plan(id: &str, tasks: &[Task]) -> Result<()> {
    let defect = |what: String| Err(Error::Defect { what: format!("the plan of {id} {what}") });
    if tasks.is_empty() {
        return defect("has no tasks".to_owned());
    }
    for (index, task) in tasks.iter().enumerate() {
        let proper = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if task.arm.is_empty() || !task.arm.chars().all(proper) {
            return defect(format!("has an arm `{}`: names are lower case, digits and hyphens", task.arm));
        }
        if tasks[..index].iter().any(|other| other.id() == task.id()) {
            return defect(format!("has two tasks `{}`", task.id()));
        }
    }
    Ok(())
}
