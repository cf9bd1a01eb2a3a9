//! An arm: a network that trains from its first step to its last.

use regularity_engine::Context;
use serde::{Deserialize, Serialize};

use super::data::{Counts, Examples, Patterns};
use super::measure::{changed, evaluate};
use super::network::{Network, Noise, Step};
use crate::error::{Error, Result};
use crate::experiments::large_lr::settings::Theory;
use crate::experiments::{Arm, Progress, State};
use crate::record::{Recorder, Tensors};

/// Steps between two calls of the harness.
const BLOCK: u64 = 8;
/// Evaluations are this factor apart in time, so that a figure with a logarithmic axis has them evenly.
const SPACING: f64 = 1.08;
/// `ln 2`: the loss of an example with the output 0.
pub const LN_2: f64 = std::f64::consts::LN_2;

/// How an arm trains, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub arm: &'static str,
    /// Whether it begins with the noise of the large learning rate, until it is annealed.
    pub hot: bool,
    /// By how much its time step is shorter than the large learning rate.
    pub divisor: u32,
    /// Which patterns it sees.
    pub patterns: Patterns,
}

/// L-S: large, then small learning rate.
pub const LARGE: Plan = Plan { arm: "theory-large", hot: true, divisor: 1, patterns: Patterns::All };
/// S: small learning rate throughout.
pub const SMALL: Plan = Plan { arm: "theory-small", hot: false, divisor: 1, patterns: Patterns::All };
/// The remedy: half the step, with the noise of the large learning rate until it is removed.
pub const SMALL_NOISE: Plan = Plan { arm: "theory-noise", hot: true, divisor: 2, patterns: Patterns::All };
/// L-S without Q patterns.
pub const LARGE_NO_Q: Plan = Plan { arm: "theory-large-no-q", patterns: Patterns::WithoutQ, ..LARGE };
/// S without Q patterns: P is learned from all examples that hold it.
pub const SMALL_NO_Q: Plan = Plan { arm: "theory-small-no-q", patterns: Patterns::WithoutQ, ..SMALL };
/// S on the examples with P alone.
pub const SMALL_FEW: Plan = Plan { arm: "theory-few", patterns: Patterns::POnly, ..SMALL };
/// All arms, in the order of output.
pub const PLANS: [Plan; 6] = [LARGE, SMALL, SMALL_NOISE, LARGE_NO_Q, SMALL_NO_Q, SMALL_FEW];

/// A running arm.
#[derive(Debug)]
pub struct Run<'a> {
    settings: &'a Theory,
    plan: Plan,
    network: Network,
    noise: Noise,
    train: Examples,
    test: Examples,
    /// Activation patterns at the last window's end.
    patterns: Vec<u8>,
    at: Position,
}

/// Where an arm stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Position {
    /// Steps taken.
    step: u64,
    /// The step from which on the noise is that of the small learning rate.
    annealed: Option<u64>,
    /// The step of the next evaluation.
    evaluate: u64,
    /// The step at which the next window of activation patterns ends.
    window: u64,
    /// The stop level was reached, or the time is up.
    over: bool,
}

