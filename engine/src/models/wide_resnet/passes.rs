//! A block forward and backward.

use super::{Block, Pass, Site, of, plain, post};
use crate::error::Result;
use crate::kernels::dropout::draw_noise;
use crate::kernels::norm::write;
use crate::kernels::stage::Keep;
use crate::layers::{Gradients, Mode, Packs};
use crate::memory::{Arena, Region};

impl Site {
    /// After its input was measured: coefficients, and noise.
    pub(super) fn settle(&mut self, pass: &Pass<'_>, arena: &mut Arena, noise: f32, values: &mut [f32]) -> Result<()> {
        if let (Mode::Train { step }, true) = (pass.mode, pass.noisy) {
            let ([], [map]) = arena.view([], [self.map])?;
            draw_noise(pass.context, &self.stream.at_step(step), noise, 0, map)?;
        }
        self.norm.settle(pass.context, pass.table, values, pass.mode, pass.n)
    }
}

impl Block {
    /// From the block's input, measured and settled, to its output, measured by the next site.
    pub(super) fn forward(
        &mut self,
        pass: &Pass<'_>,
        (packs, arena): (&mut Packs, &mut Arena),
        next: &mut Site,
        noise: f32,
        values: &mut [f32],
    ) -> Result<()> {
        let Pass { context, table, n, mode, noisy } = *pass;
        let [first, second] = &mut self.sites;
        let (x, y) = (of(first.x, first.shape, n)?, of(second.x, second.shape, n)?);
        let projected = self.projection.as_ref().map_or(Ok(Region::EMPTY), |(_, y)| of(*y, self.shape, n))?;
        {
            let ([x, map], [y, projected]) = arena.view([x, first.map], [y, projected])?;
            let h = first.norm.forward(x, post(map, noisy))?;
            let sink = second.norm.moments(table, values, mode, n, None)?;
            self.convs[0].forward(context, table, packs, values, n, &h, y, &sink)?;
            if let Some((conv, _)) = &self.projection {
                conv.forward(context, table, packs, values, n, &h, projected, &Keep)?;
            }
        }
        second.settle(pass, arena, noise, values)?;
        let shortcut = if self.projection.is_some() { projected } else { x };
        let ([y, map, shortcut], [out]) = arena.view([y, second.map, shortcut], [of(next.x, next.shape, n)?])?;
        let a = second.norm.forward(y, post(map, noisy))?;
        let sink = next.norm.moments(table, values, mode, n, Some(shortcut))?;
        self.convs[1].forward(context, table, packs, values, n, &a, out, &sink)
    }

    /// From the gradient of the output, in `d`, to all gradients of the block; gives the place of the gradient of the
    /// input.
    pub(super) fn backward(
        &mut self,
        pass: &Pass<'_>,
        (packs, arena): (&mut Packs, &mut Arena),
        d: Region,
        values: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Result<Region> {
        let Pass { context, table, n, noisy, .. } = *pass;
        let [first, second] = &mut self.sites;
        let (x, y) = (of(first.x, first.shape, n)?, of(second.x, second.shape, n)?);
        let (d, d_z1) = (of(d, self.shape, n)?, of(self.d_z[0], first.shape, n)?);
        let d_z2 = of(self.d_z[1], self.shape, n)?;
        {
            let ([y, map, d], [d_z]) = arena.view([y, second.map, d], [d_z2])?;
            let d = plain(d, self.shape);
            let a = second.norm.forward(y, post(map, noisy))?;
            self.convs[1].backward_weight(context, table, n, &a, &d, gradients)?;
            let sink = second.norm.gradient_sums(table, values, y, post(map, noisy), None, None)?;
            self.convs[1].backward_data(context, table, packs, values, n, &d, d_z, &sink)?;
        }
        second.norm.finish_backward(context, table, values, gradients)?;
        let mut extra = Region::EMPTY;
        if let Some((conv, _)) = &self.projection {
            extra = of(self.d_projection, first.shape, n)?;
            let ([x, map, d], [d_h]) = arena.view([x, first.map, d], [extra])?;
            let d = plain(d, self.shape);
            conv.backward_weight(context, table, n, &first.norm.forward(x, post(map, noisy))?, &d, gradients)?;
            conv.backward_data(context, table, packs, values, n, &d, d_h, &Keep)?;
        }
        {
            let ([x, map, y, d_z2, extra], [d_z]) = arena.view([x, first.map, y, d_z2, extra], [d_z1])?;
            let d_y = second.norm.gradient(y, d_z2)?;
            let h = first.norm.forward(x, post(map, noisy))?;
            self.convs[0].backward_weight(context, table, n, &h, &d_y, gradients)?;
            let extra = (!extra.is_empty()).then_some(extra);
            let sink = first.norm.gradient_sums(table, values, x, post(map, noisy), None, extra)?;
            self.convs[0].backward_data(context, table, packs, values, n, &d_y, d_z, &sink)?;
        }
        first.norm.finish_backward(context, table, values, gradients)?;
        let Some(d_x) = self.d_x else {
            let ([x], [d]) = arena.view([x], [d_z1])?;
            first.norm.gradient_in_place(context, x, d)?;
            return Ok(self.d_z[0]);
        };
        let ([x, d_z, d], [out]) = arena.view([x, d_z1, d], [of(d_x, first.shape, n)?])?;
        write(context, &first.norm.gradient(x, d_z)?.plus(d)?, first.shape.with_examples(n), out)?;
        Ok(d_x)
    }
}
