//! Activations of layers that are not normalised.
//!
//! Both derivatives can be told from the output alone, so that the input need not be kept:
//!
//! ```text
//! relu    y = 0 if 0 > x, else x        d_x = 0 if y <= 0, else d_y
//! tanh    y = tanh(x)                   d_x = d_y fma(-y, y, 1)
//! ```

use crate::error::Result;
use crate::kernels::elementwise::{relu_backward_in_place, relu_forward_in_place, tanh_backward_in_place};
use crate::math::{map_in_place, unary};
use crate::parallel::Context;

/// Elements of a task. Bit-neutral.
const TASK: usize = 1 << 13;

/// A function of each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Rectifier.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// `x` becomes `y`.
    ///
    /// # Errors
    /// As [`Context::tasks`].
    pub fn forward(self, context: &Context, x: &mut [f32]) -> Result<()> {
        match self {
            Self::Relu => relu_forward_in_place(context, x),
            Self::Tanh => context.chunks(x, TASK, |_, x| map_in_place(context.isa(), unary::Tanh, x)),
        }
    }

    /// `d_y` becomes `d_x`; `y` is what [`forward`](Self::forward) gave.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the lengths differ; else as [`Context::tasks`].
    pub fn backward(self, context: &Context, y: &[f32], d: &mut [f32]) -> Result<()> {
        match self {
            Self::Relu => relu_backward_in_place(context, y, d),
            Self::Tanh => tanh_backward_in_place(context, y, d),
        }
    }
}
