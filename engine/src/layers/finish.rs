//! What may happen to a convolution's output where no normalisation measures it.

use crate::kernels::stage::Sink;
use crate::simd::Isa;

/// Adds a tensor to each example and rectifies it: `y = y + add`, then `0 if 0 > y, else y`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finish<'a> {
    /// The tensor to add, of the shape of the output.
    pub add: Option<&'a [f32]>,
    /// Whether negative results become `+0`.
    pub relu: bool,
}

impl Sink for Finish<'_> {
    fn finish(&self, _: Isa, n: usize, y: &mut [f32]) {
        if let Some(add) = self.add {
            let add = &add[n * y.len()..][..y.len()];
            y.iter_mut().zip(add).for_each(|(y, add)| *y += add);
        }
        if self.relu {
            y.iter_mut().for_each(|y| *y = if 0.0 > *y { 0.0 } else { *y });
        }
    }
}

/// The derivative of a rectifier: the gradient stays where its output `y` was positive, and becomes `+0` where `y <= 0`.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'a> {
    /// The rectifier's output, of the shape of the gradient.
    pub y: &'a [f32],
}

impl Sink for Gate<'_> {
    fn finish(&self, _: Isa, n: usize, d: &mut [f32]) {
        let y = &self.y[n * d.len()..][..d.len()];
        d.iter_mut().zip(y).for_each(|(d, y)| *d = if *y <= 0.0 { 0.0 } else { *d });
    }
}
