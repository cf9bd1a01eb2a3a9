//! The arms on the unit interval: all of them are done in a moment, one part a step.

use regularity_engine::Context;
use regularity_engine::math::scalar;
use regularity_engine::random::Stream;

use super::bounds::Bounds;
use super::chain::{Round, Rule, coefficients};
use super::equivalent;
use super::expected::{DRAW_EXCESS, GAUSSIAN_TOLERANCES, INTERIOR_TOLERANCES, SHARES, STEPS};
use super::fit::{Fit, roughness, solve};
use super::kernels::{Kernel, sine};
use super::line::{GAMMA, LABELS, LAMBDA, Line, TOLERANCE};
use super::mixture;
use super::refusal::Result as Refused;
use crate::error::Result;
use crate::experiments::{Arm, Progress, State};
use crate::record::{Recorder, Tensors};

/// Points on which functions are judged, as the specification has it.
const GRID: usize = 1001;
/// The same for the extension, as its notebook has it.
const EXTENSION_GRID: usize = 101;
/// Of the points of the grid every tenth is recorded for the figures.
pub const FIGURE_STRIDE: usize = 10;
/// Rounds at most where the number is not known.
const MOST_ROUNDS: usize = 10_000;
/// Draws of noise in one step.
const DRAWS_AT_ONCE: u64 = 100;

/// A part of the work on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The paper's illustrative example.
    Spline,
    /// The same kernel on points inside of the interval.
    Interior,
    /// A well-conditioned kernel on the points of the example.
    Gaussian,
    /// The extension with a share of the ground truth.
    Extension,
}

impl Part {
    /// All, in the order of the report.
    pub const ALL: [Self; 4] = [Self::Spline, Self::Interior, Self::Gaussian, Self::Extension];

    /// The arm's name.
    #[must_use]
    pub const fn arm(self) -> &'static str {
        match self {
            Self::Spline => "spline",
            Self::Interior => "interior",
            Self::Gaussian => "gaussian",
            Self::Extension => "extension",
        }
    }
}

/// An arm that does one part in one step.
#[derive(Debug)]
pub struct LineArm {
    part: Part,
    done: bool,
}

impl LineArm {
    /// At the beginning.
    #[must_use]
    pub fn new(part: Part) -> Self {
        Self { part, done: false }
    }
}

impl Arm for LineArm {
    fn step(&mut self, context: &Context, recorder: &mut Recorder) -> Result<Progress> {
        match self.part {
            Part::Spline => spline(context, recorder)?,
            Part::Interior => interior(context, recorder)?,
            Part::Gaussian => gaussian(context, recorder)?,
            Part::Extension => extension(context, recorder)?,
        }
        self.done = true;
        Ok(Progress::Finished)
    }

    fn save(&self, state: &mut State) -> Result<()> {
        state.set_note(&self.done)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.done = state.note()?;
        Ok(())
    }

    fn finish(&self, _: &mut Tensors) -> Result<()> {
        Ok(())
    }
}

/// What is recorded of a round: step t of each metric.
fn record_round(recorder: &mut Recorder, line: &Line, round: &Round) -> Result<()> {
    let (t, d) = (round.t as u64, line.spectrum.d());
    let (before, after) = round.norms(1);
    recorder.record("c", t, round.ridge.c())?;
    recorder.record("norm_before", t, before)?;
    recorder.record("norm_after", t, after)?;
    recorder.record("training_error", t, round.training_error(&line.w))?;
    recorder.record("test_error", t, line.test_error(&round.coefficients(d, 1)))?;
    recorder.record("roughness", t, round.roughness)?;
    recorder.record("degrees_of_freedom", t, round.degrees_of_freedom())?;
    recorder.record("sparsity", t, round.sparsity())
}

