//! From a description to a network: its tensors, its layers, and the places of its activations.

use super::{Block, Chain, Input, Shortcut, Unit};
use crate::error::Result;
use crate::kernels::conv::Geometry;
use crate::kernels::norm::{RowFlags, Shape};
use crate::kernels::pool::window;
use crate::layers::{Conv, Linear, Norm, NormKind, Packs};
use crate::memory::{Planner, Region};
use crate::parallel::Context;
use crate::params::{Kind, TableBuilder};

/// One convolution in the description of a block.
#[derive(Debug, Clone)]
pub(crate) struct UnitSpec {
    pub conv: String,
    pub norm: String,
    pub c_out: usize,
    pub kernel: usize,
    pub stride: usize,
    pub bias: bool,
}

/// What a block's shortcut should be.
#[derive(Debug, Clone)]
pub(crate) enum ShortcutSpec {
    None,
    Identity,
    Projection(UnitSpec),
}

/// A block in the description of a network.
#[derive(Debug, Clone)]
pub(crate) struct BlockSpec {
    pub units: Vec<UnitSpec>,
    pub shortcut: ShortcutSpec,
    /// Kernel, stride and padding of a max pooling that follows.
    pub pool: Option<[usize; 3]>,
}

/// The description of a network.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub blocks: Vec<BlockSpec>,
    pub head: String,
    pub head_init: HeadInit,
    pub norm: NormKind,
    pub classes: usize,
    pub seed: u64,
}

/// How the linear layer starts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HeadInit {
    /// Uniform within one over the square root of its inputs.
    Uniform,
    /// Normal with this standard deviation.
    Normal(f32),
}

/// What building needs.
struct Building<'a> {
    context: &'a Context,
    table: TableBuilder,
    packs: Packs,
    planner: Planner,
    norm: NormKind,
    seed: u64,
}

impl Building<'_> {
    fn unit(&mut self, spec: &UnitSpec, input: Shape, first: bool) -> Result<Unit> {
        let UnitSpec { conv, norm, c_out, kernel, stride, bias } = spec;
        let geometry = Geometry::same(input.h, input.w, input.c, *c_out, *kernel, *stride)?;
        let conv = Conv::new(self.context, &mut self.table, &mut self.packs, conv, geometry, *bias, !first)?;
        let shape = Shape::new(input.n, geometry.out_h(), geometry.out_w(), *c_out)?;
        let norm = Norm::new(&mut self.table, norm, self.norm, shape, self.seed)?;
        Ok(Unit { conv, norm, y: self.planner.take(shape.len())?, shape })
    }
}

impl Chain {
    pub(crate) fn new(context: &Context, input: Shape, spec: &Spec) -> Result<Self> {
        let mut building = Building {
            context,
            table: TableBuilder::new(),
            packs: Packs::default(),
            planner: Planner::new(),
            norm: spec.norm,
            seed: spec.seed,
        };
        let (mut blocks, mut at, mut place) = (Vec::<Block>::new(), input, Input::Images);
        for (i, block) in spec.blocks.iter().enumerate() {
            let (first, input_shape) = (i == 0, at);
            let mut units = Vec::new();
            for unit in &block.units {
                units.push(building.unit(unit, at, first && units.is_empty())?);
                at = units[units.len() - 1].shape;
            }
            let shortcut = match &block.shortcut {
                ShortcutSpec::None => Shortcut::None,
                ShortcutSpec::Identity => Shortcut::Identity,
                ShortcutSpec::Projection(unit) => {
                    let unit = building.unit(unit, input_shape, first)?;
                    Shortcut::Projection { unit, d: [Region::EMPTY; 2] }
                }
            };
            // An activation is kept if the next block reads it more than once: its convolution, its shortcut, and both
            // again on the way back; the last one is averaged at once.
            let next = spec.blocks.get(i + 1);
            let twice = next.is_some_and(|next| !matches!(next.shortcut, ShortcutSpec::None)) || block.pool.is_some();
            let out = if twice { Some(building.planner.take(at.len())?) } else { None };
            let (written, mut pool) = (RowFlags::new(at), None);
            let input = std::mem::replace(&mut place, out.map_or(Input::Computed, Input::Stored));
            if let Some([kernel, stride, padding]) = block.pool {
                let window = window(at.h, at.w, at.c, kernel, stride, padding)?;
                at = Shape::new(at.n, window.out_h(), window.out_w(), at.c)?;
                let region = building.planner.take(at.len())?;
                pool = Some((window, [region, Region::EMPTY]));
                place = Input::Stored(region);
            }
            blocks.push(Block { units, shortcut, input, input_shape, out, written, pool, d_z: Vec::new() });
        }
        let Building { mut table, packs, mut planner, .. } = building;
        let head = Linear::new(&mut table, &spec.head, at.c, spec.classes, true, Kind::Weight)?;
        let [pooled, d_pooled] = [planner.take(at.n * at.c)?, planner.take(at.n * at.c)?];
        let [logits, d_logits] = [planner.take(at.n * spec.classes)?, planner.take(at.n * spec.classes)?];
        plan_backward(&mut planner, &mut blocks)?;
        Ok(Self {
            table: table.finish()?,
            packs,
            blocks,
            head,
            head_init: spec.head_init,
            pooled,
            d_pooled,
            logits,
            d_logits,
            arena: planner.finish()?,
            input,
            n: 0,
        })
    }
}

/// Goes through the backward pass, takes regions for the gradients and gives back what is used for the last time.
fn plan_backward(planner: &mut Planner, blocks: &mut [Block]) -> Result<()> {
    let last = blocks.len() - 1;
    for i in (0..blocks.len()).rev() {
        let (before, rest) = blocks.split_at_mut(i);
        let block = &mut rest[0];
        if i == last {
            if let Some((window, regions)) = &mut block.pool {
                regions[1] = planner.take(block.units[0].shape.n * window.output_len())?;
            }
            block.d_z.push(planner.take(block.last().shape.len())?);
            if let Some((_, regions)) = &block.pool {
                planner.give(regions[1]);
            }
        }
        let mut given = Vec::new();
        if let Shortcut::Projection { unit, d } = &mut block.shortcut {
            d[0] = planner.take(unit.shape.len())?;
            d[1] = planner.take(if i == 0 { 0 } else { block.input_shape.len() })?;
            planner.give(d[0]);
            planner.give(unit.y);
            given.push(d[1]);
        }
        // From the last unit to the first; the block's own gradient waits for the shortcut.
        for j in (1..block.units.len()).rev() {
            let d = planner.take(block.units[j - 1].shape.len())?;
            block.d_z.insert(0, d);
            planner.give(block.units[j].y);
            if j < block.units.len() - 1 {
                planner.give(block.d_z[1]);
            } else {
                given.push(block.d_z[1]);
            }
        }
        if let Some(before) = before.last_mut() {
            // The gradient of the input is that of the activation before, or of its pooled form.
            if let Some((_, regions)) = &mut before.pool {
                regions[1] = planner.take(block.input_shape.len())?;
            } else {
                before.d_z.push(planner.take(before.last().shape.len())?);
            }
        }
        planner.give(block.units[0].y);
        given.push(block.d_z[0]);
        given.dedup();
        given.into_iter().for_each(|region| planner.give(region));
        if let Some(before) = before.last_mut() {
            if let Some((_, regions)) = before.pool {
                before.d_z.push(planner.take(before.last().shape.len())?);
                planner.give(regions[0]);
                planner.give(regions[1]);
            }
            if let Some(out) = before.out {
                planner.give(out);
            }
        }
    }
    Ok(())
}
