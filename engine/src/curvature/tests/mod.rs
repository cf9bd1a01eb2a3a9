//! Derivatives against differences, kernels against twins, estimators against exact values.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod estimates;

use super::backward::Wanted;
use super::network::Network;
use super::products::{Kernels, Twins};
use super::*;
use crate::kernels::loss::Targets;
use crate::kernels::norm::Shape;
use crate::layers::{Activation, NormKind};
use crate::models::{self, BlockSpec, Chain, HeadInit, Model, ResNet, ShortcutSpec, Spec, UnitSpec};
use crate::params::Kind;
use crate::simd::{Isa, Real};
use crate::testing::{Kind as Inputs, contexts};

const CLASSES: usize = 5;

/// A network, and what its statistics are.
struct Case {
    name: &'static str,
    model: Box<dyn Model>,
    statistics: Statistics,
    loss: fn(usize) -> OwnLoss,
}

/// Targets of a loss.
enum OwnLoss {
    Hard(Vec<u32>),
    Smoothed(Vec<u32>),
    Squared(Vec<f32>),
    Logistic(Vec<f32>),
}

impl OwnLoss {
    fn get(&self) -> Loss<'_> {
        match self {
            Self::Hard(labels) => Loss::CrossEntropy(Targets::Hard(labels)),
            Self::Smoothed(labels) => Loss::CrossEntropy(Targets::flipped(labels, 0.2, CLASSES)),
            Self::Squared(targets) => Loss::Squared(targets),
            Self::Logistic(labels) => Loss::Logistic(labels),
        }
    }
}

fn labels(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| (i * 3 + 1) % CLASSES as u32).collect()
}
fn hard(n: usize) -> OwnLoss {
    OwnLoss::Hard(labels(n))
}
fn smoothed(n: usize) -> OwnLoss {
    OwnLoss::Smoothed(labels(n))
}
fn squared(n: usize) -> OwnLoss {
    OwnLoss::Squared(Inputs::Uniform.vector(77, n * CLASSES))
}
fn logistic(n: usize) -> OwnLoss {
    OwnLoss::Logistic((0..n).map(|i| if i % 3 == 0 { 1.0 } else { -1.0 }).collect())
}

/// Convolutions with biases, a maximum, a bottleneck with a projection: what VGG-16 and ResNet-50 have, in small.
fn pooled(context: &Context, norm: NormKind, input: Shape) -> Chain {
    let unit = |name: &str, c_out, kernel, stride, bias| UnitSpec {
        conv: format!("{name}.conv"),
        norm: format!("{name}.bn"),
        c_out,
        kernel,
        stride,
        bias,
    };
    let blocks = vec![
        BlockSpec { units: vec![unit("a", 6, 3, 1, true)], shortcut: ShortcutSpec::None, pool: Some([3, 2, 1]) },
        BlockSpec {
            units: vec![unit("b1", 4, 1, 1, false), unit("b2", 4, 3, 2, false), unit("b3", 10, 1, 1, false)],
            shortcut: ShortcutSpec::Projection(unit("p", 10, 1, 2, false)),
            pool: None,
        },
        BlockSpec { units: vec![unit("c", 10, 3, 1, true)], shortcut: ShortcutSpec::Identity, pool: Some([2, 2, 0]) },
    ];
    let head = "fc".to_owned();
    let spec = Spec { blocks, head, head_init: HeadInit::Uniform, norm, classes: CLASSES, seed: 1 };
    Chain::new(context, input, &spec).unwrap()
}

