//! Normalised layers of every kind under one name, wired to the parameters of a network.
//!
//! Forward, with the statistics or coefficients of [`crate::kernels::norm`]:
//!
//! ```text
//! z = gamma (x - mean) / sqrt(var + eps) + beta [+ residual] [+ noise]          a = relu(z)
//! ```
//!
//! Backward, for the gradient `d_a` of the activation, N values a channel (or group), `xh = (x - mean) / sqrt(var + eps)`:
//!
//! ```text
//! d_z     = d_a where z > 0, else 0          also the gradient of the residual
//! d_beta  = sum(d_z)                         d_gamma = sum(d_z xh)
//! d_x     = gamma / sqrt(var + eps) (d_z - d_beta / N - xh d_gamma / N)        statistics of the batch
//! d_x     = gamma / sqrt(var + eps) d_z                                        statistics of the past
//! ```
//!
//! No tensor is passed over for it alone: statistics and sums are taken by [sinks](crate::kernels::stage::Sink) of the
//! convolutions that write `x` and `d_a`, and `a` and `d_x` are computed by [sources](crate::kernels::stage::Source) of
//! those that read them.

use super::Gradients;
use crate::error::{Error, Result};
use crate::kernels::norm::{
    BackwardStatistics, BatchNorm, Branch, Coefficients, Forward, Gradient, GradientSums, GroupMoments, GroupNorm,
    GroupSums, Moments, Post, Running, Shape,
};
use crate::kernels::stage::Sink;
use crate::parallel::Context;
use crate::params::{Kind, Table, TableBuilder, TensorId};
use crate::random::Stream;
use crate::simd::Isa;

/// The normalisation of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NormKind {
    /// Batch normalisation.
    Batch,
    /// Stochastic normalisation: each channel takes the batch's statistics with this probability, and the moving ones
    /// otherwise; drawn for each layer and step.
    Stochastic(f64),
    /// The same with one draw for all channels of a layer.
    StochasticByLayer(f64),
    /// A fixed mixture: this share of the batch's branch.
    Mixed(f64),
    /// The moving statistics, which are still updated.
    Moving,
    /// The moving statistics, which stay as they are; factors and biases are trained.
    Frozen,
    /// Group normalisation with this number of groups in each layer.
    Group(usize),
}

/// How a forward pass is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Training at a step, which keys the draws: statistics of the batch, running statistics updated.
    Train {
        /// The number of the step.
        step: u64,
    },
    /// Evaluation: running statistics, no draws, nothing is updated.
    Eval,
}

#[derive(Debug)]
enum State {
    Batch(BatchNorm),
    Group(GroupNorm),
}

/// One normalised layer.
#[derive(Debug)]
pub struct Norm {
    kind: NormKind,
    state: State,
    gamma: TensorId,
    beta: TensorId,
    /// Running mean and variance.
    running: Option<[TensorId; 2]>,
    stream: Stream,
}

