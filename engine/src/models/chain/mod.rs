//! The body of networks that normalise after each convolution: a chain of blocks, a global average and a linear layer.
//!
//! A block is one to three convolutions, each followed by its normalisation, and a shortcut from the block's input:
//!
//! ```text
//! y_1 = conv_1(x)          a_i = relu(norm_i(y_i)) for i < k          y_(i+1) = conv_(i+1)(a_i)
//! out = relu(norm_k(y_k) + shortcut(x))          shortcut(x) = nothing, x, or norm_p(conv_p(x))
//! ```
//!
//! Only `y_i` is in memory, and `out` where it is used twice. `a_i` is computed by whoever reads it. A wide `out` whose
//! terms are all kept is forgotten after its last use forward, and computed again for the backward pass. Backward, from
//! `d_z`, the gradient of `norm_k(y_k) + shortcut(x)`:
//!
//! ```text
//! d_y_k     = backward of norm_k at d_z
//! d_a_(i-1) = conv_i backward to data at d_y_i          d_y_(i-1) = backward of relu and norm_(i-1) at d_a_(i-1)
//! d_x       = conv_1 backward to data at d_y_1 + (nothing, d_z, or conv_p backward to data at norm_p's gradient at d_z)
//! ```
//!
//! and `d_x` where `x > 0`, else 0, is `d_z` of the block before. A penalty on the map `y_i` adds its gradient to `d_y_i`.

mod build;
mod passes;

use super::{InnerGradients, Model, Wiring, check_backward, check_len, describe, examples, no_map, show};
use crate::error::Result;
use crate::kernels::conv::Geometry;
use crate::kernels::elementwise::add_assign;
use crate::kernels::norm::{Gradient, Post, Residual, RowFlags, Shape, write};
use crate::kernels::pool::global_average_forward;
use crate::kernels::stage::{Plain, Plus};
use crate::layers::{Activation, Conv, Gradients, Linear, Mode, Norm, Packs};
use crate::memory::{Arena, Region};
use crate::parallel::Context;
use crate::params::Table;
use crate::random::Init;

pub(crate) use build::{BlockSpec, HeadInit, ShortcutSpec, Spec, UnitSpec};

/// A convolution and the normalisation of its output.
#[derive(Debug)]
struct Unit {
    conv: Conv,
    norm: Norm,
    y: Region,
    shape: Shape,
}

/// What is added to a block's last normalisation.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a network has a handful, in one list for all its life")]
enum Shortcut {
    None,
    Identity,
    Projection {
        unit: Unit,
        /// The gradient of the projection's output, and what it gives to that of the block's input.
        d: [Region; 2],
    },
}

/// An activation in memory.
#[derive(Debug, Clone, Copy)]
struct Kept {
    /// Its place in the forward pass.
    forward: Region,
    /// Its place in the backward pass.
    backward: Region,
    /// Whether it is computed again for the backward pass, its first place being used for something else meanwhile. If so,
    /// what its block adds to it is kept all the time.
    again: bool,
}

/// Where a block finds its input.
#[derive(Debug, Clone, Copy)]
enum Input {
    /// The images.
    Images,
    /// A tensor in memory.
    Stored(Kept),
    /// The block before computes it whenever it is read.
    Computed,
}

#[derive(Debug)]
struct Block {
    units: Vec<Unit>,
    shortcut: Shortcut,
    input: Input,
    input_shape: Shape,
    /// The activation, if it is kept.
    out: Option<Kept>,
    written: RowFlags,
    /// The window that follows, the pooled activation and its gradient.
    pool: Option<(Geometry, [Region; 2])>,
    /// The gradients of the pre-activations, one for each unit; the last is the block's.
    d_z: Vec<Region>,
}

/// A network of blocks.
#[derive(Debug)]
pub struct Chain {
    table: Table,
    packs: Packs,
    blocks: Vec<Block>,
    head: Linear,
    head_init: HeadInit,
    /// Mean activations, their gradient, logits, their gradient.
    pooled: Region,
    d_pooled: Region,
    logits: Region,
    d_logits: Region,
    arena: Arena,
    input: Shape,
    /// Examples of the last forward pass.
    n: usize,
}

/// What every layer of a pass is given.
struct Pass<'a> {
    context: &'a Context,
    table: &'a Table,
    n: usize,
    mode: Mode,
    /// Gradients to be added to those of outputs of convolutions, under their names.
    maps: &'a [(&'a str, &'a [f32])],
}

/// The part of a chain that computes: everything but the table, which passes hold on to.
struct Parts<'a> {
    packs: &'a mut Packs,
    arena: &'a mut Arena,
}

impl<'a> Pass<'a> {
    /// What is to be added to the gradient of a convolution's output.
    fn map(&self, conv: &Conv) -> Option<&'a [f32]> {
        self.maps.iter().find(|(name, _)| conv.is_named(self.table, name)).map(|(_, d)| *d)
    }
}