fn cases() -> Vec<Case> {
    let context = &contexts()[0];
    let (flat, images) = (Shape::new(4, 1, 1, 7).unwrap(), Shape::new(3, 8, 7, 3).unwrap());
    let mlp = |activation| Box::new(models::mlp(flat, &[9, 6], CLASSES, activation).unwrap());
    let resnet = |norm| Box::new(models::resnet(context, ResNet::ResNet8, norm, images, CLASSES, 1).unwrap());
    let wide = |norm| Box::new(models::wide_resnet(context, [10, 1], norm, images, CLASSES, 1).unwrap());
    let two_layer = Box::new(models::two_layer(flat, 8, Activation::Relu, 0.5).unwrap());
    let (batch, running) = (Statistics::Batch, Statistics::Running);
    vec![
        Case { name: "mlp tanh", model: mlp(Activation::Tanh), statistics: batch, loss: hard },
        Case { name: "mlp relu", model: mlp(Activation::Relu), statistics: batch, loss: squared },
        Case { name: "two-layer", model: two_layer, statistics: batch, loss: logistic },
        Case { name: "resnet", model: resnet(NormKind::Batch), statistics: batch, loss: hard },
        Case { name: "resnet running", model: resnet(NormKind::Batch), statistics: running, loss: smoothed },
        Case { name: "resnet group", model: resnet(NormKind::Group(4)), statistics: batch, loss: squared },
        Case { name: "wrn", model: wide(NormKind::Batch), statistics: batch, loss: smoothed },
        Case { name: "wrn frozen", model: wide(NormKind::Frozen), statistics: batch, loss: hard },
        Case {
            name: "pooled",
            model: Box::new(pooled(context, NormKind::Batch, images)),
            statistics: batch,
            loss: hard,
        },
        Case {
            name: "pooled group",
            model: Box::new(pooled(context, NormKind::Group(2), images)),
            statistics: batch,
            loss: hard,
        },
    ]
}

/// Initial parameters whose running statistics, factors and biases are not the trivial ones.
fn values(model: &dyn Model) -> Vec<f32> {
    let mut values = model.table().values().unwrap().to_vec();
    model.init(&contexts()[0], 3, &mut values).unwrap();
    for (i, entry) in model.table().entries().iter().enumerate().filter(|(_, entry)| entry.shape().len() == 1) {
        let noise = Inputs::Uniform.vector::<f32>(i as u64, entry.range().len());
        values[entry.range()].iter_mut().zip(noise).for_each(|(x, noise)| *x += 0.3 * noise);
    }
    values
}

/// A vector of the tangent space.
fn direction(model: &dyn Model, seed: u64) -> Vec<f32> {
    let mut v = vec![0.0; model.table().trained_len()];
    for (i, entry) in model.table().trained().enumerate() {
        v[entry.range()].copy_from_slice(&Inputs::Uniform.vector(seed + i as u64, entry.range().len()));
    }
    v
}

fn images<T: Real>(model: &dyn Model) -> Vec<T> {
    Inputs::Uniform.vector::<f32>(5, model.input().len()).iter().map(|&x| T::from_f64(f64::from(x))).collect()
}

fn wide<T: Real>(x: &[f32]) -> Vec<T> {
    x.iter().map(|&x| T::from_f64(f64::from(x))).collect()
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}
fn inner<T: Real>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
}

/// The gradient by the twins in `f64`.
fn twin_gradient(case: &Case, values: &[f64]) -> Vec<f64> {
    let (context, x) = (&contexts()[0], images::<f64>(&*case.model));
    let mut network = Network::new(context, &*case.model, Box::new(Twins), values, &x, case.statistics).unwrap();
    let mut gradient = vec![0.0; case.model.table().trained_len()];
    let d = network.loss(&(case.loss)(network.examples()).get()).unwrap().1;
    network.backward(d, Wanted::Gradient(&mut gradient)).unwrap();
    gradient
}

/// The product by the twins in either precision.
fn twin_product<T: Real>(case: &Case, values: &[T], v: &[T]) -> Vec<T> {
    let (context, x) = (&contexts()[0], images::<T>(&*case.model));
    let mut network = Network::new(context, &*case.model, Box::new(Twins), values, &x, case.statistics).unwrap();
    let (loss, mut product) = ((case.loss)(network.examples()), vec![T::ZERO; v.len()]);
    network.hessian_product(&loss.get(), v, &mut product).unwrap();
    product
}

