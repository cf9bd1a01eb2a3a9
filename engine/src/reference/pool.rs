//! Pooling and dropout, as the contract defines them: [`crate::kernels::pool`] and [`crate::kernels::dropout`] have the
//! words.

use crate::kernels::conv::Geometry;
use crate::kernels::norm::RUN;
use crate::random::Stream;
use crate::simd::Real;

/// The places in an example of the taps of output pixel `(oh, ow)`, channel 0, in window order.
fn taps(g: &Geometry, oh: usize, ow: usize) -> Vec<usize> {
    let row = |kh: usize| (oh * g.stride + kh - g.padding) * g.w;
    let pixel = |kh: usize, kw: usize| (row(kh) + ow * g.stride + kw - g.padding) * g.c_in;
    g.taps_h(oh).flat_map(|kh| g.taps_w(ow).map(move |kw| pixel(kh, kw))).collect()
}

/// Calls `f(place of the output, places of its taps)` for every output element of an example, in ascending order.
fn windows(g: &Geometry, mut f: impl FnMut(usize, &[usize])) {
    for (pixel, (oh, ow)) in (0..g.out_h()).flat_map(|oh| (0..g.out_w()).map(move |ow| (oh, ow))).enumerate() {
        let taps = taps(g, oh, ow);
        for channel in 0..g.c_in {
            let taps: Vec<usize> = taps.iter().map(|tap| tap + channel).collect();
            f(pixel * g.c_in + channel, &taps);
        }
    }
}

/// The tap that wins: the first NaN, else the first of the largest.
fn winner<T: Real>(x: &[T], taps: &[usize]) -> usize {
    let mut best = taps[0];
    for &tap in taps {
        let (value, so_far) = (x[tap], x[best]);
        let is_nan = |x: T| x.to_f64().is_nan();
        if value > so_far || (is_nan(value) && !is_nan(so_far)) {
            best = tap;
        }
    }
    best
}

/// The largest value of each window, one example.
pub fn max_forward<T: Real>(g: &Geometry, x: &[T]) -> Vec<T> {
    let mut y = vec![T::ZERO; g.output_len()];
    windows(g, |out, taps| y[out] = x[winner(x, taps)]);
    y
}

/// Its gradient: each output's goes to the tap that won; one chain from `+0` over ascending outputs.
pub fn max_backward<T: Real>(g: &Geometry, x: &[T], d_y: &[T]) -> Vec<T> {
    let mut d_x = vec![T::ZERO; g.input_len()];
    windows(g, |out, taps| {
        let tap = winner(x, taps);
        d_x[tap] = d_x[tap] + d_y[out];
    });
    d_x
}

/// The sum of each window, a chain from `+0`, divided by the number of its taps.
pub fn average_forward<T: Real>(g: &Geometry, x: &[T]) -> Vec<T> {
    let mut y = vec![T::ZERO; g.output_len()];
    windows(g, |out, taps| {
        y[out] = taps.iter().fold(T::ZERO, |s, &tap| s + x[tap]) / T::from_f64(taps.len() as f64);
    });
    y
}

/// Its gradient: every tap gets the quotient; one chain from `+0` over ascending outputs.
pub fn average_backward<T: Real>(g: &Geometry, d_y: &[T]) -> Vec<T> {
    let mut d_x = vec![T::ZERO; g.input_len()];
    windows(g, |out, taps| {
        let share = d_y[out] / T::from_f64(taps.len() as f64);
        taps.iter().for_each(|&tap| d_x[tap] = d_x[tap] + share);
    });
    d_x
}

/// The mean of each channel of one example.
pub fn global_average_forward<T: Real>(x: &[T], c: usize) -> Vec<T> {
    let mean = |channel: usize| {
        let runs = x.chunks(RUN * c).map(|run| run.chunks(c).fold(T::ZERO, |s, pixel| s + pixel[channel]));
        T::from_f64(runs.fold(0.0, |s, run| s + run.to_f64()) / (x.len() / c) as f64)
    };
    (0..c).map(mean).collect()
}

/// Its gradient for an example of `pixels`.
pub fn global_average_backward<T: Real>(d_y: &[T], pixels: usize) -> Vec<T> {
    let shares: Vec<T> = d_y.iter().map(|&d| d / T::from_f64(pixels as f64)).collect();
    shares.repeat(pixels)
}

/// `x scale` where the draw keeps the element, else `+0`; `scale = 1 / (1 - p)`.
pub fn dropout<T: Real>(stream: &Stream, p: f64, first: u64, x: &[T]) -> Vec<T> {
    let scale = T::from_f64(1.0 / (1.0 - p));
    let keep = |i: usize| stream.bernoulli_at(first.wrapping_add(i as u64), 1.0 - p).unwrap_or(false);
    x.iter().enumerate().map(|(i, &x)| if keep(i) { x * scale } else { T::ZERO }).collect()
}
