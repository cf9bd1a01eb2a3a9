//! How many procedural images a class needs: a small network on a tenth of the data and on all of it.

use regularity_engine::kernels::gemm::{Bias, Options, gemm};
use regularity_engine::kernels::loss::{Gradient, Targets, softmax_cross_entropy};
use regularity_engine::kernels::{elementwise, reduce};
use regularity_engine::random::Stream;
use regularity_engine::tensor::{MatMut, MatRef};

use super::*;

const HIDDEN: usize = 128;
const BATCH: usize = 64;
const STEPS: u64 = 1500;

/// A network with one hidden layer, and the momentum of each weight.
struct Mlp {
    inputs: usize,
    classes: usize,
    /// `[inputs, HIDDEN]`, `[HIDDEN]`, `[HIDDEN, classes]`, `[classes]`.
    weights: [Vec<f32>; 4],
    momentum: [Vec<f32>; 4],
}

impl Mlp {
    fn new(context: &Context, inputs: usize, classes: usize) -> Self {
        let normal = |name: &str, len: usize, fan_in: usize| {
            let mut weights = vec![0.0; len];
            let std = (2.0 / fan_in as f64).sqrt() as f32;
            Stream::new(1, name, 0).fill_normal(context, 0, &mut weights, 0.0, std).unwrap();
            weights
        };
        let weights = [
            normal("test/w1", inputs * HIDDEN, inputs),
            vec![0.0; HIDDEN],
            normal("test/w2", HIDDEN * classes, 4 * HIDDEN),
            vec![0.0; classes],
        ];
        Self { inputs, classes, momentum: weights.clone().map(|w| vec![0.0; w.len()]), weights }
    }

    fn forward(&self, context: &Context, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let n = x.len() / self.inputs;
        let (mut hidden, mut logits) = (vec![0.0; n * HIDDEN], vec![0.0; n * self.classes]);
        let [w1, b1, w2, b2] = &self.weights;
        let options = Options { bias: Bias::Columns(b1), relu: true, ..Options::default() };
        let (x, w1) = (MatRef::new(x, n, self.inputs).unwrap(), MatRef::new(w1, self.inputs, HIDDEN).unwrap());
        gemm(context, x, w1, MatMut::new(&mut hidden, n, HIDDEN).unwrap(), &options).unwrap();
        let options = Options { bias: Bias::Columns(b2), ..Options::default() };
        let (h, w2) = (MatRef::new(&hidden, n, HIDDEN).unwrap(), MatRef::new(w2, HIDDEN, self.classes).unwrap());
        gemm(context, h, w2, MatMut::new(&mut logits, n, self.classes).unwrap(), &options).unwrap();
        (hidden, logits)
    }

    fn train(&mut self, context: &Context, x: &[f32], labels: &[u32], rate: f32) {
        let (n, classes) = (labels.len(), self.classes);
        let (hidden, logits) = self.forward(context, x);
        let mut d_logits = vec![0.0; logits.len()];
        let gradient = Gradient { d: &mut d_logits, scale: 1.0 / n as f32 };
        let logits = MatRef::new(&logits, n, classes).unwrap();
        softmax_cross_entropy(context, logits, Targets::Hard(labels), Some(gradient), None).unwrap();
        let d_logits_view = MatRef::new(&d_logits, n, classes).unwrap();
        let mut d_hidden = vec![0.0; hidden.len()];
        let w2 = MatRef::new(&self.weights[2], HIDDEN, classes).unwrap().transposed();
        let plain = Options::default();
        gemm(context, d_logits_view, w2, MatMut::new(&mut d_hidden, n, HIDDEN).unwrap(), &plain).unwrap();
        elementwise::relu_backward_in_place(context, &hidden, &mut d_hidden).unwrap();
        let d_hidden_view = MatRef::new(&d_hidden, n, HIDDEN).unwrap();
        let mut d = self.weights.clone();
        let x = MatRef::new(x, n, self.inputs).unwrap().transposed();
        gemm(context, x, d_hidden_view, MatMut::new(&mut d[0], self.inputs, HIDDEN).unwrap(), &plain).unwrap();
        reduce::column_sums(context, d_hidden_view, &mut d[1]).unwrap();
        let h = MatRef::new(&hidden, n, HIDDEN).unwrap().transposed();
        gemm(context, h, d_logits_view, MatMut::new(&mut d[2], HIDDEN, classes).unwrap(), &plain).unwrap();
        reduce::column_sums(context, d_logits_view, &mut d[3]).unwrap();
        for ((w, v), d) in self.weights.iter_mut().zip(&mut self.momentum).zip(&d) {
            elementwise::scale_add(context, 1.0, d, 0.9, v).unwrap();
            elementwise::axpy(context, -rate, v, w).unwrap();
            elementwise::scale(context, 1.0 - rate * 5e-4, w).unwrap();
        }
    }

