//! Normalisation up to its second derivative.
//!
//! A *set* is what shares a mean and a variance: a channel of the whole batch, or a group of channels of one example. Over
//! the N elements of a set, with means `<.>`, and `r = 1 / sqrt(<(x - <x>)^2> + eps)`,
//!
//! ```text
//! h = r (x - <x>)          z = gamma h + beta
//! ```
//!
//! The tangent along `x_t`, `gamma_t`, `beta_t` (the derivative of r is `-r^2 B`):
//!
//! ```text
//! A = <x_t>          B = <h x_t>          h_t = r (x_t - A - h B)
//! z_t = gamma_t h + gamma h_t + beta_t
//! ```
//!
//! The gradient from `d = d_z`, and `e = gamma d`; the map from x_t to h_t is symmetric, so that it appears again:
//!
//! ```text
//! S = <e>            T = <h e>            d_x = r (e - S - h T)
//! d_gamma = sum(h d)                      d_beta = sum(d)
//! ```
//!
//! The tangent of the gradient, with `d_t` that of `d`, and `e_t = gamma_t d + gamma d_t`:
//!
//! ```text
//! S_t = <e_t>        T_t = <h_t e + h e_t>
//! d_x_t = -r^2 B (e - S - h T) + r (e_t - S_t - h_t T - h T_t)
//! d_gamma_t = sum(h_t d + h d_t)          d_beta_t = sum(d_t)
//! ```
//!
//! Statistics of the past are constants: then A = B = S = T = S_t = T_t = 0. Everything needed is the sum over the pixels
//! of each channel of each example of `x_t`, `(x - <x>) x_t`, `d`, `(x - <x>) d`, `d_t`, `(x - <x>) d_t` and
//! `(x_t - A) d`; each of `z`, `z_t`, `d_x` and `d_x_t` is then a sum of at most four tensors with coefficients for each
//! channel. Sums over examples are left-balanced trees, sums over the channels of a group chains from `+0`.

use super::maps::{Rows, combine, product_sums, sums};
use crate::error::Result;
use crate::parallel::Context;
use crate::simd::Real;

/// Added to a variance.
const EPS: f64 = 1e-5;

/// What shares a mean and a variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sets {
    /// Channels of the batch.
    Channels,
    /// This number of groups of channels in each example.
    Groups(usize),
    /// Nothing: statistics of the past.
    Fixed,
}

/// A normalisation at the point where its derivatives are taken.
#[derive(Debug)]
pub(super) struct Standard {
    sets: Sets,
    n: usize,
    c: usize,
    /// Elements of a set.
    count: f64,
    mean: Rows,
    r: Rows,
}

/// `A` and `B`.
#[derive(Debug)]
pub(super) struct Along {
    a: Rows,
    b: Rows,
}

/// Factors and biases, or their tangents, or their gradients.
pub(super) type Affine<'a, T> = [&'a [T]; 2];

/// The left-balanced tree over examples of rows `[n, c]`.
fn over_examples(partials: &[f64], n: usize, c: usize) -> Vec<f64> {
    let mut rows = partials.to_vec();
    let mut step = 1;
    while step < n {
        for i in (0..n - step).step_by(2 * step) {
            let (left, right) = rows[i * c..].split_at_mut(step * c);
            left[..c].iter_mut().zip(&right[..c]).for_each(|(left, right)| *left += right);
        }
        step *= 2;
    }
    rows.truncate(c);
    rows
}

impl Standard {
    /// Takes the statistics of `x`, `[n, pixels, c]`.
    pub(super) fn measure<T: Real>(context: &Context, sets: Sets, n: usize, c: usize, x: &[T]) -> Result<Self> {
        let pixels = x.len() / (n * c);
        let count = match sets {
            Sets::Groups(groups) => c / groups * pixels,
            Sets::Channels | Sets::Fixed => n * pixels,
        };
        let mut this = Self { sets, n, c, count: count as f64, mean: Rows::default(), r: Rows::default() };
        this.mean = this.means(sums(context, x, c, n)?);
        let squares = product_sums(context, (x, &this.mean), (x, &this.mean), n)?;
        this.r = this.means(squares).map(|var| 1.0 / (var + EPS).sqrt());
        Ok(this)
    }

