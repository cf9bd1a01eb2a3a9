//! Wide residual networks with normalisation before each convolution (S. Zagoruyko and N. Komodakis, 2016; the variant
//! of Y. Li, C. Wei and T. Ma, "Towards Explaining the Regularization Effect of Initial Large Learning Rate in Training
//! Neural Networks", 2019).
//!
//! WRN-d-k has a 3x3 stem of 16 channels, three groups of (d - 4) / 6 blocks with 16 k, 32 k and 64 k channels, of which
//! the second and third halve the image in their first block, and a head of normalisation, rectification, global average
//! and linear layer. A block, with noise maps `m` that are zero outside of training:
//!
//! ```text
//! h = relu(norm_1(x) + m_1)        o = conv_2(relu(norm_2(conv_1(h)) + m_2))        out = o + (x, or conv_p(h))
//! ```
//!
//! `conv_p`, 1x1, where the number of channels changes. A map has one normal number a pixel, shared by the examples and
//! channels, drawn for each site and step: the noise that stands in for a large learning rate.
//!
//! In memory are `conv_1(h)`, the sums `out` (they are written in the place of `o`, while their statistics are taken) and
//! `conv_p(h)`. Backward, from `d` = the gradient of `out`:
//!
//! ```text
//! d_z2 = conv_2 backward to data at d, where relu_2 passes        d_y1 = gradient of norm_2 at d_z2
//! d_z1 = (conv_1 backward to data at d_y1 + conv_p backward to data at d), where relu_1 passes
//! d_x  = gradient of norm_1 at d_z1 + (d, without conv_p)
//! ```

mod build;
mod passes;

use super::{InnerGradients, Model, Wiring, check_backward, check_len, describe, examples, features_alone, show};
use crate::error::Result;
use crate::kernels::conv::Geometry;
use crate::kernels::elementwise::add_assign;
use crate::kernels::norm::{Noise, Post, Shape};
use crate::kernels::pool::{global_average_backward, global_average_forward};
use crate::kernels::stage::Plain;
use crate::layers::{Activation, Conv, Gradients, Linear, Mode, Norm, Packs};
use crate::memory::{Arena, Region};
use crate::parallel::Context;
use crate::params::Table;
use crate::random::{Init, Stream};

pub use build::wide_resnet;

/// A normalisation before a convolution, and the noise that is added to it.
#[derive(Debug)]
struct Site {
    norm: Norm,
    stream: Stream,
    /// What it normalises.
    x: Region,
    shape: Shape,
    /// The noise of a step, one number a pixel.
    map: Region,
}

#[derive(Debug)]
struct Block {
    sites: [Site; 2],
    convs: [Conv; 2],
    /// The projection and its output.
    projection: Option<(Conv, Region)>,
    shape: Shape,
    /// `d_z` of each site.
    d_z: [Region; 2],
    /// What the projection gives to the gradient of `h`.
    d_projection: Region,
    /// The gradient of the input, where it is not in the place of `d_z[0]`.
    d_x: Option<Region>,
}

/// A wide residual network.
#[derive(Debug)]
pub struct WideResNet {
    table: Table,
    packs: Packs,
    stem: Conv,
    blocks: Vec<Block>,
    last: Site,
    head: Linear,
    /// Gradient of the head's pre-activation, then that of the last sum.
    d_last: Region,
    pooled: Region,
    d_pooled: Region,
    logits: Region,
    d_logits: Region,
    arena: Arena,
    input: Shape,
    noise: f32,
    /// Of the last forward pass: examples, and whether noise was added.
    n: usize,
    noisy: bool,
}

fn plain(x: &[f32], shape: Shape) -> Plain<'_> {
    Plain::new(x, shape.h, shape.w, shape.c)
}

/// The part of a region that a batch of `n` examples takes.
fn of(region: Region, shape: Shape, n: usize) -> Result<Region> {
    region.first(n * shape.example())
}

/// Rectification, after the noise if there is any.
fn post(map: &[f32], noisy: bool) -> Post<'_> {
    Post { noise: if noisy { Noise::Shared(map) } else { Noise::None }, ..Post::RELU }
}

/// What every layer of a pass is given.
struct Pass<'a> {
    context: &'a Context,
    table: &'a Table,
    n: usize,
    mode: Mode,
    noisy: bool,
}

impl WideResNet {
    /// The standard deviation of the noise that training adds to each pre-activation from the next step on; zero, as at
    /// first, adds none.
    pub fn set_noise(&mut self, std: f32) {
        self.noise = std;
    }
}

