//! A block forward and backward.

use super::{Block, Input, Kept, Parts, Pass, Shortcut, Unit, of, plain};
use crate::error::Result;
use crate::kernels::elementwise::add_assign;
use crate::kernels::norm::{Post, Shape, Storing, write};
use crate::kernels::pool::{global_average_backward, max_backward, max_forward};
use crate::kernels::stage::Keep;
use crate::layers::{Finish, Gradients};
use crate::memory::Region;

impl Block {
    /// The block's input as a source: the images, the tensor in memory, or what `before` computes from `y` and
    /// `residual`.
    pub(super) fn forward(
        &mut self,
        pass: &Pass<'_>,
        parts: &mut Parts<'_>,
        before: Option<&mut Block>,
        x: &[f32],
        values: &mut [f32],
    ) -> Result<()> {
        let Pass { context, table, n, mode, .. } = *pass;
        let Block { units, shortcut, input, input_shape, .. } = self;
        let first = &mut units[0];
        let y = of(first.y, first.shape, n)?;
        {
            let sink = first.norm.moments(table, values, mode, n, None)?;
            let conv = &first.conv;
            match (before, *input) {
                (Some(before), Input::Computed | Input::Stored(_)) if before.pool.is_none() => {
                    let (y_before, residual) = (of(before.last().y, before.shape(), n)?, before.residual(n)?);
                    let out = before.out.map_or(Ok(Region::EMPTY), |out| of(out.forward, before.shape(), n))?;
                    let ([y_before, residual], [out, y]) = parts.arena.view([y_before, residual], [out, y])?;
                    let shape = before.shape().with_examples(n);
                    let Block { units: units_before, shortcut, out: kept, written, .. } = before;
                    let norm = &units_before[units_before.len() - 1].norm;
                    let source = norm.forward(y_before, shortcut.post(residual))?;
                    if kept.is_some() {
                        let source = Storing::new(&source, shape, out, written)?;
                        conv.forward(context, table, parts.packs, values, n, &source, y, &sink)?;
                    } else {
                        conv.forward(context, table, parts.packs, values, n, &source, y, &sink)?;
                    }
                }
                (_, Input::Stored(kept)) => {
                    let ([x], [y]) = parts.arena.view([of(kept.forward, *input_shape, n)?], [y])?;
                    conv.forward(context, table, parts.packs, values, n, &plain(x, *input_shape), y, &sink)?;
                }
                _ => {
                    let ([], [y]) = parts.arena.view([], [y])?;
                    conv.forward(context, table, parts.packs, values, n, &plain(x, *input_shape), y, &sink)?;
                }
            }
        }
        first.norm.settle(context, table, values, mode, n)?;
        for j in 1..units.len() {
            let (low, high) = units.split_at_mut(j);
            let (from, to) = (&low[j - 1], &mut high[0]);
            let ([x], [y]) = parts.arena.view([of(from.y, from.shape, n)?], [of(to.y, to.shape, n)?])?;
            let source = from.norm.forward(x, Post::RELU)?;
            let sink = to.norm.moments(table, values, mode, n, None)?;
            to.conv.forward(context, table, parts.packs, values, n, &source, y, &sink)?;
            to.norm.settle(context, table, values, mode, n)?;
        }
        if let Shortcut::Projection { unit, .. } = shortcut {
            let y = of(unit.y, unit.shape, n)?;
            let sink = unit.norm.moments(table, values, mode, n, None)?;
            let region = match *input {
                Input::Stored(kept) => of(kept.forward, *input_shape, n)?,
                Input::Images | Input::Computed => Region::EMPTY,
            };
            let ([stored], [y]) = parts.arena.view([region], [y])?;
            let x = if matches!(input, Input::Images) { x } else { stored };
            unit.conv.forward(context, table, parts.packs, values, n, &plain(x, *input_shape), y, &sink)?;
            unit.norm.settle(context, table, values, mode, n)?;
        }
        self.pool_forward(pass, parts)
    }

    /// The pooled activation; the activation itself is kept on the way.
    fn pool_forward(&mut self, pass: &Pass<'_>, parts: &mut Parts<'_>) -> Result<()> {
        let (Some((window, [pooled, _])), Some(out)) = (self.pool, self.out) else { return Ok(()) };
        let (n, shape) = (pass.n, self.shape().with_examples(pass.n));
        let reads = [of(self.last().y, shape, n)?, self.residual(n)?];
        let writes = [of(out.forward, shape, n)?, pooled.first(n * window.output_len())?];
        let ([y, residual], [out, pooled]) = parts.arena.view(reads, writes)?;
        let Self { units, shortcut, written, .. } = self;
        let source = units[units.len() - 1].norm.forward(y, shortcut.post(residual))?;
        max_forward(pass.context, &window, &Storing::new(&source, shape, out, written)?, n, pooled)
    }

