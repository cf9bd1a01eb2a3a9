//! Losses up to their second derivative, by the logits `x` of an example; `k` classes, all in `f64`.
//!
//! | loss | value | gradient | Hessian |
//! |---|---|---|---|
//! | cross-entropy, targets t, `p` = softmax(x), `m` = sum(t) | `sum_j t_j (ln sum_i e^(x_i) - x_j)` | `m p - t` | `m (diag(p) - p p')` |
//! | squared | `(1/2) sum (x - t)^2` | `x - t` | identity |
//! | logistic, y = -1 or +1 | `ln(1 + e^(-y x))` | `-y s`, `s = 1 / (1 + e^(y x))` | `s (1 - s)` |

use crate::error::{Error, Result};
use crate::kernels::loss::Targets;
use crate::math::scalar::{exp, ln, ln_1p};
use crate::random::Stream;

/// A loss, averaged over the examples.
#[derive(Debug, Clone, Copy)]
pub enum Loss<'a> {
    /// Cross-entropy of the softmax.
    CrossEntropy(Targets<'a>),
    /// Half the squared distance from these targets, `[n, k]`.
    Squared(&'a [f32]),
    /// Logistic loss of one logit, with labels of -1 or +1.
    Logistic(&'a [f32]),
}

/// Largest element; the first of equal ones.
fn largest(x: &[f64]) -> f64 {
    x.iter().fold(f64::NEG_INFINITY, |most, &x| if x > most { x } else { most })
}

/// Softmax of `x`, and the logarithm of the sum of exponentials.
fn softmax(x: &[f64], p: &mut [f64]) -> f64 {
    let most = largest(x);
    p.iter_mut().zip(x).for_each(|(p, x)| *p = exp(x - most));
    let sum = p.iter().fold(0.0, |sum, p| sum + p);
    p.iter_mut().for_each(|p| *p /= sum);
    most + ln(sum)
}

impl Loss<'_> {
    /// Whether there are targets for `n` examples of `k` logits.
    pub(super) fn check(&self, n: usize, k: usize) -> Result<()> {
        let op = "loss";
        let of = |what, expected, actual| {
            if expected == actual { Ok(()) } else { Err(Error::Shape { op, what, expected, actual }) }
        };
        match *self {
            Self::CrossEntropy(Targets::Hard(labels) | Targets::Smoothed { labels, .. }) => {
                of("labels", n, labels.len())?;
                let wrong = labels.iter().position(|&label| label as usize >= k);
                wrong.map_or(Ok(()), |i| {
                    let actual = format!("{} in row {i}", labels[i]);
                    Err(Error::Argument { op, what: "a label", requirement: "below the number of classes", actual })
                })
            }
            Self::CrossEntropy(Targets::Soft(targets)) => {
                of("rows of the targets", n, targets.rows())?;
                of("columns of the targets", k, targets.cols())
            }
            Self::Squared(targets) => of("targets", n * k, targets.len()),
            Self::Logistic(labels) => {
                of("logits of an example", 1, k)?;
                of("labels", n, labels.len())?;
                let wrong = labels.iter().position(|&y| y != 1.0 && y != -1.0);
                wrong.map_or(Ok(()), |i| {
                    let actual = format!("{} in row {i}", labels[i]);
                    Err(Error::Argument { op, what: "a label", requirement: "-1 or +1", actual })
                })
            }
        }
    }

    /// The target of class `j` for example `i`.
    fn target(&self, i: usize, j: usize, k: usize) -> f64 {
        match *self {
            Self::CrossEntropy(Targets::Hard(labels)) => f64::from(u8::from(labels[i] as usize == j)),
            Self::CrossEntropy(Targets::Smoothed { labels, on, off }) => {
                f64::from(if labels[i] as usize == j { on } else { off })
            }
            Self::CrossEntropy(Targets::Soft(targets)) => f64::from(targets.at(i, j)),
            Self::Squared(targets) => f64::from(targets[i * k + j]),
            Self::Logistic(labels) => f64::from(labels[i]),
        }
    }

    /// The value at example `i`, and its gradient.
    pub(super) fn gradient(&self, i: usize, x: &[f64], d: &mut [f64]) -> f64 {
        let (k, mut value) = (x.len(), 0.0);
        match self {
            Self::CrossEntropy(_) => {
                let log_sum = softmax(x, d);
                let mass = (0..k).fold(0.0, |mass, j| mass + self.target(i, j, k));
                for (j, d) in d.iter_mut().enumerate() {
                    let target = self.target(i, j, k);
                    if target != 0.0 {
                        value += target * (log_sum - x[j]);
                    }
                    *d = mass * *d - target;
                }
            }
            Self::Squared(_) => {
                for (j, d) in d.iter_mut().enumerate() {
                    *d = x[j] - self.target(i, j, k);
                    value += 0.5 * (*d * *d);
                }
            }
            Self::Logistic(_) => {
                let y = self.target(i, 0, k);
                let margin = y * x[0];
                value = if margin < 0.0 { ln_1p(exp(margin)) - margin } else { ln_1p(exp(-margin)) };
                d[0] = -y * sigmoid(-margin);
            }
        }
        value
    }

    /// The Hessian at example `i` times `x_t`.
    pub(super) fn tangent(&self, i: usize, x: &[f64], x_t: &[f64], d_t: &mut [f64]) {
        let k = x.len();
        match self {
            Self::CrossEntropy(_) => {
                softmax(x, d_t);
                let mean = d_t.iter().zip(x_t).fold(0.0, |sum, (p, x_t)| sum + p * x_t);
                let mass = (0..k).fold(0.0, |mass, j| mass + self.target(i, j, k));
                d_t.iter_mut().zip(x_t).for_each(|(d, x_t)| *d = mass * (*d * (x_t - mean)));
            }
            Self::Squared(_) => d_t.copy_from_slice(x_t),
            Self::Logistic(_) => {
                let s = sigmoid(x[0]);
                d_t[0] = s * (1.0 - s) * x_t[0];
            }
        }
    }

    /// A random gradient at example `i` whose mean is zero and whose covariance is the Hessian (with `m` = 1): that of a
    /// label drawn from the network's own prediction; of a squared loss, a random sign for each logit.
    pub(super) fn sample(&self, i: usize, stream: &Stream, x: &[f64], d: &mut [f64]) {
        let k = x.len();
        match self {
            Self::CrossEntropy(_) => {
                softmax(x, d);
                let draw = stream.uniform_f64_at(i as u64);
                let (mut sum, mut label) = (0.0, k - 1);
                for (j, p) in d.iter().enumerate() {
                    sum += p;
                    if draw < sum {
                        label = j;
                        break;
                    }
                }
                d[label] -= 1.0;
            }
            Self::Squared(_) => {
                for (j, d) in d.iter_mut().enumerate() {
                    *d = if stream.u32_at((i * k + j) as u64) & 1 == 0 { 1.0 } else { -1.0 };
                }
            }
            Self::Logistic(_) => {
                let s = sigmoid(x[0]);
                d[0] = if stream.uniform_f64_at(i as u64) < s { s - 1.0 } else { s };
            }
        }
    }
}

/// `1 / (1 + e^(-x))`, without overflow.
fn sigmoid(x: f64) -> f64 {
    if x < 0.0 {
        let e = exp(x);
        e / (1.0 + e)
    } else {
        1.0 / (1.0 + exp(-x))
    }
}