#[test]
fn the_gradient_equals_central_differences_of_the_loss() {
    for case in cases() {
        let (values, v) = (wide::<f64>(&values(&*case.model)), direction(&*case.model, 40));
        let loss_at = |h: f64| {
            let mut moved = values.clone();
            moved.iter_mut().zip(&v).for_each(|(w, v)| *w += h * f64::from(*v));
            let x = images::<f64>(&*case.model);
            let network =
                Network::new(&contexts()[0], &*case.model, Box::new(Twins), &moved, &x, case.statistics).unwrap();
            network.loss(&(case.loss)(network.examples()).get()).unwrap().0
        };
        let difference = (loss_at(1e-6) - loss_at(-1e-6)) / 2e-6;
        let gradient = twin_gradient(&case, &values);
        let exact = inner(&gradient, &wide(&v));
        let error = (difference - exact).abs() / norm(&gradient);
        assert!(error < 1e-6, "{}: {exact} but {difference}, {error:e}", case.name);
    }
}

#[test]
fn products_equal_central_differences_of_gradients_in_double_precision() {
    for case in cases() {
        let (values, v) = (wide::<f64>(&values(&*case.model)), wide::<f64>(&direction(&*case.model, 50)));
        let gradient_at = |h: f64| {
            let moved: Vec<f64> = values.iter().enumerate().map(|(i, w)| w + h * v.get(i).unwrap_or(&0.0)).collect();
            twin_gradient(&case, &moved)
        };
        let (h, product) = (1e-7, twin_product(&case, &values, &v));
        let differences: Vec<f64> =
            gradient_at(h).iter().zip(&gradient_at(-h)).map(|(a, b)| (a - b) / (2.0 * h)).collect();
        // For each tensor, so that a small one is not lost among the others.
        for entry in case.model.table().trained() {
            let (exact, difference) = (&product[entry.range()], &differences[entry.range()]);
            let apart: Vec<f64> = exact.iter().zip(difference).map(|(a, b)| a - b).collect();
            let scale = norm(exact).max_select(1e-3 * norm(&product));
            let error = norm(&apart) / scale;
            assert!(error < 1e-6, "{} {}: {error:e}", case.name, entry.name());
        }
    }
}

#[test]
fn the_hessian_is_symmetric() {
    for case in cases() {
        let model = &*case.model;
        let values = wide::<f64>(&values(model));
        let (u, v) = (wide::<f64>(&direction(model, 60)), wide::<f64>(&direction(model, 90)));
        let (of_u, of_v) = (twin_product(&case, &values, &u), twin_product(&case, &values, &v));
        let (left, right, scale) = (inner(&u, &of_v), inner(&v, &of_u), norm(&u) * norm(&of_v));
        assert!((left - right).abs() < 1e-13 * scale, "{}: {left} and {right} of {scale}", case.name);
    }
}

/// Bits on every tier and number of threads; and that they mean what the double precision says.
#[test]
fn products_equal_their_scalar_twins_bit_for_bit() {
    for case in cases() {
        let model = &*case.model;
        let (values, v, x) = (values(model), direction(model, 70), images::<f32>(model));
        let (exact, expected) =
            (twin_product(&case, &wide::<f64>(&values), &wide(&v)), twin_product(&case, &values, &v));
        let apart: Vec<f64> = exact.iter().zip(&expected).map(|(a, b)| a - f64::from(*b)).collect();
        assert!(norm(&apart) < 1e-4 * norm(&exact), "{}: {:e}", case.name, norm(&apart) / norm(&exact));
        for context in contexts() {
            let mut network =
                Network::new(context, model, Box::new(Kernels::new(context)), &values, &x, case.statistics).unwrap();
            let loss = (case.loss)(network.examples());
            // The second product meets scratch space that the first has written.
            for _ in 0..2 {
                let mut product = vec![0.0; v.len()];
                network.hessian_product(&loss.get(), &v, &mut product).unwrap();
                let same = expected.iter().zip(&product).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{} {} {}", case.name, context.isa(), context.threads());
            }
        }
    }
}