fn spline(context: &Context, recorder: &mut Recorder) -> Result<()> {
    let line = Line::illustration(context, Kernel::Spline, GRID)?;
    let (d, w) = (line.spectrum.d(), &line.w);
    let rounds = line.chain(Rule::Tolerance(TOLERANCE)).rounds(MOST_ROUNDS)?;
    recorder.record("fits", 0, rounds.len() as u64)?;
    recorder.record("irreducible", 0, line.irreducible())?;
    for (k, (&d, z)) in d.iter().zip(&line.z).enumerate() {
        recorder.record("eigenvalue", k as u64, d)?;
        recorder.record("target", k as u64, *z)?;
    }
    for round in &rounds {
        let t = round.t as u64;
        record_round(recorder, &line, round)?;
        let equivalent = equivalent::eigenvalues(&round.log_b, rounds[0].ridge.c());
        recorder.record("equivalent_trace", t, equivalent.iter().sum::<f64>())?;
        for (k, (a, b)) in round.shrink.iter().zip(round.b()).enumerate() {
            recorder.record(&format!("a/{t}"), k as u64, *a)?;
            recorder.record(&format!("b/{t}"), k as u64, b)?;
        }
        let function = line.on_grid(&round.coefficients(d, 1));
        for (i, f) in function.iter().enumerate().step_by(FIGURE_STRIDE) {
            recorder.record(&format!("function/{t}"), i as u64, *f)?;
        }
        // Neighbours whose ratio no single fit can reach.
        let ratio = |k: usize| round.log_b[k] - round.log_b[k + 1];
        let beyond = (0..line.spectrum.rank() - 1).filter(|&k| scalar::exp(ratio(k)) > d[k] / d[k + 1]).count();
        recorder.record("beyond_single_fits", t, beyond as u64)?;
        if t > 0
            && let Fit::Ridge(single) = solve(d, w, round.training_error(w))?
        {
            recorder.record("single/c", t, single.c())?;
            recorder.record("single/test_error", t, line.test_error(&coefficients(d, &line.z, 1, single)))?;
            recorder.record("single/roughness", t, roughness(d, w, single))?;
        }
    }
    // The chain's last word: the zero function.
    recorder.record("zero/training_error", 0, w.iter().sum::<f64>() / w.len() as f64)?;
    recorder.record("zero/test_error", 0, line.test_error(&vec![0.0; w.len()]))
}

fn interior(context: &Context, recorder: &mut Recorder) -> Result<()> {
    let line = Line::interior(context, GRID)?;
    let bounds = Bounds::new(line.spectrum.d(), line.norm(), TOLERANCE)?;
    for round in line.chain(Rule::Tolerance(TOLERANCE)).rounds(MOST_ROUNDS)? {
        record_round(recorder, &line, &round)?;
    }
    recorder.record("condition", 0, bounds.kappa)?;
    recorder.record("guaranteed_rounds", 0, bounds.guaranteed())?;
    recorder.record("crossing", 0, bounds.crossing())?;
    recorder.record("sparsity_bound_excess", 0, bounds.sparsity(line.spectrum.d()) - 1.0)?;
    recorder.record("sparsity_limit_excess", 0, bounds.sparsity_limit(line.spectrum.d()) - 1.0)?;
    for (i, &eps) in INTERIOR_TOLERANCES.iter().enumerate() {
        let fits = line.chain(Rule::Tolerance(eps)).rounds(MOST_ROUNDS)?.len();
        recorder.record("fits", i as u64, fits as u64)?;
    }
    Ok(())
}

fn gaussian(context: &Context, recorder: &mut Recorder) -> Result<()> {
    let line = Line::illustration(context, Kernel::Gaussian { gamma: GAMMA }, GRID)?;
    let d = line.spectrum.d();
    for (i, &eps) in GAUSSIAN_TOLERANCES.iter().enumerate() {
        let (i, bounds) = (i as u64, Bounds::new(d, line.norm(), eps)?);
        let rounds = line.chain(Rule::Tolerance(eps)).rounds(MOST_ROUNDS)?;
        let errors: Vec<f64> = rounds.iter().map(|round| line.test_error(&round.coefficients(d, 1))).collect();
        recorder.record("r0", i, bounds.r0)?;
        recorder.record("guaranteed_rounds", i, bounds.guaranteed())?;
        recorder.record("crossing", i, bounds.crossing())?;
        recorder.record("sparsity_bound", i, bounds.sparsity(d))?;
        recorder.record("sparsity_limit", i, bounds.sparsity_limit(d))?;
        recorder.record("fits", i, rounds.len() as u64)?;
        let best = (0..errors.len()).min_by(|&i, &j| errors[i].total_cmp(&errors[j]));
        if let (Some(best), Some(last)) = (best, rounds.last()) {
            recorder.record("sparsity", i, last.sparsity())?;
            recorder.record("best_round", i, best as u64)?;
            recorder.record("best_test_error", i, errors[best])?;
        }
    }
    Ok(())
}

