//! A plain network of convolutions: no normalisation, no shortcuts.
//!
//! ```text
//! a_0 = x        a_i = relu(conv_i(a_(i-1)) + b_i)        logits = W mean over pixels of a_last + b
//! ```
//!
//! Every convolution is 3x3 with padding 1. Backward, from `d_i`, the gradient of `a_i` where `a_i > 0` and 0 elsewhere:
//! the gradients of the weights are those of the convolution at `d_i`, and its backward pass to data gives `d_(i-1)`. The
//! rectification is part of the convolution's sink in both directions.

use super::{InnerGradients, Model, Wiring, check_backward, check_len, describe, examples, features_alone};
use crate::error::{Error, Result};
use crate::kernels::conv::Geometry;
use crate::kernels::elementwise::add_assign;
use crate::kernels::norm::Shape;
use crate::kernels::pool::{global_average_backward, global_average_forward};
use crate::kernels::stage::Plain;
use crate::layers::{Activation, Conv, Finish, Gate, Gradients, Linear, Mode, Packs};
use crate::memory::{Arena, Planner, Region};
use crate::parallel::Context;
use crate::params::{Kind, Table, TableBuilder};
use crate::random::Init;

/// One convolution with the places of its activation and of the gradient there.
#[derive(Debug)]
struct Stage {
    conv: Conv,
    shape: Shape,
    a: Region,
    d: Region,
}

/// A plain network of convolutions.
#[derive(Debug)]
pub struct ConvNet {
    table: Table,
    packs: Packs,
    stages: Vec<Stage>,
    head: Linear,
    /// Mean activations and their gradient.
    pooled: [Region; 2],
    /// The logits and their gradient.
    logits: [Region; 2],
    arena: Arena,
    input: Shape,
    n: usize,
}

/// A plain network for batches of at most `input`; `layers` has the channels and the stride of each convolution. The
/// tensors are named `convs.0.weight`, `convs.0.bias` and so on, and `fc.weight`, `fc.bias`.
///
/// Convolutions start as [`Conv::init`] says; the linear layer is normal with a tenth of the standard deviation of
/// K. He et al., `0.1 sqrt(2 / channels)`, so that a network begins without a preference; biases are zero.
///
/// # Errors
/// [`Error::Argument`] for no layers, and as [`Geometry::check`]; [`Error::OutOfMemory`].
pub fn convnet(context: &Context, layers: &[(usize, usize)], input: Shape, classes: usize) -> Result<ConvNet> {
    let (mut builder, mut packs, mut planner) = (TableBuilder::new(), Packs::default(), Planner::new());
    let (mut stages, mut at) = (Vec::new(), input);
    for (i, &(c_out, stride)) in layers.iter().enumerate() {
        let geometry = Geometry::same(at.h, at.w, at.c, c_out, 3, stride)?;
        let conv = Conv::new(context, &mut builder, &mut packs, &format!("convs.{i}"), geometry, true, i > 0)?;
        at = Shape::new(input.n, geometry.out_h(), geometry.out_w(), c_out)?;
        stages.push(Stage { conv, shape: at, a: planner.take(at.len())?, d: Region::EMPTY });
    }
    if stages.is_empty() {
        let (op, what, requirement) = ("plain network", "the number of convolutions", "at least 1");
        return Err(Error::Argument { op, what, requirement, actual: "0".to_owned() });
    }
    let head = Linear::new(&mut builder, "fc", at.c, classes, true, Kind::Weight)?;
    let pooled = [planner.take(at.n * at.c)?, planner.take(at.n * at.c)?];
    let logits = [planner.take(at.n * classes)?, planner.take(at.n * classes)?];
    // Of the gradients, two neighbours are wanted at a time; an activation is read for the last time where the gradient
    // of the one before is known.
    for i in (0..stages.len()).rev() {
        stages[i].d = planner.take(stages[i].shape.len())?;
        if let Some(after) = stages.get(i + 1) {
            planner.give(after.d);
            planner.give(after.a);
        }
    }
    Ok(ConvNet { table: builder.finish()?, packs, stages, head, pooled, logits, arena: planner.finish()?, input, n: 0 })
}

impl Stage {
    /// The part of one of its regions that `n` examples take.
    fn of(&self, region: Region, n: usize) -> Result<Region> {
        region.first(n * self.shape.example())
    }

    fn plain<'a>(&self, x: &'a [f32]) -> Plain<'a> {
        Plain::new(x, self.shape.h, self.shape.w, self.shape.c)
    }
}

impl Model for ConvNet {
    fn table(&self) -> &Table {
        &self.table
    }
    fn input(&self) -> Shape {
        self.input
    }
    fn classes(&self) -> usize {
        self.head.sizes().1
    }
    fn convolutions(&self) -> Vec<(String, Geometry, bool)> {
        self.stages.iter().map(|stage| describe(&self.table, &stage.conv)).collect()
    }

    fn wiring(&self) -> Result<Wiring> {
        let (mut wiring, mut at) = (Wiring::new(self.input), 0);
        for stage in &self.stages {
            at = wiring.conv(at, &stage.conv)?;
            wiring.activation(at, Activation::Relu);
        }
        at = wiring.average(at)?;
        wiring.linear(at, &self.head)?;
        Ok(wiring)
    }