impl Unit {
    /// The gradient of the convolution's output `y` as a source, from that of its normalised form.
    fn gradient<'a>(&'a self, pass: &Pass<'a>, y: &'a [f32], d_z: &'a [f32]) -> Result<Plus<'a, Gradient<'a>>> {
        let added = pass.map(&self.conv).map(|d| plain(d, self.shape));
        Ok(Plus::new(self.norm.gradient(y, d_z)?, added))
    }
}

impl Block {
    fn last(&self) -> &Unit {
        &self.units[self.units.len() - 1]
    }
    /// The shape of the activation, before pooling.
    fn shape(&self) -> Shape {
        self.last().shape
    }
    /// The tensor that the shortcut adds, at its place in the forward pass.
    fn residual(&self, n: usize) -> Result<Region> {
        match (&self.shortcut, self.input) {
            (Shortcut::Identity, Input::Stored(x)) => of(x.forward, self.input_shape, n),
            (Shortcut::Projection { unit, .. }, _) => of(unit.y, unit.shape, n),
            _ => Ok(Region::EMPTY),
        }
    }
}

impl Kept {
    /// One place for all the time.
    fn throughout(region: Region) -> Self {
        Self { forward: region, backward: region, again: false }
    }
}

impl Shortcut {
    /// What follows a block's last normalisation, if this tensor is what the shortcut adds.
    fn post<'a>(&'a self, residual: &'a [f32]) -> Post<'a> {
        let residual = match self {
            Self::None => Residual::None,
            Self::Identity => Residual::Plain(residual),
            Self::Projection { unit, .. } => Residual::Normalised(residual, unit.norm.coefficients()),
        };
        Post { residual, ..Post::RELU }
    }
}

/// The part of a region that a batch of `n` examples takes.
fn of(region: Region, shape: Shape, n: usize) -> Result<Region> {
    region.first(n * shape.example())
}

fn plain(x: &[f32], shape: Shape) -> Plain<'_> {
    Plain::new(x, shape.h, shape.w, shape.c)
}

impl Chain {
    /// All units, in the order of the table.
    fn units(&self) -> impl Iterator<Item = &Unit> {
        self.blocks.iter().flat_map(|block| {
            let projection = match &block.shortcut {
                Shortcut::Projection { unit, .. } => Some(unit),
                Shortcut::None | Shortcut::Identity => None,
            };
            block.units.iter().chain(projection)
        })
    }

    /// The unit whose convolution has that name.
    fn unit(&self, name: &str) -> Result<&Unit> {
        self.units().find(|unit| unit.conv.is_named(&self.table, name)).ok_or_else(|| no_map(name))
    }

    /// The shape of what the head averages.
    fn last_shape(&self) -> Shape {
        let block = &self.blocks[self.blocks.len() - 1];
        match &block.pool {
            Some((window, _)) => Shape { h: window.out_h(), w: window.out_w(), ..block.shape() },
            None => block.shape(),
        }
    }
}