fn extension(context: &Context, recorder: &mut Recorder) -> Result<()> {
    let points = (0..LABELS.len()).map(|k| k as f64 / 10.0).collect();
    let kernel = Kernel::Gaussian { gamma: GAMMA };
    let line = Line::with_factor(context, kernel, points, &LABELS, EXTENSION_GRID, 1.0)?;
    for (i, &alpha) in SHARES.iter().enumerate() {
        for step in 0..STEPS {
            let coefficient = |(&d, &z): (&f64, &f64)| {
                if step + 1 == STEPS {
                    mixture::limit_coefficient(d, z, LAMBDA, alpha)
                } else {
                    mixture::coefficient(d, z, LAMBDA, alpha, step + 1)
                }
            };
            let coefficients: Vec<f64> = line.spectrum.d().iter().zip(&line.z).map(coefficient).collect();
            recorder.record(&format!("test_error/{i}"), step as u64, line.test_error(&coefficients))?;
        }
    }
    Ok(())
}

/// The illustrative example with fresh noise, many times: whether the second fit is better than the first.
///
/// With noise at both ends, where every function of the space is zero, no fixed tolerance suits all draws: here it is the
/// irreducible part of each plus what 0.045 leaves beside that of the published labels.
#[derive(Debug)]
pub struct DrawsArm {
    seed: u64,
    draws: u64,
    done: u64,
    /// For each round, the sum of the test errors and the number of draws that had not collapsed.
    sums: Vec<(f64, u64)>,
    /// Draws in which the second fit was better than the first.
    better: u64,
    line: Option<Line>,
}

/// Rounds of which the mean is recorded.
const MEAN_ROUNDS: usize = 5;

impl DrawsArm {
    /// At the beginning.
    #[must_use]
    pub fn new(seed: u64, draws: u64) -> Self {
        Self { seed, draws, done: 0, sums: vec![(0.0, 0); MEAN_ROUNDS], better: 0, line: None }
    }

    fn draw(&mut self, context: &Context, index: u64) -> Refused<()> {
        let line = match &mut self.line {
            Some(line) => line,
            none => none.insert(Line::illustration(context, Kernel::Spline, EXTENSION_GRID)?),
        };
        let mut noise = [0.0f32; LABELS.len()];
        Stream::new(self.seed, "self-distillation/draws", index).fill_normal(context, 0, &mut noise, 0.0, 0.5)?;
        let labels: Vec<f64> = line.points.iter().zip(noise).map(|(&x, n)| sine(x) + f64::from(n)).collect();
        line.relabel(context, &labels)?;
        let eps = line.irreducible() + DRAW_EXCESS;
        let rounds = line.chain(Rule::Tolerance(eps)).rounds(MEAN_ROUNDS)?;
        let error = |round: &Round| line.test_error(&round.coefficients(line.spectrum.d(), 1));
        let errors: Vec<f64> = rounds.iter().map(error).collect();
        for (sum, error) in self.sums.iter_mut().zip(&errors) {
            *sum = (sum.0 + error, sum.1 + 1);
        }
        self.better += u64::from(errors.len() > 1 && errors[1] < errors[0]);
        Ok(())
    }
}

impl Arm for DrawsArm {
    fn step(&mut self, context: &Context, recorder: &mut Recorder) -> Result<Progress> {
        for _ in 0..DRAWS_AT_ONCE.min(self.draws - self.done) {
            self.draw(context, self.done)?;
            self.done += 1;
        }
        if self.done == self.draws {
            recorder.record("second_better", 0, self.better as f64 / self.draws as f64)?;
            for (t, (sum, count)) in self.sums.iter().enumerate().filter(|(_, sum)| sum.1 > 0) {
                recorder.record("mean_test_error", t as u64, sum / *count as f64)?;
                recorder.record("draws_left", t as u64, *count)?;
            }
        }
        Ok(Progress::of(self.done, self.draws))
    }

    fn save(&self, state: &mut State) -> Result<()> {
        state.set_note(&(self.done, self.better, &self.sums))
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        (self.done, self.better, self.sums) = state.note()?;
        Ok(())
    }

    fn finish(&self, _: &mut Tensors) -> Result<()> {
        Ok(())
    }
}
