//! Numbers and intervals in words.

use crate::experiments::Spread;
use crate::experiments::statistics::Interval;

/// A share in per cent.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// The interval of a difference.
pub fn spread(interval: Option<Interval>) -> Option<Spread> {
    interval.map(Spread::from)
}

/// The interval of a difference of shares, in points.
pub fn points(interval: Option<Interval>) -> Option<Spread> {
    interval.map(|i| {
        let Spread { text, low, high } = Spread::from(i);
        Spread { text: format!("{text}, of the difference in points"), low: 100.0 * low, high: 100.0 * high }
    })
}
