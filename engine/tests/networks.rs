//! Whole networks: bits against the scalar twin, gradients against differences, the same bits everywhere, sizes.
#![allow(clippy::unwrap_used)] // a test may panic
#![allow(missing_docs)] // no one reads the documentation of a test

mod common;
#[path = "common/twin.rs"]
mod twin;

use std::collections::HashMap;

use common::{Inputs, assert_same, contexts};
use regularity_engine::kernels::loss::{Gradient, Targets, softmax_cross_entropy};
use regularity_engine::kernels::norm::Shape;
use regularity_engine::layers::{Accumulator, Gradients, Mode, NormKind};
use regularity_engine::models::{self, InnerGradients, Model, ResNet, convnet, resnet, vgg16, wide_resnet};
use regularity_engine::optim::{Rate, Sgd};
use regularity_engine::params::Groups;
use regularity_engine::simd::Real;
use regularity_engine::tensor::MatRef;
use regularity_engine::{Context, Error, Isa};
use twin::{Images, Setting, Twin};

const SEED: u64 = 7;
const NORMS: [NormKind; 5] =
    [NormKind::Batch, NormKind::Stochastic(0.5), NormKind::Group(2), NormKind::Mixed(0.25), NormKind::Frozen];

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Net {
    ResNet8,
    /// Wide enough that activations are computed again for the backward pass.
    ResNet18,
    /// Of depth 10 and width 1, with noise of this standard deviation.
    Wide(f32),
    /// Plain convolutions of 5 and 8 and 8 channels with these strides.
    Plain([usize; 3]),
}

const PLAIN: Net = Net::Plain([1, 2, 1]);

/// Every network with every normalisation that it can have.
fn nets(noises: &[f32]) -> Vec<(Net, NormKind)> {
    let normalised = [Net::ResNet8].into_iter().chain(noises.iter().map(|&noise| Net::Wide(noise)));
    let mut all: Vec<_> = normalised.flat_map(|net| NORMS.map(|norm| (net, norm))).collect();
    all.push((PLAIN, NormKind::Frozen));
    all
}

fn build(context: &Context, net: Net, norm: NormKind, input: Shape) -> Box<dyn Model> {
    match net {
        Net::ResNet8 => Box::new(resnet(context, ResNet::ResNet8, norm, input, 10, SEED).unwrap()),
        Net::ResNet18 => Box::new(resnet(context, ResNet::ResNet18, norm, input, 10, SEED).unwrap()),
        Net::Wide(noise) => {
            let mut net = wide_resnet(context, [10, 1], norm, input, 10, SEED).unwrap();
            net.set_noise(noise);
            Box::new(net)
        }
        Net::Plain([a, b, c]) => Box::new(convnet(context, &[(5, a), (8, b), (8, c)], input, 10).unwrap()),
    }
}

fn batch(input: Shape, seed: u64) -> (Images<f32>, Vec<u32>) {
    let Shape { n, h, w, c } = input;
    let images = Images { x: Inputs::Uniform.vector(seed, n * h * w * c), h, w, c };
    (images, (0..n as u32).map(|i| (i * 7 + seed as u32) % 10).collect())
}

/// Initial parameters whose running statistics, factors and biases are not the trivial ones.
fn values(context: &Context, net: &dyn Model) -> Vec<f32> {
    let mut values = net.table().values().unwrap().to_vec();
    net.init(context, 3, &mut values).unwrap();
    for (i, entry) in net.table().entries().iter().enumerate().filter(|(_, entry)| entry.shape().len() == 1) {
        let noise = Inputs::Uniform.vector(i as u64, entry.range().len());
        values[entry.range()].iter_mut().zip(noise).for_each(|(x, noise)| *x += 0.3 * noise);
    }
    values
}

fn twin_run<T: regularity_engine::reference::elementary::Elementary>(
    twin: &mut Twin<'_, T>,
    net: Net,
    images: &Images<f32>,
    labels: &[u32],
) -> (Vec<T>, T) {
    match net {
        Net::ResNet8 => twin.resnet(&[1, 1, 1], images, labels),
        Net::ResNet18 => twin.resnet(&[2, 2, 2, 2], images, labels),
        Net::Wide(_) => twin.wide_resnet(1, images, labels),
        Net::Plain(strides) => twin.convnet(&strides, images, labels),
    }
}

fn setting(net: Net, norm: NormKind, step: u64) -> Setting {
    Setting { norm, seed: SEED, step, noise: if let Net::Wide(noise) = net { noise } else { 0.0 } }
}

