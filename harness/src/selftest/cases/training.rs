//! Short training runs of each kind of network: all parameters and running statistics after some steps.

use regularity_engine::kernels::loss::{Gradient, Targets, logistic, softmax_cross_entropy};
use regularity_engine::kernels::norm::Shape;
use regularity_engine::layers::{Activation, Gradients, Mode, NormKind};
use regularity_engine::models::{
    InnerGradients, Model, ResNet, gradients, mlp, resnet, two_layer, vgg16_with_channels, wide_resnet,
};
use regularity_engine::optim::{Adam, Optimizer, Rate, Schedule, Sgd, penalty};
use regularity_engine::params::Groups;
use regularity_engine::tensor::MatRef;
use regularity_engine::{Context, Result};

use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "training/resnet8_batch_norm", run: |c| residual(c, NormKind::Batch) },
    Case { name: "training/resnet8_stoch_norm", run: |c| residual(c, NormKind::Stochastic(0.5)) },
    Case { name: "training/resnet8_group_norm", run: |c| residual(c, NormKind::Group(4)) },
    Case { name: "training/wrn_10_1_noise", run: wide },
    Case { name: "training/narrow_vgg16", run: narrow_vgg },
    Case { name: "training/penalties", run: penalties },
    Case { name: "training/mlp_adam", run: perceptron },
    Case { name: "training/two_layer", run: frozen_output },
];

const SEED: u64 = 5;
const STEPS: u64 = 2;

/// Images, or rows of features, and labels of a step.
fn batch(input: Shape, step: u64) -> (Vec<f32>, Vec<u32>) {
    let images = Inputs::new(&format!("training/images/{step}")).uniform(input.len());
    let labels = Inputs::new(&format!("training/labels/{step}")).below(input.n, 10);
    (images, labels.into_iter().map(|label| label as u32).collect())
}

/// Trains on keyed batches and gives the values.
fn train(context: &Context, net: &mut dyn Model, optimizer: &mut Optimizer) -> Result<Values> {
    let (mut values, mut gradient) = (net.table().values()?, net.table().gradients()?);
    net.init(context, SEED, &mut values)?;
    let groups = Groups::by(net.table(), |entry| usize::from(entry.name().starts_with("fc")));
    let schedule = Schedule::Cosine { length: 10, last: 0.0 };
    for step in 0..STEPS {
        let (images, labels) = batch(net.input(), step);
        gradients(context, net, &mut values, &images, Targets::Hard(&labels), step, &mut gradient)?;
        let lr = schedule.lr(0.05, step);
        let rates = [Rate { lr, weight_decay: 5e-4 }, Rate { lr: 2.0 * lr, weight_decay: 0.0 }];
        optimizer.step(context, &groups, &rates[..groups.count()], &mut values, &gradient)?;
    }
    Ok(Values::list(&values))
}

fn residual(context: &Context, norm: NormKind) -> Result<Values> {
    let mut net = resnet(context, ResNet::ResNet8, norm, Shape::new(3, 8, 7, 3)?, 10, SEED)?;
    let mut optimizer = Optimizer::Sgd(Sgd::new(net.table(), 0.9, true)?);
    train(context, &mut net, &mut optimizer)
}

fn wide(context: &Context) -> Result<Values> {
    let mut net = wide_resnet(context, [10, 1], NormKind::Batch, Shape::new(3, 8, 7, 3)?, 10, SEED)?;
    net.set_noise(0.1);
    let mut optimizer = Optimizer::Sgd(Sgd::new(net.table(), 0.9, false)?);
    train(context, &mut net, &mut optimizer)
}

/// VGG-16 with a few channels: the portable tier has to run it too.
fn narrow_vgg(context: &Context) -> Result<Values> {
    let input = Shape::new(3, 32, 33, 3)?;
    let mut net = vgg16_with_channels(context, [3, 4, 6, 7, 5], NormKind::Batch, input, 10, SEED)?;
    let mut optimizer = Optimizer::Sgd(Sgd::new(net.table(), 0.9, true)?);
    train(context, &mut net, &mut optimizer)
}

/// Fine-tuning with every penalty at once: L2-SP on the parameters, DELTA and BSS on the features.
fn penalties(context: &Context) -> Result<Values> {
    let mut net = resnet(context, ResNet::ResNet8, NormKind::Batch, Shape::new(5, 8, 7, 3)?, 10, SEED)?;
    let (mut values, mut gradient) = (net.table().values()?, net.table().gradients()?);
    net.init(context, SEED, &mut values)?;
    let start = values.to_vec();
    let groups = Groups::by(net.table(), |entry| usize::from(entry.name().starts_with("fc")));
    let mut sgd = Sgd::new(net.table(), 0.9, true)?;
    let mut all = Vec::new();
    for step in 0..STEPS {
        let (images, labels) = batch(net.input(), step);
        net.forward(context, &mut values, &images, Mode::Train { step })?;
        let (logits, d) = net.outputs()?;
        let logits = MatRef::new(logits, 5, 10)?;
        softmax_cross_entropy(context, logits, Targets::Hard(&labels), Some(Gradient { d, scale: 0.2 }), None)?;
        let features = net.features()?;
        let reference = Inputs::new(&format!("training/reference/{step}")).uniform(features.len());
        let mut d_features = vec![0.0; features.len()];
        all.push(penalty::bss(context, 1e-3, 2, 5, features, &mut d_features)?);
        all.push(penalty::delta(context, 1e-2, features, &reference, &mut d_features)?);
        let inner = InnerGradients { features: Some(&d_features), ..InnerGradients::default() };
        net.backward(context, &values, &images, inner, &mut Gradients::Whole(&mut gradient))?;
        all.push(penalty::l2_sp(context, &groups, &[0.1, 0.01], &values, &start, &mut gradient)?);
        let rate = Rate { lr: 0.05, weight_decay: 0.0 };
        sgd.step(context, &groups, &[rate, rate], &mut values, &gradient)?;
    }
    all.extend_from_slice(&values);
    Ok(Values::list(&all))
}

fn perceptron(context: &Context) -> Result<Values> {
    let mut net = mlp(Shape::new(33, 1, 1, 19)?, &[37, 20], 10, Activation::Tanh)?;
    let mut optimizer = Optimizer::Adam(Adam::new(net.table(), [0.9, 0.999], 1e-8)?);
    train(context, &mut net, &mut optimizer)
}

/// The two-layer network with logistic loss, full batch.
fn frozen_output(context: &Context) -> Result<Values> {
    let input = Shape::new(40, 1, 1, 21)?;
    let mut net = two_layer(input, 64, Activation::Relu, 0.25)?;
    let (mut values, mut gradient) = (net.table().values()?, net.table().gradients()?);
    net.init(context, SEED, &mut values)?;
    let (groups, mut sgd) = (Groups::one(net.table()), Sgd::new(net.table(), 0.0, false)?);
    let (x, labels) = batch(input, 0);
    let labels: Vec<f32> = labels.iter().map(|label| if label % 2 == 0 { 1.0 } else { -1.0 }).collect();
    for step in 0..STEPS {
        net.forward(context, &mut values, &x, Mode::Train { step })?;
        let (outputs, d) = net.outputs()?;
        logistic(context, outputs, &labels, Some(Gradient { d, scale: 1.0 / 40.0 }), None)?;
        net.backward(context, &values, &x, InnerGradients::default(), &mut Gradients::Whole(&mut gradient))?;
        sgd.step(context, &groups, &[Rate { lr: 1.0, weight_decay: 1e-3 }], &mut values, &gradient)?;
    }
    Ok(Values::list(&values))
}
