//! The Hessian of the mean loss of a batch, as an operator.

use std::ops::Range;

use super::backward::Wanted;
use super::loss::Loss;
use super::network::Network;
use super::products::Kernels;
use super::{Operator, Statistics};
use crate::error::{Error, Result};
use crate::models::Model;
use crate::parallel::Context;

/// The Hessian of the mean loss over a batch by the trained parameters, at one point.
///
/// ```
/// use regularity_engine::curvature::{Hessian, Loss, Operator, Statistics};
/// use regularity_engine::kernels::{loss::Targets, norm::Shape};
/// use regularity_engine::layers::Activation;
/// use regularity_engine::models::{Model, mlp};
/// use regularity_engine::Context;
///
/// let context = Context::auto()?;
/// let net = mlp(Shape::new(2, 1, 1, 3)?, &[4], 2, Activation::Tanh)?;
/// let mut values = net.table().values()?;
/// net.init(&context, 1, &mut values)?;
///
/// let (x, loss) = ([0.1, 0.2, 0.3, -0.3, 0.2, -0.1], Loss::CrossEntropy(Targets::Hard(&[0, 1])));
/// let mut hessian = Hessian::new(&context, &net, &values, &x, loss, Statistics::Batch)?;
/// let (v, mut product) = (vec![0.5; hessian.size()], vec![0.0; hessian.size()]);
/// hessian.apply(&context, &v, &mut product)?;
/// # Ok::<(), regularity_engine::Error>(())
/// ```
pub struct Hessian<'a> {
    network: Network<'a, f32>,
    loss: Loss<'a>,
}

impl std::fmt::Debug for Hessian<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hessian").field("examples", &self.network.examples()).field("loss", &self.loss).finish()
    }
}

impl<'a> Hessian<'a> {
    /// Makes the forward pass of the images `x` at the parameters `values`, both of which stay borrowed. The batch may be
    /// larger than the one that `model` has room for.
    ///
    /// # Errors
    /// [`Error::Shape`] if `values`, `x` or the targets do not fit, [`Error::Argument`] for no image or for a
    /// normalisation whose draws are not those of one function; [`Error::OutOfMemory`]; else as [`Context::tasks`].
    pub fn new(
        context: &'a Context,
        model: &dyn Model,
        values: &'a [f32],
        x: &'a [f32],
        loss: Loss<'a>,
        statistics: Statistics,
    ) -> Result<Self> {
        let network = Network::new(context, model, Box::new(Kernels::new(context)), values, x, statistics)?;
        loss.check(network.examples(), network.classes())?;
        Ok(Self { network, loss })
    }

    /// The mean loss.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn loss(&self) -> Result<f64> {
        Ok(self.network.loss(&self.loss)?.0)
    }

    /// Its gradient, laid out as the model's table says; what lies between tensors is left alone.
    ///
    /// # Errors
    /// [`Error::Shape`] if `gradient` has another length; else as [`new`](Self::new).
    pub fn gradient(&mut self, gradient: &mut [f32]) -> Result<()> {
        check(self.size(), "elements of the gradient", gradient)?;
        let d = self.network.loss(&self.loss)?.1;
        self.network.backward(d, Wanted::Gradient(gradient))
    }
}

fn check(expected: usize, what: &'static str, x: &[f32]) -> Result<()> {
    let op = "Hessian";
    if x.len() == expected { Ok(()) } else { Err(Error::Shape { op, what, expected, actual: x.len() }) }
}

impl Operator for Hessian<'_> {
    fn size(&self) -> usize {
        self.network.table().trained_len()
    }

    fn segments(&self) -> Vec<Range<usize>> {
        self.network.table().trained().map(|entry| entry.range()).collect()
    }

    fn apply(&mut self, _: &Context, v: &[f32], product: &mut [f32]) -> Result<()> {
        check(self.size(), "elements of the vector", v)?;
        check(self.size(), "elements of the product", product)?;
        self.network.hessian_product(&self.loss, v, product)
    }
}
