//! The three products of a convolution, by the kernels or by their twins.

use crate::error::Result;
use crate::kernels::conv::{
    Geometry, PackedBackward, PackedForward, backward_data, backward_weight, forward as conv_forward,
};
use crate::kernels::gemm::{Bias, Options, gemm};
use crate::kernels::stage::{Keep, Plain};
use crate::parallel::Context;
use crate::simd::Real;
use crate::tensor::{MatMut, MatRef};

/// What is bilinear in a network: everything else is element-wise, or a sum over few numbers.
pub(super) trait Products<T: Real> {
    /// `y`, from images and weights.
    fn forward(&mut self, g: &Geometry, n: usize, x: &[T], w: &[T], bias: Option<&[T]>, y: &mut [T]) -> Result<()>;
    /// `d_x`, from the gradient of `y` and weights.
    fn backward_data(&mut self, g: &Geometry, n: usize, d_y: &[T], w: &[T], d_x: &mut [T]) -> Result<()>;
    /// `d_w` and `d_b`, from images and the gradient of `y`.
    fn backward_weight(
        &mut self,
        g: &Geometry,
        n: usize,
        x: &[T],
        d_y: &[T],
        d_w: &mut [T],
        d_b: Option<&mut [T]>,
    ) -> Result<()>;
}

/// The kernels, with room for the packed weights of each geometry.
pub(super) struct Kernels<'a> {
    context: &'a Context,
    forward: Vec<PackedForward>,
    backward: Vec<PackedBackward>,
}

impl<'a> Kernels<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self { context, forward: Vec::new(), backward: Vec::new() }
    }
}

/// Whether it is a linear layer, which is a matrix product with the same chains.
fn is_linear(g: &Geometry) -> bool {
    [g.h, g.w, g.kernel_h, g.kernel_w, g.stride, g.padding] == [1, 1, 1, 1, 1, 0]
}

impl Products<f32> for Kernels<'_> {
    fn forward(
        &mut self,
        g: &Geometry,
        n: usize,
        x: &[f32],
        w: &[f32],
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) -> Result<()> {
        if is_linear(g) {
            let (x, w, y) = (MatRef::new(x, n, g.c_in)?, MatRef::new(w, g.c_out, g.c_in)?, MatMut::new(y, n, g.c_out)?);
            let options = Options { bias: bias.map_or(Bias::None, Bias::Columns), ..Options::default() };
            return gemm(self.context, x, w.transposed(), y, &options);
        }
        let place = match self.forward.iter().position(|packed| packed.geometry() == g) {
            Some(place) => place,
            None => {
                self.forward.push(PackedForward::new(self.context, g)?);
                self.forward.len() - 1
            }
        };
        let packed = &mut self.forward[place];
        packed.pack(self.context, w)?;
        conv_forward(self.context, packed, n, &Plain::new(x, g.h, g.w, g.c_in), bias, y, &Keep)
    }

    fn backward_data(&mut self, g: &Geometry, n: usize, d_y: &[f32], w: &[f32], d_x: &mut [f32]) -> Result<()> {
        if is_linear(g) {
            let (d_y, d_x) = (MatRef::new(d_y, n, g.c_out)?, MatMut::new(d_x, n, g.c_in)?);
            return gemm(self.context, d_y, MatRef::new(w, g.c_out, g.c_in)?, d_x, &Options::default());
        }
        let place = match self.backward.iter().position(|packed| packed.geometry() == g) {
            Some(place) => place,
            None => {
                self.backward.push(PackedBackward::new(self.context, g)?);
                self.backward.len() - 1
            }
        };
        let packed = &mut self.backward[place];
        packed.pack(self.context, w)?;
        backward_data(self.context, packed, n, &Plain::new(d_y, g.out_h(), g.out_w(), g.c_out), d_x, &Keep)
    }

    fn backward_weight(
        &mut self,
        g: &Geometry,
        n: usize,
        x: &[f32],
        d_y: &[f32],
        d_w: &mut [f32],
        d_b: Option<&mut [f32]>,
    ) -> Result<()> {
        let (x, d_y) = (Plain::new(x, g.h, g.w, g.c_in), Plain::new(d_y, g.out_h(), g.out_w(), g.c_out));
        backward_weight(self.context, g, n, &x, &d_y, d_w, d_b)
    }
}

/// The scalar twins, for tests in `f64` and for the bits of `f32`.
#[cfg(test)]
pub(super) struct Twins;

#[cfg(test)]
impl<T: Real> Products<T> for Twins {
    fn forward(&mut self, g: &Geometry, n: usize, x: &[T], w: &[T], bias: Option<&[T]>, y: &mut [T]) -> Result<()> {
        crate::reference::conv::forward(g, n, x, w, bias, y);
        Ok(())
    }
    fn backward_data(&mut self, g: &Geometry, n: usize, d_y: &[T], w: &[T], d_x: &mut [T]) -> Result<()> {
        crate::reference::conv::backward_data(g, n, d_y, w, d_x);
        Ok(())
    }
    fn backward_weight(
        &mut self,
        g: &Geometry,
        n: usize,
        x: &[T],
        d_y: &[T],
        d_w: &mut [T],
        d_b: Option<&mut [T]>,
    ) -> Result<()> {
        let mut unused = vec![T::ZERO; g.c_out];
        crate::reference::conv_weight::backward_weight(g, n, x, d_y, d_w, d_b.unwrap_or(&mut unused));
        Ok(())
    }
}