/// Logits, loss, all gradients and running statistics, on every tier and number of threads.
#[test]
fn networks_equal_their_scalar_twins_bit_for_bit() {
    equal_to_twins(Shape::new(5, 9, 8, 3).unwrap(), &nets(&[0.0, 0.125]));
}

/// The same where activations are forgotten and computed again.
#[test]
fn a_wide_residual_network_equals_its_scalar_twin_bit_for_bit() {
    equal_to_twins(Shape::new(2, 4, 3, 3).unwrap(), &[NormKind::Batch, NormKind::Group(2)].map(|n| (Net::ResNet18, n)));
}

/// Those that are no longer in memory after the forward pass too.
#[test]
fn activations_are_those_of_the_scalar_twin() {
    let (input, norm, context) = (Shape::new(3, 4, 5, 3).unwrap(), NormKind::Batch, &contexts()[0]);
    let (images, _) = batch(input, 1);
    for net in [Net::ResNet8, Net::ResNet18] {
        let mut model = build(context, net, norm, input);
        let (mut values, labels) = (values(context, &*model), [0; 3]);
        let mut twin = Twin::<f32>::new(model.table(), setting(net, norm, 4), &values);
        twin_run(&mut twin, net, &images, &labels);
        let expected = twin.activations;
        model.forward(context, &mut values, &images.x, Mode::Train { step: 4 }).unwrap();
        let mut actual = Vec::new();
        let mut visit = |name: &str, _: Shape, x: &[f32]| {
            if name == "bn1" || name.ends_with(".bn2") {
                actual.push(x.to_vec());
            }
        };
        model.activations(context, &mut visit).unwrap();
        assert_eq!(expected.len(), actual.len());
        expected.iter().zip(&actual).for_each(|(expected, actual)| assert_same(expected, actual));
    }
}

/// The places where a penalty taps, in the stem, the blocks and their shortcuts, and keyed gradients for them.
fn taps(model: &mut dyn Model) -> Vec<(&'static str, Vec<f32>)> {
    let names = ["conv1", "layer1.0.conv1", "layer2.0.conv2", "layer2.0.downsample.0", "layer3.0.conv1"];
    let keyed = |(i, name)| (name, Inputs::Uniform.vector(50 + i as u64, model.map(name).unwrap().len()));
    names.into_iter().enumerate().map(keyed).collect()
}

fn twin_taps<T: Real>(taps: &[(&str, Vec<f32>)]) -> HashMap<String, Vec<T>> {
    let converted = |d: &[f32]| d.iter().map(|&x| T::from_f64(f64::from(x))).collect();
    taps.iter().map(|(name, d)| ((*name).to_owned(), converted(d))).collect()
}

/// A linear penalty on maps: all gradients bit for bit as the twin's, which in `f64` are those of its loss and the penalty.
#[test]
fn gradients_of_maps_are_added_where_they_belong() {
    let input = Shape::new(4, 8, 7, 3).unwrap();
    let ((images, labels), net) = (batch(input, 1), Net::ResNet8);
    for norm in [NormKind::Batch, NormKind::Group(2)] {
        let mut model = build(&contexts()[0], net, norm, input);
        let start = values(&contexts()[0], &*model);
        model.forward(&contexts()[0], &mut start.clone(), &images.x, Mode::Train { step: 4 }).unwrap();
        let (taps, setting) = (taps(&mut *model), setting(net, norm, 4));
        let mut twin = Twin::<f32>::new(model.table(), setting, &start);
        twin.taps = twin_taps(&taps);
        twin_run(&mut twin, net, &images, &labels);
        let maps: Vec<(&str, &[f32])> = taps.iter().map(|(name, d)| (*name, d.as_slice())).collect();
        for context in contexts() {
            let mut model = build(context, net, norm, input);
            let (mut values, mut gradient) = (start.clone(), model.table().gradients().unwrap());
            model.forward(context, &mut values, &images.x, Mode::Train { step: 4 }).unwrap();
            let mut tapped = 0.0;
            for (name, d) in &maps {
                let y = model.map(name).unwrap();
                tapped += d.iter().zip(y).map(|(&d, &y)| f64::from(d) * f64::from(y)).sum::<f64>();
            }
            assert_eq!(twin.tapped.get(), tapped);
            let (logits, d) = model.outputs().unwrap();
            let logits = MatRef::new(logits, labels.len(), 10).unwrap();
            let scaled = Some(Gradient { d, scale: 0.25 });
            softmax_cross_entropy(context, logits, Targets::Hard(&labels), scaled, None).unwrap();
            let inner = InnerGradients { maps: &maps, ..InnerGradients::default() };
            model.backward(context, &values, &images.x, inner, &mut Gradients::Whole(&mut gradient)).unwrap();
            assert_same(&twin.gradients, &gradient);
        }
        // Along a random direction of all parameters at once.
        let direction = Inputs::Uniform.vector(100, model.table().trained_len());
        let loss_at = |h: f64| {
            let mut twin = Twin::<f64>::new(model.table(), setting, &start);
            twin.taps = twin_taps(&taps);
            twin.values.iter_mut().zip(&direction).for_each(|(w, &d)| *w += h * f64::from(d));
            let loss = twin_run(&mut twin, net, &images, &labels).1;
            (loss + twin.tapped.get(), twin.gradients)
        };
        let h = 1.0 / f64::from(1 << 22);
        let difference = (loss_at(h).0 - loss_at(-h).0) / (2.0 * h);
        let exact = loss_at(0.0).1;
        let along: f64 = exact.iter().zip(&direction).map(|(g, &d)| g * f64::from(d)).sum();
        let scale: f64 = exact.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!((difference - along).abs() < 1e-6 * scale, "{norm:?}: {along} but {difference}");
    }
}

