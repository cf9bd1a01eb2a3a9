//! A network as a list of elementary operations, for whoever wants to compute something else than a training step.
//!
//! A [model](super) fuses its operations for speed, so that none can be taken out. Here each stands by itself, in the
//! order of the forward pass: curvature needs the derivative of each, inference a normalisation joined to its convolution.
//! Tensors have numbers, slots; slot 0 is the images, the last one the logits. A slot is written once, and changed in
//! place by what follows at once ([`Op::Add`], [`Op::Activation`]) before anybody reads it. Noise is left out.

use crate::error::Result;
use crate::kernels::conv::Geometry;
use crate::kernels::norm::Shape;
use crate::layers::{Activation, Conv, Linear, Norm, NormKind};
use crate::params::TensorId;

/// The tensors and the kind of a normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormTensors {
    /// Its kind.
    pub kind: NormKind,
    /// Factors.
    pub gamma: TensorId,
    /// Biases.
    pub beta: TensorId,
    /// Running mean and variance, if it has them.
    pub running: Option<[TensorId; 2]>,
}

/// One operation: reads slot `x`, writes or changes slot `y`.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// A convolution; a linear layer is one of images of one pixel.
    Conv {
        /// Read.
        x: usize,
        /// Written.
        y: usize,
        /// Its shape.
        geometry: Geometry,
        /// `[c_out, c_in, kernel_h, kernel_w]`.
        weight: TensorId,
        /// `[c_out]`.
        bias: Option<TensorId>,
    },
    /// A normalisation without what follows.
    Norm {
        /// Read.
        x: usize,
        /// Written.
        y: usize,
        /// Its tensors.
        norm: NormTensors,
    },
    /// `y = y + x`.
    Add {
        /// Read.
        x: usize,
        /// Changed.
        y: usize,
    },
    /// `y = activation(y)`.
    Activation {
        /// Changed.
        y: usize,
        /// The function.
        activation: Activation,
    },
    /// The largest value of each window.
    MaxPool {
        /// Read.
        x: usize,
        /// Written.
        y: usize,
        /// The window.
        window: Geometry,
    },
    /// The mean of each channel.
    Average {
        /// Read.
        x: usize,
        /// Written.
        y: usize,
    },
}

/// The operations of a forward pass, and the shape of each slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Wiring {
    shapes: Vec<Shape>,
    ops: Vec<Op>,
}

impl Wiring {
    /// No operation yet, on images of this shape.
    pub(super) fn new(input: Shape) -> Self {
        Self { shapes: vec![input], ops: Vec::new() }
    }

    /// The operations in their order.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The shape of each slot, with the largest number of examples.
    #[must_use]
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    fn slot(&mut self, h: usize, w: usize, c: usize) -> Result<usize> {
        self.shapes.push(Shape::new(self.shapes[0].n, h, w, c)?);
        Ok(self.shapes.len() - 1)
    }

    pub(super) fn conv(&mut self, x: usize, conv: &Conv) -> Result<usize> {
        let geometry = *conv.geometry();
        let y = self.slot(geometry.out_h(), geometry.out_w(), geometry.c_out)?;
        self.ops.push(Op::Conv { x, y, geometry, weight: conv.weight(), bias: conv.bias() });
        Ok(y)
    }

    pub(super) fn linear(&mut self, x: usize, linear: &Linear) -> Result<usize> {
        let y = self.slot(1, 1, linear.sizes().1)?;
        let (weight, bias) = linear.tensors();
        self.ops.push(Op::Conv { x, y, geometry: linear.geometry(), weight, bias });
        Ok(y)
    }

    pub(super) fn norm(&mut self, x: usize, norm: &Norm) -> Result<usize> {
        let Shape { h, w, c, .. } = self.shapes[x];
        let y = self.slot(h, w, c)?;
        let ([gamma, beta], running) = norm.tensors();
        self.ops.push(Op::Norm { x, y, norm: NormTensors { kind: norm.kind(), gamma, beta, running } });
        Ok(y)
    }

    pub(super) fn add(&mut self, x: usize, y: usize) {
        self.ops.push(Op::Add { x, y });
    }

    pub(super) fn activation(&mut self, y: usize, activation: Activation) {
        self.ops.push(Op::Activation { y, activation });
    }

    pub(super) fn max_pool(&mut self, x: usize, window: Geometry) -> Result<usize> {
        let y = self.slot(window.out_h(), window.out_w(), window.c_out)?;
        self.ops.push(Op::MaxPool { x, y, window });
        Ok(y)
    }

    pub(super) fn average(&mut self, x: usize) -> Result<usize> {
        let y = self.slot(1, 1, self.shapes[x].c)?;
        self.ops.push(Op::Average { x, y });
        Ok(y)
    }
}
