//! Inference with folded normalisations: bits against scalar twins, near to evaluation, each image by itself.
#![allow(clippy::unwrap_used)] // a test may panic
#![allow(missing_docs)] // no one reads the documentation of a test

mod common;

use common::{Inputs, assert_same, contexts};
use regularity_engine::kernels::norm::Shape;
use regularity_engine::layers::{Activation, Mode, NormKind};
use regularity_engine::models::{
    self, Folded, Model, Op, ResNet, Wiring, resnet, vgg16, vgg16_with_channels, wide_resnet,
};
use regularity_engine::reference::norm::{self, Channel};
use regularity_engine::reference::{conv, pool};
use regularity_engine::simd::Real;
use regularity_engine::{Context, Error, Isa};

const EPS: f64 = 1e-5;

fn networks(context: &Context, n: usize) -> Vec<(&'static str, Box<dyn Model>)> {
    let small = Shape::new(n, 9, 8, 3).unwrap();
    let norm = NormKind::Batch;
    // The last maps have one pixel.
    let tiny = Shape::new(n, 2, 2, 3).unwrap();
    let bottleneck = Shape::new(n, 33, 32, 3).unwrap();
    let flat = Shape::new(n, 1, 1, 7).unwrap();
    vec![
        ("resnet8", Box::new(resnet(context, ResNet::ResNet8, norm, small, 10, 1).unwrap())),
        ("resnet8 of 2 by 2", Box::new(resnet(context, ResNet::ResNet8, norm, tiny, 10, 1).unwrap())),
        ("frozen", Box::new(resnet(context, ResNet::ResNet8, NormKind::Frozen, small, 10, 1).unwrap())),
        ("wrn-10-1", Box::new(wide_resnet(context, [10, 1], norm, small, 10, 1).unwrap())),
        ("wrn-10-2", Box::new(wide_resnet(context, [10, 2], NormKind::Stochastic(0.5), small, 10, 1).unwrap())),
        ("resnet50", Box::new(resnet(context, ResNet::ResNet50, norm, bottleneck, 10, 1).unwrap())),
        ("vgg16", Box::new(vgg16_with_channels(context, [3, 4, 6, 7, 5], norm, bottleneck, 10, 1).unwrap())),
        ("mlp", Box::new(models::mlp(flat, &[9, 6], 4, Activation::Tanh).unwrap())),
    ]
}

/// Initial parameters with running statistics, factors and biases that are not the trivial ones; factors of both signs.
fn values(context: &Context, net: &dyn Model) -> Vec<f32> {
    let mut values = net.table().values().unwrap().to_vec();
    net.init(context, 3, &mut values).unwrap();
    for (i, entry) in net.table().entries().iter().enumerate().filter(|(_, entry)| entry.shape().len() == 1) {
        let noise = Inputs::Uniform.vector(i as u64, entry.range().len());
        let size = if entry.name().ends_with("weight") { 1.2 } else { 0.4 };
        values[entry.range()].iter_mut().zip(noise).for_each(|(x, noise)| *x += size * noise);
    }
    values
}

/// The definition, operation by operation: a tensor for each slot, the normalisations after convolutions folded.
struct Twin<'a> {
    wiring: Wiring,
    net: &'a dyn Model,
    values: &'a [f32],
    n: usize,
    slots: Vec<Vec<f32>>,
}

impl Twin<'_> {
    fn get(&self, id: regularity_engine::params::TensorId) -> &[f32] {
        &self.values[self.net.table().range(id)]
    }

    fn readers(&self, slot: usize) -> usize {
        let reads = |op: &&Op| {
            matches!(op, Op::Conv { x, .. } | Op::Norm { x, .. } | Op::Add { x, .. } | Op::MaxPool { x, .. }
                | Op::Average { x, .. } if *x == slot)
        };
        self.wiring.ops().iter().filter(reads).count()
    }

    fn run(mut self, x: &[f32]) -> Vec<f32> {
        self.slots = vec![Vec::new(); self.wiring.shapes().len()];
        self.slots[0] = x.to_vec();
        let ops = self.wiring.ops().to_vec();
        for (place, op) in ops.iter().enumerate() {
            let n = self.n;
            match op {
                Op::Conv { x, y, geometry: g, weight, bias } => {
                    let mut w = self.get(*weight).to_vec();
                    let mut b = bias.map(|bias| self.get(bias).to_vec());
                    if let Some(Op::Norm { x: read, norm, .. }) = ops.get(place + 1)
                        && (*read, self.readers(*y)) == (*y, 1)
                    {
                        let [mean, var] = norm.running.unwrap();
                        let (taps, mut folded) = (w.len() / g.c_out, vec![0.0f32; g.c_out]);
                        for c in 0..g.c_out {
                            let at = |id| f64::from(self.get(id)[c]);
                            let k = at(norm.gamma) * norm::invstd(at(var), EPS);
                            w[c * taps..][..taps].iter_mut().for_each(|w| *w = (f64::from(*w) * k) as f32);
                            folded[c] = (at(norm.beta) - at(mean) * k) as f32;
                            if let Some(b) = &b {
                                folded[c] = (f64::from(folded[c]) + f64::from(b[c]) * k) as f32;
                            }
                        }
                        b = Some(folded);
                    }
                    let mut out = vec![0.0; n * g.output_len()];
                    conv::forward(g, n, &self.slots[*x], &w, b.as_deref(), &mut out);
                    self.slots[*y] = out;
                }
                Op::Norm { x, y, norm } => {
                    let after_convolution =
                        place > 0 && matches!(&ops[place - 1], Op::Conv { y, .. } if y == x) && self.readers(*x) == 1;
                    self.slots[*y] = self.slots[*x].clone();
                    if !after_convolution {
                        let [mean, var] = norm.running.unwrap();
                        let c = self.get(mean).len();
                        let rows: Vec<[f32; 3]> = (0..c)
                            .map(|i| {
                                let moving_invstd = norm::invstd(f64::from(self.get(var)[i]), EPS);
                                let moving_mean = f64::from(self.get(mean)[i]);
                                let channel = Channel { moving_mean, moving_invstd, ..Channel::default() };
                                channel.forward(self.get(norm.gamma)[i], self.get(norm.beta)[i])
                            })
                            .collect();
                        for (i, z) in self.slots[*y].iter_mut().enumerate() {
                            let [center, scale, shift] = rows[i % c];
                            *z = (*z - center).fma(scale, shift);
                        }
                    }
                }
                Op::Add { x, y } => {
                    let x = self.slots[*x].clone();
                    self.slots[*y].iter_mut().zip(x).for_each(|(y, x)| *y += x);
                }
                Op::Activation { y, activation: Activation::Relu } => self.slots[*y] = norm::relu(&self.slots[*y]),
                Op::Activation { y, activation } => {
                    let context = Context::new(Isa::Portable, 1).unwrap();
                    activation.forward(&context, &mut self.slots[*y]).unwrap();
                }
                Op::MaxPool { x, y, window } => {
                    let examples = self.slots[*x].chunks(window.input_len());
                    self.slots[*y] = examples.flat_map(|x| pool::max_forward(window, x)).collect();
                }
                Op::Average { x, y } => {
                    let (c, len) = (self.wiring.shapes()[*x].c, self.slots[*x].len() / n);
                    let examples = self.slots[*x].chunks(len);
                    self.slots[*y] = examples.flat_map(|x| pool::global_average_forward(x, c)).collect();
                }
            }
        }
        self.slots.pop().unwrap()
    }
}

