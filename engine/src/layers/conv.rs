//! Convolutions, wired to the parameters of a network.
//!
//! Forward, with weights w and zero padding p, stride s:
//!
//! ```text
//! y[n, oh, ow, oc] = b[oc] + sum over ic, kh, kw of x[n, oh s + kh - p, ow s + kw - p, ic] w[oc, ic, kh, kw]
//! ```
//!
//! Each product appears once, so the gradient of either factor is the sum of the other over the outputs that it reaches:
//!
//! ```text
//! d_x[n, ih, iw, ic]  = sum over oc, kh, kw of d_y[n, (ih + p - kh) / s, (iw + p - kw) / s, oc] w[oc, ic, kh, kw]
//! d_w[oc, ic, kh, kw] = sum over n, oh, ow  of d_y[n, oh, ow, oc] x[n, oh s + kh - p, ow s + kw - p, ic]
//! d_b[oc]             = sum over n, oh, ow  of d_y[n, oh, ow, oc]
//! ```
//!
//! over the terms that exist. The orders of the sums stand at [`crate::kernels::conv`].

use super::Gradients;
use crate::error::Result;
use crate::kernels::conv::{Geometry, PackedBackward, PackedForward, backward_data, forward};
use crate::kernels::stage::{Sink, Source};
use crate::parallel::Context;
use crate::params::{Kind, Table, TableBuilder, TensorId};
use crate::random::{Fan, Gain, Init, Stream};

/// Room for packed weights, one of each geometry and direction in a network: a layer packs its weights just before it
/// uses them, once forward and once backward in a step, which is as often as if each had room of its own.
#[derive(Debug, Default)]
pub struct Packs {
    forward: Vec<PackedForward>,
    backward: Vec<PackedBackward>,
}

/// The place of the entry of that geometry in a list; it is made if there is none.
fn place<T>(
    context: &Context,
    list: &mut Vec<T>,
    geometry: &Geometry,
    of: impl Fn(&T) -> &Geometry,
    new: impl Fn(&Context, &Geometry) -> Result<T>,
) -> Result<usize> {
    if let Some(place) = list.iter().position(|packed| of(packed) == geometry) {
        return Ok(place);
    }
    list.push(new(context, geometry)?);
    Ok(list.len() - 1)
}

/// One convolution.
#[derive(Debug)]
pub struct Conv {
    geometry: Geometry,
    weight: TensorId,
    bias: Option<TensorId>,
    forward: usize,
    /// None for the first layer of a network: nobody wants the gradient of the images.
    backward: Option<usize>,
}

impl Conv {
    /// A convolution whose weight is listed as `name.weight`, and its bias, if it has one, as `name.bias`. `passes_back`
    /// says whether the gradient of its input is wanted.
    ///
    /// # Errors
    /// As [`Geometry::check`] and [`TableBuilder::push`]; [`crate::Error::OutOfMemory`].
    pub fn new(
        context: &Context,
        builder: &mut TableBuilder,
        packs: &mut Packs,
        name: &str,
        geometry: Geometry,
        has_bias: bool,
        passes_back: bool,
    ) -> Result<Self> {
        geometry.check()?;
        let Geometry { c_in, c_out, kernel_h, kernel_w, .. } = geometry;
        let weight = builder.push(format!("{name}.weight"), &[c_out, c_in, kernel_h, kernel_w], Kind::Weight)?;
        let bias = if has_bias { Some(builder.push(format!("{name}.bias"), &[c_out], Kind::Bias)?) } else { None };
        let forward = place(context, &mut packs.forward, &geometry, PackedForward::geometry, PackedForward::new)?;
        let backward = if passes_back {
            Some(place(context, &mut packs.backward, &geometry, PackedBackward::geometry, PackedBackward::new)?)
        } else {
            None
        };
        Ok(Self { geometry, weight, bias, forward, backward })
    }

    /// Its shape.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Whether the gradient of its input is wanted.
    #[must_use]
    pub fn passes_back(&self) -> bool {
        self.backward.is_some()
    }

    /// Its weight.
    #[must_use]
    pub fn weight(&self) -> TensorId {
        self.weight
    }

    /// Its bias, if it has one.
    #[must_use]
    pub fn bias(&self) -> Option<TensorId> {
        self.bias
    }

    /// Draws the weights from N(0, 2 / (kernel_h kernel_w c_out)), under their own name; the bias is zero.
    ///
    /// # Errors
    /// As [`Init::fill`].
    pub fn init(&self, context: &Context, table: &Table, seed: u64, values: &mut [f32]) -> Result<()> {
        let Geometry { c_in, c_out, kernel_h, kernel_w, .. } = self.geometry;
        let fan = Fan::conv(c_in, c_out, kernel_h * kernel_w)?.fan_out;
        let entry = table.entry(self.weight);
        let stream = Stream::new(seed, &format!("init/{}", entry.name()), 0);
        if let Some(bias) = self.bias {
            values[table.range(bias)].fill(0.0);
        }
        Init::HeNormal { fan, gain: Gain::Relu }.fill(context, &stream, 0, &mut values[entry.range()])
    }

    /// `y`, `[n, out_h, out_w, c_out]`, of the `n` examples of `x`; `sink` gets each example of it.
    ///
    /// # Errors
    /// As [`forward`].
    pub fn forward(
        &self,
        context: &Context,
        table: &Table,
        packs: &mut Packs,
        values: &[f32],
        n: usize,
        x: &dyn Source,
        y: &mut [f32],
        sink: &dyn Sink,
    ) -> Result<()> {
        let packed = &mut packs.forward[self.forward];
        packed.pack(context, &values[table.range(self.weight)])?;
        let bias = self.bias.map(|bias| &values[table.range(bias)]);
        forward(context, packed, n, x, bias, y, sink)
    }

    /// The gradients of weight and bias.
    ///
    /// # Errors
    /// As [`backward_weight`](crate::kernels::conv::backward_weight()).
    pub fn backward_weight(
        &self,
        context: &Context,
        table: &Table,
        n: usize,
        x: &dyn Source,
        d_y: &dyn Source,
        gradients: &mut Gradients<'_>,
    ) -> Result<()> {
        gradients.weight(context, table, (self.weight, self.bias), (&self.geometry, n), x, d_y)
    }

    /// The gradient of the input, `[n, h, w, c_in]`; `sink` gets each example of it. Nothing happens in the first layer
    /// of a network.
    ///
    /// # Errors
    /// As [`backward_data`].
    pub fn backward_data(
        &self,
        context: &Context,
        table: &Table,
        packs: &mut Packs,
        values: &[f32],
        n: usize,
        d_y: &dyn Source,
        d_x: &mut [f32],
        sink: &dyn Sink,
    ) -> Result<()> {
        let Some(place) = self.backward else { return Ok(()) };
        let packed = &mut packs.backward[place];
        packed.pack(context, &values[table.range(self.weight)])?;
        backward_data(context, packed, n, d_y, d_x, sink)
    }
}