impl Model for Chain {
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
        self.units().map(|unit| describe(&self.table, &unit.conv)).collect()
    }

    fn wiring(&self) -> Result<Wiring> {
        let (mut wiring, mut at) = (Wiring::new(self.input), 0);
        for block in &self.blocks {
            let (from, last) = (at, block.units.len() - 1);
            for unit in &block.units[..last] {
                at = wiring.conv(at, &unit.conv)?;
                at = wiring.norm(at, &unit.norm)?;
                wiring.activation(at, Activation::Relu);
            }
            let shortcut = match &block.shortcut {
                Shortcut::None => None,
                Shortcut::Identity => Some(from),
                Shortcut::Projection { unit, .. } => {
                    let y = wiring.conv(from, &unit.conv)?;
                    Some(wiring.norm(y, &unit.norm)?)
                }
            };
            at = wiring.conv(at, &block.units[last].conv)?;
            at = wiring.norm(at, &block.units[last].norm)?;
            if let Some(shortcut) = shortcut {
                wiring.add(shortcut, at);
            }
            wiring.activation(at, Activation::Relu);
            if let Some((window, _)) = block.pool {
                at = wiring.max_pool(at, window)?;
            }
        }
        at = wiring.average(at)?;
        wiring.linear(at, &self.head)?;
        Ok(wiring)
    }

    fn init(&self, context: &Context, seed: u64, values: &mut [f32]) -> Result<()> {
        check_len("initialise", "elements of the values", self.table.len(), values.len())?;
        for unit in self.units() {
            unit.conv.init(context, &self.table, seed, values)?;
            unit.norm.init(&self.table, values);
        }
        let init = match self.head_init {
            HeadInit::Uniform => Init::UniformFanIn { fan_in: self.head.sizes().0 },
            HeadInit::Normal(std) => Init::Normal { std },
        };
        self.head.init(context, &self.table, init, seed, values)
    }

    fn forward(&mut self, context: &Context, values: &mut [f32], x: &[f32], mode: Mode) -> Result<()> {
        self.n = examples(self.input, x)?;
        check_len("forward pass", "elements of the values", self.table.len(), values.len())?;
        let (n, last) = (self.n, self.last_shape());
        let pass = Pass { context, table: &self.table, n, mode, maps: &[] };
        let mut parts = Parts { packs: &mut self.packs, arena: &mut self.arena };
        for i in 0..self.blocks.len() {
            let (before, block) = self.blocks.split_at_mut(i);
            block[0].forward(&pass, &mut parts, before.last_mut(), x, values)?;
        }
        let block = &self.blocks[self.blocks.len() - 1];
        let mean = self.pooled.first(n * last.c)?;
        let shape = last.with_examples(n);
        if let Some((_, [pooled, _])) = block.pool {
            let ([pooled], [mean]) = parts.arena.view([pooled.first(shape.len())?], [mean])?;
            global_average_forward(context, shape, &plain(pooled, shape), mean)?;
        } else {
            let reads = [of(block.last().y, shape, n)?, block.residual(n)?];
            let ([y, residual], [mean]) = parts.arena.view(reads, [mean])?;
            global_average_forward(
                context,
                shape,
                &block.last().norm.forward(y, block.shortcut.post(residual))?,
                mean,
            )?;
        }
        let logits = self.logits.first(n * self.head.sizes().1)?;
        let ([mean], [logits]) = parts.arena.view([mean], [logits])?;
        self.head.forward(context, &self.table, values, n, mean, logits)
    }

    fn outputs(&mut self) -> Result<(&[f32], &mut [f32])> {
        let len = self.n * self.head.sizes().1;
        let ([logits], [d_logits]) = self.arena.view([self.logits.first(len)?], [self.d_logits.first(len)?])?;
        Ok((logits, d_logits))
    }

    fn features(&mut self) -> Result<&[f32]> {
        let ([features], []) = self.arena.view([self.pooled.first(self.n * self.head.sizes().0)?], [])?;
        Ok(features)
    }

    fn map(&mut self, name: &str) -> Result<&[f32]> {
        let unit = self.unit(name)?;
        let y = of(unit.y, unit.shape, self.n)?;
        let ([y], []) = self.arena.view([y], [])?;
        Ok(y)
    }

    fn activations(&mut self, context: &Context, visit: &mut dyn FnMut(&str, Shape, &[f32])) -> Result<()> {
        let Self { table, blocks, arena, n, .. } = self;
        // The input of a block, if it is no longer in memory.
        let mut forgotten = Vec::new();
        for block in blocks.iter() {
            let last = block.units.len() - 1;
            for (i, Unit { norm, y, shape, .. }) in block.units.iter().enumerate() {
                let residual = if i == last { block.residual(*n)? } else { Region::EMPTY };
                let ([y, mut residual], []) = arena.view([of(*y, *shape, *n)?, residual], [])?;
                if matches!(
                    (&block.shortcut, block.input),
                    (Shortcut::Identity, Input::Stored(Kept { again: true, .. }))
                ) {
                    residual = &forgotten;
                }
                let post = if i == last { block.shortcut.post(residual) } else { Post::RELU };
                let (source, shape) = (norm.forward(y, post)?, shape.with_examples(*n));
                show(context, (table, norm), &source, shape, visit)?;
                if i == last && block.out.is_some_and(|out| out.again) {
                    let mut out = vec![0.0; shape.len()];
                    write(context, &source, shape, &mut out)?;
                    forgotten = out;
                }
            }
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
        for (name, d) in inner.maps {
            let unit = self.unit(name)?;
            check_len("backward pass", "elements of the gradient of a map", n * unit.shape.example(), d.len())?;
        }
        let pass = Pass { context, table: &self.table, n, mode: Mode::Eval, maps: inner.maps };
        let mut parts = Parts { packs: &mut self.packs, arena: &mut self.arena };
        let d_mean = self.d_pooled.first(n * c)?;
        let reads = [self.pooled.first(n * c)?, self.d_logits.first(n * classes)?];
        let ([mean, d_logits], [d_features_out]) = parts.arena.view(reads, [d_mean])?;
        self.head.backward_weight(context, &self.table, n, mean, d_logits, gradients)?;
        self.head.backward_data(context, &self.table, values, n, d_logits, d_features_out)?;
        if let Some(d) = inner.features {
            add_assign(context, d, d_features_out)?;
        }
        let last = self.blocks.len() - 1;
        self.blocks[last].average_backward(&pass, &mut parts, d_mean, values)?;
        for i in (0..self.blocks.len()).rev() {
            let (before, block) = self.blocks.split_at_mut(i);
            let mut before = before.last_mut();
            if let Some(before) = &mut before {
                before.recompute(&pass, &mut parts)?;
            }
            block[0].backward(&pass, &mut parts, before, x, values, gradients)?;
        }
        Ok(())
    }
}
