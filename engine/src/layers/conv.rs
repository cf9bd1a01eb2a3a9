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
use crate::kernels::conv::{Direction, Geometry, Packed, Prepared};
use crate::kernels::stage::{Sink, Source};
use crate::memory::Buffer;
use crate::parallel::Context;
use crate::params::{Kind, Table, TableBuilder, TensorId};
use crate::random::{Fan, Gain, Init, Stream};

/// Convolutions prepared for each geometry and direction in a network, and one room for packed weights: a layer packs its
/// weights just before it uses them, once forward and once backward in a step, which is as often as if each had room of
/// its own.
#[derive(Debug, Default)]
pub struct Packs {
    prepared: Vec<Prepared>,
    room: Option<Buffer<f32>>,
}

impl Packs {
    /// The place of a geometry and direction; it is made if there is none.
    fn place(&mut self, context: &Context, geometry: &Geometry, direction: Direction) -> Result<usize> {
        if let Some(place) = self.prepared.iter().position(|prepared| prepared.is(geometry, direction)) {
            return Ok(place);
        }
        let prepared = Prepared::new(context, geometry, direction, None)?;
        if prepared.weights_len() > self.room.as_ref().map_or(0, |room| room.len()) {
            self.room = Some(Buffer::zeroed(prepared.weights_len())?);
        }
        self.prepared.push(prepared);
        Ok(self.prepared.len() - 1)
    }

    /// The convolution at a place, with these weights.
    fn pack(&mut self, context: &Context, place: usize, w: &[f32]) -> Result<Packed<'_>> {
        let prepared = &self.prepared[place];
        let room = self.room.as_deref_mut().unwrap_or_default();
        prepared.pack(context, w, &mut room[..prepared.weights_len()])
    }
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
        let forward = packs.place(context, &geometry, Direction::Forward)?;
        let backward = if passes_back { Some(packs.place(context, &geometry, Direction::Backward)?) } else { None };
        Ok(Self { geometry, weight, bias, forward, backward })
    }

    /// Its shape.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Whether its weight is listed as `name.weight`.
    #[must_use]
    pub fn is_named(&self, table: &Table, name: &str) -> bool {
        table.entry(self.weight).name().strip_suffix(".weight") == Some(name)
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
    /// As [`forward`](crate::kernels::conv::forward).
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
        let packed = packs.pack(context, self.forward, &values[table.range(self.weight)])?;
        let bias = self.bias.map(|bias| &values[table.range(bias)]);
        packed.run(context, n, x, bias, y, sink)
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
    /// As [`backward_data`](crate::kernels::conv::backward_data).
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
        let packed = packs.pack(context, place, &values[table.range(self.weight)])?;
        packed.run(context, n, d_y, None, d_x, sink)
    }
}
