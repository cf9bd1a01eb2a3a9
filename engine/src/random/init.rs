//! Initial values of parameters.
//!
//! The standard deviations and bounds are computed in `f64` with one division and one square root, and rounded once to
//! `f32`; so they are the same everywhere.
//!
//! An element is drawn by its place in the parameter's logical shape, in row-major order. A layout that pads rows fills
//! them one by one, each from its own first index.

use super::Stream;
use crate::error::{Error, Result};
use crate::parallel::Context;

/// How many inputs meet in an output of a layer, and how many outputs an input reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fan {
    /// Products in the sum of one output.
    pub fan_in: usize,
    /// The same for the transposed layer.
    pub fan_out: usize,
}

impl Fan {
    /// Of a linear layer.
    #[must_use]
    pub const fn linear(c_in: usize, c_out: usize) -> Self {
        Self { fan_in: c_in, fan_out: c_out }
    }

    /// Of a convolution whose kernel has `taps` positions, such as 9 for 3 x 3.
    ///
    /// # Errors
    /// [`Error::Overflow`] if a product does not fit.
    pub fn conv(c_in: usize, c_out: usize, taps: usize) -> Result<Self> {
        let overflow = Error::Overflow { op: "fan", what: "a convolution's weight" };
        let times = |c: usize| c.checked_mul(taps).ok_or(overflow.clone());
        Ok(Self { fan_in: times(c_in)?, fan_out: times(c_out)? })
    }
}

/// What the activation that follows does to the second moment: the gain of an initialiser, squared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gain {
    /// No activation: 1.
    Linear,
    /// Rectifier: 2.
    Relu,
    /// Rectifier with a slope on its negative side: `2 / (1 + slope^2)`.
    LeakyRelu {
        /// The slope.
        slope: f64,
    },
    /// Any other gain.
    Other {
        /// The square of the gain.
        squared: f64,
    },
}

impl Gain {
    /// The square of the gain.
    #[must_use]
    pub fn squared(self) -> f64 {
        match self {
            Gain::Linear => 1.0,
            Gain::Relu => 2.0,
            Gain::LeakyRelu { slope } => 2.0 / (1.0 + slope * slope),
            Gain::Other { squared } => squared,
        }
    }
}

/// A distribution of initial values. `fan` is the [`Fan::fan_in`] or [`Fan::fan_out`] of the layer, as the recipe wants.
///
/// ```
/// use regularity_engine::{Context, random::{Fan, Gain, Init, Stream}};
/// let context = Context::auto()?;
/// let fan = Fan::conv(3, 64, 9)?;
/// let mut weight = vec![0.0; 64 * 27];
/// let init = Init::HeNormal { fan: fan.fan_out, gain: Gain::Relu };
/// init.fill(&context, &Stream::new(42, "init/conv1.weight", 0), 0, &mut weight)?;
/// # Ok::<(), regularity_engine::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All the same.
    Constant(f32),
    /// Normal of mean zero.
    Normal {
        /// The standard deviation.
        std: f32,
    },
    /// Normal with `std = sqrt(gain^2 / fan)` (K. He et al., "Delving Deep into Rectifiers", 2015).
    HeNormal {
        /// Inputs or outputs of a unit.
        fan: usize,
        /// The gain.
        gain: Gain,
    },
    /// Uniform in [-b, b) with `b = sqrt(3 gain^2 / fan)`, which has the variance of [`HeNormal`](Self::HeNormal).
    HeUniform {
        /// Inputs or outputs of a unit.
        fan: usize,
        /// The gain.
        gain: Gain,
    },
    /// Uniform in [-b, b) with `b = 1 / sqrt(fan_in)`: PyTorch's default for the weights and biases of linear and
    /// convolution layers (its `kaiming_uniform_` with `a = sqrt 5`).
    UniformFanIn {
        /// Inputs of a unit.
        fan_in: usize,
    },
}

impl Init {
    /// The standard deviation of a normal one, the bound of a uniform one, the value of a constant one.
    ///
    /// # Errors
    /// [`Error::Argument`] for a fan of zero, or a gain whose square is negative or not finite.
    pub fn scale(self) -> Result<f32> {
        let root = |numerator: f64, fan: usize| {
            if fan == 0 || !(numerator >= 0.0 && numerator.is_finite()) {
                let (what, requirement) = ("(gain^2, fan)", "a finite number from 0 up, and a fan of at least 1");
                let actual = format!("({numerator}, {fan})");
                return Err(Error::Argument { op: "init", what, requirement, actual });
            }
            Ok((numerator / fan as f64).sqrt() as f32)
        };
        match self {
            Init::Constant(value) => Ok(value),
            Init::Normal { std } => Ok(std),
            Init::HeNormal { fan, gain } => root(gain.squared(), fan),
            Init::HeUniform { fan, gain } => root(3.0 * gain.squared(), fan),
            Init::UniformFanIn { fan_in } => root(1.0, fan_in),
        }
    }

    /// Writes the initial values of the elements `first`, `first + 1`, ... of a parameter.
    ///
    /// # Errors
    /// As [`scale`](Self::scale), [`Stream::fill_normal`] and [`Stream::fill_uniform`].
    pub fn fill(self, context: &Context, stream: &Stream, first: u64, out: &mut [f32]) -> Result<()> {
        let scale = self.scale()?;
        match self {
            Init::Normal { .. } | Init::HeNormal { .. } => stream.fill_normal(context, first, out, 0.0, scale),
            // An interval of width zero, by a gain of zero, holds nothing but its ends.
            Init::HeUniform { .. } | Init::UniformFanIn { .. } if scale > 0.0 => {
                stream.fill_uniform(context, first, out, -scale, scale)
            }
            _ => {
                out.fill(scale);
                Ok(())
            }
        }
    }
}