#[test]
fn a_map_that_does_not_exist_or_fit_is_refused() {
    let (input, context) = (Shape::new(2, 8, 8, 3).unwrap(), &contexts()[0]);
    let (images, _) = batch(input, 1);
    for (net, name) in [(Net::ResNet8, "layer1.0.bn1"), (Net::Wide(0.0), "conv1"), (PLAIN, "conv1")] {
        let mut model = build(context, net, NormKind::Frozen, input);
        let mut values = values(context, &*model);
        let mut gradient = model.table().gradients().unwrap();
        model.forward(context, &mut values, &images.x, Mode::Train { step: 0 }).unwrap();
        let mut backward = |name: &str, d: &[f32]| {
            let inner = InnerGradients { maps: &[(name, d)], ..InnerGradients::default() };
            model.backward(context, &values, &images.x, inner, &mut Gradients::Whole(&mut gradient))
        };
        let refused = backward(name, &[0.0]).unwrap_err();
        assert!(matches!(&refused, Error::Argument { actual, .. } if actual == name), "{refused:?}");
        if net == Net::ResNet8 {
            assert!(matches!(backward("conv1", &[0.0]), Err(Error::Shape { actual: 1, .. })));
        }
        assert!(matches!(model.map(name), Err(Error::Argument { .. })));
    }
}

fn equal_to_twins(input: Shape, nets: &[(Net, NormKind)]) {
    let (images, labels) = batch(input, 1);
    for &(net, norm) in nets {
        let model = build(&contexts()[0], net, norm, input);
        let start = values(&contexts()[0], &*model);
        let mut twin = Twin::<f32>::new(model.table(), setting(net, norm, 4), &start);
        let (logits, loss) = twin_run(&mut twin, net, &images, &labels);
        for context in contexts() {
            let mut model = build(context, net, norm, input);
            let (mut values, mut gradients) = (start.clone(), vec![f32::NAN; model.table().trained_len()]);
            gradients.iter_mut().for_each(|g| *g = 0.0);
            let targets = Targets::Hard(&labels);
            let sum =
                models::gradients(context, &mut *model, &mut values, &images.x, targets, 4, &mut gradients).unwrap();
            assert_same(&logits, model.outputs().unwrap().0);
            assert_eq!((sum.sum * (1.0 / labels.len() as f32)).to_bits(), loss.to_bits());
            for entry in model.table().trained() {
                let (expected, actual) = (&twin.gradients[entry.range()], &gradients[entry.range()]);
                let same = expected.iter().zip(actual).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{net:?} {norm:?} {} {}: {}", context.isa(), context.threads(), entry.name());
            }
            assert_same(&twin.values, &values);
        }
    }
}

