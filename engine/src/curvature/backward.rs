//! Backward passes: gradients, and gradients with their tangents.

use super::maps::{add, gate, gate_tangent, scatter, spread};
use super::network::{Kept, Network, Slots, Tangents, filled};
use crate::error::Result;
use crate::kernels::conv::Geometry;
use crate::memory::Scratch;
use crate::models::Op;
use crate::params::TensorId;
use crate::simd::Real;

/// What a backward pass is made for.
pub(super) enum Wanted<'w, T> {
    /// All gradients.
    Gradient(&'w mut [T]),
    /// The squared norm of each example's gradient, added to what is there.
    Squares(&'w mut [f64]),
}

impl<'a, T: Real> Network<'a, T> {
    /// From the gradient of the logits to what is wanted.
    pub(super) fn backward(&mut self, d: Scratch<'a, T>, mut wanted: Wanted<'_, T>) -> Result<()> {
        let context = self.context;
        let mut ds: Slots<'a, T> = self.slots.iter().map(|_| None).collect();
        let last = self.last();
        ds[last] = Some(d);
        for (place, op) in self.wiring.ops().to_vec().iter().enumerate().rev() {
            match *op {
                Op::Conv { x, y, geometry, weight, bias } => {
                    let Some(d) = ds[y].take() else { continue };
                    if self.is_trained(weight) {
                        self.weight_gradient(&geometry, x, (weight, bias), &d, &mut wanted)?;
                    }
                    if x != 0 {
                        self.through(&geometry, weight, &d, &mut ds[x], x)?;
                    }
                }
                Op::Norm { x, y, norm } => {
                    let (Kept::Norm(standard), Some(d)) = (&self.kept[place], ds[y].take()) else { continue };
                    let (x_values, gamma) = (self.slot(x), self.value(norm.gamma));
                    let sums = standard.gradient_sums(context, x_values, &d)?;
                    let [of_gamma, of_beta] = standard.affine_partials(&sums);
                    match &mut wanted {
                        Wanted::Gradient(gradient) => {
                            standard.reduce(&of_gamma, &mut gradient[self.table.range(norm.gamma)]);
                            standard.reduce(&of_beta, &mut gradient[self.table.range(norm.beta)]);
                        }
                        Wanted::Squares(squares) => {
                            let c = self.wiring.shapes()[x].c;
                            for partials in [&of_gamma, &of_beta] {
                                let rows = squares.iter_mut().zip(partials.chunks_exact(c));
                                rows.for_each(|(sum, row)| *sum += row.iter().fold(0.0, |sum, x| sum + x * x));
                            }
                        }
                    }
                    let accumulate = ds[x].is_some();
                    let mut out = match ds[x].take() {
                        Some(d) => d,
                        None => self.room(x)?,
                    };
                    standard.backward(context, gamma, [x_values, &d], &sums, accumulate, &mut out)?;
                    ds[x] = Some(out);
                }
                Op::Add { x, y } => self.shortcut(&mut ds, x, y)?,
                Op::Activation { y, activation } => {
                    if let Some(d) = &mut ds[y] {
                        gate(context, activation, self.slot(y), d)?;
                    }
                }
                Op::MaxPool { x, y, window } => {
                    let (Kept::Winners(won), Some(d)) = (&self.kept[place], ds[y].take()) else { continue };
                    self.put(&mut ds, x, |d_x| scatter(context, &window, won, &d, d_x))?;
                }
                Op::Average { x, y } => {
                    let Some(d) = ds[y].take() else { continue };
                    let c = self.wiring.shapes()[y].c;
                    self.put(&mut ds, x, |d_x| spread(context, c, &d, d_x))?;
                }
            }
        }
        Ok(())
    }

    /// From the gradient of the logits and its tangent to the tangent of all gradients.
    pub(super) fn backward_tangent(
        &mut self,
        d: Scratch<'a, T>,
        d_t: Scratch<'a, T>,
        tangents: Tangents<'a, '_, T>,
        product: &mut [T],
    ) -> Result<()> {
        let (context, n, last) = (self.context, self.n, self.last());
        let Tangents { v, slots: mut slots_t, norms } = tangents;
        let mut ds: [Slots<'a, T>; 2] = [0, 1].map(|_| self.slots.iter().map(|_| None).collect());
        (ds[0][last], ds[1][last]) = (Some(d), Some(d_t));
        for (place, op) in self.wiring.ops().to_vec().iter().enumerate().rev() {
            match *op {
                Op::Conv { x, y, geometry, weight, bias } => {
                    let (Some(d), Some(d_t)) = (ds[0][y].take(), ds[1][y].take()) else { continue };
                    let x_t = slots_t[x].as_deref();
                    if self.is_trained(weight) {
                        self.weight_tangent(&geometry, x, (weight, bias), x_t, [&d, &d_t], product)?;
                    }
                    // Nobody reads the tangent of the output any more.
                    slots_t[y] = None;
                    if x != 0 {
                        self.through(&geometry, weight, &d, &mut ds[0][x], x)?;
                        self.through(&geometry, weight, &d_t, &mut ds[1][x], x)?;
                        if self.is_trained(weight) {
                            let mut bent = self.room(x)?;
                            self.products.backward_data(&geometry, n, &d, &v[self.table.range(weight)], &mut bent)?;
                            if let Some(d_x_t) = &mut ds[1][x] {
                                add(context, &bent, d_x_t)?;
                            }
                        }
                    }
                }
                Op::Norm { x, y, norm } => {
                    let (Kept::Norm(standard), Some(along)) = (&self.kept[place], &norms[place]) else { continue };
                    let (Some(d), Some(d_t)) = (ds[0][y].take(), ds[1][y].take()) else { continue };
                    let Some(x_t) = &slots_t[x] else { continue };
                    let (x_values, gamma) = (self.slot(x), self.value(norm.gamma));
                    let gamma_t = &v[self.table.range(norm.gamma)];
                    let sums = standard.gradient_sums(context, x_values, &d)?;
                    let accumulate = ds[0][x].is_some();
                    let [mut d_x, mut d_x_t] = match (ds[0][x].take(), ds[1][x].take()) {
                        (Some(d), Some(d_t)) => [d, d_t],
                        _ => [self.room(x)?, self.room(x)?],
                    };
                    let [of_gamma, of_beta] = standard.backward_tangent(
                        context,
                        [gamma, gamma_t],
                        along,
                        [x_values, x_t, &d, &d_t],
                        &sums,
                        accumulate,
                        &mut d_x_t,
                    )?;
                    standard.reduce(&of_gamma, &mut product[self.table.range(norm.gamma)]);
                    standard.reduce(&of_beta, &mut product[self.table.range(norm.beta)]);
                    standard.backward(context, gamma, [x_values, &d], &sums, accumulate, &mut d_x)?;
                    (ds[0][x], ds[1][x]) = (Some(d_x), Some(d_x_t));
                    slots_t[y] = None;
                }
                Op::Add { x, y } => {
                    let [ds, ds_t] = &mut ds;
                    self.shortcut(ds, x, y)?;
                    self.shortcut(ds_t, x, y)?;
                }
                Op::Activation { y, activation } => {
                    let [ds, ds_t] = &mut ds;
                    let (Some(d), Some(d_t), Some(y_t)) = (&mut ds[y], &mut ds_t[y], &slots_t[y]) else { continue };
                    let y = self.slot(y);
                    // Before the gradient itself passes: the second derivative meets it as it was.
                    gate_tangent(context, activation, [y, y_t, d], d_t)?;
                    gate(context, activation, y, d)?;
                }
                Op::MaxPool { x, y, window } => {
                    let Kept::Winners(won) = &self.kept[place] else { continue };
                    for ds in &mut ds {
                        let Some(d) = ds[y].take() else { continue };
                        self.put(ds, x, |d_x| scatter(context, &window, won, &d, d_x))?;
                    }
                }
                Op::Average { x, y } => {
                    let c = self.wiring.shapes()[y].c;
                    for ds in &mut ds {
                        let Some(d) = ds[y].take() else { continue };
                        self.put(ds, x, |d_x| spread(context, c, &d, d_x))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds the gradient of a shortcut's input to what others have given.
    fn shortcut(&self, ds: &mut Slots<'a, T>, x: usize, y: usize) -> Result<()> {
        let Some(d) = ds[y].take() else { return Ok(()) };
        self.put(ds, x, |d_x| {
            d_x.copy_from_slice(&d);
            Ok(())
        })?;
        ds[y] = Some(d);
        Ok(())
    }

    /// What `write` gives to the gradient of slot `x`.
    fn put(&self, ds: &mut Slots<'a, T>, x: usize, write: impl FnOnce(&mut [T]) -> Result<()>) -> Result<()> {
        let mut part = self.room(x)?;
        write(&mut part)?;
        match &mut ds[x] {
            Some(sum) => add(self.context, &part, sum),
            empty => {
                *empty = Some(part);
                Ok(())
            }
        }
    }

    /// The gradient that passes through a convolution to its input.
    fn through(
        &mut self,
        geometry: &Geometry,
        weight: TensorId,
        d: &[T],
        d_x: &mut Option<Scratch<'a, T>>,
        x: usize,
    ) -> Result<()> {
        let mut part = self.room(x)?;
        self.products.backward_data(geometry, self.n, d, self.value(weight), &mut part)?;
        match d_x {
            Some(sum) => add(self.context, &part, sum),
            empty => {
                *empty = Some(part);
                Ok(())
            }
        }
    }

    fn weight_gradient(
        &mut self,
        geometry: &Geometry,
        x: usize,
        (weight, bias): (TensorId, Option<TensorId>),
        d: &[T],
        wanted: &mut Wanted<'_, T>,
    ) -> Result<()> {
        let x = filled(&self.slots, self.images, x);
        match wanted {
            Wanted::Gradient(gradient) => {
                let (d_w, d_b) = self.table.pair_mut(gradient, weight, bias);
                self.products.backward_weight(geometry, self.n, x, d, d_w, d_b)
            }
            Wanted::Squares(squares) => {
                let square = |x: &[T]| x.iter().fold(0.0, |sum, x| sum + x.to_f64() * x.to_f64());
                let has_bias = bias.is_some();
                if geometry.output_len() == geometry.c_out {
                    // One product for each weight: the gradient is an outer product, and so is its norm.
                    if geometry.input_len() == geometry.c_in {
                        let pairs = x.chunks_exact(geometry.c_in).zip(d.chunks_exact(geometry.c_out));
                        for (sum, (x, d)) in squares.iter_mut().zip(pairs) {
                            *sum += square(d) * (square(x) + f64::from(u8::from(has_bias)));
                        }
                        return Ok(());
                    }
                }
                let (mut d_w, mut d_b) =
                    (self.context.scratch::<T>(geometry.weight_len())?, self.context.scratch::<T>(geometry.c_out)?);
                let examples = x.chunks_exact(geometry.input_len()).zip(d.chunks_exact(geometry.output_len()));
                for (sum, (x, d)) in squares.iter_mut().zip(examples) {
                    let bias = has_bias.then_some(&mut d_b[..]);
                    self.products.backward_weight(geometry, 1, x, d, &mut d_w, bias)?;
                    *sum += square(&d_w) + if has_bias { square(&d_b) } else { 0.0 };
                }
                Ok(())
            }
        }
    }

    /// The tangent of the gradient of a weight: the input's tangent meets the gradient, the input the gradient's tangent.
    fn weight_tangent(
        &mut self,
        geometry: &Geometry,
        x: usize,
        (weight, bias): (TensorId, Option<TensorId>),
        x_t: Option<&[T]>,
        [d, d_t]: [&[T]; 2],
        product: &mut [T],
    ) -> Result<()> {
        let x = filled(&self.slots, self.images, x);
        let (d_w, d_b) = self.table.pair_mut(product, weight, bias);
        self.products.backward_weight(geometry, self.n, x, d_t, d_w, d_b)?;
        if let Some(x_t) = x_t {
            let mut part = self.context.scratch::<T>(geometry.weight_len())?;
            self.products.backward_weight(geometry, self.n, x_t, d, &mut part, None)?;
            let d_w = &mut product[self.table.range(weight)];
            add(self.context, &part, d_w)?;
        }
        Ok(())
    }
}