impl<'a> Run<'a> {
    /// An arm at its beginning.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn new(settings: &'a Theory, plan: Plan, seed: u64, context: &Context) -> Result<Self> {
        let alpha_min = settings.alpha_min as f32;
        let draw = |set, counts| Examples::draw(context, set, seed, settings.d, counts, alpha_min);
        let train = draw("train", settings.counts())?.only(plan.patterns, settings.d);
        let test = draw("test", Counts { p_only: settings.test, q_only: 0, both: settings.test })?;
        let mut network = Network::new(settings.shape(), settings.tau as f32, seed, context)?;
        let mut patterns = Vec::new();
        network.q_branch(context)?;
        network.patterns(&mut patterns);
        let annealed = if plan.hot { None } else { Some(0) };
        let at = Position { step: 0, annealed, evaluate: 0, window: 0, over: false };
        Ok(Self { settings, plan, network, noise: Noise::new(seed), train, test, patterns, at })
    }

    fn step_size(&self) -> f64 {
        self.settings.step / f64::from(self.plan.divisor)
    }

    /// Steps that fill a time, at least one.
    fn steps(&self, time: f64) -> u64 {
        ((time / self.step_size()).ceil() as u64).max(1)
    }

    /// The last step, if no level of the loss comes before.
    fn last_step(&self) -> u64 {
        let Theory { time1, time2, .. } = *self.settings;
        match (self.plan.hot, self.at.annealed) {
            (true, Some(step)) => step + self.steps(time2),
            _ => self.steps(time1 + time2),
        }
    }

    /// The rule of the next step.
    fn rule(&self) -> Step {
        let Theory { temperature, ratio, weight_decay, .. } = *self.settings;
        let hot = self.at.annealed.is_none();
        Step {
            size: self.step_size() as f32,
            temperature: (if hot { temperature } else { temperature * ratio }) as f32,
            weight_decay: if hot { weight_decay as f32 } else { 0.0 },
        }
    }

    /// One step, and what its loss decides.
    fn advance(&mut self, context: &Context) -> Result<()> {
        let rule = self.rule();
        let seen = self.network.step(context, &self.train, rule, &self.noise, self.at.step)?;
        if !seen.loss.is_finite() {
            return Err(Error::NonFinite { what: format!("the loss is {}", seen.loss), step: self.at.step });
        }
        self.at.step += 1;
        let Theory { epsilon1, epsilon2, time1, q_only, .. } = *self.settings;
        let chance = if self.train.has_q { q_only as f64 / self.train.total as f64 * LN_2 } else { 0.0 };
        let loss = f64::from(seen.loss);
        match self.at.annealed {
            None if loss < epsilon1 + chance || self.at.step >= self.steps(time1) => {
                self.at.annealed = Some(self.at.step);
                self.at.evaluate = self.at.step;
            }
            None => {}
            Some(_) => self.at.over = loss < epsilon2 || self.at.step >= self.last_step(),
        }
        Ok(())
    }

    /// Records what there is to record between two steps.
    fn observe(&mut self, context: &Context, recorder: &mut Recorder) -> Result<()> {
        let step = self.at.step;
        if step == self.at.window && self.train.has_q {
            let before = std::mem::take(&mut self.patterns);
            self.network.q_branch(context)?;
            self.network.patterns(&mut self.patterns);
            if step > 0 {
                recorder.record("activation_change", step, changed(&before, &self.patterns))?;
            }
            self.at.window = step + self.steps(self.settings.window);
        }
        if self.at.annealed == Some(step) && self.plan.hot {
            recorder.record("annealing_time", step, step as f64 * self.step_size())?;
        }
        if step == self.at.evaluate || self.at.over {
            recorder.record("time", step, step as f64 * self.step_size())?;
            for (name, value) in evaluate(&mut self.network, context, &self.train, &self.test)? {
                recorder.record(name, step, value)?;
            }
            self.at.evaluate = (step + 1).max((step as f64 * SPACING) as u64);
        }
        Ok(())
    }
}

impl Arm for Run<'_> {
    fn step(&mut self, context: &Context, recorder: &mut Recorder) -> Result<Progress> {
        for _ in 0..BLOCK {
            self.observe(context, recorder)?;
            if self.at.over {
                return Ok(Progress::Finished);
            }
            self.advance(context)?;
        }
        Ok(Progress::Running(self.at.step as f64 / (self.last_step() + 1) as f64))
    }

    fn save(&self, state: &mut State) -> Result<()> {
        self.finish(&mut state.tensors)?;
        state.tensors.put("patterns", &[self.patterns.len()], &self.patterns)?;
        state.set_note(&self.at)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.at = state.note()?;
        self.patterns = state.tensors.get("patterns")?.to_vec();
        if !self.network.set_weights(state.tensors.get("w")?, state.tensors.get("v")?) {
            let reason = "its weights have other sizes".to_owned();
            return Err(Error::Damaged { path: "".into(), reason });
        }
        Ok(())
    }

    fn finish(&self, tensors: &mut Tensors) -> Result<()> {
        for (name, shape, weights) in self.network.weights() {
            tensors.put(name, &shape, weights)?;
        }
        Ok(())
    }
}
