//! The arm on images: one kernel, one seed, all tolerances; one eigendecomposition for everything.
//!
//! A step prepares a part (kernel matrix, its decomposition, the test kernel in the eigenbasis), or makes one round, or
//! evaluates one single fit. What was prepared is no part of a checkpoint: a run that is resumed prepares it again, to
//! the same bits.

use regularity_engine::Context;
use regularity_engine::kernels::gemm::{Options, gemm};
use regularity_engine::math::scalar;
use regularity_engine::tensor::{MatMut, MatRef};

use super::chain::{Chain, Round, Rule, coefficients};
use super::fit::{Fit, Ridge, solve};
use super::images::{Fixed, ImageKernel, accuracy, centred_targets, median_distance, noisy_labels};
use super::laws::Laws;
use super::load::Pictures;
use super::refusal::Result as Refused;
use super::settings::ImageSettings;
use super::spectrum::{Spectrum, weights};
use crate::error::Result;
use crate::experiments::{Arm, Progress, State};
use crate::record::{Recorder, Tensors};

/// The arm's name for a kernel and a share of label noise.
#[must_use]
pub fn name(kernel: ImageKernel, noisy: bool) -> String {
    format!("{}-{}", kernel.name(), if noisy { "noisy" } else { "clean" })
}

/// Kernel regression on images.
pub struct ImageArm<'a> {
    kernel: ImageKernel,
    noise: f64,
    seed: u64,
    settings: &'a ImageSettings,
    pictures: &'a Pictures,
    /// Where the work is: the tolerance, and the round of its chain. After the last tolerance, rounds count single fits.
    place: (usize, u64),
    prepared: Option<Prepared>,
    running: Option<Running>,
}

/// What everything is made from.
struct Prepared {
    matrix: Option<Vec<f64>>,
    fixed: Fixed,
    rest: Option<Projected>,
}

struct Projected {
    spectrum: Spectrum,
    /// Test kernel rows in the eigenbasis.
    test_rows: Vec<f64>,
    /// Labels with noise.
    labels: Vec<u8>,
    z: Vec<f64>,
    w: Vec<f64>,
}

/// A chain on its way.
struct Running {
    chain: Chain,
    previous: Option<Round>,
}

impl<'a> ImageArm<'a> {
    /// At the beginning.
    #[must_use]
    pub fn new(
        kernel: ImageKernel,
        noisy: bool,
        seed: u64,
        settings: &'a ImageSettings,
        pictures: &'a Pictures,
    ) -> Self {
        let noise = if noisy { settings.noise } else { 0.0 };
        Self { kernel, noise, seed, settings, pictures, place: (0, 0), prepared: None, running: None }
    }

    /// Work that is done, of all; the number of rounds is not known before.
    fn progress(&self) -> Progress {
        let parts = self.settings.tolerances.len() as f64 + 1.0;
        let within = if self.place.0 == self.settings.tolerances.len() {
            self.place.1 as f64 / self.settings.ridge_grid as f64
        } else {
            self.place.1 as f64 / self.settings.most_rounds as f64
        };
        let done = (self.place.0 as f64 + within) / parts;
        if done >= 1.0 { Progress::Finished } else { Progress::Running(done) }
    }

    /// The next part of the preparation; whether there was one.
    fn prepare(&mut self, context: &Context, recorder: &mut Recorder) -> Result<bool> {
        let (train, test) = (&self.pictures.train, &self.pictures.test);
        let Some(prepared) = &mut self.prepared else {
            let fixed = match self.kernel {
                ImageKernel::Gaussian => Fixed::Gaussian(1.0 / median_distance(train, self.seed)?),
                ImageKernel::Ntk => Fixed::Ntk,
            };
            self.prepared = Some(Prepared { matrix: Some(fixed.matrix(context, train)?), fixed, rest: None });
            return Ok(true);
        };
        if let Some(matrix) = prepared.matrix.take() {
            let spectrum = Spectrum::new(context, &matrix, train.count)?;
            let rows = prepared.fixed.rows(context, test, train)?;
            let test_rows = spectrum.project_rows(context, &rows, test.count)?;
            let classes = self.pictures.classes;
            let labels = noisy_labels(&self.pictures.train_labels, classes, self.noise, self.seed)?;
            let z = spectrum.project(context, &centred_targets(&labels, classes), classes)?;
            let w = weights(&z, classes);
            // A resumed run has noted it already.
            if !recorder.series().contains_key("rank") {
                let wrong = labels.iter().zip(&self.pictures.train_labels).filter(|(a, b)| a != b).count();
                recorder.record("wrong_labels", 0, wrong as f64 / labels.len() as f64)?;
                recorder.record("rank", 0, spectrum.rank() as u64)?;
                let reached = &spectrum.d()[..spectrum.rank()];
                if let (Some(largest), Some(smallest)) = (reached.first(), reached.last()) {
                    recorder.record("condition", 0, largest / smallest)?;
                    recorder.record("largest_eigenvalue", 0, *largest)?;
                }
            }
            prepared.rest = Some(Projected { spectrum, test_rows, labels, z, w });
            return Ok(true);
        }
        Ok(false)
    }

