//! A network with its optimiser: steps on batches, and what it makes of all images.

use std::ops::Range;

use regularity_engine::kernels::loss::{
    Gradient, LossSum, Targets, softmax_backward, softmax_cross_entropy, softmax_forward, squared_error,
};
use regularity_engine::kernels::norm::Shape;
use regularity_engine::layers::{Activation, Gradients, Mode, NormKind};
use regularity_engine::memory::Buffer;
use regularity_engine::models::{InnerGradients, Model, convnet, mlp};
use regularity_engine::optim::{Adam, Rate, Schedule};
use regularity_engine::params::{Groups, Kind};
use regularity_engine::random::{Gain, Init, Stream};
use regularity_engine::tensor::MatRef;
use regularity_engine::{Context, Error as EngineError, Result as EngineResult};

use super::data::NetworkImages;
use super::{CONVOLUTIONS, Loss, Net, Recipe};
use crate::data::{Augment, Batches, Split};
use crate::error::Result;
use crate::experiments::State;
use crate::record::Tensors;

/// Images that small networks are judged on at a time; the paper's networks take those of a step.
const JUDGED: usize = 250;

/// What a network makes of some images.
#[derive(Debug)]
pub(in super::super) struct Judged<'a> {
    /// Softmax outputs, `[n, classes]`.
    pub(in super::super) outputs: &'a [f32],
    /// The largest output's class, the first of equals.
    pub(in super::super) classes: Vec<usize>,
    /// Its true class, of each.
    pub(in super::super) labels: &'a [u32],
}

/// A network with its optimiser.
pub(in super::super) struct Trainer<'a> {
    net: Box<dyn Model>,
    loss: Loss,
    rates: (f64, f32),
    groups: Groups,
    adam: Adam,
    schedule: Schedule,
    augment: Augment,
    /// Of the initial weights, the order and the views.
    seed: u64,
    values: Buffer<f32>,
    gradients: Buffer<f32>,
    train: Batches<'a>,
    test: Batches<'a>,
    /// Training and test images.
    counts: [usize; 2],
    /// Steps of an epoch, and images that are judged at a time.
    batches: usize,
    judged: usize,
    example: usize,
    /// The epoch whose order is known, and the order.
    order: (u64, Vec<u32>),
    images: Vec<f32>,
    labels: Vec<u32>,
    outputs: Vec<f32>,
}

impl<'a> Trainer<'a> {
    /// The network of a recipe, not initialised.
    ///
    /// # Errors
    /// Those of the engine.
    pub(in super::super) fn new(context: &Context, recipe: &Recipe<'_>, data: &'a NetworkImages) -> Result<Self> {
        let training = recipe.training;
        let (n, shape) = (data.train.len(), data.train.shape());
        // All images take part in an epoch, in batches of almost the same size.
        let batches = (n / training.batch).max(1);
        let largest = n.div_ceil(batches);
        let judged = if matches!(recipe.net, Net::Deep(_)) { largest } else { JUDGED.max(largest) };
        let input = Shape::new(judged, shape.height, shape.width, shape.channels)?;
        let net: Box<dyn Model> = match recipe.net {
            Net::Perceptron(hidden) => Box::new(mlp(input, &[hidden], data.classes, Activation::Relu)?),
            Net::Convolutional => Box::new(convnet(context, &CONVOLUTIONS, input, data.classes)?),
            Net::Deep(network) => network.build(context, NormKind::Batch, input, data.classes, 0)?,
        };
        let table = net.table();
        Ok(Self {
            loss: recipe.loss,
            rates: (training.rate, recipe.decay as f32),
            groups: Groups::by(table, |entry| usize::from(entry.kind() == Kind::Weight)),
            adam: Adam::new(table, [0.9, 0.999], 1e-8)?,
            schedule: Schedule::Cosine { length: training.epochs * batches as u64, last: 0.0 },
            augment: if training.augment { Augment::CIFAR } else { Augment::default() },
            seed: 0,
            values: table.values()?,
            gradients: table.gradients()?,
            train: data.train.normalized(&data.normalization)?,
            test: data.test.normalized(&data.normalization)?,
            counts: [n, data.test.len()],
            batches,
            judged,
            example: shape.len(),
            order: (u64::MAX, Vec::new()),
            images: vec![0.0; judged * shape.len()],
            labels: vec![0; judged],
            outputs: vec![0.0; judged * data.classes],
            net,
        })
    }

