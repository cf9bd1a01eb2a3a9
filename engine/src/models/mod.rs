//! Networks: wiring, and nothing else.
//!
//! A model lists its tensors in a [`Table`] under torchvision's names, plans the memory of its activations when it is
//! built, and calls [layers](crate::layers) forward and backward. Parameters, gradients and optimiser state belong to
//! the caller, one arena each. After the first step nothing is allocated.

mod chain;
mod convnet;
mod folded;
mod mlp;
mod resnet;
mod vgg;
mod wide_resnet;
mod wiring;

pub use chain::Chain;
#[cfg(test)]
pub(crate) use chain::{BlockSpec, HeadInit, ShortcutSpec, Spec, UnitSpec};
pub use convnet::{ConvNet, convnet};
pub use folded::Folded;
pub use mlp::{Mlp, mlp, two_layer};
pub use resnet::{ResNet, resnet};
pub use vgg::{vgg16, vgg16_with_channels};
pub use wide_resnet::{WideResNet, wide_resnet};
pub use wiring::{NormTensors, Op, Wiring};

use std::fmt::Debug;

use crate::error::{Error, Result};
use crate::kernels::conv::Geometry;
use crate::kernels::loss::{Gradient, LossSum, Targets, softmax_cross_entropy};
use crate::kernels::norm::{Shape, write};
use crate::kernels::stage::Source;
use crate::layers::{Accumulator, Conv, Gradients, Mode, Norm};
use crate::parallel::{Context, TreeFold};
use crate::params::Table;
use crate::tensor::MatRef;

/// Gradients of penalties on what a network computes inside: the backward pass adds them to its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct InnerGradients<'a> {
    /// Of the [features](Model::features), `[n, features]`.
    pub features: Option<&'a [f32]>,
    /// Of [maps](Model::map), `[n, h, w, c]`, each under the name of its convolution.
    pub maps: &'a [(&'a str, &'a [f32])],
}

/// A network that classifies.
pub trait Model: Debug + Send {
    /// Its tensors.
    fn table(&self) -> &Table;

    /// The largest batch that it has room for, and the shape of an image.
    fn input(&self) -> Shape;

    /// Logits of an example.
    fn classes(&self) -> usize;

    /// Its convolutions: the name, the shape, and whether the gradient of the input is wanted.
    fn convolutions(&self) -> Vec<(String, Geometry, bool)>;

    /// Its operations one by one.
    ///
    /// # Errors
    /// None; the signature is that of the shapes' constructor.
    fn wiring(&self) -> Result<Wiring>;

    /// Draws the initial parameters, each tensor under its own name, and sets the running statistics.
    ///
    /// # Errors
    /// [`Error::Shape`] if `values` does not fit the [table](Self::table).
    fn init(&self, context: &Context, seed: u64, values: &mut [f32]) -> Result<()>;

    /// The logits of a batch of images `x`, `[n, h, w, c]`. In training the running statistics are updated in `values`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `values` does not fit the table or `x` holds no whole images, [`Error::Argument`] for an empty
    /// batch, one beyond the capacity, or one whose statistics nobody can tell; [`Error::OutOfMemory`] for scratch
    /// space; [`Error::FloatEnvironment`].
    fn forward(&mut self, context: &Context, values: &mut [f32], x: &[f32], mode: Mode) -> Result<()>;

    /// The logits of the last forward pass, `[n, classes]`, and the place for their gradient.
    ///
    /// # Errors
    /// None after a forward pass.
    fn outputs(&mut self) -> Result<(&[f32], &mut [f32])>;

    /// What the last linear layer read in the last forward pass, `[n, features]`.
    ///
    /// # Errors
    /// None after a forward pass.
    fn features(&mut self) -> Result<&[f32]>;

