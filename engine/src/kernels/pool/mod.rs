//! Pooling: the largest or the mean value of a window, and the mean of a channel, forward and backward.
//!
//! Activations are `[n, h, w, c]`. A window's taps run by rows; taps on padding do not take part, and do not count in a
//! mean. The input of a forward pass is a [`Source`], so that a normalisation and rectification before it cost no
//! pass of their own; the result of a backward pass goes through a [`Sink`].
//!
//! | operation | definition (numerics version 1) |
//! |---|---|
//! | [`max_forward`] | the first NaN in window order, else the first of the largest values, with its bits |
//! | [`max_backward`] | `d_x` of an element is one chain `s + d_y` from `+0`, over the outputs whose window it won, ascending |
//! | [`average_forward`] | one chain `s + x` from `+0` in window order, divided by the number of taps |
//! | [`average_backward`] | one chain `s + d_y / taps` from `+0` over the outputs whose window holds it, ascending |
//! | [`global_average_forward`] | chains over runs of 64 pixels, their sums in `f64` one after another, divided by the number of pixels there, rounded once |
//! | [`global_average_backward`] | `d_y / pixels` |

mod example;
#[cfg(test)]
mod tests;

use super::conv::Geometry;
use super::norm::Shape;
use super::stage::{Sink, Source};
use crate::error::{Error, Result};
use crate::parallel::Context;
use crate::simd::Isa;
use example::{Average, AverageBackward, GlobalAverage, GlobalAverageBackward, Max, MaxBackward, run};

/// The geometry of a square window over `c` channels.
///
/// # Errors
/// As [`Geometry::check`].
pub fn window(h: usize, w: usize, c: usize, kernel: usize, stride: usize, padding: usize) -> Result<Geometry> {
    let g = Geometry { h, w, c_in: c, c_out: c, kernel_h: kernel, kernel_w: kernel, stride, padding };
    g.check()?;
    Ok(g)
}

fn check_len(op: &'static str, what: &'static str, examples: usize, example: usize, actual: usize) -> Result<()> {
    let expected = examples.checked_mul(example).ok_or(Error::Overflow { op, what })?;
    if expected == actual { Ok(()) } else { Err(Error::Shape { op, what, expected, actual }) }
}

fn check_window(op: &'static str, g: &Geometry) -> Result<()> {
    g.check()?;
    if g.c_in == g.c_out {
        return Ok(());
    }
    Err(Error::Shape { op, what: "the number of output channels", expected: g.c_in, actual: g.c_out })
}

/// `task(example, x of the example, y of the example)` for all; `x` is in place or computed into scratch.
fn over_source(
    context: &Context,
    source: &dyn Source,
    (h, w, c): (usize, usize, usize),
    y: &mut [f32],
    y_example: usize,
    task: impl Fn(usize, &[f32], &mut [f32]) + Sync,
) -> Result<()> {
    context.chunks(y, y_example, |start, y| {
        let n = start / y_example;
        if let Some(x) = source.in_place(n) {
            task(n, x, y);
        } else {
            let mut x = context.scratch::<f32>(h * w * c)?;
            source.load(context.isa(), n, 0..h, &mut x, w * c);
            task(n, &x, y);
        }
        Ok(())
    })
}

/// `y`, `[n, out_h, out_w, c]`, is the largest value of each window of the `n` examples of `source`.
///
/// # Errors
/// [`Error::Shape`] if `y` or the channels do not fit, [`Error::Argument`] as [`Geometry::check`],
/// [`Error::OutOfMemory`] without scratch space for an example.
pub fn max_forward(context: &Context, g: &Geometry, source: &dyn Source, n: usize, y: &mut [f32]) -> Result<()> {
    let op = "max_forward";
    check_window(op, g)?;
    check_len(op, "elements of the output", n, g.output_len(), y.len())?;
    let isa = context.isa();
    over_source(context, source, (g.h, g.w, g.c_in), y, g.output_len(), |_, x, y| run(isa, Max { g, x, y }))
}

