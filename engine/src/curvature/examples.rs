//! Gradients of single examples, and the trace of the Gauss-Newton matrix from noisy labels.

use super::backward::Wanted;
use super::loss::Loss;
use super::network::Network;
use super::products::Kernels;
use super::trace::Estimate;
use super::{Statistics, check_count, dot};
use crate::error::{Error, Result};
use crate::layers::NormKind;
use crate::memory::Buffer;
use crate::models::{Model, Op};
use crate::parallel::Context;
use crate::random::Stream;

/// The norm of the gradient of each example's own loss, by the trained parameters.
///
/// One backward pass for all; of a linear layer the gradient is an outer product, whose norm is the product of two norms.
///
/// # Errors
/// As [`Hessian::new`](super::Hessian::new); [`Error::Argument`] for statistics of the batch, under which an example has
/// no loss of its own.
pub fn example_gradient_norms(
    context: &Context,
    model: &dyn Model,
    values: &[f32],
    x: &[f32],
    loss: Loss<'_>,
    statistics: Statistics,
) -> Result<Vec<f64>> {
    let over_batch = |op: &Op| matches!(op, Op::Norm { norm, .. } if norm.kind == NormKind::Batch);
    if statistics == Statistics::Batch && model.wiring()?.ops().iter().any(over_batch) {
        let (op, what) = ("example_gradient_norms", "the normalisation");
        let requirement = "one of each example by itself, or by running statistics";
        return Err(Error::Argument { op, what, requirement, actual: "over the batch".to_owned() });
    }
    let mut network = Network::new(context, model, Box::new(Kernels::new(context)), values, x, statistics)?;
    loss.check(network.examples(), network.classes())?;
    let d = network.cotangent(1.0, |i, x, row| {
        loss.gradient(i, x, row);
    })?;
    let mut squares = vec![0.0; network.examples()];
    network.backward(d, Wanted::Squares(&mut squares))?;
    Ok(squares.into_iter().map(f64::sqrt).collect())
}

/// An unbiased estimate of the trace of the Gauss-Newton matrix `G = (1/n) sum over examples of J' A J`, J the Jacobian of
/// the logits and A the Hessian of the loss by them; where the loss is zero, G is the Hessian.
///
/// A draw is `n |g|^2` for the gradient g of the mean loss at labels drawn from the network's own prediction, less its
/// mean: the logits' gradient of example i is `(p_i - onehot(label)) / n`, of a squared loss a random sign for each logit,
/// `+-1 / n`. So each draw costs one backward pass, and no product with the Hessian. Draw j takes its labels from the
/// stream `curvature/label-noise` at step j.
///
/// That label noise regularises this trace is the theme of A. Damian, T. Ma and J. Lee, "Label Noise SGD Provably Prefers
/// Flat Global Minimizers", 2021, whose code measures it as the variance of the noisy gradient.
///
/// # Errors
/// As [`Hessian::new`](super::Hessian::new); [`Error::Argument`] for no draws.
pub fn label_noise_trace(
    context: &Context,
    model: &dyn Model,
    values: &[f32],
    x: &[f32],
    loss: Loss<'_>,
    statistics: Statistics,
    seed: u64,
    draws: usize,
) -> Result<Estimate> {
    check_count("label_noise_trace", "the number of draws", draws)?;
    let mut network = Network::new(context, model, Box::new(Kernels::new(context)), values, x, statistics)?;
    loss.check(network.examples(), network.classes())?;
    let (n, mut gradient) = (network.examples() as f64, Buffer::zeroed(network.table().trained_len())?);
    let mut all = Vec::with_capacity(draws);
    for draw in 0..draws {
        let stream = Stream::new(seed, "curvature/label-noise", draw as u64);
        let d = network.cotangent(1.0 / n, |i, x, row| loss.sample(i, &stream, x, row))?;
        network.backward(d, Wanted::Gradient(&mut gradient))?;
        all.push(n * dot(context, &gradient, &gradient)?);
    }
    Ok(Estimate { draws: all })
}