    /// The output of a convolution in the last forward pass, `[n, h, w, c]`, before it is normalised: where a penalty on
    /// feature maps taps. `name` is that of the convolution, such as `layer1.1.conv2`. To be called before the backward
    /// pass, which uses the memory again.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is none of that name. Only a [`Chain`] has maps.
    fn map(&mut self, name: &str) -> Result<&[f32]> {
        Err(no_map(name))
    }

    /// Shows every activation between layers of the last forward pass, in the order of that pass, under the name of the
    /// layer before it: the normalisation, or the linear layer. To be called before the backward pass, which uses the
    /// memory again.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] for a copy of the largest.
    fn activations(&mut self, context: &Context, visit: &mut dyn FnMut(&str, Shape, &[f32])) -> Result<()>;

    /// All gradients, from that of the logits, which [`outputs`](Self::outputs) has room for. `values` and `x` are those
    /// of the last forward pass, which was in training mode. `inner` is added on the way.
    ///
    /// # Errors
    /// As [`forward`](Self::forward) and [`map`](Self::map).
    fn backward(
        &mut self,
        context: &Context,
        values: &[f32],
        x: &[f32],
        inner: InnerGradients<'_>,
        gradients: &mut Gradients<'_>,
    ) -> Result<()>;
}

/// Forward pass in training, mean softmax cross-entropy, backward pass: `gradients` are overwritten.
///
/// # Errors
/// As [`Model::forward`] and [`softmax_cross_entropy`]; [`Error::NonFinite`] if the loss is not finite, or names the first
/// tensor whose gradient is not.
pub fn gradients(
    context: &Context,
    model: &mut dyn Model,
    values: &mut [f32],
    x: &[f32],
    targets: Targets<'_>,
    step: u64,
    gradients: &mut [f32],
) -> Result<LossSum> {
    model.forward(context, values, x, Mode::Train { step })?;
    let classes = model.classes();
    let (logits, d) = model.outputs()?;
    let n = logits.len() / classes;
    let logits = MatRef::new(logits, n, classes)?;
    let loss = softmax_cross_entropy(context, logits, targets, Some(Gradient { d, scale: 1.0 / n as f32 }), None)?;
    if !loss.sum.is_finite() {
        return Err(Error::NonFinite { quantity: "value", name: "loss".to_owned() });
    }
    model.backward(context, values, x, InnerGradients::default(), &mut Gradients::Whole(gradients))?;
    model.table().check_finite(context, "gradient", gradients)?;
    Ok(loss)
}

/// [`gradients`] of a batch that is passed through in micro-batches of `length` images, for less memory: the same bits,
/// for a network that normalises no statistics of the batch. `targets` gives those of the images of a range.
///
/// # Errors
/// As [`gradients`]; [`Error::Argument`] if there are several micro-batches whose length is no power of two from 8 on, or
/// the network normalises over the batch.
pub fn gradients_in_parts<'a>(
    context: &Context,
    model: &mut dyn Model,
    values: &mut [f32],
    x: &[f32],
    targets: &dyn Fn(std::ops::Range<usize>) -> Targets<'a>,
    length: usize,
    step: u64,
    sums: &mut Accumulator,
    gradients: &mut [f32],
) -> Result<LossSum> {
    let (classes, example) = (model.classes(), model.input().example());
    let images = x.len() / example;
    let mut losses = TreeFold::new(LossSum::join);
    for (i, part) in x.chunks(length.max(1) * example).enumerate() {
        model.forward(context, values, part, Mode::Train { step })?;
        let (logits, d) = model.outputs()?;
        let n = logits.len() / classes;
        let logits = MatRef::new(logits, n, classes)?;
        let gradient = Some(Gradient { d, scale: 1.0 / images as f32 });
        let targets = targets(i * length..i * length + n);
        losses.push(softmax_cross_entropy(context, logits, targets, gradient, None)?);
        model.backward(context, values, part, InnerGradients::default(), &mut Gradients::Part(sums))?;
    }
    let loss = losses.finish().unwrap_or_default();
    if !loss.sum.is_finite() {
        return Err(Error::NonFinite { quantity: "value", name: "loss".to_owned() });
    }
    sums.finish(context, model.table(), gradients)?;
    model.table().check_finite(context, "gradient", gradients)?;
    Ok(loss)
}

