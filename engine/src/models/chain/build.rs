//! From a description to a network: its tensors, its layers, and the places of its activations.

use super::{Block, Chain, Input, Kept, Shortcut, Unit};
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

/// From this many channels on, an activation is computed again rather than kept: to write it once more is then little
/// beside the convolutions, whose work for each element grows with the channels. Bit-neutral.
const AGAIN_CHANNELS: usize = 64;

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

    /// Gives back the place of an input that has been read for the last time forward, unless it is kept.
    fn forget(&mut self, input: Input) {
        if let Input::Stored(Kept { forward, again: true, .. }) = input {
            self.planner.give(forward);
        }
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
        // What the head reads and writes; first, so that it does not lie between the places that are used again.
        let mut head_region = |len: usize| building.planner.take(input.n * len);
        let features = spec.blocks.last().and_then(|block| block.units.last()).map_or(input.c, |unit| unit.c_out);
        let [pooled, d_pooled] = [head_region(features)?, head_region(features)?];
        let [logits, d_logits] = [head_region(spec.classes)?, head_region(spec.classes)?];
        let (mut blocks, mut at, mut place) = (Vec::<Block>::new(), input, Input::Images);
        for (i, block) in spec.blocks.iter().enumerate() {
            let (first, input_shape) = (i == 0, at);
            let mut units = Vec::new();
            for unit in &block.units {
                units.push(building.unit(unit, at, first && units.is_empty())?);
                at = units[units.len() - 1].shape;
                // The block before has been computed by now, and what its shortcut adds has been added.
                if let (1, Some(Block { shortcut: Shortcut::Identity, input, .. })) = (units.len(), blocks.last()) {
                    building.forget(*input);
                }
            }
            let shortcut = match &block.shortcut {
                ShortcutSpec::None => Shortcut::None,
                ShortcutSpec::Identity => Shortcut::Identity,
                ShortcutSpec::Projection(unit) => {
                    let unit = building.unit(unit, input_shape, first)?;
                    Shortcut::Projection { unit, d: [Region::EMPTY; 2] }
                }
            };
            if matches!(shortcut, Shortcut::Projection { .. }) {
                building.forget(place);
            }
            // An activation is kept if the next block reads it more than once: its convolution, its shortcut, and both
            // again on the way back; the last one is averaged at once.
            let next = spec.blocks.get(i + 1);
            let twice = next.is_some_and(|next| !matches!(next.shortcut, ShortcutSpec::None)) || block.pool.is_some();
            let added_is_kept =
                !matches!((&shortcut, place), (Shortcut::Identity, Input::Stored(Kept { again: true, .. })));
            // The head reads what the last block adds, and so does the first step back.
            let again = at.c >= AGAIN_CHANNELS && added_is_kept && block.pool.is_none() && i + 2 < spec.blocks.len();
            let out =
                if twice { Some(Kept { again, ..Kept::throughout(building.planner.take(at.len())?) }) } else { None };
            let (written, mut pool) = (RowFlags::new(at), None);
            let input = std::mem::replace(&mut place, out.map_or(Input::Computed, Input::Stored));
            if let Some([kernel, stride, padding]) = block.pool {
                let window = window(at.h, at.w, at.c, kernel, stride, padding)?;
                at = Shape::new(at.n, window.out_h(), window.out_w(), at.c)?;
                let region = building.planner.take(at.len())?;
                pool = Some((window, [region, Region::EMPTY]));
                place = Input::Stored(Kept::throughout(region));
            }
            blocks.push(Block { units, shortcut, input, input_shape, out, written, pool, d_z: Vec::new() });
        }
        let Building { mut table, packs, mut planner, .. } = building;
        let head = Linear::new(&mut table, &spec.head, features, spec.classes, true, Kind::Weight)?;
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
        if let (Some(before), Input::Stored(input)) = (before.last_mut(), &mut block.input)
            && input.again
        {
            input.backward = planner.take(block.input_shape.len())?;
            before.out = Some(*input);
        }
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
                planner.give(out.backward);
            }
        }
    }
    Ok(())
}