#[test]
fn the_gradient_is_that_of_training_up_to_rounding() {
    let context = contexts().last().unwrap();
    for case in cases().into_iter().filter(|case| case.statistics == Statistics::Batch) {
        let OwnLoss::Hard(labels) = (case.loss)(case.model.input().n) else { continue };
        let (start, x) = (values(&*case.model), images::<f32>(&*case.model));
        let loss = Loss::CrossEntropy(Targets::Hard(&labels));
        let mut hessian = Hessian::new(context, &*case.model, &start, &x, loss, case.statistics).unwrap();
        let (mut ours, mut training) = (vec![0.0; hessian.size()], vec![0.0; hessian.size()]);
        hessian.gradient(&mut ours).unwrap();
        let mean = hessian.loss().unwrap();
        let (mut model, mut values) = (case.model, start.clone());
        let targets = Targets::Hard(&labels);
        let sum = models::gradients(context, &mut *model, &mut values, &x, targets, 0, &mut training).unwrap();
        assert!((f64::from(sum.mean()) - mean).abs() < 1e-5 * mean, "{}", case.name);
        let apart: Vec<f64> = ours.iter().zip(&training).map(|(a, b)| f64::from(a - b)).collect();
        assert!(norm(&apart) < 1e-5 * norm(&wide::<f64>(&training)), "{}: {:e}", case.name, norm(&apart));
    }
}

#[test]
fn example_norms_are_those_of_gradients_of_single_examples() {
    let context = contexts().last().unwrap();
    for case in cases() {
        let (model, values, x) = (&*case.model, values(&*case.model), images::<f32>(&*case.model));
        let (n, example) = (model.input().n, model.input().example());
        let loss = (case.loss)(n);
        let norms = example_gradient_norms(context, model, &values, &x, loss.get(), case.statistics);
        if ["resnet", "wrn", "pooled"].contains(&case.name) {
            assert!(matches!(norms, Err(Error::Argument { .. })), "{}", case.name);
            continue;
        }
        for (i, norm) in norms.unwrap().into_iter().enumerate() {
            let loss = match &loss {
                OwnLoss::Hard(labels) => OwnLoss::Hard(vec![labels[i]]),
                OwnLoss::Smoothed(labels) => OwnLoss::Smoothed(vec![labels[i]]),
                OwnLoss::Squared(targets) => OwnLoss::Squared(targets[i * CLASSES..(i + 1) * CLASSES].to_vec()),
                OwnLoss::Logistic(labels) => OwnLoss::Logistic(vec![labels[i]]),
            };
            let x = &x[i * example..(i + 1) * example];
            let mut alone = Hessian::new(context, model, &values, x, loss.get(), case.statistics).unwrap();
            let mut gradient = vec![0.0; alone.size()];
            alone.gradient(&mut gradient).unwrap();
            let expected = inner(&gradient, &gradient).sqrt();
            assert!((norm - expected).abs() < 1e-5 * expected, "{} {i}: {norm} but {expected}", case.name);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let context = &Context::new(Isa::detect(), 1).unwrap();
    let images_shape = Shape::new(2, 8, 8, 3).unwrap();
    let net = models::resnet(context, ResNet::ResNet8, NormKind::Stochastic(0.5), images_shape, CLASSES, 1).unwrap();
    let (values, x) = (values(&net), images::<f32>(&net));
    let loss = Loss::CrossEntropy(Targets::Hard(&[0, 1]));
    let make = |values: &[f32], x: &[f32], loss, statistics| {
        Hessian::new(context, &net, values, x, loss, statistics).map(drop).unwrap_err()
    };
    assert!(matches!(make(&values, &x, loss, Statistics::Batch), Error::Argument { .. }));
    let running = Statistics::Running;
    assert!(matches!(make(&values[1..], &x, loss, running), Error::Shape { .. }));
    assert!(matches!(make(&values, &x[1..], loss, running), Error::Shape { .. }));
    assert!(matches!(make(&values, &[], loss, running), Error::Argument { .. }));
    let labels = |labels| Loss::CrossEntropy(Targets::Hard(labels));
    assert!(matches!(make(&values, &x, labels(&[0]), running), Error::Shape { .. }));
    assert!(matches!(make(&values, &x, labels(&[0, 5]), running), Error::Argument { .. }));
    assert!(matches!(make(&values, &x, Loss::Logistic(&[1.0, 1.0]), running), Error::Shape { .. }));
    let mut hessian = Hessian::new(context, &net, &values, &x, loss, running).unwrap();
    let (v, mut product) = (vec![0.0; hessian.size()], vec![0.0; hessian.size()]);
    assert!(matches!(hessian.apply(context, &v[1..], &mut product), Err(Error::Shape { .. })));
    assert!(net.table().trained().all(|entry| entry.kind() != Kind::Buffer));
}
