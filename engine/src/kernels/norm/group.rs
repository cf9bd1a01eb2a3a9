//! Normalisation of groups of channels in each example (Y. Wu and K. He, 2018); with a single group it is layer
//! normalisation (J. L. Ba, J. R. Kiros and G. E. Hinton, 2016), with as many as channels instance normalisation.
//!
//! An example's result depends on that example alone, so everything is done when it is finished, and micro-batches
//! differ in nothing but the grouping of the sums of `d_gamma` and `d_beta`.

use std::sync::atomic::AtomicBool;

use super::example::{ExampleMoments, ExampleSums, Terms, Values};
use super::fold::FoldSums;
use super::forward::{Coefficients, Forward, Post, write};
use super::gradient::{Gradient, Sums, single_value, take_sums};
use super::{Shape, check, enter};
use crate::error::{Error, Result};
use crate::kernels::stage::Sink;
use crate::memory::Buffer;
use crate::parallel::{Context, Slots, flags};
use crate::reference::norm::{Channel, Moments, group_slopes};
use crate::simd::Isa;

/// What one layer keeps between its forward and its backward pass, and the constants of its kind. The order of calls is
/// that of [`BatchNorm`](super::BatchNorm), without [`train`](super::BatchNorm::train): training and evaluation are
/// the same.
#[derive(Debug)]
pub struct GroupNorm {
    capacity: Shape,
    shape: Shape,
    groups: usize,
    /// Added to a variance.
    pub eps: f64,
    /// `[n, 2, c]`.
    partials: Buffer<f64>,
    /// `[n, 2, groups]`: mean and `1 / sqrt(var + eps)`.
    statistics: Buffer<f64>,
    /// `[n, 3, c]`: center, scale, shift.
    forward: Buffer<f32>,
    /// `[n, 3, c]`: scale, p, q.
    slopes: Buffer<f32>,
    taken: [Vec<AtomicBool>; 3],
}

/// Receives examples, takes the statistics of their groups and makes their coefficients.
#[derive(Debug)]
pub struct GroupMoments<'a> {
    shape: Shape,
    groups: usize,
    eps: f64,
    gamma: &'a [f32],
    beta: &'a [f32],
    add: Option<&'a [f32]>,
    partials: Slots<'a, f64>,
    statistics: Slots<'a, f64>,
    forward: Slots<'a, f32>,
}

impl GroupMoments<'_> {
    fn receive(&self, isa: Isa, n: usize, y: Values<'_>) {
        let (Some(out), Some(statistics), Some(forward)) =
            (self.partials.take(n), self.statistics.take(n), self.forward.take(n))
        else {
            return;
        };
        let (c, width) = (self.shape.c, self.shape.c / self.groups);
        enter(isa, ExampleMoments { c, y, out: &mut *out });
        let count = self.shape.pixels() as f64;
        for group in 0..self.groups {
            let of = |channel: usize| Moments { count, mean: out[channel], m2: out[c + channel] };
            let channels = group * width..(group + 1) * width;
            let first = of(channels.start);
            let all = (channels.start + 1..channels.end).fold(first, |all, channel| all.merge(of(channel)));
            let (batch_mean, batch_invstd) = (all.mean, all.invstd(self.eps));
            (statistics[group], statistics[self.groups + group]) = (batch_mean, batch_invstd);
            let state = Channel { weight: 1.0, batch_mean, batch_invstd, ..Channel::default() };
            for channel in channels {
                let row = state.forward(self.gamma[channel], self.beta[channel]);
                for (i, value) in row.into_iter().enumerate() {
                    forward[i * c + channel] = value;
                }
            }
        }
    }
}

impl Sink for GroupMoments<'_> {
    fn finish(&self, isa: Isa, n: usize, y: &mut [f32]) {
        self.receive(isa, n, Values::of(self.shape, n, y, self.add));
    }
}

