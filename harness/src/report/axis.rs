//! Ranges and ticks of axes.

use regularity_engine::math::scalar::ln;
use regularity_engine::simd::Real;

use crate::experiments::{Axis, Scale};

/// A tick of an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// The value.
    pub at: f64,
    /// How it is written.
    pub label: String,
}

/// What an axis shows, from end to end.
#[derive(Debug)]
pub struct Range {
    scale: Scale,
    /// The ends; for a logarithmic axis their logarithms to base ten.
    low: f64,
    high: f64,
    names: Vec<(f64, String)>,
}

/// The exact power of ten for what figures show; beyond 10^22 the nearest.
fn power_of_ten(exponent: i32) -> f64 {
    let power = (0..exponent.unsigned_abs()).fold(1.0, |p, _| p * 10.0);
    if exponent < 0 { 1.0 / power } else { power }
}

/// The logarithm to base ten; that of a power of ten is whole, so that ticks and ends of axes meet.
fn log10(x: f64) -> f64 {
    let y = ln(x) / ln(10.0);
    let whole = y.round();
    if (y - whole).abs() < 1e-12 { whole } else { y }
}

/// The step of 1, 2 or 5 times a power of ten that cuts a span into no more than about `count` parts, with its exponent.
fn nice_step(span: f64, count: usize) -> (f64, i32) {
    let rough = span / count as f64;
    let exponent = log10(rough).floor() as i32;
    let unit = power_of_ten(exponent);
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * unit >= rough * 0.999_999).unwrap_or(10.0);
    (factor * unit, if factor == 10.0 { exponent + 1 } else { exponent })
}

impl Range {
    /// The range that an axis asks for, or the one that its values need; `roomy` leaves some room above and below.
    pub fn new(axis: &Axis, values: &[f64], roomy: bool) -> Self {
        let log = axis.scale == Scale::Log;
        let usable = |x: &f64| x.is_finite() && (!log || *x > 0.0);
        let of = |x: f64| if log { log10(x) } else { x };
        let mut ends: Option<(f64, f64)> = None;
        // A name stands in the middle of its place, so that what is drawn there has room on both sides.
        let places = axis.names.iter().flat_map(|(at, _)| [at - 0.5, at + 0.5]);
        for x in values.iter().copied().chain(places).filter(usable).map(of) {
            let (low, high) = ends.unwrap_or((x, x));
            ends = Some((if x < low { x } else { low }, if x > high { x } else { high }));
        }
        let (mut low, mut high) = ends.unwrap_or((0.0, 1.0));
        if low == high {
            let half = if low == 0.0 || log { 0.5 } else { low.abs() / 2.0 };
            (low, high) = (low - half, high + half);
        } else if roomy {
            let room = 0.05 * (high - low);
            // No room below zero where nothing is below zero.
            let below = if !log && low >= 0.0 && low - room < 0.0 { low } else { room };
            (low, high) = (low - below, high + room);
        }
        if let Some((from, to)) = axis.range.filter(|(from, to)| usable(from) && usable(to) && from < to) {
            (low, high) = (of(from), of(to));
        }
        Self { scale: axis.scale, low, high, names: axis.names.clone() }
    }

    /// Whether the axis is logarithmic.
    pub fn is_log(&self) -> bool {
        self.scale == Scale::Log
    }

    /// How far along the axis a value is, from 0 to 1; None if it has no place on it.
    pub fn share(&self, x: f64) -> Option<f64> {
        let log = self.is_log();
        if !x.is_finite() || log && x <= 0.0 {
            return None;
        }
        let share = (if log { log10(x) } else { x } - self.low) / (self.high - self.low);
        Some(share.max_select(0.0).min_select(1.0))
    }

    /// Ticks at round values, or the names that the axis has.
    pub fn ticks(&self, count: usize) -> Vec<Tick> {
        if !self.names.is_empty() {
            return self.names.iter().map(|(at, label)| Tick { at: *at, label: label.clone() }).collect();
        }
        if self.is_log() && self.high - self.low >= 1.0 {
            let (first, last) = ((self.low - 1e-9).ceil() as i32, (self.high + 1e-9).floor() as i32);
            let stride = (last - first + 1).div_euclid(count as i32 + 1).max(0) + 1;
            let exponents = (first..=last).filter(|e| e.rem_euclid(stride) == 0);
            return exponents.map(|e| Tick { at: power_of_ten(e), label: power_label(e) }).collect();
        }
        let (low, high) = if self.is_log() {
            // Within one power of ten, round values as on an even axis.
            let exp10 = |x: f64| regularity_engine::math::scalar::exp(x * ln(10.0));
            (exp10(self.low), exp10(self.high))
        } else {
            (self.low, self.high)
        };
        let (step, exponent) = nice_step(high - low, count);
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        (first..=last).map(|i| Tick { at: i as f64 * step, label: label(i as f64 * step, exponent) }).collect()
    }
}

fn power_label(exponent: i32) -> String {
    match exponent {
        -3..=4 => label(power_of_ten(exponent), exponent),
        _ => format!("1e{exponent}"),
    }
}

/// A round value with as many digits as its step needs.
fn label(x: f64, exponent: i32) -> String {
    let x = if x == 0.0 { 0.0 } else { x };
    if x.abs() >= 1e6 || (exponent < -5 && x != 0.0) {
        return format!("{x:e}").split_once('e').map_or_else(
            || x.to_string(),
            |(digits, e)| {
                let digits: f64 = digits.parse().unwrap_or(0.0);
                format!("{}e{e}", format!("{digits:.2}").trim_end_matches('0').trim_end_matches('.'))
            },
        );
    }
    let digits = usize::try_from(-exponent).unwrap_or(0);
    format!("{x:.digits$}").replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        Range::new(axis, values, false).ticks(5).into_iter().map(|t| t.label).collect()
    }

    #[test]
    fn ticks_are_round_and_say_no_more_than_they_must() {
        assert_eq!(labels(&Axis::linear(""), &[0.0, 1.0]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::linear(""), &[0.0, 4000.0]), ["0", "1000", "2000", "3000", "4000"]);
        assert_eq!(labels(&Axis::linear(""), &[-1.0, 1.0]), ["\u{2212}1.0", "\u{2212}0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(labels(&Axis::log(""), &[0.01, 100.0]), ["0.01", "0.1", "1", "10", "100"]);
        assert_eq!(labels(&Axis::log(""), &[1e-8, 1e-6]), ["1e-8", "1e-7", "1e-6"]);
    }

    #[test]
    fn shares_run_from_end_to_end() {
        let range = Range::new(&Axis::log("").range(0.1, 10.0), &[], false);
        assert_eq!([0.1, 10.0, 100.0].map(|x| range.share(x)), [Some(0.0), Some(1.0), Some(1.0)]);
        assert!(range.share(1.0).is_some_and(|share| (share - 0.5).abs() < 1e-15));
        assert_eq!((range.share(0.0), range.share(f64::NAN)), (None, None));
        let named = Axis::linear("").names([(0.0, "a".to_owned()), (1.0, "b".to_owned())]);
        assert_eq!([0.0, 1.0].map(|x| Range::new(&named, &[0.0, 1.0], false).share(x)), [Some(0.25), Some(0.75)]);
        let one = Range::new(&Axis::linear(""), &[3.0], true);
        assert_eq!(one.share(3.0), Some(0.5));
    }
}
