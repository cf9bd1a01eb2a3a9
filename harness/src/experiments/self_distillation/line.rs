//! Problems on the unit interval: the paper's illustrative example, and variants of it whose kernel matrix is not singular.

use regularity_engine::Context;

use super::chain::{Chain, Rule};
use super::kernels::{Kernel, sine};
use super::refusal::{Refusal, Result};
use super::spectrum::{Spectrum, weights};

/// The labels of the illustrative example at 0, 0.1, ..., 1: `sin(2 pi x)` with normal noise of deviation 0.5.
///
/// From the notebook `toy_example.ipynb` of the repository `Kennethborup/self_distillation`, which says that they are the
/// paper's own.
pub const LABELS: [f64; 11] = [
    0.38476636465198066,
    1.2333967683416893,
    1.33232242218057,
    0.6920159488889518,
    -0.29756145531871736,
    -0.24189291901377769,
    -0.7964485769175675,
    -0.9616480167034174,
    -0.49672509509916934,
    -0.3469066003991437,
    0.5589512650600734,
];
/// The tolerance of the illustrative example. Recalled, not read; the number of fits that it gives agrees with the
/// paper's figure as recalled.
pub const TOLERANCE: f64 = 0.045;
/// The inverse squared width of the well-conditioned kernel, from the same notebook.
pub const GAMMA: f64 = 80.0;
/// The ridge coefficient of that notebook, on the kernel matrix without the factor 1/K.
pub const LAMBDA: f64 = 0.2;

/// Points, labels and a kernel, in the eigenbasis of the kernel matrix, with a grid to judge fits on.
#[derive(Debug)]
pub struct Line {
    /// The kernel.
    pub kernel: Kernel,
    /// The training points.
    pub points: Vec<f64>,
    /// What kernel values are multiplied by: 1/K for the paper's problem, 1 for that of the extension.
    factor: f64,
    /// The kernel matrix, decomposed.
    pub spectrum: Spectrum,
    /// The labels in the eigenbasis.
    pub z: Vec<f64>,
    /// Their squares.
    pub w: Vec<f64>,
    /// Where fits are judged: evenly from 0 to 1.
    grid: Vec<f64>,
    /// Kernel values at the grid in the eigenbasis, a row for each grid point.
    rows: Vec<f64>,
}

impl Line {
    /// A problem whose kernel values are divided by the number of points, as the paper has it; judged at `grid` points.
    ///
    /// # Errors
    /// [`Refusal::Duplicate`] and others of [`Kernel::matrix`] and [`Spectrum::new`]; [`Refusal::Input`] if the numbers of
    /// points and labels differ or the grid has fewer than two points.
    pub fn new(context: &Context, kernel: Kernel, points: Vec<f64>, labels: &[f64], grid: usize) -> Result<Self> {
        let factor = 1.0 / points.len() as f64;
        Self::with_factor(context, kernel, points, labels, grid, factor)
    }

    /// The same with another factor of the kernel values.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_factor(
        context: &Context,
        kernel: Kernel,
        points: Vec<f64>,
        labels: &[f64],
        grid: usize,
        factor: f64,
    ) -> Result<Self> {
        if labels.len() != points.len() {
            let (what, requirement) = ("the number of labels", "that of the points");
            return Err(Refusal::Input { what, requirement, actual: labels.len() as f64 });
        }
        if grid < 2 {
            let (what, requirement) = ("the number of grid points", "at least 2");
            return Err(Refusal::Input { what, requirement, actual: grid as f64 });
        }
        let spectrum = Spectrum::new(context, &kernel.matrix(&points, factor)?, points.len())?;
        let z = spectrum.project(context, labels, 1)?;
        let w = weights(&z, 1);
        let grid: Vec<f64> = (0..grid).map(|i| i as f64 / (grid - 1) as f64).collect();
        let values: Vec<f64> = grid.iter().flat_map(|&x| kernel.row(x, &points, factor)).collect();
        let rows = spectrum.project_rows(context, &values, grid.len())?;
        Ok(Self { kernel, points, factor, spectrum, z, w, grid, rows })
    }

    /// The illustrative example: eleven points from 0 to 1.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn illustration(context: &Context, kernel: Kernel, grid: usize) -> Result<Self> {
        let points = (0..11).map(|k| f64::from(k) / 10.0).collect();
        Self::new(context, kernel, points, &LABELS, grid)
    }

    /// The same noise on eleven points inside of the interval, where the spline kernel has full rank.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn interior(context: &Context, grid: usize) -> Result<Self> {
        let points: Vec<f64> = (1..12).map(|k| f64::from(k) / 12.0).collect();
        let noise = LABELS.iter().enumerate().map(|(k, y)| y - sine(k as f64 / 10.0));
        let labels: Vec<f64> = points.iter().zip(noise).map(|(&x, noise)| sine(x) + noise).collect();
        Self::new(context, Kernel::Spline, points, &labels, grid)
    }

    /// Other labels at the same points.
    ///
    /// # Errors
    /// Those of the engine for a wrong number of labels.
    pub fn relabel(&mut self, context: &Context, labels: &[f64]) -> Result<()> {
        self.z = self.spectrum.project(context, labels, 1)?;
        self.w = weights(&self.z, 1);
        Ok(())
    }

    /// A chain on the labels.
    #[must_use]
    pub fn chain(&self, rule: Rule) -> Chain {
        Chain::new(self.spectrum.d(), self.z.clone(), 1, rule)
    }

    /// The norm of the labels.
    #[must_use]
    pub fn norm(&self) -> f64 {
        self.w.iter().sum::<f64>().sqrt()
    }

    /// The mean square of the part of the labels that no function of the space can follow.
    #[must_use]
    pub fn irreducible(&self) -> f64 {
        self.w[self.spectrum.rank()..].iter().sum::<f64>() / self.w.len() as f64
    }

    /// Where fits are judged.
    #[must_use]
    pub fn grid(&self) -> &[f64] {
        &self.grid
    }

    /// Kernel values at grid point `i` in the eigenbasis: `V g_x`.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f64] {
        let n = self.points.len();
        &self.rows[i * n..(i + 1) * n]
    }

    /// A function on the grid, from its coefficients in the eigenbasis.
    #[must_use]
    pub fn on_grid(&self, coefficients: &[f64]) -> Vec<f64> {
        (0..self.grid.len()).map(|i| dot(self.row(i), coefficients)).collect()
    }

    /// A function at any point.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn at(&self, context: &Context, x: f64, coefficients: &[f64]) -> Result<f64> {
        let weights = self.spectrum.lift(context, coefficients, 1)?;
        Ok(dot(&self.kernel.row(x, &self.points, self.factor), &weights))
    }

    /// The mean squared distance from the truth on the grid.
    #[must_use]
    pub fn test_error(&self, coefficients: &[f64]) -> f64 {
        let f = self.on_grid(coefficients);
        let squares = f.iter().zip(&self.grid).map(|(f, &x)| (f - sine(x)) * (f - sine(x)));
        squares.sum::<f64>() / f.len() as f64
    }
}

/// The sum of products, in ascending order.
#[must_use]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