/// The twin's gradients in `f64` against central differences of its loss, along a random direction for each tensor.
#[test]
fn gradients_equal_central_differences_of_the_twin_in_double_precision() {
    let input = Shape::new(3, 8, 8, 3).unwrap();
    let (images, labels) = batch(input, 2);
    let context = &contexts()[0];
    for (net, norm) in nets(&[0.125]) {
        let model = build(context, net, norm, input);
        let (table, start) = (model.table(), values(context, &*model));
        let setting = setting(net, norm, 4);
        let mut twin = Twin::<f64>::new(table, setting, &start);
        twin_run(&mut twin, net, &images, &labels);
        for (i, entry) in table.trained().enumerate() {
            let direction = Inputs::Uniform.vector(100 + i as u64, entry.range().len());
            let loss_at = |h: f64| {
                let mut moved = Twin::<f64>::new(table, setting, &start);
                moved.values[entry.range()].iter_mut().zip(&direction).for_each(|(w, &d)| *w += h * f64::from(d));
                twin_run(&mut moved, net, &images, &labels).1
            };
            let h = 1e-6;
            let difference = (loss_at(h) - loss_at(-h)) / (2.0 * h);
            let exact: f64 = twin.gradients[entry.range()].iter().zip(&direction).map(|(g, &d)| g * f64::from(d)).sum();
            let scale: f64 = twin.gradients[entry.range()].iter().map(|g| g * g).sum::<f64>().sqrt();
            let error = (difference - exact).abs() / scale.max_select(1e-3);
            assert!(error < 1e-6, "{net:?} {norm:?} {}: {exact} but {difference}, {error}", entry.name());
        }
    }
}

/// Steps of a run on keyed batches.
fn train(context: &Context, net: &mut dyn Model, values: &mut [f32], sgd: &mut Sgd, steps: std::ops::Range<u64>) {
    let (groups, input) = (Groups::one(net.table()), net.input());
    let mut gradients = net.table().gradients().unwrap();
    context.install(|| {
        for step in steps {
            let (images, labels) = batch(input, step);
            let targets = Targets::Hard(&labels);
            models::gradients(context, net, values, &images.x, targets, step, &mut gradients).unwrap();
            sgd.step(context, &groups, &[Rate { lr: 0.05, weight_decay: 5e-4 }], values, &gradients).unwrap();
        }
    });
}

#[test]
fn the_digest_after_twenty_steps_is_the_same_on_every_tier_and_thread_count() {
    let input = Shape::new(12, 8, 8, 3).unwrap();
    let plain = (PLAIN, NormKind::Frozen);
    for (net, norm) in [(Net::Wide(0.05), NormKind::Batch), (Net::ResNet8, NormKind::Stochastic(0.5)), plain] {
        let mut digests = Vec::new();
        for context in contexts() {
            let mut model = build(context, net, norm, input);
            let mut values = model.table().values().unwrap();
            model.init(context, 3, &mut values).unwrap();
            let mut sgd = Sgd::new(model.table(), 0.9, true).unwrap();
            train(context, &mut *model, &mut values, &mut sgd, 0..20);
            digests.push(model.table().digest(&values).unwrap());
        }
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{net:?}: {digests:?}");
    }
}

#[test]
fn a_run_resumed_on_another_tier_and_thread_count_is_the_same_run() {
    let input = Shape::new(12, 8, 8, 3).unwrap();
    let (first, second) = (&contexts()[contexts().len() - 1], &contexts()[0]);
    let (net, norm) = (Net::ResNet8, NormKind::Stochastic(0.5));
    let run = |stops: &[(&Context, std::ops::Range<u64>)]| {
        let mut state: Option<(Vec<f32>, Vec<f32>)> = None;
        let mut digest = None;
        for (context, steps) in stops {
            // Everything but the state is made anew, as in another process.
            let mut model = build(context, net, norm, input);
            let mut values = model.table().values().unwrap();
            let mut sgd = Sgd::new(model.table(), 0.9, true).unwrap();
            match &state {
                Some((w, v)) => {
                    values.copy_from_slice(w);
                    sgd.restore(steps.start).copy_from_slice(v);
                }
                None => model.init(context, 3, &mut values).unwrap(),
            }
            train(context, &mut *model, &mut values, &mut sgd, steps.clone());
            digest = Some(model.table().digest(&values).unwrap());
            state = Some((values.to_vec(), sgd.velocity().to_vec()));
        }
        digest.unwrap()
    };
    assert_eq!(run(&[(first, 0..20)]), run(&[(first, 0..7), (second, 7..20)]));
}