    /// Before the next block's backward pass: the activation again, if it was forgotten.
    pub(super) fn recompute(&self, pass: &Pass<'_>, parts: &mut Parts<'_>) -> Result<()> {
        let Some(Kept { backward, again: true, .. }) = self.out else { return Ok(()) };
        let (n, shape, last) = (pass.n, self.shape().with_examples(pass.n), self.last());
        let reads = [of(last.y, shape, n)?, self.residual(n)?];
        let ([y, residual], [out]) = parts.arena.view(reads, [of(backward, shape, n)?])?;
        write(pass.context, &last.norm.forward(y, self.shortcut.post(residual))?, shape, out)
    }

    /// From the block's `d_z`, whose sums the last normalisation has taken: all gradients of the block, and the `d_z` of
    /// the block before with its sums.
    pub(super) fn backward(
        &mut self,
        pass: &Pass<'_>,
        parts: &mut Parts<'_>,
        before: Option<&mut Block>,
        x: &[f32],
        values: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Result<()> {
        let Pass { context, table, n, .. } = *pass;
        let Block { units, shortcut, input, input_shape, d_z, .. } = self;
        let last = units.len() - 1;
        units[last].norm.finish_backward(context, table, values, gradients)?;
        // The input as it lies in memory, if it does.
        let stored = match *input {
            Input::Stored(kept) => of(kept.backward, *input_shape, n)?,
            Input::Images | Input::Computed => Region::EMPTY,
        };
        let of_z = |j: usize, units: &[Unit]| of(d_z[j], units[j].shape, n);
        let mut extra = Region::EMPTY;
        match shortcut {
            Shortcut::None => {}
            Shortcut::Identity => extra = of_z(last, units)?,
            Shortcut::Projection { unit, d } => {
                let (y, z, d_y) = (of(unit.y, unit.shape, n)?, of_z(last, units)?, of(d[0], unit.shape, n)?);
                let ([y, z, stored], [d_y]) = parts.arena.view([y, z, stored], [d_y])?;
                unit.norm.backward(context, table, values, y, z, d_y, gradients)?;
                if let Some(d) = pass.map(&unit.conv) {
                    add_assign(context, d, d_y)?;
                }
                let (x, d_y) = (
                    plain(if matches!(input, Input::Images) { x } else { stored }, *input_shape),
                    plain(d_y, unit.shape),
                );
                unit.conv.backward_weight(context, table, n, &x, &d_y, gradients)?;
                if before.is_some() {
                    extra = of(d[1], *input_shape, n)?;
                    let ([d_y], [d_x]) = parts.arena.view([of(d[0], unit.shape, n)?], [extra])?;
                    unit.conv.backward_data(
                        context,
                        table,
                        parts.packs,
                        values,
                        n,
                        &plain(d_y, unit.shape),
                        d_x,
                        &Keep,
                    )?;
                }
            }
        }
        for j in (1..units.len()).rev() {
            let reads =
                [of(units[j].y, units[j].shape, n)?, of_z(j, units)?, of(units[j - 1].y, units[j - 1].shape, n)?];
            let ([y, z, y_from], [d_x]) = parts.arena.view(reads, [of_z(j - 1, units)?])?;
            let (low, high) = units.split_at_mut(j);
            let (from, to) = (&mut low[j - 1], &high[0]);
            let d_y = to.gradient(pass, y, z)?;
            to.conv.backward_weight(context, table, n, &from.norm.forward(y_from, Post::RELU)?, &d_y, gradients)?;
            let sink = from.norm.gradient_sums(table, values, y_from, Post::RELU, None, None)?;
            to.conv.backward_data(context, table, parts.packs, values, n, &d_y, d_x, &sink)?;
            from.norm.finish_backward(context, table, values, gradients)?;
        }
        let (first, y, z) = (&units[0], of(units[0].y, units[0].shape, n)?, of_z(0, units)?);
        let Some(before) = before else {
            let ([y, z], []) = parts.arena.view([y, z], [])?;
            return first.conv.backward_weight(
                context,
                table,
                n,
                &plain(x, *input_shape),
                &first.gradient(pass, y, z)?,
                gradients,
            );
        };
        before.receive(pass, parts, first, [y, z, stored, extra], values, gradients)
    }

    /// As the block before the one that has `first`: the gradients of that convolution, and of its input by way of this
    /// block's activation.
    fn receive(
        &mut self,
        pass: &Pass<'_>,
        parts: &mut Parts<'_>,
        first: &Unit,
        [y, z, stored, extra]: [Region; 4],
        values: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Result<()> {
        let Pass { context, table, n, .. } = *pass;
        let (shape, own_y) = (self.shape().with_examples(n), of(self.last().y, self.shape(), n)?);
        if let Some((window, [_, d_pooled])) = self.pool {
            let d_pooled = d_pooled.first(n * window.output_len())?;
            let input = Shape { h: window.out_h(), w: window.out_w(), ..shape };
            let ([y, z, stored, extra], [d_x]) = parts.arena.view([y, z, stored, extra], [d_pooled])?;
            let d_y = first.gradient(pass, y, z)?;
            first.conv.backward_weight(context, table, n, &plain(stored, input), &d_y, gradients)?;
            let sink = Finish { add: (!extra.is_empty()).then_some(extra), relu: false };
            first.conv.backward_data(context, table, parts.packs, values, n, &d_y, d_x, &sink)?;
            return self.pool_backward(pass, parts, values);
        }
        let own_z = of(self.d_z[self.units.len() - 1], shape, n)?;
        let ([y, z, stored, extra, own_y], [d_x]) = parts.arena.view([y, z, stored, extra, own_y], [own_z])?;
        let d_y = first.gradient(pass, y, z)?;
        let is_stored = self.out.is_some();
        let last = self.units.len() - 1;
        let norm = &mut self.units[last].norm;
        if is_stored {
            first.conv.backward_weight(context, table, n, &plain(stored, shape), &d_y, gradients)?;
        } else {
            first.conv.backward_weight(context, table, n, &norm.forward(own_y, Post::RELU)?, &d_y, gradients)?;
        }
        let activation = is_stored.then_some(stored);
        let sink =
            norm.gradient_sums(table, values, own_y, Post::RELU, activation, (!extra.is_empty()).then_some(extra))?;
        first.conv.backward_data(context, table, parts.packs, values, n, &d_y, d_x, &sink)
    }

    /// From the gradient of the pooled activation to the block's `d_z`.
    fn pool_backward(&mut self, pass: &Pass<'_>, parts: &mut Parts<'_>, values: &[f32]) -> Result<()> {
        let Pass { context, table, n, .. } = *pass;
        let (Some((window, [_, d_pooled])), Some(out)) = (self.pool, self.out) else { return Ok(()) };
        let (shape, last) = (self.shape().with_examples(n), self.units.len() - 1);
        let reads =
            [of(self.last().y, shape, n)?, of(out.backward, shape, n)?, d_pooled.first(n * window.output_len())?];
        let ([y, out, d_pooled], [d_z]) = parts.arena.view(reads, [of(self.d_z[last], shape, n)?])?;
        let sink = self.units[last].norm.gradient_sums(table, values, y, Post::RELU, Some(out), None)?;
        max_backward(context, &window, &plain(out, shape), n, d_pooled, d_z, &sink)
    }

    /// The first half of the backward pass of the last block: from the gradient of the mean activation to `d_z`.
    pub(super) fn average_backward(
        &mut self,
        pass: &Pass<'_>,
        parts: &mut Parts<'_>,
        d_mean: Region,
        values: &[f32],
    ) -> Result<()> {
        let Pass { context, table, n, .. } = *pass;
        let (shape, last) = (self.shape().with_examples(n), self.units.len() - 1);
        if let Some((window, [_, d_pooled])) = self.pool {
            let pooled = Shape { h: window.out_h(), w: window.out_w(), ..shape };
            let ([d_mean], [d_pooled]) = parts.arena.view([d_mean], [d_pooled.first(pooled.len())?])?;
            global_average_backward(context, pooled, d_mean, d_pooled, &Keep)?;
            return self.pool_backward(pass, parts, values);
        }
        let reads = [of(self.last().y, shape, n)?, self.residual(n)?, d_mean];
        let ([y, residual, d_mean], [d_z]) = parts.arena.view(reads, [of(self.d_z[last], shape, n)?])?;
        let Self { units, shortcut, .. } = self;
        let sink = units[last].norm.gradient_sums(table, values, y, shortcut.post(residual), None, None)?;
        global_average_backward(context, shape, d_mean, d_z, &sink)
    }
}