/// Receives the gradient `d_a` of a layer's activation example by example, replaces it by `d_z` and makes the
/// coefficients of `d_x`.
#[derive(Debug)]
pub struct GroupSums<'a> {
    terms: Terms<'a>,
    groups: usize,
    gamma: &'a [f32],
    statistics: &'a [f64],
    partials: Slots<'a, f64>,
    slopes: Slots<'a, f32>,
}

impl GroupSums<'_> {
    fn receive(&self, isa: Isa, n: usize, d: &[f32], masked: &mut [f32]) {
        let (Some(out), Some(slopes)) = (self.partials.take(n), self.slopes.take(n)) else { return };
        let Shape { c, .. } = self.terms.forward.shape;
        enter(isa, ExampleSums { terms: &self.terms, n, d, masked, out: &mut *out });
        let (width, groups) = (c / self.groups, self.groups);
        let count = (self.terms.forward.shape.pixels() * width) as f64;
        let [center, ..] = self.terms.forward.coefficients.of(n);
        for group in 0..groups {
            let at = 2 * groups * n + group;
            let (mean, invstd) = (self.statistics[at], self.statistics[at + groups]);
            let channels = group * width..(group + 1) * width;
            let offset = f64::from(center[channels.start]) - mean;
            let (mut m1, mut m2) = (0.0, 0.0);
            for channel in channels.clone() {
                let (gamma, s, t) = (f64::from(self.gamma[channel]), out[channel], out[c + channel]);
                m1 += gamma * s;
                m2 += gamma * (t + offset * s);
            }
            let [p, q] = group_slopes(invstd, offset, m1, m2, count);
            for channel in channels {
                slopes[channel] = (f64::from(self.gamma[channel]) * invstd) as f32;
                slopes[c + channel] = p as f32;
                slopes[2 * c + channel] = q as f32;
                out[c + channel] = invstd * (out[c + channel] + offset * out[channel]);
            }
        }
    }
}

impl Sink for GroupSums<'_> {
    fn finish(&self, isa: Isa, n: usize, y: &mut [f32]) {
        self.receive(isa, n, &[], y);
    }
}

impl Sums for GroupSums<'_> {
    fn terms(&self) -> &Terms<'_> {
        &self.terms
    }
    fn read(&self, isa: Isa, n: usize, d: &[f32]) {
        self.receive(isa, n, d, &mut []);
    }
}

impl GroupNorm {
    /// Room for batches of at most `shape`, whose channels are cut into `groups` of neighbours; `eps` = 1e-5.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `groups` divides the channels and a group has at least two values,
    /// [`Error::OutOfMemory`] if the memory cannot be had.
    pub fn new(shape: Shape, groups: usize) -> Result<Self> {
        if groups == 0 || !shape.c.is_multiple_of(groups) {
            let (op, what) = ("group normalisation", "the number of groups");
            let requirement = "a divisor of the number of channels";
            return Err(Error::Argument { op, what, requirement, actual: groups.to_string() });
        }
        if shape.pixels() * (shape.c / groups) == 1 {
            return Err(single_value("group normalisation"));
        }
        Ok(Self {
            capacity: shape,
            shape,
            groups,
            eps: 1e-5,
            partials: Buffer::zeroed(2 * shape.n * shape.c)?,
            statistics: Buffer::zeroed(2 * shape.n * groups)?,
            forward: Buffer::zeroed(3 * shape.n * shape.c)?,
            slopes: Buffer::zeroed(3 * shape.n * shape.c)?,
            taken: std::array::from_fn(|_| flags(shape.n)),
        })
    }

