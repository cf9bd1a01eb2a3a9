//! The list of experiments.

use super::Registered;
use crate::config::nearest;
use crate::error::{Error, Result};

/// A list of experiments. The command line takes one, so that tests can bring their own.
pub type Registry = [&'static dyn Registered];

/// Every experiment, in the order of `regularity list`. One line each.
pub static REGISTRY: &Registry = &[&super::large_lr::LargeLr, &super::self_distillation::SelfDistillation];

/// The experiment of that id.
///
/// # Errors
/// [`Error::Usage`] if there is none, with the nearest that there is.
pub fn find(registry: &Registry, id: &str) -> Result<&'static dyn Registered> {
    let ids = || registry.iter().map(|experiment| experiment.about().id);
    registry.iter().copied().find(|experiment| experiment.about().id == id).ok_or_else(|| Error::Usage {
        message: format!("there is no experiment `{id}`"),
        help: match nearest(id, ids()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("experiments are {}; see `regularity list`", ids().collect::<Vec<_>>().join(", ")),
        },
    })
}