    /// Fresh weights, and an optimiser that has seen nothing. Linear layers of a perceptron start as K. He et al. say.
    ///
    /// # Errors
    /// Those of the engine.
    pub(in super::super) fn restart(&mut self, context: &Context, recipe: &Recipe<'_>, seed: u64) -> Result<()> {
        self.net.init(context, seed, &mut self.values)?;
        if let Net::Perceptron(_) = recipe.net {
            for entry in self.net.table().trained().filter(|entry| entry.kind() == Kind::Weight) {
                let init = Init::HeNormal { fan: entry.shape()[1], gain: Gain::Relu };
                let stream = Stream::new(seed, &format!("init/{}", entry.name()), 0);
                init.fill(context, &stream, 0, &mut self.values[entry.range()])?;
            }
        }
        self.adam.restore(0).into_iter().for_each(|moment| moment.fill(0.0));
        (self.seed, self.order) = (seed, (u64::MAX, Vec::new()));
        Ok(())
    }

    /// Steps of an epoch.
    pub(in super::super) fn batches(&self) -> u64 {
        self.batches as u64
    }

    /// The images of a split that are judged in piece `piece`; None beyond the last.
    pub(in super::super) fn piece(&self, split: Split, piece: u64) -> Option<Range<usize>> {
        let count = self.counts[usize::from(split == Split::Test)];
        let from = usize::try_from(piece).ok()?.checked_mul(self.judged)?;
        (from < count).then(|| from..count.min(from + self.judged))
    }

    /// One step on batch `batch` of an epoch; `targets` has a row for each training image.
    ///
    /// # Errors
    /// [`EngineError::NonFinite`] when training diverges; else those of the engine.
    pub(in super::super) fn step(&mut self, context: &Context, epoch: u64, batch: u64, targets: &[f32]) -> Result<()> {
        let [n, _] = self.counts;
        if self.order.0 != epoch {
            let order = Stream::new(self.seed, "self-distillation/order", epoch).permutation(n);
            self.order = (epoch, order.into_iter().map(|i| i as u32).collect());
        }
        let batch = batch as usize;
        let indices = &self.order.1[batch * n / self.batches..(batch + 1) * n / self.batches];
        let (b, classes) = (indices.len(), self.net.classes());
        let images = &mut self.images[..b * self.example];
        self.train.fill(indices, self.augment, self.seed, epoch, images, &mut self.labels[..b])?;
        let mut wanted = Vec::with_capacity(b * classes);
        for &i in indices {
            wanted.extend_from_slice(&targets[i as usize * classes..][..classes]);
        }
        let step = epoch * self.batches as u64 + batch as u64;
        self.net.forward(context, &mut self.values, images, Mode::Train { step })?;
        let (logits, d) = self.net.outputs()?;
        let outputs = &mut self.outputs[..b * classes];
        let loss = loss(context, self.loss, logits, &wanted, classes, outputs, Some(d))?;
        if !loss.is_finite() {
            return Err(EngineError::NonFinite { quantity: "value", name: "loss".to_owned() }.into());
        }
        self.net.backward(
            context,
            &self.values,
            images,
            InnerGradients::default(),
            &mut Gradients::Whole(&mut self.gradients),
        )?;
        self.net.table().check_finite(context, "gradient", &self.gradients)?;
        let lr = self.schedule.lr(self.rates.0, step);
        let rates = [Rate { lr, weight_decay: 0.0 }, Rate { lr, weight_decay: self.rates.1 }];
        Ok(self.adam.step(context, &self.groups, &rates, &mut self.values, &self.gradients)?)
    }

