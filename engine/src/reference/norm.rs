//! Normalisations, as the contract defines them: [`crate::kernels::norm`] has the words.
//!
//! Activations are `[n, pixels, c]`, channels innermost. Statistics and sums over runs are `f64` for both element types.

use super::reduce::tree;
use crate::kernels::norm::{MOMENT_RUN, RUN};
use crate::simd::Real;

/// Count, mean and sum of squared deviations of some values of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// Number of values.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// The sum of `(x - mean)^2`.
    pub m2: f64,
}

impl Moments {
    /// The moments of the values of both, by T. F. Chan, G. H. Golub and R. J. LeVeque (1983).
    #[must_use]
    #[inline(always)]
    pub fn merge(self, other: Self) -> Self {
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        let mean = self.mean + delta * (other.count / count);
        let m2 = (self.m2 + other.m2) + (delta * delta) * (self.count * other.count / count);
        Self { count, mean, m2 }
    }
    /// The biased variance; rounding cannot make it negative.
    #[must_use]
    pub fn var(self) -> f64 {
        let var = self.m2 / self.count;
        if var < 0.0 { 0.0 } else { var }
    }
    /// `1 / sqrt(var + eps)`.
    #[must_use]
    pub fn invstd(self, eps: f64) -> f64 {
        invstd(self.var(), eps)
    }
}

/// `1 / sqrt(var + eps)`.
#[must_use]
pub fn invstd(var: f64, eps: f64) -> f64 {
    1.0 / (var + eps).sqrt()
}

/// The moments of channel `channel` of one example: a chain of merges over runs of [`MOMENT_RUN`] pixels.
pub fn example_moments<T: Real>(x: &[T], c: usize, channel: usize) -> Moments {
    let mut all = Moments::default();
    for (i, run) in x.chunks(MOMENT_RUN * c).enumerate() {
        let shift = run[channel];
        let (mut s, mut q) = (T::ZERO, T::ZERO);
        for pixel in run.chunks(c) {
            let d = pixel[channel] - shift;
            s = s + d;
            q = d.fma(d, q);
        }
        let count = (run.len() / c) as f64;
        let (s, q) = (s.to_f64(), q.to_f64());
        let part = s * (1.0 / count);
        let run = Moments { count, mean: shift.to_f64() + part, m2: q - s * part };
        all = if i == 0 { run } else { all.merge(run) };
    }
    all
}

/// The moments of one channel of all examples: the left-balanced tree of merges over examples.
pub fn batch_moments<T: Real>(x: &[T], n: usize, c: usize, channel: usize) -> Moments {
    let example = x.len() / n;
    tree(n, &|i| example_moments(&x[i * example..][..example], c, channel), &Moments::merge)
}

/// What normalises one channel: the statistics of the batch, those of the past, and how much of the former is taken.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Channel {
    /// The weight of the batch's branch: 1 is batch normalisation, 0 takes the moving statistics alone.
    pub weight: f64,
    /// Mean of the batch.
    pub batch_mean: f64,
    /// `1 / sqrt(var + eps)` of the batch.
    pub batch_invstd: f64,
    /// Moving mean, from before its update.
    pub moving_mean: f64,
    /// `1 / sqrt(running_var + eps)`, from before its update.
    pub moving_invstd: f64,
}

/// The coefficients of one channel's gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gradient<T> {
    /// Gradient of the weight `gamma`.
    pub d_gamma: T,
    /// Gradient of the bias `beta`.
    pub d_beta: T,
    /// `d_x = fma(d_z, scale, fma(x - center, p, q))`.
    pub scale: T,
    /// See [`scale`](Self::scale).
    pub p: T,
    /// See [`scale`](Self::scale).
    pub q: T,
}

