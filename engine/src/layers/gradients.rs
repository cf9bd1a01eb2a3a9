//! Where the gradients of parameters go: into their arena, or, from a part of a batch, into sums that wait for the rest.
//!
//! Every gradient of a parameter is a sum over examples in one fixed tree ([`crate::kernels::conv`] for weights and
//! biases, [`crate::kernels::norm`] for factors). Micro-batches that are subtrees of it give the bits of the whole batch:
//! all of one length, a power of two from 8 on; the last may be shorter. That holds for networks whose examples do not
//! see each other, so not for statistics of the batch.

use crate::error::{Error, Result};
use crate::kernels::conv::{Geometry, WeightGradient, backward_weight};
use crate::kernels::stage::Source;
use crate::parallel::{Context, TreeFold};
use crate::params::{Table, TensorId};

/// The place of a backward pass's gradients.
#[derive(Debug)]
pub enum Gradients<'a> {
    /// The arena: the batch is whole.
    Whole(&'a mut [f32]),
    /// The sums over micro-batches.
    Part(&'a mut Accumulator),
}

type Sums = TreeFold<Vec<f64>, fn(Vec<f64>, Vec<f64>) -> Vec<f64>>;

/// The gradients of the micro-batches so far.
#[derive(Debug, Default)]
pub struct Accumulator {
    weights: Vec<(TensorId, Option<TensorId>, WeightGradient)>,
    norms: Vec<([TensorId; 2], Sums)>,
    /// Examples of each micro-batch before the last.
    length: Option<usize>,
    /// Whether the last one was shorter.
    closed: bool,
}

fn add(mut left: Vec<f64>, right: Vec<f64>) -> Vec<f64> {
    left.iter_mut().zip(&right).for_each(|(left, right)| *left += right);
    left
}

impl Accumulator {
    /// No micro-batch yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces a micro-batch of `n` examples, whose backward pass follows.
    ///
    /// # Errors
    /// [`Error::Argument`] if it has not the length of the others, that is no power of two from 8 on, or one follows a
    /// shorter one.
    pub fn begin(&mut self, n: usize) -> Result<()> {
        let (op, what) = ("micro-batches", "the number of examples of a micro-batch");
        let length = *self.length.get_or_insert(n);
        if self.closed || n > length || (n < length && n == 0) {
            let requirement = "that of the others; only the last may be shorter";
            return Err(Error::Argument { op, what, requirement, actual: n.to_string() });
        }
        self.closed = n < length || !(length >= 8 && length.is_power_of_two());
        Ok(())
    }

    /// All gradients; the next micro-batch starts from nothing.
    ///
    /// # Errors
    /// As [`WeightGradient::finish`].
    pub fn finish(&mut self, context: &Context, table: &Table, gradients: &mut [f32]) -> Result<()> {
        for (weight, bias, sum) in &mut self.weights {
            let (d_w, d_b) = table.pair_mut(gradients, *weight, *bias);
            sum.finish(context, d_w, d_b)?;
        }
        for ([gamma, beta], sums) in &mut self.norms {
            let sums = std::mem::replace(sums, TreeFold::new(add)).finish();
            let Some(sums) = sums else { continue };
            let (d_gamma, d_beta) = table.pair_mut(gradients, *gamma, Some(*beta));
            let (of_beta, of_gamma) = sums.split_at(sums.len() / 2);
            let write = |to: &mut [f32], from: &[f64]| {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = (0.0 + from) as f32);
            };
            write(d_gamma, of_gamma);
            write(d_beta.unwrap_or_default(), of_beta);
        }
        (self.length, self.closed) = (None, false);
        Ok(())
    }
}

impl Gradients<'_> {
    /// The gradients of a weight and its bias; see [`backward_weight`].
    ///
    /// # Errors
    /// As [`backward_weight`] and [`WeightGradient::add`].
    pub(super) fn weight(
        &mut self,
        context: &Context,
        table: &Table,
        (weight, bias): (TensorId, Option<TensorId>),
        (g, n): (&Geometry, usize),
        x: &dyn Source,
        d_y: &dyn Source,
    ) -> Result<()> {
        match self {
            Self::Whole(gradients) => {
                let (d_w, d_b) = table.pair_mut(gradients, weight, bias);
                backward_weight(context, g, n, x, d_y, d_w, d_b)
            }
            Self::Part(sums) => {
                let place = sums.weights.iter().position(|(id, ..)| *id == weight);
                let place = match place {
                    Some(place) => place,
                    None => {
                        sums.weights.push((weight, bias, WeightGradient::new(g, bias.is_some())?));
                        sums.weights.len() - 1
                    }
                };
                sums.weights[place].2.add(context, n, x, d_y)
            }
        }
    }

    /// The places of the gradients of a factor and its bias, or None for a micro-batch.
    pub(super) fn scale(&mut self, table: &Table, [gamma, beta]: [TensorId; 2]) -> Option<[&mut [f32]; 2]> {
        match self {
            Self::Whole(gradients) => {
                let (d_gamma, d_beta) = table.pair_mut(gradients, gamma, Some(beta));
                Some([d_gamma, d_beta.unwrap_or_default()])
            }
            Self::Part(_) => None,
        }
    }

    /// Adds a micro-batch's sums, for the biases, then for the factors.
    pub(super) fn add_scale(&mut self, tensors: [TensorId; 2], part: &[f64]) {
        let Self::Part(sums) = self else { return };
        let place = sums.norms.iter().position(|(known, _)| *known == tensors).unwrap_or_else(|| {
            sums.norms.push((tensors, TreeFold::new(add)));
            sums.norms.len() - 1
        });
        sums.norms[place].1.push(part.to_vec());
    }
}
