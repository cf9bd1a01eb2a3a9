//! The gradient of a normalised layer: its sums as a sink, its result as a source.

use std::ops::Range;

use super::example::{ExampleSums, Terms};
use super::forward::{Coefficients, Forward, Post};
use super::rows::{Slopes, add, gradient};
use super::{Shape, check, enter};
use crate::error::{Error, Result};
use crate::kernels::stage::{Sink, Source};
use crate::parallel::{Context, Slots};
use crate::simd::{Isa, Kernel, Tier};

/// Receives the gradient `d_a` of a layer's activation example by example, replaces it by `d_z` and takes the sums that
/// the layer's gradient needs.
#[derive(Debug)]
pub struct GradientSums<'a> {
    pub(super) terms: Terms<'a>,
    pub(super) partials: Slots<'a, f64>,
}

impl<'a> Terms<'a> {
    pub(super) fn new(
        shape: Shape,
        x: &'a [f32],
        coefficients: Coefficients<'a>,
        post: Post<'a>,
        activation: Option<&'a [f32]>,
        add: Option<&'a [f32]>,
    ) -> Result<Self> {
        let op = "sums of a normalisation's gradient";
        for (what, tensor) in [("elements of the activation", activation), ("elements of the added gradient", add)] {
            if let Some(tensor) = tensor {
                check(op, what, shape.len(), tensor.len())?;
            }
        }
        Ok(Self { forward: Forward::new(shape, x, coefficients, post)?, activation, add })
    }
    /// Whether `d_z` is `d_a` masked by what `x` alone tells, so that it need not be in memory.
    pub(super) fn is_plain(&self) -> bool {
        let masked_by_x = !self.forward.post.relu || (self.activation.is_none() && self.forward.post.is_plain());
        masked_by_x && self.add.is_none()
    }
}

impl Sink for GradientSums<'_> {
    fn finish(&self, isa: Isa, n: usize, y: &mut [f32]) {
        if let Some(out) = self.partials.take(n) {
            enter(isa, ExampleSums { terms: &self.terms, n, d: &[], masked: y, out });
        }
    }
}

/// A sink of gradients that can also leave them alone.
pub(super) trait Sums: Sink {
    fn terms(&self) -> &Terms<'_>;
    /// The sums of one example of `d`. For [plain](Terms::is_plain) terms.
    fn read(&self, isa: Isa, n: usize, d: &[f32]);
}

impl Sums for GradientSums<'_> {
    fn terms(&self) -> &Terms<'_> {
        &self.terms
    }
    fn read(&self, isa: Isa, n: usize, d: &[f32]) {
        if let Some(out) = self.partials.take(n) {
            enter(isa, ExampleSums { terms: &self.terms, n, d, masked: &mut [], out });
        }
    }
}

/// The sums of all of `d_a`. Unless the terms are plain, `d_x` holds `d_z` afterwards.
pub(super) fn take_sums(context: &Context, sums: &dyn Sums, d_a: &[f32], d_x: &mut [f32]) -> Result<()> {
    let (isa, shape, op) = (context.isa(), sums.terms().forward.shape, "gradient of a normalisation");
    let (n, example) = (shape.n, shape.example());
    check(op, "elements of d_a", shape.len(), d_a.len())?;
    check(op, "elements of d_x", shape.len(), d_x.len())?;
    if sums.terms().is_plain() {
        // From the back, so that the pass that follows finds the first examples in the cache.
        return context.tasks(n, |i| sums.read(isa, n - 1 - i, &d_a[(n - 1 - i) * example..][..example]));
    }
    context.chunks(d_x, example, |start, d_z| {
        d_z.copy_from_slice(&d_a[start..start + example]);
        sums.finish(isa, start / example, d_z);
        Ok(())
    })
}

/// The gradient `d_x` of a layer's input, computed on demand from `d_z`.
#[derive(Debug, Clone, Copy)]
pub struct Gradient<'a> {
    shape: Shape,
    x: &'a [f32],
    d: &'a [f32],
    forward: Coefficients<'a>,
    /// `[scale, p, q]`.
    slopes: Coefficients<'a>,
    /// Whether `d` is `d_a` and is to be masked by what `x` alone tells.
    gate: bool,
    add: Option<&'a [f32]>,
}

