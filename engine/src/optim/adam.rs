//! Adam (D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2015).

use super::update::{Update, pass};
use super::{Groups, Rate, Table, check, check_fraction};
use crate::error::Result;
use crate::math::scalar::{expm1, ln};
use crate::memory::Buffer;
use crate::parallel::Context;
use crate::simd::Vector;

/// Adam with bias correction; weight decay is part of the gradient.
///
/// An element's step, each operation rounded as written, at step t = 1, 2, ...; m and s are zero at first:
///
/// ```text
/// h = fma(weight_decay, w, g)
/// m = fma(beta1, m, (1 - beta1) h)
/// s = fma(beta2, s, (1 - beta2) (h h))
/// w = fma(-rate, m / fma(sqrt(s), root, epsilon), w)
///
/// rate = lr / (1 - beta1^t)     root = 1 / sqrt(1 - beta2^t)
/// ```
///
/// `1 - beta1`, `1 - beta2`, `rate` and `root` are computed in `f64` and rounded once; `1 - beta^t` is
/// `-expm1(t ln beta)` by [`crate::math::scalar`].
#[derive(Debug)]
pub struct Adam {
    betas: [f64; 2],
    epsilon: f32,
    first: Buffer<f32>,
    second: Buffer<f32>,
    steps: u64,
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) weight_decay: f32,
    pub(super) betas: [f32; 2],
    pub(super) rests: [f32; 2],
    pub(super) rate: f32,
    pub(super) root: f32,
    pub(super) epsilon: f32,
}

impl Step {
    /// For step `t` from 1 on.
    pub(super) fn new(rate: Rate, betas: [f64; 2], epsilon: f32, t: u64) -> Self {
        // A beta of zero has the logarithm -inf, and its power is zero.
        let [first, second] = betas.map(|beta| -expm1(t as f64 * ln(beta)));
        Self {
            weight_decay: rate.weight_decay,
            betas: betas.map(|beta| beta as f32),
            rests: betas.map(|beta| (1.0 - beta) as f32),
            rate: (f64::from(rate.lr) / first) as f32,
            root: (1.0 / second.sqrt()) as f32,
            epsilon,
        }
    }
}

impl Update<3> for Step {
    #[inline(always)]
    fn apply<V: Vector<Elem = f32>>(self, tier: V::Tier, [w, m, s]: [V; 3], g: V) -> [V; 3] {
        let (weight_decay, rate) = (V::splat(tier, self.weight_decay), V::splat(tier, -self.rate));
        let (root, epsilon) = (V::splat(tier, self.root), V::splat(tier, self.epsilon));
        let betas = [V::splat(tier, self.betas[0]), V::splat(tier, self.betas[1])];
        let rests = [V::splat(tier, self.rests[0]), V::splat(tier, self.rests[1])];
        let h = weight_decay.fma(w, g);
        let m = betas[0].fma(m, rests[0] * h);
        let s = betas[1].fma(s, rests[1] * (h * h));
        let d = m / s.sqrt().fma(root, epsilon);
        [rate.fma(d, w), m, s]
    }
}

impl Adam {
    /// For the network of `table`. The paper's choice is `betas` of 0.9 and 0.999 and `epsilon` of 1e-8.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] unless the betas are at least 0 and below 1; [`crate::Error::OutOfMemory`].
    pub fn new(table: &Table, betas: [f64; 2], epsilon: f32) -> Result<Self> {
        check_fraction("adam", "beta1", betas[0])?;
        check_fraction("adam", "beta2", betas[1])?;
        Ok(Self { betas, epsilon, first: table.gradients()?, second: table.gradients()?, steps: 0 })
    }

    /// One step; `rates` has one entry for each group. `w` may be longer than `g`, by running statistics.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if `w`, `g` or `rates` do not fit; else as [`Context::tasks`].
    pub fn step(&mut self, context: &Context, groups: &Groups, rates: &[Rate], w: &mut [f32], g: &[f32]) -> Result<()> {
        check("adam", groups, rates, self.first.len(), w, g)?;
        for (range, group) in groups.segments() {
            let step = Step::new(rates[*group], self.betas, self.epsilon, self.steps + 1);
            let state = [&mut w[range.clone()], &mut self.first[range.clone()], &mut self.second[range.clone()]];
            pass(context, step, state, &g[range.clone()])?;
        }
        self.steps += 1;
        Ok(())
    }

    /// Steps that were made.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The mean gradient `m`, laid out as gradients are.
    #[must_use]
    pub fn first_moment(&self) -> &[f32] {
        &self.first
    }

    /// The mean squared gradient `s`, laid out as gradients are.
    #[must_use]
    pub fn second_moment(&self) -> &[f32] {
        &self.second
    }

    /// Both moments, to be overwritten by those of a checkpoint taken after `steps` steps.
    pub fn restore(&mut self, steps: u64) -> [&mut [f32]; 2] {
        self.steps = steps;
        [&mut self.first, &mut self.second]
    }
}
