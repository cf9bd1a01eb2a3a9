//! Draws that act on activations: dropout, and additive noise.
//!
//! Every draw is a pure function of the stream (seed, purpose and site, step) and the element's index, so nothing is
//! stored for the backward pass: it draws again.

use crate::error::{Error, Result};
use crate::parallel::Context;
use crate::random::Stream;
use crate::simd::{Kernel, Tier, Vector};

/// Elements of a task; a fill of so many stays on its thread. Bit-neutral.
const TASK: usize = 1 << 14;
/// Lanes of a vector of `f32`.
const LANES: usize = 16;

/// Dropout in place, forward and backward alike: `x[i] = x[i] scale` where `stream.bernoulli_at(first + i, 1 - p)`,
/// elsewhere `+0`, whatever was there; `scale = 1 / (1 - p)`, rounded to `f32`.
///
/// `first` is the index of the first element in the whole batch, so that a batch may come in parts.
///
/// # Errors
/// [`Error::Argument`] unless `0 <= p < 1`, [`Error::OutOfMemory`] without scratch space, else as [`Context::tasks`].
pub fn dropout(context: &Context, stream: &Stream, p: f64, first: u64, x: &mut [f32]) -> Result<()> {
    if !(0.0..1.0).contains(&p) {
        let requirement = "at least 0 and less than 1";
        return Err(Error::Argument { op: "dropout", what: "p", requirement, actual: p.to_string() });
    }
    let scale = (1.0 / (1.0 - p)) as f32;
    context.chunks(x, TASK, |start, x| {
        let mut factors = context.scratch::<f32>(x.len())?;
        let first = first.wrapping_add(start as u64);
        stream.fill_bernoulli(context, first, &mut factors, 1.0 - p, scale)?;
        context.dispatch(Apply { factors: &factors, x })
    })
}

struct Apply<'a> {
    factors: &'a [f32],
    x: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let zero = S::F32::zero(tier);
        for (factor, x) in self.factors.chunks(LANES).zip(self.x.chunks_mut(LANES)) {
            let factor = S::F32::load_partial(tier, factor);
            let value = S::F32::load_partial(tier, x) * factor;
            S::F32::select(factor.eq(zero), zero, value).store_partial(x);
        }
    }
}

/// Activation noise, `out[i] = fma(z, sigma, 0)` with `z` normal, drawn by `stream` at `first + i`.
///
/// Of a shared map (one value a pixel) the index is the pixel and `first` is 0; of noise for each element it is the
/// element's place in the whole batch. A layer's stream is made from the run's seed, a purpose that names the site, and
/// the step. The result is what [`Noise`](super::norm::Noise) adds.
///
/// # Errors
/// [`Error::Argument`] unless `sigma` is finite and not negative, else as [`Context::tasks`].
pub fn draw_noise(context: &Context, stream: &Stream, sigma: f32, first: u64, out: &mut [f32]) -> Result<()> {
    stream.fill_normal(context, first, out, 0.0, sigma)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::pool as reference;
    use crate::testing::{Kind, compare_values, contexts};

    #[test]
    fn dropout_equals_its_twin_in_one_part_or_several() {
        let stream = Stream::new(3, "dropout/site", 7);
        for (i, len) in [0, 1, 15, 16, 17, 255, 257, 1000, TASK, 3 * TASK + 77].into_iter().enumerate() {
            let x = Kind::ALL[i % Kind::ALL.len()].vector::<f32>(i as u64, len);
            for p in [0.0, 0.3, 0.5, 0.999] {
                let expected = reference::dropout(&stream, p, 1000, &x);
                for context in contexts() {
                    let mut whole = x.clone();
                    dropout(context, &stream, p, 1000, &mut whole).unwrap();
                    compare_values(&expected, &whole).unwrap();
                    let mut parts = x.clone();
                    let (left, right) = parts.split_at_mut(len / 3);
                    dropout(context, &stream, p, 1000, left).unwrap();
                    dropout(context, &stream, p, 1000 + (len / 3) as u64, right).unwrap();
                    compare_values(&expected, &parts).unwrap();
                }
            }
        }
        let refused = |p| dropout(&contexts()[0], &stream, p, 0, &mut [1.0]);
        assert!(refused(1.0).is_err() && refused(-0.1).is_err() && refused(f64::NAN).is_err());
    }

    #[test]
    fn dropout_keeps_the_mean_and_noise_has_its_deviation() {
        let context = &contexts()[0];
        let stream = Stream::new(3, "dropout/site", 7);
        let mut x = vec![1.0; 100_000];
        dropout(context, &stream, 0.25, 0, &mut x).unwrap();
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        draw_noise(context, &stream.at_step(8), 0.2, 0, &mut x).unwrap();
        let square = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / 1e5;
        assert!((square.sqrt() - 0.2).abs() < 0.002, "{square}");
    }
}