/// `d_x`, `[n, h, w, c]`, from `d_y` and the input of the forward pass; each finished example goes through `sink`.
///
/// # Errors
/// As [`max_forward`].
pub fn max_backward(
    context: &Context,
    g: &Geometry,
    source: &dyn Source,
    n: usize,
    d_y: &[f32],
    d_x: &mut [f32],
    sink: &dyn Sink,
) -> Result<()> {
    let op = "max_backward";
    check_window(op, g)?;
    check_len(op, "elements of d_y", n, g.output_len(), d_y.len())?;
    check_len(op, "elements of d_x", n, g.input_len(), d_x.len())?;
    let isa = context.isa();
    over_source(context, source, (g.h, g.w, g.c_in), d_x, g.input_len(), |n, x, d_x| {
        run(isa, MaxBackward { g, x, d_y: &d_y[n * g.output_len()..][..g.output_len()], d_x: &mut *d_x });
        sink.finish(isa, n, d_x);
    })
}

/// `y`, `[n, out_h, out_w, c]`, is the mean of each window of the `n` examples of `source`.
///
/// # Errors
/// As [`max_forward`].
pub fn average_forward(context: &Context, g: &Geometry, source: &dyn Source, n: usize, y: &mut [f32]) -> Result<()> {
    let op = "average_forward";
    check_window(op, g)?;
    check_len(op, "elements of the output", n, g.output_len(), y.len())?;
    let isa = context.isa();
    over_source(context, source, (g.h, g.w, g.c_in), y, g.output_len(), |_, x, y| run(isa, Average { g, x, y }))
}

/// `d_x`, `[n, h, w, c]`, from `d_y`; each finished example goes through `sink`.
///
/// # Errors
/// As [`max_forward`].
pub fn average_backward(
    context: &Context,
    g: &Geometry,
    n: usize,
    d_y: &[f32],
    d_x: &mut [f32],
    sink: &dyn Sink,
) -> Result<()> {
    let op = "average_backward";
    check_window(op, g)?;
    check_len(op, "elements of d_y", n, g.output_len(), d_y.len())?;
    check_len(op, "elements of d_x", n, g.input_len(), d_x.len())?;
    let isa = context.isa();
    context.chunks(d_x, g.input_len(), |start, d_x| {
        let n = start / g.input_len();
        run(isa, AverageBackward { g, d_y: &d_y[n * g.output_len()..][..g.output_len()], d_x: &mut *d_x });
        sink.finish(isa, n, d_x);
        Ok(())
    })
}

/// `y`, `[n, c]`, is the mean over pixels of each channel of the examples of `source`.
///
/// # Errors
/// As [`max_forward`].
pub fn global_average_forward(context: &Context, shape: Shape, source: &dyn Source, y: &mut [f32]) -> Result<()> {
    let Shape { n, h, w, c } = shape;
    check_len("global_average_forward", "elements of the output", n, c, y.len())?;
    let isa: Isa = context.isa();
    over_source(context, source, (h, w, c), y, c, |_, x, y| run(isa, GlobalAverage { x, y }))
}

/// `d_x`, `[n, h, w, c]`, from `d_y`, `[n, c]`; each finished example goes through `sink`.
///
/// # Errors
/// As [`max_forward`].
pub fn global_average_backward(
    context: &Context,
    shape: Shape,
    d_y: &[f32],
    d_x: &mut [f32],
    sink: &dyn Sink,
) -> Result<()> {
    let (op, c, isa) = ("global_average_backward", shape.c, context.isa());
    check_len(op, "elements of d_y", shape.n, c, d_y.len())?;
    check_len(op, "elements of d_x", shape.n, shape.example(), d_x.len())?;
    context.chunks(d_x, shape.example(), |start, d_x| {
        let n = start / shape.example();
        run(isa, GlobalAverageBackward { d_y: &d_y[n * c..][..c], d_x: &mut *d_x });
        sink.finish(isa, n, d_x);
        Ok(())
    })
}