impl Model for WideResNet {
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
        let blocks = self.blocks.iter();
        let convs = blocks.flat_map(|block| block.convs.iter().chain(block.projection.as_ref().map(|(conv, _)| conv)));
        std::iter::once(&self.stem).chain(convs).map(|conv| describe(&self.table, conv)).collect()
    }

    fn wiring(&self) -> Result<Wiring> {
        let mut wiring = Wiring::new(self.input);
        let normalised = |wiring: &mut Wiring, x: usize, site: &Site| -> Result<usize> {
            let a = wiring.norm(x, &site.norm)?;
            wiring.activation(a, Activation::Relu);
            Ok(a)
        };
        let mut x = wiring.conv(0, &self.stem)?;
        for Block { sites: [first, second], convs, projection, .. } in &self.blocks {
            let h = normalised(&mut wiring, x, first)?;
            let shortcut = match projection {
                Some((conv, _)) => wiring.conv(h, conv)?,
                None => x,
            };
            let y = wiring.conv(h, &convs[0])?;
            let a = normalised(&mut wiring, y, second)?;
            x = wiring.conv(a, &convs[1])?;
            wiring.add(shortcut, x);
        }
        let a = normalised(&mut wiring, x, &self.last)?;
        let mean = wiring.average(a)?;
        wiring.linear(mean, &self.head)?;
        Ok(wiring)
    }

    fn init(&self, context: &Context, seed: u64, values: &mut [f32]) -> Result<()> {
        check_len("initialise", "elements of the values", self.table.len(), values.len())?;
        self.stem.init(context, &self.table, seed, values)?;
        for block in &self.blocks {
            for conv in block.convs.iter().chain(block.projection.as_ref().map(|(conv, _)| conv)) {
                conv.init(context, &self.table, seed, values)?;
            }
            block.sites.iter().for_each(|site| site.norm.init(&self.table, values));
        }
        self.last.norm.init(&self.table, values);
        let init = Init::UniformFanIn { fan_in: self.head.sizes().0 };
        self.head.init(context, &self.table, init, seed, values)
    }

    fn forward(&mut self, context: &Context, values: &mut [f32], x: &[f32], mode: Mode) -> Result<()> {
        let n = examples(self.input, x)?;
        check_len("forward pass", "elements of the values", self.table.len(), values.len())?;
        (self.n, self.noisy) = (n, self.noise != 0.0 && mode != Mode::Eval);
        let Self { table, packs, stem, blocks, last, head, arena, noise, noisy, .. } = self;
        let (noise, noisy) = (*noise, *noisy);
        let pass = Pass { context, table, n, mode, noisy };
        {
            let first = &mut blocks[0].sites[0];
            let ([], [y]) = arena.view([], [of(first.x, first.shape, n)?])?;
            let sink = first.norm.moments(table, values, mode, n, None)?;
            stem.forward(context, table, packs, values, n, &plain(x, self.input), y, &sink)?;
        }
        for i in 0..blocks.len() {
            let (block, after) = blocks[i..].split_at_mut(1);
            let next = after.first_mut().map_or(&mut *last, |block| &mut block.sites[0]);
            block[0].sites[0].settle(&pass, arena, noise, values)?;
            block[0].forward(&pass, (packs, arena), next, noise, values)?;
        }
        last.settle(&pass, arena, noise, values)?;
        let shape = last.shape.with_examples(n);
        let mean = self.pooled.first(n * shape.c)?;
        {
            let ([x, map], [mean]) = arena.view([of(last.x, shape, n)?, last.map], [mean])?;
            global_average_forward(context, shape, &last.norm.forward(x, post(map, noisy))?, mean)?;
        }
        let ([mean], [logits]) = arena.view([mean], [self.logits.first(n * head.sizes().1)?])?;
        head.forward(context, table, values, n, mean, logits)
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

    fn activations(&mut self, context: &Context, visit: &mut dyn FnMut(&str, Shape, &[f32])) -> Result<()> {
        let Self { table, blocks, last, arena, n, noisy, .. } = self;
        for site in blocks.iter().flat_map(|block| &block.sites).chain(std::iter::once(&*last)) {
            let shape = site.shape.with_examples(*n);
            let ([x, map], []) = arena.view([of(site.x, shape, *n)?, site.map], [])?;
            show(context, (table, &site.norm), &site.norm.forward(x, post(map, *noisy))?, shape, visit)?;
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
        let Self { table, packs, stem, blocks, last, head, arena, .. } = self;
        let (n, (c, classes)) = (self.n, head.sizes());
        let pass = Pass { context, table, n, mode: Mode::Eval, noisy: self.noisy };
        let (shape, d_mean) = (last.shape.with_examples(n), self.d_pooled.first(n * c)?);
        {
            let reads = [self.pooled.first(n * c)?, self.d_logits.first(n * classes)?];
            let ([mean, d_logits], [d_mean]) = arena.view(reads, [d_mean])?;
            head.backward_weight(context, table, n, mean, d_logits, gradients)?;
            head.backward_data(context, table, values, n, d_logits, d_mean)?;
            if let Some(d) = features_alone(inner)? {
                add_assign(context, d, d_mean)?;
            }
        }
        {
            let reads = [of(last.x, shape, n)?, last.map, d_mean];
            let ([x, map, d_mean], [d]) = arena.view(reads, [of(self.d_last, shape, n)?])?;
            let sink = last.norm.gradient_sums(table, values, x, post(map, pass.noisy), None, None)?;
            global_average_backward(context, shape, d_mean, d, &sink)?;
            last.norm.finish_backward(context, table, values, gradients)?;
            last.norm.gradient_in_place(context, x, d)?;
        }
        let mut d = self.d_last;
        for block in blocks.iter_mut().rev() {
            d = block.backward(&pass, (packs, arena), d, values, gradients)?;
        }
        let shape = blocks[0].sites[0].shape;
        let ([d], []) = arena.view([of(d, shape, n)?], [])?;
        stem.backward_weight(context, table, n, &plain(x, self.input), &plain(d, shape), gradients)
    }
}
