//! Optimisers, learning-rate schedules and penalties: one fused pass over the flat arena of the parameters a step.
//!
//! An optimiser owns its state, one arena for each kind, and knows nothing of the network but its [`Table`]. A step reads
//! each gradient and reads and writes each parameter and each number of state once. The operations of an element do not
//! depend on any other element, so tiers, threads and the cut into tasks cannot change a bit; what counts is the number
//! of roundings, which stands at [`Sgd`] and [`Adam`].
//!
//! Parameters in different [`Groups`] may have a learning rate and a weight decay of their own: a head that learns ten
//! times faster, biases without decay.

mod adam;
pub mod penalty;
mod schedule;
mod sgd;
mod update;

pub use adam::Adam;
pub use schedule::Schedule;
pub use sgd::Sgd;

use crate::error::{Error, Result};
use crate::parallel::Context;
use crate::params::{Groups, Table};

/// How fast a group of parameters learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The learning rate of this step.
    pub lr: f32,
    /// What is added to the gradient for each unit of the parameter: half the coefficient of the squared norm in the
    /// loss, doubled by the derivative.
    pub weight_decay: f32,
}

/// One of the optimisers, where the choice is a setting.
#[derive(Debug)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam.
    Adam(Adam),
}

impl Optimizer {
    /// One step; `rates` has one entry for each group.
    ///
    /// # Errors
    /// [`Error::Shape`] if `w`, `g` or `rates` do not fit; else as [`Context::tasks`].
    pub fn step(&mut self, context: &Context, groups: &Groups, rates: &[Rate], w: &mut [f32], g: &[f32]) -> Result<()> {
        match self {
            Self::Sgd(sgd) => sgd.step(context, groups, rates, w, g),
            Self::Adam(adam) => adam.step(context, groups, rates, w, g),
        }
    }

    /// The number of steps that it has made.
    #[must_use]
    pub fn steps(&self) -> u64 {
        match self {
            Self::Sgd(sgd) => sgd.steps(),
            Self::Adam(adam) => adam.steps(),
        }
    }

    /// Its state: an arena laid out as gradients are, under the name of each kind.
    #[must_use]
    pub fn state(&self) -> Vec<(&'static str, &[f32])> {
        match self {
            Self::Sgd(sgd) => vec![("momentum_buffer", sgd.velocity())],
            Self::Adam(adam) => vec![("exp_avg", adam.first_moment()), ("exp_avg_sq", adam.second_moment())],
        }
    }

    /// The state to be overwritten by that of a checkpoint taken after `steps` steps.
    pub fn restore(&mut self, steps: u64) -> Vec<(&'static str, &mut [f32])> {
        match self {
            Self::Sgd(sgd) => vec![("momentum_buffer", sgd.restore(steps))],
            Self::Adam(adam) => {
                let [first, second] = adam.restore(steps);
                vec![("exp_avg", first), ("exp_avg_sq", second)]
            }
        }
    }
}

/// Whether the operands of a step fit together; `w` may be longer, by the running statistics.
fn check(op: &'static str, groups: &Groups, rates: &[Rate], state: usize, w: &[f32], g: &[f32]) -> Result<()> {
    let expected = groups.trained_len();
    for (what, actual, fits) in [
        ("elements of the optimiser's state", state, state == expected),
        ("elements of the gradient", g.len(), g.len() == expected),
        ("elements of the parameters", w.len(), w.len() >= expected),
    ] {
        if !fits {
            return Err(Error::Shape { op, what, expected, actual });
        }
    }
    if rates.len() != groups.count() {
        return Err(Error::Shape { op, what: "rates", expected: groups.count(), actual: rates.len() });
    }
    Ok(())
}

/// A fraction in [0, 1), such as a momentum.
fn check_fraction(op: &'static str, what: &'static str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::Argument { op, what, requirement: "at least 0 and below 1", actual: value.to_string() })
}