/// Receives the examples of a convolution's output and takes their statistics.
#[derive(Debug)]
pub enum NormMoments<'a> {
    /// Over the batch.
    Batch(Moments<'a>),
    /// Of each example's groups.
    Group(GroupMoments<'a>),
    /// None are wanted.
    None(Option<&'a [f32]>),
}

impl Sink for NormMoments<'_> {
    fn finish(&self, isa: Isa, n: usize, y: &mut [f32]) {
        match self {
            Self::Batch(moments) => moments.finish(isa, n, y),
            Self::Group(moments) => moments.finish(isa, n, y),
            Self::None(None) => {}
            Self::None(Some(add)) => {
                let add = &add[n * y.len()..][..y.len()];
                y.iter_mut().zip(add).for_each(|(y, add)| *y += add);
            }
        }
    }
}

/// Receives the gradient of an activation, masks it and takes its sums.
#[derive(Debug)]
pub enum NormSums<'a> {
    /// Over the batch.
    Batch(GradientSums<'a>),
    /// Of each example's groups.
    Group(GroupSums<'a>),
}

impl Sink for NormSums<'_> {
    fn finish(&self, isa: Isa, n: usize, y: &mut [f32]) {
        match self {
            Self::Batch(sums) => sums.finish(isa, n, y),
            Self::Group(sums) => sums.finish(isa, n, y),
        }
    }
}

impl Norm {
    /// A layer for batches of at most `shape`, whose tensors are listed as `name.weight`, `name.bias` and, unless groups
    /// are normalised, `name.running_mean`, `name.running_var`. `seed` keys its draws.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] if the number of groups does not divide the channels or the name is taken;
    /// [`crate::Error::OutOfMemory`].
    pub fn new(builder: &mut TableBuilder, name: &str, kind: NormKind, shape: Shape, seed: u64) -> Result<Self> {
        let gamma = builder.push(format!("{name}.weight"), &[shape.c], Kind::Scale)?;
        let beta = builder.push(format!("{name}.bias"), &[shape.c], Kind::Bias)?;
        let (state, running) = if let NormKind::Group(groups) = kind {
            (State::Group(GroupNorm::new(shape, groups)?), None)
        } else {
            let mean = builder.push(format!("{name}.running_mean"), &[shape.c], Kind::Buffer)?;
            let var = builder.push(format!("{name}.running_var"), &[shape.c], Kind::Buffer)?;
            (State::Batch(BatchNorm::new(shape)?), Some([mean, var]))
        };
        let stream = Stream::new(seed, &format!("stoch_norm/{name}"), 0);
        Ok(Self { kind, state, gamma, beta, running, stream })
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> NormKind {
        self.kind
    }

    /// Sets factors to one, biases to zero, the running statistics to those of a standard normal distribution.
    pub fn init(&self, table: &Table, values: &mut [f32]) {
        values[table.range(self.gamma)].fill(1.0);
        values[table.range(self.beta)].fill(0.0);
        if let Some([mean, var]) = self.running {
            values[table.range(mean)].fill(0.0);
            values[table.range(var)].fill(1.0);
        }
    }

    /// Before a forward pass of `n` examples: a sink for the convolution that writes `x`. `add` is added to `x` first.
    ///
    /// # Errors
    /// As [`BatchNorm::moments`].
    pub fn moments<'a>(
        &'a mut self,
        table: &Table,
        values: &'a [f32],
        mode: Mode,
        n: usize,
        add: Option<&'a [f32]>,
    ) -> Result<NormMoments<'a>> {
        Ok(match &mut self.state {
            State::Group(group) => {
                let (gamma, beta) = (&values[table.range(self.gamma)], &values[table.range(self.beta)]);
                NormMoments::Group(group.moments(n, gamma, beta, add)?)
            }
            State::Batch(_) if mode == Mode::Eval || self.kind == NormKind::Frozen => NormMoments::None(add),
            State::Batch(batch) => NormMoments::Batch(batch.moments(n, add)?),
        })
    }

    /// After the sink has received all `n` examples: makes the coefficients and updates the running statistics.
    ///
    /// # Errors
    /// As [`BatchNorm::train`] and [`BatchNorm::eval`].
    pub fn settle(&mut self, context: &Context, table: &Table, values: &mut [f32], mode: Mode, n: usize) -> Result<()> {
        let (State::Batch(batch), Some([mean, var])) = (&mut self.state, self.running) else { return Ok(()) };
        // What is trained comes before the statistics.
        let (trained, statistics) = values.split_at_mut(table.trained_len());
        let (gamma, beta) = (&trained[table.range(self.gamma)], &trained[table.range(self.beta)]);
        let statistics_range = |id| {
            let range = table.range(id);
            range.start - table.trained_len()..range.end - table.trained_len()
        };
        let (mean, var) = (statistics_range(mean), statistics_range(var));
        let step = match mode {
            Mode::Train { step } if self.kind != NormKind::Frozen => step,
            _ => return batch.eval(n, gamma, beta, &statistics[mean], &statistics[var]),
        };
        let stream = self.stream.at_step(step);
        let branch = match self.kind {
            NormKind::Stochastic(p) => Branch::PerChannel { p, stream },
            NormKind::StochasticByLayer(p) => Branch::PerLayer { p, stream },
            NormKind::Mixed(p) => Branch::Mixed { p },
            NormKind::Moving => Branch::Moving,
            NormKind::Batch | NormKind::Frozen | NormKind::Group(_) => Branch::Batch,
        };
        // The mean is listed, and so lies, before the variance.
        let (low, high) = statistics.split_at_mut(var.start);
        let running = Running { mean: &mut low[mean], var: &mut high[..var.end - var.start] };
        batch.train(context, gamma, beta, running, branch)
    }

    /// The activation of `x` as a source.
    ///
    /// # Errors
    /// As [`BatchNorm::forward`].
    pub fn forward<'a>(&'a self, x: &'a [f32], post: Post<'a>) -> Result<Forward<'a>> {
        match &self.state {
            State::Batch(batch) => batch.forward(x, post),
            State::Group(group) => group.forward(x, post),
        }
    }

    /// The coefficients of the batch at hand, for a residual with its own normalisation.
    #[must_use]
    pub fn coefficients(&self) -> Coefficients<'_> {
        match &self.state {
            State::Batch(batch) => batch.coefficients(),
            State::Group(group) => group.coefficients(),
        }
    }

    /// A sink for the gradient of the activation; see [`BatchNorm::gradient_sums`].
    ///
    /// # Errors
    /// As [`BatchNorm::gradient_sums`].
    pub fn gradient_sums<'a>(
        &'a mut self,
        table: &Table,
        values: &'a [f32],
        x: &'a [f32],
        post: Post<'a>,
        activation: Option<&'a [f32]>,
        add: Option<&'a [f32]>,
    ) -> Result<NormSums<'a>> {
        Ok(match &mut self.state {
            State::Batch(batch) => NormSums::Batch(batch.gradient_sums(x, post, activation, add)?),
            State::Group(group) => {
                let gamma = &values[table.range(self.gamma)];
                NormSums::Group(group.gradient_sums(x, post, activation, add, gamma)?)
            }
        })
    }

    /// After the sink has received all examples: the gradients of factors and biases, and the coefficients of `d_x`.
    ///
    /// # Errors
    /// As [`BatchNorm::finish_backward`]; [`Error::Argument`] for a micro-batch under a normalisation over the batch.
    pub fn finish_backward(
        &mut self,
        context: &Context,
        table: &Table,
        values: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Result<()> {
        let tensors = [self.gamma, self.beta];
        match (&mut self.state, gradients.scale(table, tensors)) {
            (State::Batch(batch), Some([d_gamma, d_beta])) => {
                let gamma = &values[table.range(self.gamma)];
                batch.finish_backward(context, gamma, d_gamma, d_beta, BackwardStatistics::Exact)
            }
            (State::Group(group), Some([d_gamma, d_beta])) => group.finish_backward(context, d_gamma, d_beta),
            (State::Group(group), None) => {
                gradients.add_scale(tensors, group.fold_backward(context)?);
                Ok(())
            }
            (State::Batch(_), None) => Err(divided()),
        }
    }

    /// The gradient of `x` as a source.
    ///
    /// # Errors
    /// As [`BatchNorm::gradient`].
    pub fn gradient<'a>(&'a self, x: &'a [f32], d_z: &'a [f32]) -> Result<Gradient<'a>> {
        match &self.state {
            State::Batch(batch) => batch.gradient(x, d_z),
            State::Group(group) => group.gradient(x, d_z),
        }
    }

    /// The whole gradient of a layer without activation, for tensors in memory: from `d_z` to `d_x`, and the gradients of
    /// factors and biases.
    ///
    /// # Errors
    /// As [`BatchNorm::backward`].
    pub fn backward(
        &mut self,
        context: &Context,
        table: &Table,
        values: &[f32],
        x: &[f32],
        d_z: &[f32],
        d_x: &mut [f32],
        gradients: &mut Gradients<'_>,
    ) -> Result<()> {
        let (tensors, post) = ([self.gamma, self.beta], Post::default());
        let gamma = &values[table.range(self.gamma)];
        match (&mut self.state, gradients.scale(table, tensors)) {
            (State::Batch(batch), Some(rows)) => {
                batch.backward(context, x, post, None, d_z, gamma, d_x, rows, BackwardStatistics::Exact)
            }
            (State::Group(group), Some(rows)) => group.backward(context, x, post, None, d_z, gamma, d_x, rows),
            (State::Group(group), None) => {
                // The gradients of factors and biases of the part alone are of no use.
                let mut unused = context.scratch::<f32>(2 * gamma.len())?;
                let (d_gamma, d_beta) = unused.split_at_mut(gamma.len());
                group.backward(context, x, post, None, d_z, gamma, d_x, [d_gamma, d_beta])?;
                gradients.add_scale(tensors, group.folded());
                Ok(())
            }
            (State::Batch(_), None) => Err(divided()),
        }
    }

    /// The gradient of `x` in the place of `d_z`.
    ///
    /// # Errors
    /// As [`BatchNorm::gradient_in_place`].
    pub fn gradient_in_place(&self, context: &Context, x: &[f32], d: &mut [f32]) -> Result<()> {
        match &self.state {
            State::Batch(batch) => batch.gradient_in_place(context, x, d),
            State::Group(group) => group.gradient_in_place(context, x, d),
        }
    }

    /// The tensors of this layer: factor, bias, running mean, running variance.
    #[must_use]
    pub fn tensors(&self) -> ([TensorId; 2], Option<[TensorId; 2]>) {
        ([self.gamma, self.beta], self.running)
    }
}

/// The refusal of a micro-batch.
fn divided() -> Error {
    let (op, what) = ("micro-batches", "the normalisation");
    let requirement = "one of each example by itself: batch statistics are those of the whole batch";
    Error::Argument { op, what, requirement, actual: "over the batch".to_owned() }
}
