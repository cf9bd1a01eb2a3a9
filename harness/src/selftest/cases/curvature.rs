//! Curvature, and inference with folded normalisations: what is computed with a network beside its training.

use regularity_engine::curvature::{
    Hessian, Loss, Operator, Statistics, example_gradient_norms, hutchinson_trace, label_noise_trace, lanczos,
};
use regularity_engine::kernels::loss::Targets;
use regularity_engine::kernels::norm::Shape;
use regularity_engine::layers::{Activation, Mode, NormKind};
use regularity_engine::models::{Folded, Model, ResNet, mlp, resnet, wide_resnet};
use regularity_engine::{Context, Result};

use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "curvature/product_batch_norm", run: |c| product(c, NormKind::Batch) },
    Case { name: "curvature/product_group_norm", run: |c| product(c, NormKind::Group(4)) },
    Case { name: "curvature/estimates", run: estimates },
    Case { name: "inference/folded", run: folded },
];

const SEED: u64 = 5;
const LABELS: [u32; 4] = [3, 1, 4, 1];

/// Initial parameters and keyed images.
fn point(context: &Context, net: &dyn Model) -> Result<(Vec<f32>, Vec<f32>)> {
    let mut values = net.table().values()?.to_vec();
    net.init(context, SEED, &mut values)?;
    Ok((values, Inputs::new("curvature/images").uniform(net.input().len())))
}

/// The Hessian of a residual network times a vector.
fn product(context: &Context, norm: NormKind) -> Result<Values> {
    let net = resnet(context, ResNet::ResNet8, norm, Shape::new(4, 8, 7, 3)?, 10, SEED)?;
    let (values, x) = point(context, &net)?;
    let loss = Loss::CrossEntropy(Targets::Hard(&LABELS));
    let mut hessian = Hessian::new(context, &net, &values, &x, loss, Statistics::Batch)?;
    let v = Inputs::new("curvature/direction").uniform(hessian.size());
    let mut all = vec![0.0; hessian.size()];
    hessian.apply(context, &v, &mut all)?;
    Ok(Values::list(&all))
}

/// Traces, eigenvalues and norms of a perceptron.
fn estimates(context: &Context) -> Result<Values> {
    let net = mlp(Shape::new(4, 1, 1, 9)?, &[13, 8], 5, Activation::Tanh)?;
    let (values, x) = point(context, &net)?;
    let (loss, statistics) = (Loss::CrossEntropy(Targets::Hard(&LABELS)), Statistics::Batch);
    let mut hessian = Hessian::new(context, &net, &values, &x, loss, statistics)?;
    let spectrum = lanczos(context, &mut hessian, SEED, 6)?;
    let mut all = [spectrum.values, spectrum.errors, spectrum.weights].concat();
    all.extend(hutchinson_trace(context, &mut hessian, SEED, 3)?.draws);
    all.extend(label_noise_trace(context, &net, &values, &x, loss, statistics, SEED, 3)?.draws);
    all.extend(example_gradient_norms(context, &net, &values, &x, loss, statistics)?);
    Ok(Values::list(&all))
}

/// Logits of a wide residual network: some normalisations are folded, some stand apart.
fn folded(context: &Context) -> Result<Values> {
    let mut net = wide_resnet(context, [10, 1], NormKind::Batch, Shape::new(4, 9, 8, 3)?, 10, SEED)?;
    let (mut values, x) = point(context, &net)?;
    net.forward(context, &mut values, &x, Mode::Train { step: 0 })?;
    let mut folded = Folded::new(context, &net, &values)?;
    Ok(Values::list(folded.forward(context, &x)?))
}