    /// Takes statistics of the past, `[c]` each.
    pub(super) fn fixed<T: Real>(n: usize, mean: &[T], var: &[T]) -> Self {
        let row = |x: &[T]| Rows { data: x.iter().map(|x| x.to_f64()).collect(), c: x.len() };
        let r = row(var).map(|var| 1.0 / (var + EPS).sqrt());
        Self { sets: Sets::Fixed, n, c: mean.len(), count: 1.0, mean: row(mean), r }
    }

    /// From what each channel of each example adds to the mean over its set; zero for statistics of the past.
    fn means(&self, mut partials: Vec<f64>) -> Rows {
        let (c, count) = (self.c, self.count);
        match self.sets {
            Sets::Fixed => partials = vec![0.0; c],
            Sets::Channels => partials = over_examples(&partials, self.n, c),
            Sets::Groups(groups) => {
                for group in partials.chunks_exact_mut(c / groups) {
                    let sum = group.iter().fold(0.0, |sum, part| sum + part);
                    group.fill(sum);
                }
            }
        }
        Rows { data: partials, c }.map(|sum| sum / count)
    }

    /// A row for each example, or one for all where nothing differs, computed at each channel from the place in them.
    fn rows(&self, at: impl Fn(usize, usize) -> f64) -> Rows {
        let rows = if matches!(self.sets, Sets::Groups(_)) { self.n } else { 1 };
        Rows { data: (0..rows * self.c).map(|i| at(i, i % self.c)).collect(), c: self.c }
    }

    /// The place of channel `i % c` of example `i / c` in [`rows`](Self::rows).
    fn place(&self, i: usize) -> usize {
        if matches!(self.sets, Sets::Groups(_)) { i } else { i % self.c }
    }

    /// `[n, c]`: what each channel of each example adds, computed from its place there and its place in the rows.
    fn partials(&self, at: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        (0..self.n * self.c).map(|i| at(i, self.place(i))).collect()
    }

    /// `z` of `x`.
    pub(super) fn forward<T: Real>(
        &self,
        context: &Context,
        [gamma, beta]: Affine<'_, T>,
        x: &[T],
        z: &mut [T],
    ) -> Result<()> {
        let (mean, r) = (&self.mean.data, &self.r.data);
        let scale = self.rows(|i, c| gamma[c].to_f64() * r[i]);
        let constant = self.rows(|i, c| beta[c].to_f64() - scale.data[i] * mean[i]);
        combine(context, [(x, &scale)], &constant, self.n, false, z)
    }

    /// `z_t` from the tangents of the input, the factors and the biases.
    pub(super) fn tangent<T: Real>(
        &self,
        context: &Context,
        gamma: &[T],
        [gamma_t, beta_t]: Affine<'_, T>,
        [x, x_t]: [&[T]; 2],
        z_t: &mut [T],
    ) -> Result<Along> {
        let (mean, r) = (&self.mean.data, &self.r.data);
        let zero = self.rows(|_, _| 0.0);
        let a = self.means(sums(context, x_t, self.c, self.n)?);
        let products = product_sums(context, (x_t, &zero), (x, &self.mean), self.n)?;
        let b = self.means(self.partials(|i, row| r[row] * products[i]));
        let along = self.rows(|i, c| gamma[c].to_f64() * r[i]);
        let across = self.rows(|i, c| gamma_t[c].to_f64() * r[i] - along.data[i] * r[i] * b.data[i]);
        let constant = self.rows(|i, c| beta_t[c].to_f64() - along.data[i] * a.data[i] - across.data[i] * mean[i]);
        combine(context, [(x_t, &along), (x, &across)], &constant, self.n, false, z_t)?;
        Ok(Along { a, b })
    }

    /// The sums of `d` and of `(x - <x>) d` of each channel of each example.
    pub(super) fn gradient_sums<T: Real>(&self, context: &Context, x: &[T], d: &[T]) -> Result<[Vec<f64>; 2]> {
        let zero = self.rows(|_, _| 0.0);
        Ok([sums(context, d, self.c, self.n)?, product_sums(context, (d, &zero), (x, &self.mean), self.n)?])
    }

    /// What each example adds to `d_gamma` and `d_beta`, `[n, c]` each.
    pub(super) fn affine_partials(&self, [s, t]: &[Vec<f64>; 2]) -> [Vec<f64>; 2] {
        let r = &self.r.data;
        [self.partials(|i, row| r[row] * t[i]), s.clone()]
    }