#[test]
fn micro_batches_give_the_bits_of_the_whole_batch() {
    let input = Shape::new(64, 8, 8, 3).unwrap();
    let (images, labels) = batch(input, 3);
    let context = &contexts()[contexts().len() - 1];
    let mut model = build(context, Net::ResNet8, NormKind::Group(4), input);
    let mut over_batch = build(context, Net::ResNet8, NormKind::Batch, input);
    let mut over_batch_values = values(context, &*over_batch);
    let mut values = values(context, &*model);
    let mut whole = model.table().gradients().unwrap();
    let targets = Targets::Hard(&labels);
    let loss = models::gradients(context, &mut *model, &mut values, &images.x, targets, 0, &mut whole).unwrap();
    let mut sums = Accumulator::new();
    let targets = |range: std::ops::Range<usize>| Targets::Hard(&labels[range]);
    for length in [64, 32, 16, 8] {
        let mut parts = model.table().gradients().unwrap();
        let x = &images.x;
        let sum = models::gradients_in_parts(
            context,
            &mut *model,
            &mut values,
            x,
            &targets,
            length,
            0,
            &mut sums,
            &mut parts,
        );
        assert_eq!(sum.unwrap(), loss);
        assert_same(&whole, &parts);
    }
    let run = |model: &mut dyn Model, values: &mut [f32], length: usize| {
        let (x, mut sums) = (&images.x, Accumulator::new());
        let mut parts = model.table().gradients().unwrap();
        models::gradients_in_parts(context, model, values, x, &targets, length, 0, &mut sums, &mut parts).map(drop)
    };
    let refused = run(&mut *model, &mut values, 12);
    assert!(matches!(refused, Err(Error::Argument { .. })), "{refused:?}");
    let refused = run(&mut *over_batch, &mut over_batch_values, 16);
    assert!(matches!(refused, Err(Error::Argument { .. })), "{refused:?}");
}

#[test]
fn parameter_counts_are_those_of_the_specifications() {
    let context = &Context::new(Isa::detect(), 1).unwrap();
    let small = Shape::new(1, 32, 32, 3).unwrap();
    for (size, expected) in [([16, 10], 17_116_634), ([10, 1], 77_850), ([10, 2], 303_706)] {
        let net = wide_resnet(context, size, NormKind::Batch, small, 10, 0).unwrap();
        assert_eq!(net.table().parameters(), expected);
    }
    let count =
        |kind, input, classes| resnet(context, kind, NormKind::Batch, input, classes, 0).unwrap().table().parameters();
    // The published 0.27 million of ResNet-20, with projections in place of padded shortcuts.
    assert_eq!(count(ResNet::ResNet20, small, 10), 272_474);
    assert_eq!(count(ResNet::ResNet18, small, 10), 11_173_962);
    assert_eq!(count(ResNet::ResNet50, Shape::new(1, 64, 64, 3).unwrap(), 1000), 25_557_032);
    // torchvision's 14,723,136 of the stages and one linear layer.
    let plain = convnet(context, &[(16, 1), (32, 2), (64, 2), (64, 1)], small, 10).unwrap();
    assert_eq!(plain.table().parameters(), 448 + 4_640 + 18_496 + 36_928 + 650);
    let vgg = vgg16(context, NormKind::Batch, small, 10, 0).unwrap();
    assert_eq!(vgg.table().parameters(), 14_723_136 + 5_130);
    let names: Vec<_> = vgg.table().entries().iter().map(|entry| entry.name()).collect();
    assert!(names.contains(&"features.41.running_var") && names.contains(&"features.0.bias"), "{names:?}");
}

#[test]
fn bad_input_is_refused_with_what_and_where() {
    let context = &Context::new(Isa::detect(), 1).unwrap();
    let input = Shape::new(2, 8, 8, 3).unwrap();
    let mut net = resnet(context, ResNet::ResNet8, NormKind::Batch, input, 10, 0).unwrap();
    let (mut values, mut gradients) = (net.table().values().unwrap(), net.table().gradients().unwrap());
    net.init(context, 0, &mut values).unwrap();
    let mut run = |net: &mut dyn Model, values: &mut [f32], x: &[f32]| {
        models::gradients(context, net, values, x, Targets::Hard(&[0, 1]), 0, &mut gradients).map(drop)
    };
    let x = Inputs::Uniform.vector(0, input.len());
    assert!(run(&mut net, &mut values, &x).is_ok());
    assert!(matches!(run(&mut net, &mut values, &x[1..]), Err(Error::Shape { .. })));
    assert!(matches!(run(&mut net, &mut values[1..], &x), Err(Error::Shape { .. })));
    assert!(matches!(run(&mut net, &mut values, &[]), Err(Error::Argument { .. })));
    let nan = |x: &[f32]| x.iter().map(|x| x * f32::NAN).collect::<Vec<_>>();
    assert!(matches!(run(&mut net, &mut values, &nan(&x)), Err(Error::NonFinite { .. })));
    assert!(wide_resnet(context, [12, 1], NormKind::Batch, input, 10, 0).is_err());
    assert!(wide_resnet(context, [16, 0], NormKind::Batch, input, 10, 0).is_err());
    assert!(resnet(context, ResNet::ResNet8, NormKind::Group(3), input, 10, 0).is_err());
    assert!(convnet(context, &[], input, 10).is_err() && convnet(context, &[(0, 1)], input, 10).is_err());
}
