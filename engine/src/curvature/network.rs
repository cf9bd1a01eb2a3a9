//! A network at one point: its forward pass, tangents, gradients, and the tangents of those.

use super::Statistics;
use super::loss::Loss;
use super::maps::{activate, add, average, gate, gather, winners};
use super::norm::{Along, Sets, Standard};
use super::products::Products;
use crate::error::{Error, Result};
use crate::layers::NormKind;
use crate::memory::Scratch;
use crate::models::{Model, NormTensors, Op, Wiring};
use crate::parallel::Context;
use crate::params::{Kind, Table, TensorId};
use crate::simd::Real;

/// A tensor for some slots.
pub(super) type Slots<'a, T> = Vec<Option<Scratch<'a, T>>>;

/// What an operation keeps of the forward pass.
#[derive(Debug)]
pub(super) enum Kept {
    Nothing,
    Norm(Standard),
    /// The winners of a max pooling.
    Winners(Vec<u32>),
}

/// A network whose forward pass has been made.
pub(super) struct Network<'a, T: Real> {
    pub(super) context: &'a Context,
    pub(super) table: Table,
    pub(super) wiring: Wiring,
    pub(super) products: Box<dyn Products<T> + 'a>,
    values: &'a [T],
    pub(super) images: &'a [T],
    pub(super) n: usize,
    /// Every slot but that of the images.
    pub(super) slots: Slots<'a, T>,
    pub(super) kept: Vec<Kept>,
}

/// The tangents along one direction.
pub(super) struct Tangents<'a, 'v, T: Real> {
    pub(super) v: &'v [T],
    pub(super) slots: Slots<'a, T>,
    /// For each operation that is a normalisation.
    pub(super) norms: Vec<Option<Along>>,
}

/// What the forward pass does where the network normalises.
fn sets(norm: &NormTensors, statistics: Statistics) -> Result<Sets> {
    match (norm.kind, statistics) {
        (NormKind::Group(groups), _) => Ok(Sets::Groups(groups)),
        (NormKind::Frozen, _) | (_, Statistics::Running) => Ok(Sets::Fixed),
        (NormKind::Batch, Statistics::Batch) => Ok(Sets::Channels),
        (kind, Statistics::Batch) => {
            let (op, what) = ("curvature", "the normalisation");
            let requirement = "by the batch, by groups, or by running statistics";
            Err(Error::Argument { op, what, requirement, actual: format!("{kind:?}") })
        }
    }
}

fn check_len(what: &'static str, expected: usize, actual: usize) -> Result<()> {
    let op = "curvature";
    if expected == actual { Ok(()) } else { Err(Error::Shape { op, what, expected, actual }) }
}

impl<'a, T: Real> Network<'a, T> {
    /// Makes the forward pass of the images in `images`.
    pub(super) fn new(
        context: &'a Context,
        model: &dyn Model,
        products: Box<dyn Products<T> + 'a>,
        values: &'a [T],
        images: &'a [T],
        statistics: Statistics,
    ) -> Result<Self> {
        let (table, wiring, example) = (model.table().clone(), model.wiring()?, model.input().example());
        check_len("elements of the values", table.len(), values.len())?;
        let n = images.len() / example;
        check_len("elements of whole images", n * example, images.len())?;
        if n == 0 {
            let (op, what, requirement) = ("curvature", "the number of images", "at least 1");
            return Err(Error::Argument { op, what, requirement, actual: "0".to_owned() });
        }
        let slots = wiring.shapes().iter().map(|_| None).collect();
        let kept = wiring.ops().iter().map(|_| Kept::Nothing).collect();
        let mut this = Self { context, table, wiring, products, values, images, n, slots, kept };
        this.forward(statistics)?;
        Ok(this)
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    pub(super) fn examples(&self) -> usize {
        self.n
    }

    /// Logits of an example.
    pub(super) fn classes(&self) -> usize {
        self.wiring.shapes()[self.wiring.shapes().len() - 1].c
    }

    pub(super) fn last(&self) -> usize {
        self.wiring.shapes().len() - 1
    }

    pub(super) fn logits(&self) -> &[T] {
        self.slot(self.last())
    }

    /// What is in a slot; the forward pass has filled all.
    pub(super) fn slot(&self, slot: usize) -> &[T] {
        filled(&self.slots, self.images, slot)
    }

    pub(super) fn value(&self, id: TensorId) -> &'a [T] {
        &self.values[self.table.range(id)]
    }