    /// The network's outputs for some images, without views, and their loss for each of `targets`, summed over the images.
    /// Each of the targets has a row for every image of the split.
    ///
    /// # Errors
    /// Those of the engine.
    pub(in super::super) fn judge(
        &mut self,
        context: &Context,
        split: Split,
        range: Range<usize>,
        targets: &[&[f32]],
    ) -> Result<(Judged<'_>, Vec<f64>)> {
        let (b, classes) = (range.len(), self.net.classes());
        let indices: Vec<u32> = range.clone().map(|i| i as u32).collect();
        let (images, labels) = (&mut self.images[..b * self.example], &mut self.labels[..b]);
        let batches = if split == Split::Train { &self.train } else { &self.test };
        batches.fill(&indices, Augment::default(), 0, 0, images, labels)?;
        self.net.forward(context, &mut self.values, images, Mode::Eval)?;
        let (logits, _) = self.net.outputs()?;
        let outputs = &mut self.outputs[..b * classes];
        let losses = targets.iter().map(|targets| {
            let wanted = &targets[range.start * classes..range.end * classes];
            loss(context, self.loss, logits, wanted, classes, outputs, None)
        });
        let losses = losses.collect::<EngineResult<_>>()?;
        softmax_forward(context, MatRef::new(logits, b, classes)?, outputs)?;
        let best = |row: &[f32]| (1..row.len()).fold(0, |best, q| if row[q] > row[best] { q } else { best });
        let found = outputs.chunks_exact(classes).map(best).collect();
        Ok((Judged { outputs, classes: found, labels }, losses))
    }

    /// Weights, running statistics and both moments.
    ///
    /// # Errors
    /// None in practice.
    pub(in super::super) fn save(&self, tensors: &mut Tensors) -> Result<()> {
        let [first, second] = [self.adam.first_moment(), self.adam.second_moment()];
        for (name, arena) in [("values", &self.values[..]), ("exp_avg", first), ("exp_avg_sq", second)] {
            tensors.put(name, &[arena.len()], arena)?;
        }
        Ok(())
    }

    /// Takes up what [`save`](Self::save) wrote, of the network with this seed after `steps` steps.
    ///
    /// # Errors
    /// If a tensor does not fit.
    pub(in super::super) fn restore(&mut self, state: &State, seed: u64, steps: u64) -> Result<()> {
        state.tensors.copy_to("values", &mut self.values)?;
        let [first, second] = self.adam.restore(steps);
        state.tensors.copy_to("exp_avg", first)?;
        state.tensors.copy_to("exp_avg_sq", second)?;
        (self.seed, self.order) = (seed, (u64::MAX, Vec::new()));
        Ok(())
    }

    /// The parameters under their names.
    ///
    /// # Errors
    /// None in practice.
    pub(in super::super) fn finish(&self, tensors: &mut Tensors) -> Result<()> {
        let mut entries = self.net.table().entries().iter();
        entries.try_for_each(|entry| tensors.put(entry.name(), entry.shape(), &self.values[entry.range()]))
    }
}

/// The loss summed over examples; with room for it, also the gradient of the mean by the logits. `p` becomes the softmax
/// of the logits, if the loss needs it. All are `[n, classes]`.
///
/// ```text
/// squared    |p - t|^2             d = (2 / n) p (p - t - sum over classes of p (p - t))
/// entropy    - sum of t ln p       d = (p - t) / n
/// ```
pub(in super::super) fn loss(
    context: &Context,
    kind: Loss,
    logits: &[f32],
    targets: &[f32],
    classes: usize,
    p: &mut [f32],
    d: Option<&mut [f32]>,
) -> EngineResult<f64> {
    let n = logits.len() / classes;
    let (logits, targets) = (MatRef::new(logits, n, classes)?, MatRef::new(targets, n, classes)?);
    let sum = |loss: LossSum| f64::from(loss.sum);
    if kind == Loss::Entropy {
        let gradient = d.map(|d| Gradient { d, scale: 1.0 / n as f32 });
        return softmax_cross_entropy(context, logits, Targets::Soft(targets), gradient, None).map(sum);
    }
    softmax_forward(context, logits, p)?;
    let p = MatRef::new(p, n, classes)?;
    let Some(d) = d else { return squared_error(context, p, targets, None, None).map(|loss| 2.0 * sum(loss)) };
    let gradient = Gradient { d: &mut *d, scale: 2.0 / n as f32 };
    let half = squared_error(context, p, targets, Some(gradient), None)?;
    softmax_backward(context, p, d)?;
    Ok(2.0 * sum(half))
}
