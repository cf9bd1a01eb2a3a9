//! Whole layers out of the scalar twins.

use super::super::{BackwardStatistics, Branch, Shape};
use crate::reference::norm as reference;
use crate::reference::norm::{Channel, Residual, invstd};
use crate::simd::Real;
use crate::testing::{Kind, Outcome, compare_values};

/// The operands of a case. `x` = `x_part + x_rest`, `d_a` = `d_part + d_rest`.
pub(super) struct Data<T> {
    pub seed: usize,
    pub shape: Shape,
    pub x: Vec<T>,
    pub x_part: Vec<T>,
    pub x_rest: Vec<T>,
    pub residual: Vec<T>,
    pub map: Vec<T>,
    pub noise: Vec<T>,
    pub d_a: Vec<T>,
    pub d_part: Vec<T>,
    pub d_rest: Vec<T>,
    pub gamma: Vec<T>,
    pub beta: Vec<T>,
    pub running_mean: Vec<T>,
    pub running_var: Vec<T>,
}

fn sum<T: Real>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(&a, &b)| a + b).collect()
}

impl<T: Real> Data<T> {
    pub(super) fn new(shape: Shape, kind: Kind, seed: usize) -> Self {
        let of = |kind: Kind, number: usize, len| kind.vector::<T>((seed * 100 + number) as u64, len);
        let uniform = |number, len| of(Kind::Uniform, number, len);
        let (x_part, x_rest) = (of(kind, 0, shape.len()), of(kind, 1, shape.len()));
        let (d_part, d_rest) = (of(kind, 2, shape.len()), uniform(3, shape.len()));
        let positive = |number: usize| uniform(number, shape.c).into_iter().map(|v| v * v + T::from_f64(0.1)).collect();
        Self {
            seed,
            shape,
            x: sum(&x_part, &x_rest),
            residual: uniform(4, shape.len()),
            map: uniform(5, shape.pixels()),
            noise: uniform(6, shape.len()),
            d_a: sum(&d_part, &d_rest),
            gamma: uniform(7, shape.c),
            beta: uniform(8, shape.c),
            running_mean: uniform(9, shape.c),
            running_var: positive(10),
            x_part,
            x_rest,
            d_part,
            d_rest,
        }
    }

    /// The residual's own coefficients: an evaluation with `gamma` and `beta` exchanged.
    fn other(&self) -> Vec<[T; 3]> {
        let channel = |c: usize| {
            let (moving_mean, moving_invstd) = (self.beta[c].to_f64(), invstd(self.running_var[c].to_f64(), 1e-5));
            Channel { moving_mean, moving_invstd, ..Channel::default() }.forward(self.beta[c], self.gamma[c])
        };
        (0..self.shape.c).map(channel).collect()
    }

    /// The pre-activation and whether it is rectified, for choice `pick` of what follows.
    pub(super) fn pre_activation(&self, table: reference::Table<'_, T>, pick: usize) -> (Vec<T>, bool) {
        let other = self.other();
        let other_table = |_: usize, channel: usize| other[channel];
        let (residual, noise, relu) = match pick {
            0 => (Residual::None, None, false),
            1 => (Residual::None, None, true),
            2 => (Residual::Plain(&self.residual), None, true),
            3 => (Residual::Normalised(&self.residual, &other_table), Some(&self.map), true),
            4 => (Residual::Plain(&self.residual), Some(&self.noise), true),
            _ => (Residual::None, Some(&self.map), false),
        };
        let dims = [self.shape.n, self.shape.pixels(), self.shape.c];
        (reference::pre_activation(dims, &self.x, table, &residual, noise.map(|noise| &noise[..])), relu)
    }
}

/// What a layer computes.
#[derive(Debug)]
pub(super) struct Results<T> {
    pub a: Vec<T>,
    pub running: Vec<T>,
    pub d_x: Vec<T>,
    pub d_gamma: Vec<T>,
    pub d_beta: Vec<T>,
}

impl<T: Real> Results<T> {
    pub(super) fn compare(&self, actual: &Self) -> Outcome {
        for (what, expected, actual) in [
            ("activation", &self.a, &actual.a),
            ("running statistics", &self.running, &actual.running),
            ("d_gamma", &self.d_gamma, &actual.d_gamma),
            ("d_beta", &self.d_beta, &actual.d_beta),
            ("d_x", &self.d_x, &actual.d_x),
        ] {
            compare_values(expected, actual).map_err(|m| format!("{what}: {m}"))?;
        }
        Ok(())
    }
}