    /// `S` and `T`.
    fn projections<T: Real>(&self, gamma: &[T], [s, t]: &[Vec<f64>; 2]) -> [Rows; 2] {
        let (c, r) = (self.c, &self.r.data);
        [
            self.means(self.partials(|i, _| gamma[i % c].to_f64() * s[i])),
            self.means(self.partials(|i, row| gamma[i % c].to_f64() * r[row] * t[i])),
        ]
    }

    /// `d_x` from `d`, whose [sums](Self::gradient_sums) are given.
    pub(super) fn backward<T: Real>(
        &self,
        context: &Context,
        gamma: &[T],
        [x, d]: [&[T]; 2],
        sums: &[Vec<f64>; 2],
        accumulate: bool,
        d_x: &mut [T],
    ) -> Result<()> {
        let (mean, r) = (&self.mean.data, &self.r.data);
        let [s, t] = self.projections(gamma, sums);
        let of_d = self.rows(|i, c| gamma[c].to_f64() * r[i]);
        let of_x = self.rows(|i, _| -(r[i] * r[i] * t.data[i]));
        let constant = self.rows(|i, _| -(r[i] * s.data[i]) - of_x.data[i] * mean[i]);
        combine(context, [(d, &of_d), (x, &of_x)], &constant, self.n, accumulate, d_x)
    }

    /// `d_x_t`, and the tangents of `d_gamma` and `d_beta`.
    pub(super) fn backward_tangent<T: Real>(
        &self,
        context: &Context,
        [gamma, gamma_t]: [&[T]; 2],
        Along { a, b }: &Along,
        [x, x_t, d, d_t]: [&[T]; 4],
        sums: &[Vec<f64>; 2],
        accumulate: bool,
        d_x_t: &mut [T],
    ) -> Result<[Vec<f64>; 2]> {
        let (c, mean, r) = (self.c, &self.mean.data, &self.r.data);
        let [s, t] = self.projections(gamma, sums);
        let [sum_d, sum_xd] = sums;
        let [sum_d_t, sum_xd_t] = self.gradient_sums(context, x, d_t)?;
        let zero = self.rows(|_, _| 0.0);
        let bent = product_sums(context, (x_t, a), (d, &zero), self.n)?;
        // The sums of h_t d + h d_t.
        let d_gamma =
            self.partials(|i, row| r[row] * (bent[i] - b.data[row] * r[row] * sum_xd[i]) + r[row] * sum_xd_t[i]);
        let gamma_at = |i: usize| [gamma[i % c].to_f64(), gamma_t[i % c].to_f64()];
        let s_t = self.means(self.partials(|i, _| {
            let [gamma, gamma_t] = gamma_at(i);
            gamma_t * sum_d[i] + gamma * sum_d_t[i]
        }));
        let t_t = self.means(self.partials(|i, row| {
            let [gamma, gamma_t] = gamma_at(i);
            gamma_t * r[row] * sum_xd[i] + gamma * d_gamma[i]
        }));
        let of_d_t = self.rows(|i, c| gamma[c].to_f64() * r[i]);
        let of_d = self.rows(|i, c| gamma_t[c].to_f64() * r[i] - gamma[c].to_f64() * r[i] * r[i] * b.data[i]);
        let of_x_t = self.rows(|i, _| -(r[i] * r[i] * t.data[i]));
        let of_x = self.rows(|i, _| r[i] * r[i] * (2.0 * (r[i] * b.data[i] * t.data[i]) - t_t.data[i]));
        let constant = self.rows(|i, _| {
            let of_sets = r[i] * (r[i] * (b.data[i] * s.data[i] + a.data[i] * t.data[i]) - s_t.data[i]);
            of_sets - of_x.data[i] * mean[i]
        });
        let inputs = [(d_t, &of_d_t), (d, &of_d), (x_t, &of_x_t), (x, &of_x)];
        combine(context, inputs, &constant, self.n, accumulate, d_x_t)?;
        Ok([d_gamma, sum_d_t])
    }

    /// The gradient of a parameter from what the examples add to it, `[n, c]`.
    pub(super) fn reduce<T: Real>(&self, partials: &[f64], out: &mut [T]) {
        let sums = over_examples(partials, self.n, self.c);
        out.iter_mut().zip(&sums).for_each(|(out, sum)| *out = T::from_f64(0.0 + sum));
    }
}