#[test]
fn folded_networks_equal_their_scalar_twins_bit_for_bit_in_every_batch() {
    let count = networks(&contexts()[0], 1).len();
    for i in 0..count {
        let (name, net) = networks(&contexts()[0], 3).swap_remove(i);
        let values = values(&contexts()[0], &*net);
        let x = Inputs::Uniform.vector(9, net.input().len());
        let twin = Twin { wiring: net.wiring().unwrap(), net: &*net, values: &values, n: 3, slots: Vec::new() };
        let (expected, example, classes) = (twin.run(&x), net.input().example(), net.classes());
        // The deepest one is too much for the portable tier.
        let from = if name == "resnet50" { contexts().len() - 1 } else { 0 };
        for context in &contexts()[from..] {
            let mut folded = Folded::new(context, &*net, &values).unwrap();
            assert_same(&expected, folded.forward(context, &x).unwrap());
            // An image alone has the bits that it had among others, after a larger batch and before one.
            for j in 0..3 {
                let alone = folded.forward(context, &x[j * example..][..example]).unwrap();
                assert!(alone.len() == classes, "{name}");
                assert_same(&expected[j * classes..][..classes], alone);
            }
            assert_same(&expected, folded.forward(context, &x).unwrap());
        }
    }
}

#[test]
fn folded_networks_are_near_to_evaluation() {
    let context = contexts().last().unwrap();
    let mut networks = networks(context, 3);
    let images = Shape::new(2, 32, 32, 3).unwrap();
    networks.push(("vgg16", Box::new(vgg16(context, NormKind::Batch, images, 10, 1).unwrap())));
    for (name, mut net) in networks {
        let mut values = values(context, &*net);
        // Statistics of real activations, as training leaves them: with others, scales grow from layer to layer, and
        // rounding with them.
        let x = Inputs::Uniform.vector(9, net.input().len());
        for step in 0..40 {
            net.forward(context, &mut values, &x, Mode::Train { step }).unwrap();
        }
        net.forward(context, &mut values, &x, Mode::Eval).unwrap();
        let expected = net.outputs().unwrap().0.to_vec();
        let mut folded = Folded::new(context, &*net, &values).unwrap();
        let actual = folded.forward(context, &x).unwrap();
        let largest = expected.iter().fold(0.0f32, |most, x| most.max_select(x.abs()));
        // Both round in each layer, and the small maps of the deepest one, normalised by few values, enlarge that.
        let tolerance = if name == "resnet50" { 5e-4 } else { 1e-4 };
        for (a, b) in expected.iter().zip(actual) {
            assert!((a - b).abs() < tolerance * largest, "{name}: {a} but {b} of {largest}");
        }
    }
}

#[test]
fn what_cannot_be_folded_is_refused() {
    let context = &Context::new(Isa::detect(), 1).unwrap();
    let input = Shape::new(2, 8, 8, 3).unwrap();
    let net = resnet(context, ResNet::ResNet8, NormKind::Group(4), input, 10, 1).unwrap();
    let group = values(context, &net);
    assert!(matches!(Folded::new(context, &net, &group), Err(Error::Argument { .. })));
    let net = resnet(context, ResNet::ResNet8, NormKind::Batch, input, 10, 1).unwrap();
    let values = values(context, &net);
    assert!(matches!(Folded::new(context, &net, &values[1..]), Err(Error::Shape { .. })));
    let mut folded = Folded::new(context, &net, &values).unwrap();
    let x = Inputs::Uniform.vector(9, 3 * input.example());
    assert!(matches!(folded.forward(context, &x), Err(Error::Argument { .. })));
    assert!(matches!(folded.forward(context, &x[1..100]), Err(Error::Shape { .. })));
    assert!(matches!(folded.forward(context, &[]), Err(Error::Argument { .. })));
}
