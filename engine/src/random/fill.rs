//! Draws for whole buffers, in parallel.

use super::Stream;
use super::chacha::{GROUP, LANES, sixteen_blocks};
use super::draw::{Bernoulli, Draw, Normal, Uniform, Words, threshold};
use crate::error::{Error, Result};
use crate::parallel::Context;
use crate::simd::{Kernel, Tier, Vector};

/// Elements of a task: many groups, and 64 KiB of output.
const TASK: usize = 64 * GROUP;

/// Element `i` of each fill is the draw of index `first + i`. The indices count modulo `2^64`.
impl Stream {
    /// Random bits: `out[i] = u32_at(first + i)`.
    ///
    /// # Errors
    /// As [`Context::tasks`].
    pub fn fill_u32(&self, context: &Context, first: u64, out: &mut [u32]) -> Result<()> {
        context.chunks(out, TASK, |start, out| {
            let mut first = first.wrapping_add(start as u64);
            let mut out = out;
            while !out.is_empty() {
                let to_group_end = GROUP - (first % GROUP as u64) as usize;
                let (now, later) = out.split_at_mut(to_group_end.min(out.len()));
                // The words travel as floats with the same bits; nothing computes with them.
                let mut floats = [0.0; GROUP];
                let floats = &mut floats[..now.len()];
                context.dispatch(Fill { stream: self, first, out: floats, draw: Words })?;
                for (word, float) in now.iter_mut().zip(floats) {
                    *word = float.to_bits();
                }
                first = first.wrapping_add(now.len() as u64);
                out = later;
            }
            Ok(())
        })
    }

    /// Uniform in [`low`, `high`): `out[i] = fma(uniform_at(first + i), high - low, low)`, each operation rounded to
    /// nearest; a result that rounds up to `high` becomes the float below it.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `low < high` and `high - low` is finite; else as [`Context::tasks`].
    pub fn fill_uniform(&self, context: &Context, first: u64, out: &mut [f32], low: f32, high: f32) -> Result<()> {
        let width = high - low;
        if !(low < high && width < f32::INFINITY) {
            let (op, what) = ("fill_uniform", "[low, high)");
            let requirement = "an interval that is not empty and of a finite width";
            return Err(Error::Argument { op, what, requirement, actual: format!("[{low}, {high})") });
        }
        self.fill(context, first, out, Uniform { low, width, high, last: high.next_down() })
    }

    /// Normal: `out[i] = fma(normal_quantile(u32_at(first + i)), std, mean)`. Magnitudes reach `6.23 std`.
    ///
    /// # Errors
    /// [`Error::Argument`] unless both are finite and `std >= 0`; else as [`Context::tasks`].
    pub fn fill_normal(&self, context: &Context, first: u64, out: &mut [f32], mean: f32, std: f32) -> Result<()> {
        if !(mean.is_finite() && std.is_finite() && std >= 0.0) {
            let (op, what, requirement) = ("fill_normal", "(mean, std)", "finite, std not negative");
            return Err(Error::Argument { op, what, requirement, actual: format!("({mean}, {std})") });
        }
        self.fill(context, first, out, Normal { mean, std })
    }

    /// `out[i] = value` where `bernoulli_at(first + i, p)`, elsewhere `+0`.
    ///
    /// A dropout mask that keeps with probability `q` is `p = q`, `value = 1 / q`.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `0 <= p <= 1`; else as [`Context::tasks`].
    pub fn fill_bernoulli(&self, context: &Context, first: u64, out: &mut [f32], p: f64, value: f32) -> Result<()> {
        let threshold = threshold("fill_bernoulli", p)?;
        self.fill(context, first, out, Bernoulli { threshold, value })
    }

    fn fill(&self, context: &Context, first: u64, out: &mut [f32], draw: impl Draw) -> Result<()> {
        context.chunks(out, TASK, |start, out| {
            let first = first.wrapping_add(start as u64);
            context.dispatch(Fill { stream: self, first, out, draw })
        })
    }
}

/// Draws for a run of indices.
struct Fill<'a, D> {
    stream: &'a Stream,
    first: u64,
    out: &'a mut [f32],
    draw: D,
}

impl<D: Draw> Kernel for Fill<'_, D> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Stream { key, step } = self.stream;
        let mut group = self.first / GROUP as u64;
        // Words of the group that lie before the first element.
        let mut skip = (self.first % GROUP as u64) as usize;
        let mut out = self.out;
        while !out.is_empty() {
            let words = sixteen_blocks(tier, key, *step, group);
            for words in &words[skip / LANES..] {
                let x = self.draw.lanes(tier, *words);
                let taken = (LANES - skip % LANES).min(out.len());
                let (now, later) = out.split_at_mut(taken);
                if taken == LANES {
                    x.store(now);
                } else {
                    let mut lanes = [0.0; LANES];
                    x.store(&mut lanes);
                    now.copy_from_slice(&lanes[skip % LANES..][..taken]);
                }
                out = later;
                skip = 0;
                if out.is_empty() {
                    break;
                }
            }
            group = (group + 1) % (1 << 56);
        }
    }
}
