//! Learning-rate schedules.

use crate::math::scalar::cos;

/// What the base learning rate is multiplied by at a step (or an epoch: whatever the caller counts, from 0).
///
/// Everything is computed in `f64`, with the engine's own cosine; [`lr`](Self::lr) rounds once.
///
/// ```
/// use regularity_engine::optim::Schedule;
/// // Rise over 5 epochs, then a fifth from epoch 60, a twenty-fifth from epoch 120.
/// let steps = Schedule::Steps { milestones: vec![60, 120], factor: 0.2 };
/// let schedule = Schedule::WarmUp { length: 5, then: Box::new(steps) };
/// let at = |t| schedule.lr(0.1, t);
/// assert_eq!([at(0), at(4), at(59), at(60)], [0.02, 0.1, 0.1, 0.02]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// 1 at all times.
    Constant,
    /// A product of one `factor` for each milestone that `t` has reached.
    Steps {
        /// Times from which on another factor counts.
        milestones: Vec<u64>,
        /// The factor.
        factor: f64,
    },
    /// `rate^t`, a product of `t` factors.
    Exponential {
        /// The factor of one unit of time.
        rate: f64,
    },
    /// `last + (1 - last) (1 + cos(pi t / length)) / 2`, and `last` from `t = length` on.
    Cosine {
        /// Where the half wave ends.
        length: u64,
        /// The multiplier at its end.
        last: f64,
    },
    /// `(t + 1) / length` times what `then` says at the same time, before `t = length`; then that alone.
    WarmUp {
        /// Where the ramp ends.
        length: u64,
        /// What it is a ramp to.
        then: Box<Schedule>,
    },
}

impl Schedule {
    /// The multiplier at time `t`.
    #[must_use]
    pub fn multiplier(&self, t: u64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Steps { milestones, factor } => {
                milestones.iter().filter(|&&milestone| t >= milestone).fold(1.0, |product, _| product * factor)
            }
            Self::Exponential { rate } => (0..t).fold(1.0, |product, _| product * rate),
            Self::Cosine { length, last } if t < *length => {
                let wave = cos(std::f64::consts::PI * (t as f64 / *length as f64));
                last + (1.0 - last) * ((1.0 + wave) / 2.0)
            }
            Self::Cosine { last, .. } => *last,
            Self::WarmUp { length, then } if t < *length => (t + 1) as f64 / *length as f64 * then.multiplier(t),
            Self::WarmUp { then, .. } => then.multiplier(t),
        }
    }

    /// The learning rate at time `t`: `base` times the [`multiplier`](Self::multiplier), rounded to `f32`.
    #[must_use]
    pub fn lr(&self, base: f64, t: u64) -> f32 {
        (base * self.multiplier(t)) as f32
    }
}
