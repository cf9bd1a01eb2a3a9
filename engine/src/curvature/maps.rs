//! What happens element by element, and the sums over the pixels of an example.
//!
//! All of it is computed in `f64`, every operation rounded, and each stored element is rounded once to its type. Sums over
//! the pixels of an example are chains from `+0` in ascending order; nothing here adds up examples. The loops are plain
//! Rust, compiled for each tier: without a fused operation there is nothing that a tier could do differently.

use crate::error::Result;
use crate::kernels::conv::Geometry;
use crate::layers::Activation;
use crate::math::scalar::tanh;
use crate::parallel::Context;
use crate::simd::{Kernel, Real, Tier};

/// Elements of a task where it matters to nobody which element is whose. Bit-neutral.
const TASK: usize = 1 << 14;

/// Numbers of `f64` for each channel: one row for all examples, or one for each.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    pub(super) data: Vec<f64>,
    pub(super) c: usize,
}

impl Rows {
    /// `f` of each.
    pub(super) fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        self.data.iter_mut().for_each(|x| *x = f(*x));
        self
    }

    /// The row of example `n`.
    pub(super) fn of(&self, n: usize) -> &[f64] {
        if self.data.len() == self.c { &self.data } else { &self.data[n * self.c..][..self.c] }
    }
}

/// `[n, c]`: for each channel of each example the sum over its pixels of `(a - a_center) (b - b_center)`.
pub(super) fn product_sums<T: Real>(
    context: &Context,
    (a, a_center): (&[T], &Rows),
    (b, b_center): (&[T], &Rows),
    n: usize,
) -> Result<Vec<f64>> {
    let (example, c) = (a.len() / n, a_center.c);
    let mut sums = vec![0.0; n * c];
    context.chunks(&mut sums, c, |start, sums| {
        let i = start / c;
        let range = i * example..(i + 1) * example;
        let centers = [a_center.of(i), b_center.of(i)];
        context.dispatch(ProductSums { a: &a[range.clone()], b: &b[range], centers, sums })
    })?;
    Ok(sums)
}

struct ProductSums<'a, T> {
    a: &'a [T],
    b: &'a [T],
    centers: [&'a [f64]; 2],
    sums: &'a mut [f64],
}
impl<T: Real> Kernel for ProductSums<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, _: S) {
        let Self { a, b, centers: [a_center, b_center], sums } = self;
        let c = sums.len();
        for (a, b) in a.chunks_exact(c).zip(b.chunks_exact(c)) {
            let pixels = a.iter().zip(b).zip(a_center.iter().zip(b_center));
            for (sum, ((a, b), (a_center, b_center))) in sums.iter_mut().zip(pixels) {
                *sum += (a.to_f64() - a_center) * (b.to_f64() - b_center);
            }
        }
    }
}

/// `[n, c]`: for each channel of each example the sum over its pixels of `a`.
pub(super) fn sums<T: Real>(context: &Context, a: &[T], c: usize, n: usize) -> Result<Vec<f64>> {
    let example = a.len() / n;
    let mut sums = vec![0.0; n * c];
    context.chunks(&mut sums, c, |start, sums| {
        let i = start / c;
        context.dispatch(Sums { a: &a[i * example..][..example], sums })
    })?;
    Ok(sums)
}

struct Sums<'a, T> {
    a: &'a [T],
    sums: &'a mut [f64],
}
impl<T: Real> Kernel for Sums<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, _: S) {
        let Self { a, sums } = self;
        for a in a.chunks_exact(sums.len()) {
            sums.iter_mut().zip(a).for_each(|(sum, a)| *sum += a.to_f64());
        }
    }
}

/// `out = constant`, then `out + input coefficient` for each input in turn, by channels. With `accumulate` the rounded
/// result is added to what `out` holds.
pub(super) fn combine<T: Real, const K: usize>(
    context: &Context,
    inputs: [(&[T], &Rows); K],
    constant: &Rows,
    n: usize,
    accumulate: bool,
    out: &mut [T],
) -> Result<()> {
    let example = out.len() / n;
    context.chunks(out, example, |start, out| {
        let i = start / example;
        let inputs = inputs.map(|(input, rows)| (&input[start..start + example], rows.of(i)));
        context.dispatch(Combine { inputs, constant: constant.of(i), accumulate, out })
    })
}

struct Combine<'a, T, const K: usize> {
    inputs: [(&'a [T], &'a [f64]); K],
    constant: &'a [f64],
    accumulate: bool,
    out: &'a mut [T],
}
impl<T: Real, const K: usize> Kernel for Combine<'_, T, K> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, _: S) {
        let Self { inputs, constant, accumulate, out } = self;
        let c = constant.len();
        for (p, out) in out.chunks_exact_mut(c).enumerate() {
            // All of one length, so that the loop over channels needs no check of its own.
            let inputs = inputs.map(|(input, row)| (&input[p * c..][..c], &row[..c]));
            for (ch, out) in out.iter_mut().enumerate() {
                let mut sum = constant[ch];
                for (input, row) in inputs {
                    sum += input[ch].to_f64() * row[ch];
                }
                let value = T::from_f64(sum);
                *out = if accumulate { *out + value } else { value };
            }
        }
    }
}

/// `y = y + x`.
pub(super) fn add<T: Real>(context: &Context, x: &[T], y: &mut [T]) -> Result<()> {
    context.chunks(y, TASK, |start, y| {
        y.iter_mut().zip(&x[start..]).for_each(|(y, x)| *y = *y + *x);
        Ok(())
    })
}