    pub(super) fn is_trained(&self, id: TensorId) -> bool {
        self.table.entry(id).kind() != Kind::Buffer
    }

    /// Room for the batch in a slot.
    pub(super) fn room(&self, slot: usize) -> Result<Scratch<'a, T>> {
        self.context.scratch(self.n * self.wiring.shapes()[slot].example())
    }

    fn forward(&mut self, statistics: Statistics) -> Result<()> {
        let (context, n) = (self.context, self.n);
        for (place, op) in self.wiring.ops().to_vec().iter().enumerate() {
            match *op {
                Op::Conv { x, y, geometry, weight, bias } => {
                    let mut out = self.room(y)?;
                    let (w, b) = (self.value(weight), bias.map(|bias| self.value(bias)));
                    let x = filled(&self.slots, self.images, x);
                    self.products.forward(&geometry, n, x, w, b, &mut out)?;
                    self.slots[y] = Some(out);
                }
                Op::Norm { x, y, norm } => {
                    let mut out = self.room(y)?;
                    let (c, x) = (self.wiring.shapes()[x].c, self.slot(x));
                    let standard = match (sets(&norm, statistics)?, norm.running) {
                        (Sets::Fixed, Some([mean, var])) => Standard::fixed(n, self.value(mean), self.value(var)),
                        (sets, _) => Standard::measure(context, sets, n, c, x)?,
                    };
                    standard.forward(context, [self.value(norm.gamma), self.value(norm.beta)], x, &mut out)?;
                    self.slots[y] = Some(out);
                    self.kept[place] = Kept::Norm(standard);
                }
                Op::Add { x, y } => {
                    let Some(mut out) = self.slots[y].take() else { continue };
                    add(context, self.slot(x), &mut out)?;
                    self.slots[y] = Some(out);
                }
                Op::Activation { y, activation } => {
                    if let Some(y) = &mut self.slots[y] {
                        activate(context, activation, y)?;
                    }
                }
                Op::MaxPool { x, y, window } => {
                    let mut out = self.room(y)?;
                    let mut won = vec![0; n * window.output_len()];
                    winners(context, &window, self.slot(x), &mut won)?;
                    gather(context, &window, &won, self.slot(x), &mut out)?;
                    self.slots[y] = Some(out);
                    self.kept[place] = Kept::Winners(won);
                }
                Op::Average { x, y } => {
                    let mut out = self.room(y)?;
                    average(context, self.wiring.shapes()[y].c, self.slot(x), &mut out)?;
                    self.slots[y] = Some(out);
                }
            }
        }
        Ok(())
    }

    /// The mean loss, and the gradient of the logits.
    pub(super) fn loss(&self, loss: &Loss<'_>) -> Result<(f64, Scratch<'a, T>)> {
        let (k, scale) = (self.classes(), 1.0 / self.n as f64);
        let (mut d, mut row) = (self.room(self.last())?, vec![0.0; k]);
        let (mut x, mut total) = (vec![0.0; k], 0.0);
        for i in 0..self.n {
            widen(&self.logits()[i * k..][..k], &mut x);
            total += loss.gradient(i, &x, &mut row);
            d[i * k..][..k].iter_mut().zip(&row).for_each(|(d, row)| *d = T::from_f64(row * scale));
        }
        Ok((total * scale, d))
    }

    /// Writes for each example what `fill(example, logits, row)` makes of its logits, times `scale`.
    pub(super) fn cotangent(
        &self,
        scale: f64,
        mut fill: impl FnMut(usize, &[f64], &mut [f64]),
    ) -> Result<Scratch<'a, T>> {
        let k = self.classes();
        let (mut d, mut row, mut x) = (self.room(self.last())?, vec![0.0; k], vec![0.0; k]);
        for i in 0..self.n {
            widen(&self.logits()[i * k..][..k], &mut x);
            fill(i, &x, &mut row);
            d[i * k..][..k].iter_mut().zip(&row).for_each(|(d, row)| *d = T::from_f64(row * scale));
        }
        Ok(d)
    }

    /// `H v` of the mean loss; both are laid out as gradients are.
    pub(super) fn hessian_product(&mut self, loss: &Loss<'_>, v: &[T], product: &mut [T]) -> Result<()> {
        let tangents = self.tangents(v)?;
        let k = self.classes();
        let logits_t = filled(&tangents.slots, &[], self.last());
        let mut x_t = vec![0.0; k];
        let d = self.loss(loss)?.1;
        let d_t = self.cotangent(1.0 / self.n as f64, |i, x, row| {
            widen(&logits_t[i * k..][..k], &mut x_t);
            loss.tangent(i, x, &x_t, row);
        })?;
        self.backward_tangent(d, d_t, tangents, product)
    }

    /// The tangents of all slots along `v`. The images have none.
    fn tangents<'v>(&mut self, v: &'v [T]) -> Result<Tangents<'a, 'v, T>> {
        let (context, n) = (self.context, self.n);
        let mut slots: Slots<'a, T> = self.slots.iter().map(|_| None).collect();
        let mut norms: Vec<Option<Along>> = self.kept.iter().map(|_| None).collect();
        for (place, op) in self.wiring.ops().to_vec().iter().enumerate() {
            match *op {
                Op::Conv { x, y, geometry, weight, bias } => {
                    let mut out = self.room(y)?;
                    let bias = bias.filter(|&bias| self.is_trained(bias)).map(|bias| &v[self.table.range(bias)]);
                    if self.is_trained(weight) {
                        let w_t = &v[self.table.range(weight)];
                        let x = filled(&self.slots, self.images, x);
                        self.products.forward(&geometry, n, x, w_t, bias, &mut out)?;
                    } else {
                        out.fill(T::ZERO);
                    }
                    if let Some(x_t) = &slots[x] {
                        let mut through = self.room(y)?;
                        self.products.forward(&geometry, n, x_t, self.value(weight), None, &mut through)?;
                        add(context, &through, &mut out)?;
                    }
                    slots[y] = Some(out);
                }
                Op::Norm { x, y, norm } => {
                    let (Kept::Norm(standard), Some(x_t)) = (&self.kept[place], &slots[x]) else { continue };
                    let mut out = self.room(y)?;
                    let affine_t = [&v[self.table.range(norm.gamma)], &v[self.table.range(norm.beta)]];
                    let gamma = self.value(norm.gamma);
                    norms[place] = Some(standard.tangent(context, gamma, affine_t, [self.slot(x), x_t], &mut out)?);
                    slots[y] = Some(out);
                }
                Op::Add { x, y } => {
                    let Some(mut out) = slots[y].take() else { continue };
                    if let Some(x_t) = &slots[x] {
                        add(context, x_t, &mut out)?;
                    }
                    slots[y] = Some(out);
                }
                Op::Activation { y, activation } => {
                    if let Some(y_t) = &mut slots[y] {
                        gate(context, activation, self.slot(y), y_t)?;
                    }
                }
                Op::MaxPool { x, y, window } => {
                    let (Kept::Winners(won), Some(x_t)) = (&self.kept[place], &slots[x]) else { continue };
                    let mut out = self.room(y)?;
                    gather(context, &window, won, x_t, &mut out)?;
                    slots[y] = Some(out);
                }
                Op::Average { x, y } => {
                    let Some(x_t) = &slots[x] else { continue };
                    let mut out = self.room(y)?;
                    average(context, self.wiring.shapes()[y].c, x_t, &mut out)?;
                    slots[y] = Some(out);
                }
            }
        }
        Ok(Tangents { v, slots, norms })
    }
}

/// What is in a slot, which a forward pass has filled; slot 0 is the images.
pub(super) fn filled<'s, T: Real>(slots: &'s Slots<'_, T>, images: &'s [T], slot: usize) -> &'s [T] {
    slots[slot].as_deref().unwrap_or(images)
}

fn widen<T: Real>(from: &[T], to: &mut [f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f64());
}