impl Channel {
    /// The mean from which deviations are taken.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.weight == 0.0 { self.moving_mean } else { self.batch_mean }
    }
    /// The factor of a deviation from [`mean`](Self::mean).
    #[must_use]
    pub fn invstd(&self) -> f64 {
        match self.weight {
            0.0 => self.moving_invstd,
            1.0 => self.batch_invstd,
            w => w * self.batch_invstd + (1.0 - w) * self.moving_invstd,
        }
    }
    /// `[center, scale, shift]` of `z = fma(x - center, scale, shift)`. What `center` loses by rounding, `shift` makes
    /// up for.
    pub fn forward<T: Real>(&self, gamma: T, beta: T) -> [T; 3] {
        let (mean, gamma) = (self.mean(), gamma.to_f64());
        let center = T::from_f64(mean);
        let scale = gamma * self.invstd();
        let apart = match self.weight {
            0.0 | 1.0 => 0.0,
            w => (1.0 - w) * self.moving_invstd * (self.batch_mean - self.moving_mean),
        };
        let shift = beta.to_f64() + (scale * (center.to_f64() - mean) + gamma * apart);
        [center, T::from_f64(scale), T::from_f64(shift)]
    }
    /// The gradient's coefficients from `s` = sum of `d_z` and `t` = sum of `d_z (x - center)` over `count` values.
    pub fn backward<T: Real>(&self, gamma: T, center: T, s: f64, t: f64, count: f64) -> Gradient<T> {
        let gamma = gamma.to_f64();
        let offset = center.to_f64() - self.mean();
        let u = t + offset * s; // the sum of d_z (x - mean)
        let (w, r, r_moving) = (self.weight, self.batch_invstd, self.moving_invstd);
        let d_gamma = match w {
            0.0 => r_moving * u,
            1.0 => r * u,
            w => w * (r * u) + (1.0 - w) * (r_moving * (u + (self.batch_mean - self.moving_mean) * s)),
        };
        let (mut p, mut q) = (0.0, 0.0);
        if w != 0.0 {
            let k = w * gamma * r;
            p = -(k * (r * r * (u / count)));
            q = p * offset - k * (s / count);
        }
        let t = T::from_f64;
        Gradient { d_gamma: t(0.0 + d_gamma), d_beta: t(0.0 + s), scale: t(gamma * self.invstd()), p: t(p), q: t(q) }
    }
}

/// `running + momentum (new - running)`, in `f64`.
pub fn step<T: Real>(running: T, new: f64, momentum: f64) -> T {
    let old = running.to_f64();
    T::from_f64(old + momentum * (new - old))
}

/// The moving statistics after a batch: the mean, and the unbiased variance.
pub fn update_running<T: Real>(mean: &mut T, var: &mut T, moments: Moments, momentum: f64) {
    *mean = step(*mean, moments.mean, momentum);
    *var = step(*var, moments.var() * (moments.count / (moments.count - 1.0)), momentum);
}

/// Coefficients `[center, scale, shift]` of channel `c` of example `n`.
pub type Table<'a, T> = &'a dyn Fn(usize, usize) -> [T; 3];

/// The second term of a pre-activation.
pub enum Residual<'a, T> {
    /// None.
    None,
    /// A tensor as it is.
    Plain(&'a [T]),
    /// A tensor with its own normalisation.
    Normalised(&'a [T], Table<'a, T>),
}

/// The pre-activation: `fma(x - center, scale, shift)`, plus the residual, plus the noise of the pixel or element.
pub fn pre_activation<T: Real>(
    [n, pixels, c]: [usize; 3],
    x: &[T],
    table: Table<'_, T>,
    residual: &Residual<'_, T>,
    noise: Option<&[T]>,
) -> Vec<T> {
    let affine = |x: T, [center, scale, shift]: [T; 3]| (x - center).fma(scale, shift);
    let mut z = Vec::with_capacity(x.len());
    for i in 0..n * pixels * c {
        let (example, pixel, channel) = (i / (pixels * c), i / c % pixels, i % c);
        let mut value = affine(x[i], table(example, channel));
        match residual {
            Residual::None => {}
            Residual::Plain(r) => value = value + r[i],
            Residual::Normalised(r, table) => value = value + affine(r[i], table(example, channel)),
        }
        if let Some(noise) = noise {
            value = value + if noise.len() == pixels { noise[pixel] } else { noise[i] };
        }
        z.push(value);
    }
    z
}