pub(super) fn batch_twin<T: Real>(
    data: &Data<T>,
    branch: Branch,
    pick: usize,
    statistics: BackwardStatistics,
) -> Results<T> {
    let Shape { n, c, .. } = data.shape;
    let count = (n * data.shape.pixels()) as f64;
    let (mut mean, mut var) = (data.running_mean.clone(), data.running_var.clone());
    let weight = |channel: usize| match branch {
        Branch::Batch => 1.0,
        Branch::Moving => 0.0,
        Branch::PerChannel { p, stream } => f64::from(stream.bernoulli_at(channel as u64, p).unwrap()),
        Branch::PerLayer { p, stream } => f64::from(stream.bernoulli_at(0, p).unwrap()),
        Branch::Mixed { p } => p,
    };
    let mut channels = Vec::new();
    for channel in 0..c {
        let moments = reference::batch_moments(&data.x, n, c, channel);
        channels.push(Channel {
            weight: weight(channel),
            batch_mean: moments.mean,
            batch_invstd: moments.invstd(1e-5),
            moving_mean: mean[channel].to_f64(),
            moving_invstd: invstd(var[channel].to_f64(), 1e-5),
        });
        reference::update_running(&mut mean[channel], &mut var[channel], moments, 0.1);
    }
    let rows: Vec<[T; 3]> = (0..c).map(|i| channels[i].forward(data.gamma[i], data.beta[i])).collect();
    let (z, relu) = data.pre_activation(&|_, channel| rows[channel], pick);
    let (a, d_z) = if relu { (reference::relu(&z), reference::gate(&z, &data.d_a)) } else { (z, data.d_a.clone()) };
    let gradients: Vec<_> = (0..c)
        .map(|i| {
            let (s, t) = reference::batch_sums(&data.x, &d_z, n, c, i, rows[i][0]);
            let mut state = channels[i];
            if statistics == BackwardStatistics::PostUpdate {
                (state.moving_mean, state.moving_invstd) = (mean[i].to_f64(), invstd(var[i].to_f64(), 1e-5));
            }
            state.backward(data.gamma[i], rows[i][0], s, t, count)
        })
        .collect();
    let d_x = |(i, (&x, &d_z)): (usize, (&T, &T))| {
        let g = gradients[i % c];
        reference::d_x(x, d_z, rows[i % c][0], [g.scale, g.p, g.q])
    };
    Results {
        a,
        running: [mean, var].concat(),
        d_x: data.x.iter().zip(&d_z).enumerate().map(d_x).collect(),
        d_gamma: gradients.iter().map(|g| g.d_gamma).collect(),
        d_beta: gradients.iter().map(|g| g.d_beta).collect(),
    }
}

pub(super) fn group_twin<T: Real>(data: &Data<T>, groups: usize, pick: usize) -> Results<T> {
    let Shape { n, c, .. } = data.shape;
    let (example, width) = (data.shape.example(), c / groups);
    let statistics: Vec<[f64; 2]> = (0..n * groups)
        .map(|i| {
            let (x, first) = (&data.x[i / groups * example..][..example], i % groups * width);
            let moments = reference::group_moments(x, c, first..first + width);
            [moments.mean, moments.invstd(1e-5)]
        })
        .collect();
    let table = |n: usize, channel: usize| {
        let [batch_mean, batch_invstd] = statistics[n * groups + channel / width];
        let state = Channel { weight: 1.0, batch_mean, batch_invstd, ..Channel::default() };
        state.forward(data.gamma[channel], data.beta[channel])
    };
    let (z, relu) = data.pre_activation(&table, pick);
    let (a, d_z) = if relu { (reference::relu(&z), reference::gate(&z, &data.d_a)) } else { (z, data.d_a.clone()) };
    // For each example and channel.
    let mut slopes = Vec::new();
    let mut parts = Vec::new();
    for i in 0..n {
        let (x, d_z) = (&data.x[i * example..][..example], &d_z[i * example..][..example]);
        for group in 0..groups {
            let channels = group * width..(group + 1) * width;
            let center = table(i, channels.start)[0];
            let sums: Vec<_> =
                channels.clone().map(|channel| reference::example_sums(x, d_z, c, channel, center)).collect();
            let count = (data.shape.pixels() * width) as f64;
            for (slope, part) in
                reference::group_backward(statistics[i * groups + group], center, &data.gamma[channels], &sums, count)
            {
                slopes.push(slope);
                parts.push(part);
            }
        }
    }
    let total = |channel: usize| {
        crate::reference::reduce::tree(n, &|i| parts[i * c + channel], &|a: (f64, f64), b| (a.0 + b.0, a.1 + b.1))
    };
    let d_x = |i: usize| {
        let (n, channel) = (i / example, i % c);
        reference::d_x(data.x[i], d_z[i], table(n, channel)[0], slopes[n * c + channel])
    };
    Results {
        a,
        running: Vec::new(),
        d_x: (0..data.x.len()).map(d_x).collect(),
        d_gamma: (0..c).map(|channel| T::from_f64(0.0 + total(channel).0)).collect(),
        d_beta: (0..c).map(|channel| T::from_f64(0.0 + total(channel).1)).collect(),
    }
}
