//! From depth and width to a network: its tensors, its layers, and the places of its activations.

use super::{Block, Site, WideResNet};
use crate::error::{Error, Result};
use crate::kernels::conv::Geometry;
use crate::kernels::norm::Shape;
use crate::layers::{Conv, Linear, Norm, NormKind, Packs};
use crate::memory::{Planner, Region};
use crate::parallel::Context;
use crate::params::{Kind, TableBuilder};
use crate::random::Stream;

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
    fn site(&mut self, name: &str, x: Region, shape: Shape) -> Result<Site> {
        let norm = Norm::new(&mut self.table, name, self.norm, shape, self.seed)?;
        let stream = Stream::new(self.seed, &format!("noise/{name}"), 0);
        Ok(Site { norm, stream, x, shape, map: self.planner.take(shape.pixels())? })
    }

    fn conv(&mut self, name: &str, input: Shape, c_out: usize, kernel: usize, stride: usize) -> Result<(Conv, Shape)> {
        let geometry = Geometry::same(input.h, input.w, input.c, c_out, kernel, stride)?;
        let conv = Conv::new(self.context, &mut self.table, &mut self.packs, name, geometry, false, name != "conv1")?;
        Ok((conv, Shape::new(input.n, geometry.out_h(), geometry.out_w(), c_out)?))
    }

    fn block(&mut self, prefix: &str, x: Region, input: Shape, c_out: usize, stride: usize) -> Result<Block> {
        let first = self.site(&format!("{prefix}bn1"), x, input)?;
        let (conv1, shape) = self.conv(&format!("{prefix}conv1"), input, c_out, 3, stride)?;
        let y = self.planner.take(shape.len())?;
        let second = self.site(&format!("{prefix}bn2"), y, shape)?;
        let (conv2, _) = self.conv(&format!("{prefix}conv2"), shape, c_out, 3, 1)?;
        let projection = if input.c == c_out && stride == 1 {
            None
        } else {
            let (conv, _) = self.conv(&format!("{prefix}downsample.0"), input, c_out, 1, stride)?;
            Some((conv, self.planner.take(shape.len())?))
        };
        Ok(Block {
            sites: [first, second],
            convs: [conv1, conv2],
            projection,
            shape,
            d_z: [Region::EMPTY; 2],
            d_projection: Region::EMPTY,
            d_x: None,
        })
    }
}

/// WRN-`depth`-`width` for batches of at most `input`. `seed` keys the noise and the draws of a stochastic normalisation.
///
/// # Errors
/// [`Error::Argument`] unless `depth` is 6 j + 4 for a j of at least 1 and `width` at least 1, if the images are too
/// small or the groups do not divide the channels; [`Error::OutOfMemory`].
pub fn wide_resnet(
    context: &Context,
    [depth, width]: [usize; 2],
    norm: NormKind,
    input: Shape,
    classes: usize,
    seed: u64,
) -> Result<WideResNet> {
    let op = "wide residual network";
    if depth < 10 || (depth - 4) % 6 != 0 {
        let requirement = "10, 16, 22 and so on: 4 more than a multiple of 6";
        return Err(Error::Argument { op, what: "the depth", requirement, actual: depth.to_string() });
    }
    if width == 0 {
        return Err(Error::Argument { op, what: "the width", requirement: "at least 1", actual: "0".to_owned() });
    }
    let (table, packs, planner) = (TableBuilder::new(), Packs::default(), Planner::new());
    let mut building = Building { context, table, packs, planner, norm, seed };
    let (stem, mut shape) = building.conv("conv1", input, 16, 3, 1)?;
    let mut x = building.planner.take(shape.len())?;
    let mut blocks = Vec::new();
    for group in 0..3 {
        let c_out = (16 << group) * width;
        for i in 0..(depth - 4) / 6 {
            let stride = if group > 0 && i == 0 { 2 } else { 1 };
            let block = building.block(&format!("layer{}.{i}.", group + 1), x, shape, c_out, stride)?;
            shape = block.shape;
            x = building.planner.take(shape.len())?;
            blocks.push(block);
        }
    }
    let last = building.site("bn1", x, shape)?;
    let Building { mut table, packs, mut planner, .. } = building;
    let head = Linear::new(&mut table, "fc", shape.c, classes, true, Kind::Weight)?;
    let [pooled, d_pooled] = [planner.take(shape.n * shape.c)?, planner.take(shape.n * shape.c)?];
    let [logits, d_logits] = [planner.take(shape.n * classes)?, planner.take(shape.n * classes)?];
    let d_last = planner.take(shape.len())?;
    plan_backward(&mut planner, &mut blocks, d_last)?;
    Ok(WideResNet {
        table: table.finish()?,
        packs,
        stem,
        blocks,
        last,
        head,
        d_last,
        pooled,
        d_pooled,
        logits,
        d_logits,
        arena: planner.finish()?,
        input,
        noise: 0.0,
        n: 0,
        noisy: false,
    })
}

/// Goes through the backward pass, takes regions for the gradients and gives back what is used for the last time.
fn plan_backward(planner: &mut Planner, blocks: &mut [Block], d_last: Region) -> Result<()> {
    let mut d = d_last;
    for block in blocks.iter_mut().rev() {
        block.d_z[1] = planner.take(block.shape.len())?;
        if let Some((_, y)) = &block.projection {
            planner.give(*y);
            block.d_projection = planner.take(block.sites[0].shape.len())?;
            planner.give(d);
        }
        block.d_z[0] = planner.take(block.sites[0].shape.len())?;
        planner.give(block.d_z[1]);
        planner.give(block.sites[1].x);
        if block.projection.is_some() {
            planner.give(block.d_projection);
            d = block.d_z[0];
        } else {
            let d_x = planner.take(block.sites[0].shape.len())?;
            block.d_x = Some(d_x);
            planner.give(block.d_z[0]);
            planner.give(d);
            d = d_x;
        }
        planner.give(block.sites[0].x);
    }
    Ok(())
}
