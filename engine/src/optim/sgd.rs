//! Stochastic gradient descent.

use super::update::{Update, pass};
use super::{Groups, Rate, Table, check, check_fraction};
use crate::error::Result;
use crate::memory::Buffer;
use crate::parallel::Context;
use crate::simd::Vector;

/// Stochastic gradient descent with momentum, classic or Nesterov's, and weight decay.
///
/// An element's step, each line rounded once; `v` is zero at first, so that after the first step it is the gradient:
///
/// ```text
/// h = fma(weight_decay, w, g)
/// v = fma(momentum, v, h)
/// d = fma(momentum, v, h)  for Nesterov,  v  otherwise
/// w = fma(-lr, d, w)
/// ```
///
/// The learning rate is outside of `v`, so that an annealed rate acts at once. There is no dampening.
#[derive(Debug)]
pub struct Sgd {
    momentum: f32,
    nesterov: bool,
    velocity: Buffer<f32>,
    steps: u64,
}

#[derive(Clone, Copy)]
struct Step<const NESTEROV: bool> {
    rate: Rate,
    momentum: f32,
}

impl<const NESTEROV: bool> Update<2> for Step<NESTEROV> {
    #[inline(always)]
    fn apply<V: Vector<Elem = f32>>(self, tier: V::Tier, [w, v]: [V; 2], g: V) -> [V; 2] {
        let momentum = V::splat(tier, self.momentum);
        let h = V::splat(tier, self.rate.weight_decay).fma(w, g);
        let v = momentum.fma(v, h);
        let d = if NESTEROV { momentum.fma(v, h) } else { v };
        [V::splat(tier, -self.rate.lr).fma(d, w), v]
    }
}

impl Sgd {
    /// For the network of `table`.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] unless the momentum is at least 0 and below 1; [`crate::Error::OutOfMemory`].
    pub fn new(table: &Table, momentum: f32, nesterov: bool) -> Result<Self> {
        check_fraction("sgd", "the momentum", momentum.into())?;
        Ok(Self { momentum, nesterov, velocity: table.gradients()?, steps: 0 })
    }

    /// One step; `rates` has one entry for each group. `w` may be longer than `g`, by running statistics.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if `w`, `g` or `rates` do not fit; else as [`Context::tasks`].
    pub fn step(&mut self, context: &Context, groups: &Groups, rates: &[Rate], w: &mut [f32], g: &[f32]) -> Result<()> {
        check("sgd", groups, rates, self.velocity.len(), w, g)?;
        let momentum = self.momentum;
        for (range, group) in groups.segments() {
            let (rate, state) = (rates[*group], [&mut w[range.clone()], &mut self.velocity[range.clone()]]);
            if self.nesterov {
                pass(context, Step::<true> { rate, momentum }, state, &g[range.clone()])?;
            } else {
                pass(context, Step::<false> { rate, momentum }, state, &g[range.clone()])?;
            }
        }
        self.steps += 1;
        Ok(())
    }

    /// Steps that were made.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The velocity `v`, laid out as gradients are.
    #[must_use]
    pub fn velocity(&self) -> &[f32] {
        &self.velocity
    }

    /// The velocity, to be overwritten by that of a checkpoint taken after `steps` steps.
    pub fn restore(&mut self, steps: u64) -> &mut [f32] {
        self.steps = steps;
        &mut self.velocity
    }
}