    fn accuracy(&self, context: &Context, x: &[f32], labels: &[u32]) -> f64 {
        let (_, logits) = self.forward(context, x);
        let logits = MatRef::new(&logits, labels.len(), self.classes).unwrap();
        let sum = softmax_cross_entropy(context, logits, Targets::Hard(labels), None, None).unwrap();
        sum.correct as f64 / labels.len() as f64
    }
}

fn batch(batches: &Batches<'_>, shape: Shape, indices: &[u32], epoch: u64) -> (Vec<f32>, Vec<u32>) {
    let (mut x, mut labels) = (vec![0.0; indices.len() * shape.len()], vec![0; indices.len()]);
    batches.fill(indices, Augment::default(), 1, epoch, &mut x, &mut labels).unwrap();
    (x, labels)
}

/// Test accuracy after a fixed number of steps on `per_class` images of each class, 16 x 16 pixels.
fn learn(context: &Context, source: &dyn Source, per_class: usize) -> f64 {
    let at_16 = |split, per_class| {
        let images = source.load(context, split).unwrap();
        let subset = select(source, &images, split, Some(per_class), 1).unwrap();
        let mut examples = Examples::new(&subset.images);
        while examples.shape().height > 16 {
            examples = examples.pool().unwrap();
        }
        examples
    };
    let (train, test) = (at_16(Split::Train, per_class), at_16(Split::Test, 200));
    let by = train.statistics().unwrap();
    let (on_train, on_test) = (train.normalized(&by).unwrap(), test.normalized(&by).unwrap());
    let mut mlp = Mlp::new(context, train.shape().len(), source.classes().len());
    let order = Stream::new(1, "test/order", 0);
    for step in 0..STEPS {
        let indices: Vec<u32> =
            (0..BATCH as u64).map(|i| order.below_at(step * BATCH as u64 + i, train.len() as u64) as u32).collect();
        let (x, labels) = batch(&on_train, train.shape(), &indices, step);
        mlp.train(context, &x, &labels, if step < STEPS * 2 / 3 { 0.02 } else { 0.004 });
    }
    let all: Vec<u32> = (0..test.len() as u32).collect();
    let (x, labels) = batch(&on_test, test.shape(), &all, 0);
    mlp.accuracy(context, &x, &labels)
}

#[test]
fn ten_times_the_images_are_learned_clearly_better() {
    let context = Context::auto().unwrap();
    let source = Procedural::new(16, 6000, 2000, Nuisance::default(), 0).unwrap();
    let curve = [60, 600].map(|per_class| learn(&context, &source, per_class));
    println!("procedural, 600 and 6000 images: {curve:?}");
    assert!(curve[0] > 0.15, "a tenth is enough for more than chance: {curve:?}");
    assert!(curve[1] > curve[0] + 0.08 && curve[1] < 0.9, "{curve:?}");
    let Some(cifar) = std::env::var_os("REGULARITY_DATA").and_then(|folder| Cifar::ten(Path::new(&folder)).ok()) else {
        eprintln!("skipped: the comparison with CIFAR-10 needs real data; set REGULARITY_DATA to its folder");
        return;
    };
    let other = [60, 600].map(|per_class| learn(&context, &cifar, per_class));
    println!("CIFAR-10, 600 and 6000 images: {other:?}");
    // The stand-in is about as hungry as the real thing.
    assert!((curve[1] - curve[0]) > 0.7 * (other[1] - other[0]), "{curve:?} {other:?}");
}
