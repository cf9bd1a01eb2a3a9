//! Normalisation of each channel over the batch: batch normalisation (S. Ioffe and C. Szegedy, 2015), and the
//! stochastic normalisation of Z. Kou, K. You, M. Long and J. Wang (2020), of which it is a case.

use std::sync::atomic::AtomicBool;

use super::example::{ExampleMoments, Terms, Values};
use super::fold::{FoldMoments, FoldSums};
use super::forward::{Coefficients, Forward, Post, write};
use super::gradient::{Gradient, GradientSums, single_value, take_sums};
use super::{Shape, check, enter};
use crate::error::{Error, Result};
use crate::kernels::stage::Sink;
use crate::memory::Buffer;
use crate::parallel::{Context, Slots, flags};
use crate::random::Stream;
use crate::reference::norm::{Channel, Moments as Merged, invstd, update_running};
use crate::simd::Isa;

/// Which statistics normalise a channel in training: those of the batch, or the moving ones from before their update.
///
/// Whatever is chosen, the moving statistics are updated, and a gradient passes through the batch's statistics where
/// those were taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Branch {
    /// Batch normalisation.
    Batch,
    /// The moving statistics, for every channel.
    Moving,
    /// Stochastic normalisation: channel `c` takes the batch's statistics where `stream.bernoulli_at(c, p)`, so with
    /// probability `p`. One stream for each layer, at the step of the run.
    PerChannel {
        /// Probability of the batch's statistics.
        p: f64,
        /// The draws.
        stream: Stream,
    },
    /// One draw, `stream.bernoulli_at(0, p)`, for all channels.
    PerLayer {
        /// Probability of the batch's statistics.
        p: f64,
        /// The draw.
        stream: Stream,
    },
    /// The outputs of both branches mixed, `p` of the batch's and `1 - p` of the other; nothing is drawn.
    Mixed {
        /// Share of the batch's branch.
        p: f64,
    },
}

/// Which moving statistics the gradient of a channel in the moving branch is taken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackwardStatistics {
    /// Those that normalised: the exact gradient.
    #[default]
    Exact,
    /// Those after the update: what a framework does that reads its buffers again on the way back.
    PostUpdate,
}

/// The moving statistics of a layer, `[c]` each.
#[derive(Debug)]
pub struct Running<'a> {
    /// Moving mean.
    pub mean: &'a mut [f32],
    /// Moving variance, unbiased.
    pub var: &'a mut [f32],
}

/// What one layer keeps between its forward and its backward pass, and the constants of its kind.
///
/// A step is, for a batch of `n` examples:
/// 1. [`moments`](Self::moments) (a sink) or [`measure`](Self::measure) (of a tensor), then [`train`](Self::train); or
///    [`eval`](Self::eval) alone, which takes the running statistics: in evaluation, and for a frozen layer;
/// 2. [`forward`](Self::forward): the activation, as a source;
/// 3. [`gradient_sums`](Self::gradient_sums) (a sink), then [`finish_backward`](Self::finish_backward); afterwards
///    [`gradient`](Self::gradient), a source.
///
/// [`backward`](Self::backward) does all of 3 for tensors in memory. Steps 1 and 3 are refused out of order only as far
/// as shapes tell: the coefficients are those of the last `train` or `eval`.
#[derive(Debug)]
pub struct BatchNorm {
    /// Capacity, and the image.
    capacity: Shape,
    /// The batch at hand.
    shape: Shape,
    /// Added to a variance.
    pub eps: f64,
    /// The share of a new statistic in its moving one.
    pub momentum: f64,
    /// Two rows of `c` for each example.
    partials: Buffer<f64>,
    taken: Vec<AtomicBool>,
    channels: Vec<Channel>,
    /// Statistics for the gradient of the moving branch after [`BackwardStatistics::PostUpdate`].
    updated: Vec<[f64; 2]>,
    /// `[3, c]`: center, scale, shift.
    forward: Buffer<f32>,
    /// `[3, c]`: scale, p, q.
    slopes: Buffer<f32>,
}

/// Receives examples and takes the statistics of their channels.
#[derive(Debug)]
pub struct Moments<'a> {
    shape: Shape,
    add: Option<&'a [f32]>,
    partials: Slots<'a, f64>,
}

