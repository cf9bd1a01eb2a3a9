//! The linear layer.
//!
//! Forward, x `[n, c_in]`, w `[c_out, c_in]`, b `[c_out]`:
//!
//! ```text
//! y[n, o] = b[o] + sum over i of x[n, i] w[o, i]              one chain from b[o], i ascending
//! ```
//!
//! Backward:
//!
//! ```text
//! d_x[n, i] = sum over o of d_y[n, o] w[o, i]                 one chain from +0, o ascending
//! d_w[o, i] = sum over n of d_y[n, o] x[n, i]                 virtual shards of 8 examples, then their tree
//! d_b[o]    = sum over n of d_y[n, o]                         the same
//! ```
//!
//! The gradients of the parameters are those of a convolution of images of one pixel ([`crate::kernels::conv`]), so that
//! they follow its rule for sums over examples.

use super::Gradients;
use crate::error::Result;
use crate::kernels::conv::Geometry;
use crate::kernels::gemm::{Bias, Options, gemm};
use crate::kernels::stage::Plain;
use crate::parallel::Context;
use crate::params::{Kind, Table, TableBuilder, TensorId};
use crate::random::{Init, Stream};
use crate::tensor::{MatMut, MatRef};

/// One linear layer.
#[derive(Debug)]
pub struct Linear {
    c_in: usize,
    c_out: usize,
    weight: TensorId,
    bias: Option<TensorId>,
}

impl Linear {
    /// A layer whose tensors are listed as `name.weight` and, if it has a bias, `name.bias`. `kind` is [`Kind::Weight`],
    /// or [`Kind::Buffer`] for a layer that is not trained.
    ///
    /// # Errors
    /// As [`TableBuilder::push`], and as [`Geometry::check`] for a size of zero.
    pub fn new(
        builder: &mut TableBuilder,
        name: &str,
        c_in: usize,
        c_out: usize,
        has_bias: bool,
        kind: Kind,
    ) -> Result<Self> {
        let weight = builder.push(format!("{name}.weight"), &[c_out, c_in], kind)?;
        let bias = if has_bias { Some(builder.push(format!("{name}.bias"), &[c_out], Kind::Bias)?) } else { None };
        let layer = Self { c_in, c_out, weight, bias };
        layer.geometry().check()?;
        Ok(layer)
    }

    /// The same as a convolution of images of one pixel.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        let (c_in, c_out) = (self.c_in, self.c_out);
        Geometry { h: 1, w: 1, c_in, c_out, kernel_h: 1, kernel_w: 1, stride: 1, padding: 0 }
    }

    /// Inputs and outputs of an example.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.c_in, self.c_out)
    }

    /// Its weight and its bias.
    #[must_use]
    pub fn tensors(&self) -> (TensorId, Option<TensorId>) {
        (self.weight, self.bias)
    }

    /// Draws the weight from `init` under its own name; the bias is zero.
    ///
    /// # Errors
    /// As [`Init::fill`].
    pub fn init(&self, context: &Context, table: &Table, init: Init, seed: u64, values: &mut [f32]) -> Result<()> {
        if let Some(bias) = self.bias {
            values[table.range(bias)].fill(0.0);
        }
        let entry = table.entry(self.weight);
        let stream = Stream::new(seed, &format!("init/{}", entry.name()), 0);
        init.fill(context, &stream, 0, &mut values[entry.range()])
    }

    fn weights<'a>(&self, table: &Table, values: &'a [f32]) -> Result<MatRef<'a, f32>> {
        MatRef::new(&values[table.range(self.weight)], self.c_out, self.c_in)
    }

    /// `y = x w^T + b`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the lengths do not fit; else as [`gemm`].
    pub fn forward(
        &self,
        context: &Context,
        table: &Table,
        values: &[f32],
        n: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<()> {
        let bias = self.bias.map_or(Bias::None, |bias| Bias::Columns(&values[table.range(bias)]));
        let (x, y) = (MatRef::new(x, n, self.c_in)?, MatMut::new(y, n, self.c_out)?);
        gemm(context, x, self.weights(table, values)?.transposed(), y, &Options { bias, ..Options::default() })
    }

    /// `d_x = d_y w`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn backward_data(
        &self,
        context: &Context,
        table: &Table,
        values: &[f32],
        n: usize,
        d_y: &[f32],
        d_x: &mut [f32],
    ) -> Result<()> {
        let (d_y, d_x) = (MatRef::new(d_y, n, self.c_out)?, MatMut::new(d_x, n, self.c_in)?);
        gemm(context, d_y, self.weights(table, values)?, d_x, &Options::default())
    }

    /// `d_w = d_y^T x` and `d_b`.
    ///
    /// # Errors
    /// As [`backward_weight`](crate::kernels::conv::backward_weight()).
    pub fn backward_weight(
        &self,
        context: &Context,
        table: &Table,
        n: usize,
        x: &[f32],
        d_y: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Result<()> {
        let (x, d_y) = (Plain::new(x, 1, 1, self.c_in), Plain::new(d_y, 1, 1, self.c_out));
        gradients.weight(context, table, (self.weight, self.bias), (&self.geometry(), n), &x, &d_y)
    }
}