impl<'a> Gradient<'a> {
    pub(super) fn new(
        shape: Shape,
        x: &'a [f32],
        d: &'a [f32],
        forward: Coefficients<'a>,
        slopes: Coefficients<'a>,
    ) -> Result<Self> {
        let op = "gradient of a normalisation";
        check(op, "elements of the input", shape.len(), x.len())?;
        check(op, "elements of the gradient", shape.len(), d.len())?;
        Ok(Self { shape, x, d, forward, slopes, gate: false, add: None })
    }
    /// From a gradient that is still to be masked, if `gate`.
    pub(super) fn masked(self, gate: bool) -> Self {
        Self { gate, ..self }
    }

    /// Adds another gradient of the same input, `d_x + other`: that of a shortcut.
    ///
    /// # Errors
    /// [`Error::Shape`] if it does not have the shape.
    pub fn plus(self, other: &'a [f32]) -> Result<Self> {
        check("gradient of a normalisation", "elements of the added gradient", self.shape.len(), other.len())?;
        Ok(Self { add: Some(other), ..self })
    }

    fn slopes(&self, n: usize) -> Slopes<'a> {
        let [center, scale, shift] = self.forward.of(n);
        Slopes { center, slopes: self.slopes.of(n), gate: [scale, shift] }
    }

    /// `d_x` of all examples, in the place of `d_z`.
    pub(super) fn in_place(
        context: &Context,
        shape: Shape,
        x: &[f32],
        forward: Coefficients<'_>,
        slopes: Coefficients<'_>,
        d: &mut [f32],
    ) -> Result<()> {
        check("gradient of a normalisation", "elements of the gradient", shape.len(), d.len())?;
        // `d` is also the output, so that the source gets another tensor of the same shape in its place.
        let this = Gradient::new(shape, x, x, forward, slopes)?;
        context.chunks(d, shape.example(), |start, d| {
            let n = start / shape.example();
            context.dispatch(InPlace { c: shape.c, x: &x[start..start + d.len()], slopes: this.slopes(n), d })
        })
    }
}

struct InPlace<'a> {
    c: usize,
    x: &'a [f32],
    slopes: Slopes<'a>,
    d: &'a mut [f32],
}

impl Kernel for InPlace<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        gradient::<S, false, true>(tier, self.c, self.x, &[], self.slopes, self.d);
    }
}

struct Load<'a, 'b> {
    gradient: &'a Gradient<'b>,
    n: usize,
    rows: Range<usize>,
    dst: &'a mut [f32],
    pitch: usize,
}

impl Kernel for Load<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { gradient: g, n, rows, dst, pitch } = self;
        let (row, slopes) = (g.shape.w * g.shape.c, g.slopes(n));
        for (i, r) in rows.enumerate() {
            let at = n * g.shape.example() + r * row;
            let (x, d, dst) = (&g.x[at..at + row], &g.d[at..at + row], &mut dst[i * pitch..][..row]);
            if g.gate {
                gradient::<S, true, false>(tier, g.shape.c, x, d, slopes, dst);
            } else {
                gradient::<S, false, false>(tier, g.shape.c, x, d, slopes, dst);
            }
            if let Some(other) = g.add {
                add(tier, &other[at..at + row], f32::NEG_INFINITY, dst);
            }
        }
    }
}

impl Source for Gradient<'_> {
    fn load(&self, isa: Isa, n: usize, rows: Range<usize>, dst: &mut [f32], pitch: usize) {
        enter(isa, Load { gradient: self, n, rows, dst, pitch });
    }
}

/// The refusal of statistics over a single value.
pub(super) fn single_value(op: &'static str) -> Error {
    let (what, requirement) = ("the number of values of a statistic", "at least 2: one value has no variance");
    Error::Argument { op, what, requirement, actual: "1".to_owned() }
}