/// `y = activation(y)`.
pub(super) fn activate<T: Real>(context: &Context, activation: Activation, y: &mut [T]) -> Result<()> {
    context.chunks(y, TASK, |_, y| {
        match activation {
            Activation::Relu => y.iter_mut().for_each(|y| *y = T::ZERO.max_select(*y)),
            Activation::Tanh => y.iter_mut().for_each(|y| *y = T::from_f64(tanh(y.to_f64()))),
        }
        Ok(())
    })
}

/// `d = d f'`, where `y` is what the activation `f` gave.
pub(super) fn gate<T: Real>(context: &Context, activation: Activation, y: &[T], d: &mut [T]) -> Result<()> {
    context.chunks(d, TASK, |start, d| {
        let pairs = d.iter_mut().zip(&y[start..]);
        match activation {
            Activation::Relu => pairs.for_each(|(d, y)| *d = if *y <= T::ZERO { T::ZERO } else { *d }),
            Activation::Tanh => pairs.for_each(|(d, y)| *d = T::from_f64(d.to_f64() * slope(y.to_f64()))),
        }
        Ok(())
    })
}

/// The tangent of [`gate`]: `d_t = d_t f' + d f'' x_t`, of which the second term is `-2 y y_t d` for the tangent `y_t` of
/// the output of tanh, and zero for a rectifier. `d` is the gradient before the gate.
pub(super) fn gate_tangent<T: Real>(
    context: &Context,
    activation: Activation,
    [y, y_t, d]: [&[T]; 3],
    d_t: &mut [T],
) -> Result<()> {
    if activation == Activation::Relu {
        return gate(context, activation, y, d_t);
    }
    context.chunks(d_t, TASK, |start, d_t| {
        let given = y[start..].iter().zip(&y_t[start..]).zip(&d[start..]);
        for (d_t, ((y, y_t), d)) in d_t.iter_mut().zip(given) {
            let (y, bent) = (y.to_f64(), 2.0 * (y.to_f64() * y_t.to_f64() * d.to_f64()));
            *d_t = T::from_f64(d_t.to_f64() * slope(y) - bent);
        }
        Ok(())
    })
}

/// The derivative of tanh where it has the value `y`.
fn slope(y: f64) -> f64 {
    1.0 - y * y
}

/// For each output of a max pooling the place in its example of the first of the largest values of its window, or of the
/// first NaN.
pub(super) fn winners<T: Real>(context: &Context, g: &Geometry, x: &[T], winners: &mut [u32]) -> Result<()> {
    context.chunks(winners, g.output_len(), |start, winners| {
        let x = &x[start / g.output_len() * g.input_len()..][..g.input_len()];
        for (place, winner) in winners.iter_mut().enumerate() {
            let (pixel, channel) = (place / g.c_out, place % g.c_out);
            let (oh, ow) = (pixel / g.out_w(), pixel % g.out_w());
            let mut best: Option<usize> = None;
            for kh in g.taps_h(oh) {
                for kw in g.taps_w(ow) {
                    let (ih, iw) = (oh * g.stride + kh - g.padding, ow * g.stride + kw - g.padding);
                    let tap = (ih * g.w + iw) * g.c_in + channel;
                    let is_nan = |i: usize| x[i].to_f64().is_nan();
                    if best.is_none_or(|best| x[tap] > x[best] || (is_nan(tap) && !is_nan(best))) {
                        best = Some(tap);
                    }
                }
            }
            *winner = best.unwrap_or(0) as u32; // every window has a tap; an example has fewer than 2^32 elements
        }
        Ok(())
    })
}

/// `y` takes from each example of `x` what won.
pub(super) fn gather<T: Real>(context: &Context, g: &Geometry, winners: &[u32], x: &[T], y: &mut [T]) -> Result<()> {
    context.chunks(y, g.output_len(), |start, y| {
        let x = &x[start / g.output_len() * g.input_len()..][..g.input_len()];
        y.iter_mut().zip(&winners[start..]).for_each(|(y, &winner)| *y = x[winner as usize]);
        Ok(())
    })
}

/// The way back: `d_x`, zero elsewhere, has for each element a chain from `+0` over the outputs that it won.
pub(super) fn scatter<T: Real>(
    context: &Context,
    g: &Geometry,
    winners: &[u32],
    d_y: &[T],
    d_x: &mut [T],
) -> Result<()> {
    context.chunks(d_x, g.input_len(), |start, d_x| {
        let from = start / g.input_len() * g.output_len();
        d_x.fill(T::ZERO);
        for (winner, d_y) in winners[from..][..g.output_len()].iter().zip(&d_y[from..]) {
            let d_x = &mut d_x[*winner as usize];
            *d_x = *d_x + *d_y;
        }
        Ok(())
    })
}

/// The mean of each channel of each example.
pub(super) fn average<T: Real>(context: &Context, c: usize, x: &[T], y: &mut [T]) -> Result<()> {
    let n = y.len() / c;
    let pixels = (x.len() / y.len()) as f64;
    let sums = sums(context, x, c, n)?;
    y.iter_mut().zip(&sums).for_each(|(y, sum)| *y = T::from_f64(sum / pixels));
    Ok(())
}

/// The way back: `d_y` divided by the number of pixels, for each.
pub(super) fn spread<T: Real>(context: &Context, c: usize, d_y: &[T], d_x: &mut [T]) -> Result<()> {
    let example = d_x.len() / (d_y.len() / c);
    let pixels = T::from_f64((example / c) as f64);
    context.chunks(d_x, example, |start, d_x| {
        let d_y = &d_y[start / example * c..][..c];
        for d_x in d_x.chunks_exact_mut(c) {
            d_x.iter_mut().zip(d_y).for_each(|(d_x, d_y)| *d_x = *d_y / pixels);
        }
        Ok(())
    })
}
