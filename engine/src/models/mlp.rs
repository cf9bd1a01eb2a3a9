//! Networks of linear layers: the multi-layer perceptron, and the two-layer network whose output layer is frozen.
//!
//! ```text
//! mlp:        h_0 = x        h_i = activation(W_i h_(i-1) + b_i)        logits = W h_last + b
//! two-layer:  logit = sum over j of u_j activation(U_j x),   u_j = +-1/sqrt(m), drawn once
//! ```
//!
//! The two-layer network is that of Y. Li, C. Wei and T. Ma, "Towards Explaining the Regularization Effect of Initial
//! Large Learning Rate in Training Neural Networks", 2019, section 2; it has no biases. An image is read as one row of
//! features.

use super::{InnerGradients, Model, Wiring, check_backward, check_len, examples, features_alone};
use crate::error::{Error, Result};
use crate::kernels::conv::Geometry;
use crate::kernels::elementwise::add_assign;
use crate::kernels::norm::Shape;
use crate::layers::{Activation, Gradients, Linear, Mode};
use crate::memory::{Arena, Planner, Region};
use crate::parallel::Context;
use crate::params::{Kind, Table, TableBuilder};
use crate::random::{Init, Stream};

/// A network of linear layers with one activation between them.
#[derive(Debug)]
pub struct Mlp {
    table: Table,
    layers: Vec<Linear>,
    activation: Activation,
    /// The output of each layer, the logits last, and the gradient of each.
    outputs: Vec<[Region; 2]>,
    arena: Arena,
    input: Shape,
    init: MlpInit,
    n: usize,
}

/// How the weights start; biases are zero.
#[derive(Debug, Clone, Copy, PartialEq)]
enum MlpInit {
    /// Uniform within one over the square root of a layer's inputs.
    Uniform,
    /// The first layer normal with this standard deviation, the last plus or minus one over the square root of its inputs.
    TwoLayer(f32),
}

/// A perceptron with hidden layers of these `widths`, for batches of at most `input.n` rows of `input.example()` features.
/// The tensors are named `layers.0.weight`, `layers.0.bias` and so on.
///
/// # Errors
/// [`Error::Argument`] for a width of zero; [`Error::OutOfMemory`].
pub fn mlp(input: Shape, widths: &[usize], classes: usize, activation: Activation) -> Result<Mlp> {
    let (mut builder, mut layers, mut c_in) = (TableBuilder::new(), Vec::new(), input.example());
    for (i, &c_out) in widths.iter().chain(&[classes]).enumerate() {
        layers.push(Linear::new(&mut builder, &format!("layers.{i}"), c_in, c_out, true, Kind::Weight)?);
        c_in = c_out;
    }
    Mlp::new(builder, layers, activation, input, MlpInit::Uniform)
}

/// The two-layer network with `hidden` units, of which `hidden.weight` is trained and starts with the standard deviation
/// `std`, and `output.weight` is drawn and stays. The sign of unit j is that of the draw j under `init/output.weight`.
///
/// # Errors
/// As [`mlp`].
pub fn two_layer(input: Shape, hidden: usize, activation: Activation, std: f32) -> Result<Mlp> {
    let mut builder = TableBuilder::new();
    let layers = vec![
        Linear::new(&mut builder, "hidden", input.example(), hidden, false, Kind::Weight)?,
        Linear::new(&mut builder, "output", hidden, 1, false, Kind::Buffer)?,
    ];
    Mlp::new(builder, layers, activation, input, MlpInit::TwoLayer(std))
}

impl Mlp {
    fn new(
        builder: TableBuilder,
        layers: Vec<Linear>,
        activation: Activation,
        input: Shape,
        init: MlpInit,
    ) -> Result<Self> {
        let mut planner = Planner::new();
        let mut outputs = Vec::new();
        for layer in &layers {
            let len = input.n.checked_mul(layer.sizes().1);
            let len = len.ok_or(Error::Overflow { op: "perceptron", what: "the activations" })?;
            outputs.push([planner.take(len)?, planner.take(len)?]);
        }
        Ok(Self { table: builder.finish()?, layers, activation, outputs, arena: planner.finish()?, input, init, n: 0 })
    }

    /// The place of a layer's output (0) or of its gradient (1).
    fn place(&self, layer: usize, which: usize) -> Result<Region> {
        self.outputs[layer][which].first(self.n * self.layers[layer].sizes().1)
    }
}