    /// Layer normalisation: one group, the factors `gamma` and `beta` by channel.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn layer(shape: Shape) -> Result<Self> {
        Self::new(shape, 1)
    }

    fn check_rows<const N: usize>(&self, rows: [(&'static str, &[f32]); N]) -> Result<()> {
        rows.into_iter().try_for_each(|(what, row)| check("group normalisation", what, self.shape.c, row.len()))
    }

    /// The shape of the batch at hand.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// A sink that takes the statistics of `n` examples, each as `y + add` if something is to be added, which then
    /// replaces it, and makes their coefficients. `gamma` and `beta` are `[c]`.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no room for so many, [`Error::Shape`] if something does not have its shape.
    pub fn moments<'a>(
        &'a mut self,
        n: usize,
        gamma: &'a [f32],
        beta: &'a [f32],
        add: Option<&'a [f32]>,
    ) -> Result<GroupMoments<'a>> {
        if n == 0 || n > self.capacity.n {
            let (op, what) = ("group normalisation", "the number of examples");
            let requirement = "at least 1 and at most what the layer has room for";
            return Err(Error::Argument { op, what, requirement, actual: n.to_string() });
        }
        self.check_rows([("elements of gamma", gamma), ("elements of beta", beta)])?;
        self.shape = self.capacity.with_examples(n);
        if let Some(add) = add {
            check("group normalisation", "elements of the added tensor", self.shape.len(), add.len())?;
        }
        let (shape, groups, c) = (self.shape, self.groups, self.shape.c);
        let [partials, statistics, forward] = &mut self.taken;
        Ok(GroupMoments {
            shape,
            groups,
            eps: self.eps,
            gamma,
            beta,
            add,
            partials: Slots::new(&mut self.partials, 2 * c, &mut partials[..n]),
            statistics: Slots::new(&mut self.statistics, 2 * groups, &mut statistics[..n]),
            forward: Slots::new(&mut self.forward, 3 * c, &mut forward[..n]),
        })
    }

    /// The statistics and coefficients of a tensor in memory, `[n, h, w, c]`.
    ///
    /// # Errors
    /// As [`moments`](Self::moments); [`Error::Shape`] if `x` holds no whole examples; else as [`Context::tasks`].
    pub fn measure(&mut self, context: &Context, x: &[f32], gamma: &[f32], beta: &[f32]) -> Result<()> {
        let (isa, example) = (context.isa(), self.capacity.example());
        let n = x.len() / example;
        check("group normalisation", "elements of the input", n * example, x.len())?;
        let moments = self.moments(n, gamma, beta, None)?;
        context.tasks(n, |i| {
            let n = n - 1 - i;
            moments.receive(isa, n, Values::Plain(&x[n * example..][..example]));
        })
    }

    /// The coefficients of the batch at hand.
    #[must_use]
    pub fn coefficients(&self) -> Coefficients<'_> {
        Coefficients::new(&self.forward, self.shape.c, true)
    }

    /// The activation of `x`, `[n, h, w, c]`, as a source.
    ///
    /// # Errors
    /// [`Error::Shape`] if a tensor does not have the shape.
    pub fn forward<'a>(&'a self, x: &'a [f32], post: Post<'a>) -> Result<Forward<'a>> {
        Forward::new(self.shape, x, self.coefficients(), post)
    }

    /// A sink for the gradient of the activation, as [`BatchNorm::gradient_sums`](super::BatchNorm::gradient_sums).
    ///
    /// # Errors
    /// [`Error::Shape`] if something does not have its shape.
    pub fn gradient_sums<'a>(
        &'a mut self,
        x: &'a [f32],
        post: Post<'a>,
        activation: Option<&'a [f32]>,
        add: Option<&'a [f32]>,
        gamma: &'a [f32],
    ) -> Result<GroupSums<'a>> {
        self.check_rows([("elements of gamma", gamma)])?;
        let (n, c) = (self.shape.n, self.shape.c);
        let coefficients = Coefficients::new(&self.forward, c, true);
        let terms = Terms::new(self.shape, x, coefficients, post, activation, add)?;
        let [partials, slopes, _] = &mut self.taken;
        Ok(GroupSums {
            terms,
            groups: self.groups,
            gamma,
            statistics: &self.statistics,
            partials: Slots::new(&mut self.partials, 2 * c, &mut partials[..n]),
            slopes: Slots::new(&mut self.slopes, 3 * c, &mut slopes[..n]),
        })
    }

    /// From the sums of a part of a batch: `[2, c]`, for each channel the part's tree of what [`finish_backward`](
    /// Self::finish_backward) rounds to the gradient of `beta`, then that of `gamma`.
    ///
    /// # Errors
    /// As [`Context::tasks`].
    pub fn fold_backward(&mut self, context: &Context) -> Result<&[f64]> {
        let Shape { n, c, .. } = self.shape;
        context.dispatch(FoldSums { partials: &mut self.partials, n, width: 2 * c })?;
        Ok(self.folded())
    }

    /// What [`fold_backward`](Self::fold_backward), [`finish_backward`](Self::finish_backward) or
    /// [`backward`](Self::backward) added up last.
    #[must_use]
    pub fn folded(&self) -> &[f64] {
        &self.partials[..2 * self.shape.c]
    }

    /// From the sums: the gradients of `gamma` and `beta`, which are overwritten.
    ///
    /// # Errors
    /// [`Error::Shape`] if a row has not one element a channel.
    pub fn finish_backward(&mut self, context: &Context, d_gamma: &mut [f32], d_beta: &mut [f32]) -> Result<()> {
        let Shape { n, c, .. } = self.shape;
        self.check_rows([("elements of d_gamma", d_gamma), ("elements of d_beta", d_beta)])?;
        context.dispatch(FoldSums { partials: &mut self.partials, n, width: 2 * c })?;
        for channel in 0..c {
            d_beta[channel] = (0.0 + self.partials[channel]) as f32;
            d_gamma[channel] = (0.0 + self.partials[c + channel]) as f32;
        }
        Ok(())
    }

    /// The gradient of `x` as a source, from the `d_z` that the [sums](Self::gradient_sums) left behind.
    ///
    /// # Errors
    /// [`Error::Shape`] if a tensor does not have the shape.
    pub fn gradient<'a>(&'a self, x: &'a [f32], d_z: &'a [f32]) -> Result<Gradient<'a>> {
        let slopes = Coefficients::new(&self.slopes, self.shape.c, true);
        Gradient::new(self.shape, x, d_z, self.coefficients(), slopes)
    }

    /// [`gradient`](Self::gradient) of all examples, in the place of `d_z`.
    ///
    /// # Errors
    /// As [`gradient`](Self::gradient), and as [`Context::tasks`].
    pub fn gradient_in_place(&self, context: &Context, x: &[f32], d: &mut [f32]) -> Result<()> {
        let slopes = Coefficients::new(&self.slopes, self.shape.c, true);
        Gradient::in_place(context, self.shape, x, self.coefficients(), slopes, d)
    }

    /// The whole gradient of tensors in memory, as [`BatchNorm::backward`](super::BatchNorm::backward).
    ///
    /// # Errors
    /// [`Error::Shape`] if something does not have its shape, else as [`Context::tasks`].
    pub fn backward(
        &mut self,
        context: &Context,
        x: &[f32],
        post: Post<'_>,
        activation: Option<&[f32]>,
        d_a: &[f32],
        gamma: &[f32],
        d_x: &mut [f32],
        [d_gamma, d_beta]: [&mut [f32]; 2],
    ) -> Result<()> {
        let shape = self.shape;
        let sums = self.gradient_sums(x, post, activation, None, gamma)?;
        let plain = sums.terms.is_plain();
        take_sums(context, &sums, d_a, d_x)?;
        self.finish_backward(context, d_gamma, d_beta)?;
        if plain {
            write(context, &self.gradient(x, d_a)?.masked(post.relu), shape, d_x)
        } else {
            self.gradient_in_place(context, x, d_x)
        }
    }
}