impl<'a> Moments<'a> {
    fn new(shape: Shape, add: Option<&'a [f32]>, partials: Slots<'a, f64>) -> Result<Self> {
        if let Some(add) = add {
            check("statistics", "elements of the added tensor", shape.len(), add.len())?;
        }
        Ok(Self { shape, add, partials })
    }
    /// The statistics of one example that stays as it is.
    fn read(&self, isa: Isa, n: usize, x: &[f32]) {
        if let Some(out) = self.partials.take(n) {
            enter(isa, ExampleMoments { c: self.shape.c, y: Values::Plain(x), out });
        }
    }
}

impl Sink for Moments<'_> {
    fn finish(&self, isa: Isa, n: usize, y: &mut [f32]) {
        if let Some(out) = self.partials.take(n) {
            enter(isa, ExampleMoments { c: self.shape.c, y: Values::of(self.shape, n, y, self.add), out });
        }
    }
}

impl BatchNorm {
    /// Room for batches of at most `shape`; `eps` = 1e-5, `momentum` = 0.1.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the memory cannot be had.
    pub fn new(shape: Shape) -> Result<Self> {
        Ok(Self {
            capacity: shape,
            shape,
            eps: 1e-5,
            momentum: 0.1,
            partials: Buffer::zeroed(2 * shape.n * shape.c)?,
            taken: flags(shape.n),
            channels: vec![Channel::default(); shape.c],
            updated: vec![[0.0; 2]; shape.c],
            forward: Buffer::zeroed(3 * shape.c)?,
            slopes: Buffer::zeroed(3 * shape.c)?,
        })
    }

    fn batch(&mut self, n: usize) -> Result<()> {
        if n == 0 || n > self.capacity.n {
            let (op, what) = ("batch normalisation", "the number of examples");
            let requirement = "at least 1 and at most what the layer has room for";
            return Err(Error::Argument { op, what, requirement, actual: n.to_string() });
        }
        self.shape = self.capacity.with_examples(n);
        Ok(())
    }

    fn slots<'a>(shape: Shape, partials: &'a mut Buffer<f64>, taken: &'a mut [AtomicBool]) -> Slots<'a, f64> {
        Slots::new(&mut partials[..2 * shape.n * shape.c], 2 * shape.c, &mut taken[..shape.n])
    }

    /// The shape of the batch at hand.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// A sink that takes the statistics of `n` examples, each as `y + add` if something is to be added, which then
    /// replaces it: a residual sum, measured where it is made.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no room for so many, [`Error::Shape`] if `add` has another shape.
    pub fn moments<'a>(&'a mut self, n: usize, add: Option<&'a [f32]>) -> Result<Moments<'a>> {
        self.batch(n)?;
        Moments::new(self.shape, add, Self::slots(self.shape, &mut self.partials, &mut self.taken))
    }

    /// The statistics of a tensor in memory, `[n, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `x` holds no whole examples, [`Error::Argument`] as [`moments`](Self::moments), else as
    /// [`Context::tasks`].
    pub fn measure(&mut self, context: &Context, x: &[f32]) -> Result<()> {
        let (isa, example) = (context.isa(), self.capacity.example());
        let n = x.len() / example;
        check("batch normalisation", "elements of the input", n * example, x.len())?;
        let moments = self.moments(n, None)?;
        // From the back, so that the pass that follows finds the first examples in the cache.
        context.tasks(n, |i| moments.read(isa, n - 1 - i, &x[(n - 1 - i) * example..][..example]))
    }