    fn init(&self, context: &Context, seed: u64, values: &mut [f32]) -> Result<()> {
        check_len("initialise", "elements of the values", self.table.len(), values.len())?;
        for stage in &self.stages {
            stage.conv.init(context, &self.table, seed, values)?;
        }
        let std = 0.1 * (2.0 / self.head.sizes().0 as f64).sqrt();
        self.head.init(context, &self.table, Init::Normal { std: std as f32 }, seed, values)
    }

    fn forward(&mut self, context: &Context, values: &mut [f32], x: &[f32], _: Mode) -> Result<()> {
        let n = examples(self.input, x)?;
        check_len("forward pass", "elements of the values", self.table.len(), values.len())?;
        self.n = n;
        let Self { table, packs, stages, arena, .. } = self;
        let sink = Finish { add: None, relu: true };
        for (i, stage) in stages.iter().enumerate() {
            let to = stage.of(stage.a, n)?;
            let Some(before) = i.checked_sub(1).map(|i| &stages[i]) else {
                let ([], [to]) = arena.view([], [to])?;
                let x = Plain::new(x, self.input.h, self.input.w, self.input.c);
                stage.conv.forward(context, table, packs, values, n, &x, to, &sink)?;
                continue;
            };
            let ([from], [to]) = arena.view([before.of(before.a, n)?], [to])?;
            stage.conv.forward(context, table, packs, values, n, &before.plain(from), to, &sink)?;
        }
        let (last, (c, classes)) = (&stages[stages.len() - 1], self.head.sizes());
        let (mean, logits) = (self.pooled[0].first(n * c)?, self.logits[0].first(n * classes)?);
        let ([a], [mean_out]) = arena.view([last.of(last.a, n)?], [mean])?;
        global_average_forward(context, last.shape.with_examples(n), &last.plain(a), mean_out)?;
        let ([mean], [logits]) = arena.view([mean], [logits])?;
        self.head.forward(context, table, values, n, mean, logits)
    }

    fn outputs(&mut self) -> Result<(&[f32], &mut [f32])> {
        let len = self.n * self.head.sizes().1;
        let ([logits], [d_logits]) = self.arena.view([self.logits[0].first(len)?], [self.logits[1].first(len)?])?;
        Ok((logits, d_logits))
    }

    fn features(&mut self) -> Result<&[f32]> {
        let ([features], []) = self.arena.view([self.pooled[0].first(self.n * self.head.sizes().0)?], [])?;
        Ok(features)
    }

    fn activations(&mut self, _: &Context, visit: &mut dyn FnMut(&str, Shape, &[f32])) -> Result<()> {
        for stage in &self.stages {
            let name = self.table.entry(stage.conv.weight()).name().trim_end_matches(".weight");
            let ([a], []) = self.arena.view([stage.of(stage.a, self.n)?], [])?;
            visit(name, stage.shape.with_examples(self.n), a);
        }
        Ok(())
    }

    fn backward(
        &mut self,
        context: &Context,
        values: &[f32],
        x: &[f32],
        inner: InnerGradients<'_>,
        gradients: &mut Gradients<'_>,
    ) -> Result<()> {
        check_backward(&self.table, self.input, self.n, values, x, gradients)?;
        let (n, (c, classes)) = (self.n, self.head.sizes());
        let Self { table, packs, stages, arena, .. } = self;
        let d_mean = self.pooled[1].first(n * c)?;
        let reads = [self.pooled[0].first(n * c)?, self.logits[1].first(n * classes)?];
        let ([mean, d_logits], [d_mean_out]) = arena.view(reads, [d_mean])?;
        self.head.backward_weight(context, table, n, mean, d_logits, gradients)?;
        self.head.backward_data(context, table, values, n, d_logits, d_mean_out)?;
        if let Some(d) = features_alone(inner)? {
            add_assign(context, d, d_mean_out)?;
        }
        let last = &stages[stages.len() - 1];
        let ([a, d_mean], [d]) = arena.view([last.of(last.a, n)?, d_mean], [last.of(last.d, n)?])?;
        global_average_backward(context, last.shape.with_examples(n), d_mean, d, &Gate { y: a })?;
        for (i, stage) in stages.iter().enumerate().rev() {
            let d = stage.of(stage.d, n)?;
            let Some(before) = i.checked_sub(1).map(|i| &stages[i]) else {
                let ([d], []) = arena.view([d], [])?;
                let x = Plain::new(x, self.input.h, self.input.w, self.input.c);
                stage.conv.backward_weight(context, table, n, &x, &stage.plain(d), gradients)?;
                continue;
            };
            let ([a, d], [d_before]) = arena.view([before.of(before.a, n)?, d], [before.of(before.d, n)?])?;
            let d = stage.plain(d);
            stage.conv.backward_weight(context, table, n, &before.plain(a), &d, gradients)?;
            stage.conv.backward_data(context, table, packs, values, n, &d, d_before, &Gate { y: a })?;
        }
        Ok(())
    }
}