impl Model for Mlp {
    fn table(&self) -> &Table {
        &self.table
    }
    fn input(&self) -> Shape {
        self.input
    }
    fn classes(&self) -> usize {
        self.layers[self.layers.len() - 1].sizes().1
    }
    fn convolutions(&self) -> Vec<(String, Geometry, bool)> {
        Vec::new()
    }

    fn wiring(&self) -> Result<Wiring> {
        let (mut wiring, mut at) = (Wiring::new(self.input), 0);
        for (i, layer) in self.layers.iter().enumerate() {
            at = wiring.linear(at, layer)?;
            if i + 1 < self.layers.len() {
                wiring.activation(at, self.activation);
            }
        }
        Ok(wiring)
    }

    fn init(&self, context: &Context, seed: u64, values: &mut [f32]) -> Result<()> {
        check_len("initialise", "elements of the values", self.table.len(), values.len())?;
        for layer in &self.layers {
            let init = match self.init {
                MlpInit::Uniform => Init::UniformFanIn { fan_in: layer.sizes().0 },
                MlpInit::TwoLayer(std) => Init::Normal { std },
            };
            layer.init(context, &self.table, init, seed, values)?;
        }
        if self.init != MlpInit::Uniform {
            let entry = self.table.entry(self.layers[1].tensors().0);
            let stream = Stream::new(seed, &format!("init/{}", entry.name()), 0);
            let size = (1.0 / (entry.range().len() as f64).sqrt()) as f32;
            for (j, u) in values[entry.range()].iter_mut().enumerate() {
                *u = if stream.bernoulli_at(j as u64, 0.5)? { size } else { -size };
            }
        }
        Ok(())
    }

    fn forward(&mut self, context: &Context, values: &mut [f32], x: &[f32], _: Mode) -> Result<()> {
        let n = examples(self.input, x)?;
        check_len("forward pass", "elements of the values", self.table.len(), values.len())?;
        self.n = n;
        for i in 0..self.layers.len() {
            let from = if i == 0 { Region::EMPTY } else { self.place(i - 1, 0)? };
            let to = self.place(i, 0)?;
            let ([from], [to]) = self.arena.view([from], [to])?;
            self.layers[i].forward(context, &self.table, values, n, if i == 0 { x } else { from }, to)?;
            if i + 1 < self.layers.len() {
                self.activation.forward(context, to)?;
            }
        }
        Ok(())
    }

    fn outputs(&mut self) -> Result<(&[f32], &mut [f32])> {
        let last = self.layers.len() - 1;
        let (logits, d_logits) = (self.place(last, 0)?, self.place(last, 1)?);
        let ([logits], [d_logits]) = self.arena.view([logits], [d_logits])?;
        Ok((logits, d_logits))
    }

    fn features(&mut self) -> Result<&[f32]> {
        let place = if self.layers.len() == 1 { Region::EMPTY } else { self.place(self.layers.len() - 2, 0)? };
        let ([features], []) = self.arena.view([place], [])?;
        Ok(features)
    }

    fn activations(&mut self, _: &Context, visit: &mut dyn FnMut(&str, Shape, &[f32])) -> Result<()> {
        for i in 0..self.layers.len() - 1 {
            let (layer, place) = (&self.layers[i], self.place(i, 0)?);
            let name = self.table.entry(layer.tensors().0).name().trim_end_matches(".weight");
            let ([y], []) = self.arena.view([place], [])?;
            visit(name, Shape::new(self.n, 1, 1, layer.sizes().1)?, y);
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
        let (n, d_features) = (self.n, features_alone(inner)?);
        for i in (0..self.layers.len()).rev() {
            let d = self.place(i, 1)?;
            let (from, d_from) =
                if i == 0 { (Region::EMPTY, Region::EMPTY) } else { (self.place(i - 1, 0)?, self.place(i - 1, 1)?) };
            let ([from, d], [d_from]) = self.arena.view([from, d], [d_from])?;
            let layer = &self.layers[i];
            if self.table.entry(layer.tensors().0).kind() != Kind::Buffer {
                layer.backward_weight(context, &self.table, n, if i == 0 { x } else { from }, d, gradients)?;
            }
            if i > 0 {
                layer.backward_data(context, &self.table, values, n, d, d_from)?;
                if let (Some(d), true) = (d_features, i + 1 == self.layers.len()) {
                    add_assign(context, d, d_from)?;
                }
                self.activation.backward(context, from, d_from)?;
            }
        }
        Ok(())
    }
}