    /// Statistics of the batch that [`moments`](Self::moments) or [`measure`](Self::measure) took: chooses the
    /// branches, makes the coefficients and updates the moving statistics.
    ///
    /// `gamma` and `beta` are `[c]`.
    ///
    /// # Errors
    /// [`Error::Argument`] for one example of one pixel, whose variance nobody can tell, and unless probabilities are
    /// from 0 to 1; [`Error::Shape`] if a row has not one element a channel.
    pub fn train(
        &mut self,
        context: &Context,
        gamma: &[f32],
        beta: &[f32],
        running: Running<'_>,
        branch: Branch,
    ) -> Result<()> {
        let Shape { n, c, .. } = self.shape;
        let pixels = self.shape.pixels();
        self.check_rows([("elements of gamma", gamma), ("elements of beta", beta)])?;
        self.check_rows([("elements of running_mean", running.mean), ("elements of running_var", running.var)])?;
        if n * pixels == 1 {
            return Err(single_value("batch normalisation"));
        }
        let layer = match branch {
            Branch::PerLayer { p, stream } => stream.bernoulli_at(0, p)?,
            Branch::Mixed { p } if !(0.0..=1.0).contains(&p) => {
                let (op, what, requirement) = ("batch normalisation", "p", "a share, from 0 to 1");
                return Err(Error::Argument { op, what, requirement, actual: p.to_string() });
            }
            _ => false,
        };
        context.dispatch(FoldMoments { partials: &mut self.partials, n, c, pixels })?;
        for (channel, state) in self.channels.iter_mut().enumerate() {
            let count = (n * pixels) as f64;
            let moments = Merged { count, mean: self.partials[channel], m2: self.partials[c + channel] };
            let (mean, var) = (&mut running.mean[channel], &mut running.var[channel]);
            *state = Channel {
                weight: match branch {
                    Branch::Batch => 1.0,
                    Branch::Moving => 0.0,
                    Branch::PerChannel { p, stream } => f64::from(stream.bernoulli_at(channel as u64, p)?),
                    Branch::PerLayer { .. } => f64::from(layer),
                    Branch::Mixed { p } => p,
                },
                batch_mean: moments.mean,
                batch_invstd: moments.invstd(self.eps),
                moving_mean: f64::from(*mean),
                moving_invstd: invstd(f64::from(*var), self.eps),
            };
            update_running(mean, var, moments, self.momentum);
            self.updated[channel] = [f64::from(*mean), invstd(f64::from(*var), self.eps)];
        }
        self.set_forward(gamma, beta);
        Ok(())
    }

    /// Coefficients from the running statistics, for `n` examples; nothing is updated. [`backward`](Self::backward)
    /// then treats the statistics as constants: a frozen layer.
    ///
    /// # Errors
    /// [`Error::Shape`] if a row has not one element a channel, [`Error::Argument`] as [`moments`](Self::moments).
    pub fn eval(
        &mut self,
        n: usize,
        gamma: &[f32],
        beta: &[f32],
        running_mean: &[f32],
        running_var: &[f32],
    ) -> Result<()> {
        self.batch(n)?;
        self.check_rows([("elements of gamma", gamma), ("elements of beta", beta)])?;
        self.check_rows([("elements of running_mean", running_mean), ("elements of running_var", running_var)])?;
        for (channel, state) in self.channels.iter_mut().enumerate() {
            let (mean, invstd) = (f64::from(running_mean[channel]), invstd(f64::from(running_var[channel]), self.eps));
            *state = Channel { moving_mean: mean, moving_invstd: invstd, ..Channel::default() };
            self.updated[channel] = [mean, invstd];
        }
        self.set_forward(gamma, beta);
        Ok(())
    }

