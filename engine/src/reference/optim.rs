//! Optimisers and penalties, as the contract defines them: [`crate::optim`] has the words.

use super::elementwise::add_scaled_difference;
use super::reduce::squared_distance;
use crate::simd::Real;

/// A step of stochastic gradient descent on one parameter `w` with velocity `v`.
pub fn sgd<T: Real>(lr: T, weight_decay: T, momentum: T, nesterov: bool, w: &mut T, v: &mut T, g: T) {
    let h = weight_decay.fma(*w, g);
    *v = momentum.fma(*v, h);
    let d = if nesterov { momentum.fma(*v, h) } else { *v };
    *w = (-lr).fma(d, *w);
}

/// The numbers of a step of Adam: `rate` and `root` hold the bias corrections, `rests` are one minus the betas.
#[derive(Debug, Clone, Copy)]
pub struct AdamStep<T> {
    /// What is added to the gradient for each unit of the parameter.
    pub weight_decay: T,
    /// The decay of both moments.
    pub betas: [T; 2],
    /// One minus it.
    pub rests: [T; 2],
    /// `lr / (1 - beta1^t)`.
    pub rate: T,
    /// `1 / sqrt(1 - beta2^t)`.
    pub root: T,
    /// What keeps the denominator from zero.
    pub epsilon: T,
}

/// A step of Adam on one parameter `w` with moments `m` and `s`.
pub fn adam<T: Real>(step: &AdamStep<T>, w: &mut T, m: &mut T, s: &mut T, g: T) {
    let h = step.weight_decay.fma(*w, g);
    *m = step.betas[0].fma(*m, step.rests[0] * h);
    *s = step.betas[1].fma(*s, step.rests[1] * (h * h));
    *w = (-step.rate).fma(*m / s.sqrt().fma(step.root, step.epsilon), *w);
}

/// The pull of `x` towards `x0`: gives the penalty and adds its gradient to `d`.
pub fn pull<T: Real>(strength: T, x: &[T], x0: &[T], d: &mut [T]) -> T {
    add_scaled_difference(strength, x, x0, d);
    strength * T::from_f64(0.5) * squared_distance(x, x0)
}