    /// The chain of the tolerance at hand, brought to the round at hand.
    fn chain(&self, ready: &Projected, eps: f64) -> Refused<Running> {
        let chain = Chain::new(ready.spectrum.d(), ready.z.clone(), self.pictures.classes, Rule::Tolerance(eps));
        let mut running = Running { chain, previous: None };
        for _ in 0..self.place.1 {
            running.previous = running.chain.next_round()?;
        }
        Ok(running)
    }

    /// One round with its early-stopped twin; false when the chain is done.
    fn round(&mut self, context: &Context, recorder: &mut Recorder) -> Result<bool> {
        let Some(ready) = self.prepared.as_ref().and_then(|p| p.rest.as_ref()) else { return Ok(false) };
        let (index, t) = self.place;
        let classes = self.pictures.classes;
        let eps = self.settings.tolerances[index] * ready.w.iter().sum::<f64>() / ready.w.len() as f64;
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.chain(ready, eps)?,
        };
        let metric = |name: &str| format!("{index}/{name}");
        let round = if t < self.settings.most_rounds { running.chain.next_round()? } else { None };
        let Some(round) = round else {
            recorder.record(&metric("fits"), 0, t)?;
            recorder.record(&metric("collapsed"), 0, u64::from(t < self.settings.most_rounds))?;
            return Ok(false);
        };
        let d = ready.spectrum.d();
        let laws = Laws { d, w0: &ready.w, eps, columns: classes };
        recorder.record(&metric("broken_laws"), t, laws.broken(running.previous.as_ref(), &round)?)?;
        recorder.record(&metric("c"), t, round.ridge.c())?;
        recorder.record(&metric("training_error"), t, round.training_error(&ready.w))?;
        recorder.record(&metric("roughness"), t, round.roughness)?;
        recorder.record(&metric("degrees_of_freedom"), t, round.degrees_of_freedom())?;
        recorder.record(&metric("sparsity"), t, round.sparsity())?;
        let test = self.test_accuracy(context, ready, &round.coefficients(d, classes))?;
        recorder.record(&metric("test_accuracy"), t, test)?;
        let outputs = ready.spectrum.lift(context, &round.predictions(classes), classes)?;
        recorder.record(&metric("train_accuracy"), t, accuracy(&outputs, &ready.labels, classes))?;
        let clean = accuracy(&outputs, &self.pictures.train_labels, classes);
        recorder.record(&metric("clean_accuracy"), t, clean)?;
        if t > 0
            && let Fit::Ridge(single) = solve(d, &ready.w, round.training_error(&ready.w))?
        {
            let coefficients = coefficients(d, &ready.z, classes, single);
            recorder.record(&metric("single/c"), t, single.c())?;
            let test = self.test_accuracy(context, ready, &coefficients)?;
            recorder.record(&metric("single/test_accuracy"), t, test)?;
        }
        running.previous = Some(round);
        self.running = Some(running);
        Ok(true)
    }

    /// A single fit of the grid, from the smallest coefficient to the largest.
    fn single(&self, context: &Context, recorder: &mut Recorder) -> Result<()> {
        let Some(ready) = self.prepared.as_ref().and_then(|p| p.rest.as_ref()) else { return Ok(()) };
        let (d, step) = (ready.spectrum.d(), self.place.1);
        // From a millionth of the largest eigenvalue to ten times it.
        let share = step as f64 / (self.settings.ridge_grid.max(2) - 1) as f64;
        let largest = d.first().copied().unwrap_or(1.0);
        let c = largest * scalar::exp(std::f64::consts::LN_10 * (7.0 * share - 6.0));
        let fit = coefficients(d, &ready.z, self.pictures.classes, Ridge::with_c(c));
        recorder.record("ridge/c", step, c)?;
        recorder.record("ridge/test_accuracy", step, self.test_accuracy(context, ready, &fit)?)
    }

    fn test_accuracy(&self, context: &Context, ready: &Projected, coefficients: &[f64]) -> Refused<f64> {
        let (m, n, classes) = (self.pictures.test.count, self.pictures.train.count, self.pictures.classes);
        let mut outputs = vec![0.0; m * classes];
        let (rows, fit) = (MatRef::new(&ready.test_rows, m, n)?, MatRef::new(coefficients, n, classes)?);
        gemm(context, rows, fit, MatMut::new(&mut outputs, m, classes)?, &Options::default())?;
        Ok(accuracy(&outputs, &self.pictures.test_labels, classes))
    }
}

impl Arm for ImageArm<'_> {
    fn step(&mut self, context: &Context, recorder: &mut Recorder) -> Result<Progress> {
        if self.prepare(context, recorder)? {
            return Ok(Progress::Running(0.0));
        }
        if self.place.0 < self.settings.tolerances.len() {
            self.place =
                if self.round(context, recorder)? { (self.place.0, self.place.1 + 1) } else { (self.place.0 + 1, 0) };
        } else {
            self.single(context, recorder)?;
            self.place.1 += 1;
        }
        Ok(self.progress())
    }

    fn save(&self, state: &mut State) -> Result<()> {
        state.set_note(&self.place)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.place = state.note()?;
        self.running = None;
        Ok(())
    }

    fn finish(&self, tensors: &mut Tensors) -> Result<()> {
        let Some(ready) = self.prepared.as_ref().and_then(|p| p.rest.as_ref()) else { return Ok(()) };
        tensors.put("eigenvalues", &[ready.spectrum.size()], ready.spectrum.d())?;
        tensors.put("targets", &[ready.spectrum.size(), self.pictures.classes], &ready.z)
    }
}