    fn check_rows<const N: usize>(&self, rows: [(&'static str, &[f32]); N]) -> Result<()> {
        rows.into_iter().try_for_each(|(what, row)| check("batch normalisation", what, self.shape.c, row.len()))
    }

    fn set_forward(&mut self, gamma: &[f32], beta: &[f32]) {
        let c = self.shape.c;
        for (channel, state) in self.channels.iter().enumerate() {
            for (row, value) in state.forward(gamma[channel], beta[channel]).into_iter().enumerate() {
                self.forward[row * c + channel] = value;
            }
        }
    }

    /// The coefficients of the batch at hand.
    #[must_use]
    pub fn coefficients(&self) -> Coefficients<'_> {
        Coefficients::new(&self.forward, self.shape.c, false)
    }

    /// What normalises channel `c` of the batch at hand, for reports.
    ///
    /// # Panics
    /// If there is no such channel.
    #[must_use]
    pub fn channel(&self, c: usize) -> Channel {
        self.channels[c]
    }

    /// The activation of `x`, `[n, h, w, c]`, as a source.
    ///
    /// # Errors
    /// [`Error::Shape`] if a tensor does not have the shape.
    pub fn forward<'a>(&'a self, x: &'a [f32], post: Post<'a>) -> Result<Forward<'a>> {
        Forward::new(self.shape, x, self.coefficients(), post)
    }

    /// A sink for the gradient of the activation: adds `add` to it (another gradient of the same activation), masks it
    /// as `post` says and takes the sums. `x` and `post` are those of the forward pass; the mask is read off `activation`
    /// if that is in memory, and computed again otherwise.
    ///
    /// # Errors
    /// [`Error::Shape`] if a tensor does not have the shape.
    pub fn gradient_sums<'a>(
        &'a mut self,
        x: &'a [f32],
        post: Post<'a>,
        activation: Option<&'a [f32]>,
        add: Option<&'a [f32]>,
    ) -> Result<GradientSums<'a>> {
        let coefficients = Coefficients::new(&self.forward, self.shape.c, false);
        let terms = Terms::new(self.shape, x, coefficients, post, activation, add)?;
        Ok(GradientSums { terms, partials: Self::slots(self.shape, &mut self.partials, &mut self.taken) })
    }

    /// From the sums: the gradients of `gamma` and `beta`, which are overwritten, and the coefficients of `d_x`.
    ///
    /// # Errors
    /// [`Error::Shape`] if a row has not one element a channel.
    pub fn finish_backward(
        &mut self,
        context: &Context,
        gamma: &[f32],
        d_gamma: &mut [f32],
        d_beta: &mut [f32],
        statistics: BackwardStatistics,
    ) -> Result<()> {
        let Shape { n, c, .. } = self.shape;
        self.check_rows([("elements of gamma", gamma), ("elements of d_gamma", d_gamma)])?;
        self.check_rows([("elements of d_beta", d_beta)])?;
        context.dispatch(FoldSums { partials: &mut self.partials, n, width: 2 * c })?;
        for (channel, state) in self.channels.iter().enumerate() {
            let mut state = *state;
            if statistics == BackwardStatistics::PostUpdate {
                [state.moving_mean, state.moving_invstd] = self.updated[channel];
            }
            let (s, t) = (self.partials[channel], self.partials[c + channel]);
            let count = (n * self.shape.pixels()) as f64;
            let g = state.backward(gamma[channel], self.forward[channel], s, t, count);
            (d_gamma[channel], d_beta[channel]) = (g.d_gamma, g.d_beta);
            for (row, value) in [g.scale, g.p, g.q].into_iter().enumerate() {
                self.slopes[row * c + channel] = value;
            }
        }
        Ok(())
    }

    /// The gradient of `x` as a source, from the `d_z` that the [sums](Self::gradient_sums) left behind.
    ///
    /// # Errors
    /// [`Error::Shape`] if a tensor does not have the shape.
    pub fn gradient<'a>(&'a self, x: &'a [f32], d_z: &'a [f32]) -> Result<Gradient<'a>> {
        let slopes = Coefficients::new(&self.slopes, self.shape.c, false);
        Gradient::new(self.shape, x, d_z, self.coefficients(), slopes)
    }

    /// [`gradient`](Self::gradient) of all examples, in the place of `d_z`.
    ///
    /// # Errors
    /// As [`gradient`](Self::gradient), and as [`Context::tasks`].
    pub fn gradient_in_place(&self, context: &Context, x: &[f32], d: &mut [f32]) -> Result<()> {
        let slopes = Coefficients::new(&self.slopes, self.shape.c, false);
        Gradient::in_place(context, self.shape, x, self.coefficients(), slopes, d)
    }

    /// The whole gradient of tensors in memory: `d_a`, masked as `post` says (by `activation`, if that is there), gives
    /// `d_x`, and the gradients of `gamma` and `beta`.
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
        statistics: BackwardStatistics,
    ) -> Result<()> {
        let shape = self.shape;
        let sums = self.gradient_sums(x, post, activation, None)?;
        let plain = sums.terms.is_plain();
        take_sums(context, &sums, d_a, d_x)?;
        self.finish_backward(context, gamma, d_gamma, d_beta, statistics)?;
        if plain {
            write(context, &self.gradient(x, d_a)?.masked(post.relu), shape, d_x)
        } else {
            self.gradient_in_place(context, x, d_x)
        }
    }
}
