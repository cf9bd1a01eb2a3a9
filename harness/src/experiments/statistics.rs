//! Summaries over seeds, in f64, with sums in the order of the values.

/// The mean; 0 of none.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The sample standard deviation (divided by n - 1); 0 of fewer than two.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// A 95 % confidence interval of a mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How many values it is over.
    pub n: usize,
}

/// The 97.5 % quantile of Student's t for 1, 2, ... 30 degrees of freedom, as tables print it.
const T975: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// Student's 95 % interval of the mean; None of fewer than two values. Beyond 31 values the quantile of 30 degrees of
/// freedom stands, which is on the safe side.
#[must_use]
pub fn interval(values: &[f64]) -> Option<Interval> {
    let t = T975[values.len().checked_sub(2)?.min(T975.len() - 1)];
    let half = t * standard_deviation(values) / (values.len() as f64).sqrt();
    let mean = mean(values);
    Some(Interval { mean, low: mean - half, high: mean + half, n: values.len() })
}

/// The interval of the mean of `a[i] - b[i]`, for arms that share their seeds; None of fewer than two pairs.
#[must_use]
pub fn paired(a: &[f64], b: &[f64]) -> Option<Interval> {
    interval(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_textbook() {
        // Three values: mean 2, deviation 1, t 4.303.
        let i = interval(&[1.0, 2.0, 3.0]).unwrap();
        assert!((i.high - (2.0 + 4.303 / 3f64.sqrt())).abs() < 1e-15 && i.mean == 2.0);
        assert!(interval(&[1.0]).is_none() && interval(&[]).is_none());
        let p = paired(&[2.0, 3.0], &[1.0, 2.0]).unwrap();
        assert_eq!((p.low, p.high), (1.0, 1.0));
    }
}