/// `0 if 0 > z, else z`.
pub fn relu<T: Real>(z: &[T]) -> Vec<T> {
    z.iter().map(|&z| T::ZERO.max_select(z)).collect()
}

/// `0 if z <= 0, else d_a`.
pub fn gate<T: Real>(z: &[T], d_a: &[T]) -> Vec<T> {
    z.iter().zip(d_a).map(|(&z, &d)| if z <= T::ZERO { T::ZERO } else { d }).collect()
}

/// The sums of `d_z` and of `d_z (x - center)` of one channel of one example: chains over the pixels of a run, chains in
/// `f64` from `+0` over runs.
pub fn example_sums<T: Real>(x: &[T], d_z: &[T], c: usize, channel: usize, center: T) -> (f64, f64) {
    let (mut all_s, mut all_t) = (0.0, 0.0);
    for (x, d_z) in x.chunks(RUN * c).zip(d_z.chunks(RUN * c)) {
        let (mut s, mut t) = (T::ZERO, T::ZERO);
        for (x, d_z) in x.chunks(c).zip(d_z.chunks(c)) {
            s = s + d_z[channel];
            t = d_z[channel].fma(x[channel] - center, t);
        }
        all_s += s.to_f64();
        all_t += t.to_f64();
    }
    (all_s, all_t)
}

/// The same over all examples: the left-balanced tree.
pub fn batch_sums<T: Real>(x: &[T], d_z: &[T], n: usize, c: usize, channel: usize, center: T) -> (f64, f64) {
    let len = x.len() / n;
    let leaf = |i: usize| example_sums(&x[i * len..][..len], &d_z[i * len..][..len], c, channel, center);
    tree(n, &leaf, &|a, b| (a.0 + b.0, a.1 + b.1))
}

/// `fma(d_z, scale, fma(x - center, p, q))`.
pub fn d_x<T: Real>(x: T, d_z: T, center: T, [scale, p, q]: [T; 3]) -> T {
    d_z.fma(scale, (x - center).fma(p, q))
}

/// The statistics of one group of channels of one example: a chain of merges over ascending channels.
pub fn group_moments<T: Real>(x: &[T], c: usize, channels: std::ops::Range<usize>) -> Moments {
    let first = example_moments(x, c, channels.start);
    (channels.start + 1..channels.end).fold(first, |all, channel| all.merge(example_moments(x, c, channel)))
}

/// `[p, q]` of a group's gradient, which are those of all its channels: from `m1`, the sum of `gamma d_z`, and `m2`, that
/// of `gamma d_z (x - mean)`, over its `count` values; `offset` is `center - mean`.
#[must_use]
pub fn group_slopes(invstd: f64, offset: f64, m1: f64, m2: f64, count: f64) -> [f64; 2] {
    let p = -(invstd * (invstd * invstd * (m2 / count)));
    [p, p * offset - invstd * (m1 / count)]
}

/// `[scale, p, q]` of each channel of one group of one example, and what it adds to `(d_gamma, d_beta)`: `sums` are the
/// channels' [`example_sums`]. `m1` and `m2` are chains from `+0` over ascending channels.
pub fn group_backward<T: Real>(
    [mean, invstd]: [f64; 2],
    center: T,
    gamma: &[T],
    sums: &[(f64, f64)],
    count: f64,
) -> Vec<([T; 3], (f64, f64))> {
    let offset = center.to_f64() - mean;
    let (mut m1, mut m2) = (0.0, 0.0);
    for (gamma, (s, t)) in gamma.iter().zip(sums) {
        m1 += gamma.to_f64() * s;
        m2 += gamma.to_f64() * (t + offset * s);
    }
    let [p, q] = group_slopes(invstd, offset, m1, m2, count);
    let channel = |(gamma, (s, t)): (&T, &(f64, f64))| {
        let slopes = [T::from_f64(gamma.to_f64() * invstd), T::from_f64(p), T::from_f64(q)];
        (slopes, (invstd * (t + offset * s), *s))
    };
    gamma.iter().zip(sums).map(channel).collect()
}