/// The loss and the number of right answers of a batch in evaluation mode.
///
/// # Errors
/// As [`Model::forward`] and [`softmax_cross_entropy`].
pub fn evaluate(
    context: &Context,
    model: &mut dyn Model,
    values: &mut [f32],
    x: &[f32],
    targets: Targets<'_>,
) -> Result<LossSum> {
    model.forward(context, values, x, Mode::Eval)?;
    let classes = model.classes();
    let (logits, _) = model.outputs()?;
    let logits = MatRef::new(logits, logits.len() / classes, classes)?;
    softmax_cross_entropy(context, logits, targets, None, None)
}

/// The number of whole images in `x`.
fn examples(input: Shape, x: &[f32]) -> Result<usize> {
    let (op, n) = ("forward pass", x.len() / input.example());
    if n * input.example() != x.len() {
        let (what, expected) = ("elements of whole images", n * input.example());
        return Err(Error::Shape { op, what, expected, actual: x.len() });
    }
    if n == 0 || n > input.n {
        let requirement = "at least 1 and at most what the network has room for";
        return Err(Error::Argument { op, what: "the number of images", requirement, actual: n.to_string() });
    }
    Ok(n)
}

fn check_len(op: &'static str, what: &'static str, expected: usize, actual: usize) -> Result<()> {
    if expected == actual { Ok(()) } else { Err(Error::Shape { op, what, expected, actual }) }
}

/// Whether the operands of a backward pass fit the forward pass before it.
fn check_backward(
    table: &Table,
    input: Shape,
    n: usize,
    values: &[f32],
    x: &[f32],
    gradients: &mut Gradients<'_>,
) -> Result<()> {
    let op = "backward pass";
    check_len(op, "elements of the values", table.len(), values.len())?;
    check_len(op, "elements of the images of the forward pass", n * input.example(), x.len())?;
    if n == 0 {
        let (what, requirement) = ("the number of images of the forward pass", "at least 1");
        return Err(Error::Argument { op, what, requirement, actual: "0".to_owned() });
    }
    match gradients {
        Gradients::Whole(gradients) => check_len(op, "elements of the gradients", table.trained_len(), gradients.len()),
        Gradients::Part(sums) => sums.begin(n),
    }
}

/// The refusal of a map that a network does not have.
fn no_map(name: &str) -> Error {
    let (op, what) = ("feature maps", "the name of a map");
    let requirement = "that of a convolution with a normalisation after it, in a residual network or VGG";
    Error::Argument { op, what, requirement, actual: name.to_owned() }
}

/// The gradient of the features, for a network that has no maps.
fn features_alone<'a>(inner: InnerGradients<'a>) -> Result<Option<&'a [f32]>> {
    match inner.maps.first() {
        Some((name, _)) => Err(no_map(name)),
        None => Ok(inner.features),
    }
}

/// Shows an activation under the name of its normalisation.
fn show(
    context: &Context,
    (table, norm): (&Table, &Norm),
    source: &dyn Source,
    shape: Shape,
    visit: &mut dyn FnMut(&str, Shape, &[f32]),
) -> Result<()> {
    let mut activation = context.scratch::<f32>(shape.len())?;
    write(context, source, shape, &mut activation)?;
    let name = table.entry(norm.tensors().0[0]).name();
    visit(name.trim_end_matches(".weight"), shape, &activation);
    Ok(())
}

/// What [`Model::convolutions`] says of one.
fn describe(table: &Table, conv: &Conv) -> (String, Geometry, bool) {
    let name = table.entry(conv.weight()).name();
    (name.trim_end_matches(".weight").to_owned(), *conv.geometry(), conv.passes_back())
}
