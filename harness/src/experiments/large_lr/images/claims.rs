//! The verdicts on the experiments with images, from the metrics alone.
//!
//! All judge means over the seeds. The thresholds are those of the specification for the reduced size, fixed before the
//! reported runs.

use super::super::phrases::{percent, points};
use super::run::{PATCH_FEW, PATCH_LARGE, PATCH_NOISE, PATCH_SMALL, PLAIN_LARGE, PLAIN_NOISE, PLAIN_SMALL, Plan};
use super::settings::Images;
use crate::error::Result;
use crate::experiments::statistics::{Interval, mean, paired};
use crate::experiments::{Conclusion, Measured, Verdict};
use crate::record::{Records, Series, TaskRecord};

/// Evaluations on each side of annealing whose means are compared: statistics of batch normalisation fluctuate while the
/// learning rate is large.
const SIDE: usize = 3;

/// What the arms of a part recorded.
struct Arms<'a> {
    settings: &'a Images,
    records: &'a Records,
}

impl Arms<'_> {
    /// Something of each seed of an arm.
    fn each(&self, plan: Plan, f: impl Fn(&TaskRecord) -> Result<f64>) -> Result<Vec<f64>> {
        self.records.first(plan.arm)?;
        self.records.arm(plan.arm).map(f).collect()
    }

    fn last(&self, plan: Plan, metric: &str) -> Result<Vec<f64>> {
        self.records.last(plan.arm, metric)
    }

    /// The values of a metric at epochs of a range, both ends included.
    fn within(&self, series: &Series, from: u64, to: u64) -> Vec<f64> {
        series.points().iter().filter(|p| (from..=to).contains(&p.0)).map(|p| p.1.get()).collect()
    }

    /// The mean of a metric over the epochs before annealing.
    fn early(&self, plan: Plan, metric: &str) -> Result<Vec<f64>> {
        let until = self.settings.anneal - 1;
        self.each(plan, |task| Ok(mean(&self.within(task.series(metric)?, 1, until))))
    }

    /// The median of a metric from a sixth of the way to annealing on, as the specification has it for 5 of 30 epochs.
    fn median(&self, plan: Plan, metric: &str) -> Result<Vec<f64>> {
        let until = self.settings.anneal - 1;
        self.each(plan, |task| Ok(median(self.within(task.series(metric)?, until.div_ceil(6), until))))
    }

    /// A metric at the last look that a third of the training has not passed.
    fn third(&self, plan: Plan, metric: &str) -> Result<Vec<f64>> {
        let until = self.settings.epochs.div_ceil(3);
        self.each(plan, |task| Ok(self.within(task.series(metric)?, 0, until).last().copied().unwrap_or(0.0)))
    }

    /// By how much a metric rises at annealing: the means of the looks on both sides.
    fn jump(&self, plan: Plan, metric: &str) -> Result<Vec<f64>> {
        let at = self.settings.anneal;
        self.each(plan, |task| {
            let series = task.series(metric)?;
            let (before, after) = (self.within(series, 1, at - 1), self.within(series, at, u64::MAX));
            Ok(mean(&after[..SIDE.min(after.len())]) - mean(&before[before.len().saturating_sub(SIDE)..]))
        })
    }
}

/// The middle value, or the mean of the two; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => 0.5 * (values[n / 2 - 1] + values[n / 2]),
    }
}

/// A comparison of two arms: `text` with both means, and the interval of the difference.
struct Versus {
    measured: Measured,
    difference: f64,
    interval: Option<Interval>,
}

/// Compares `a` with `b`, seed by seed.
fn versus(what: &str, (name_a, a): (&str, &[f64]), (name_b, b): (&str, &[f64])) -> Versus {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let text = format!("{what}: {name_a} {}, {name_b} {}", percent(mean_a), percent(mean_b));
    let measured = Measured::new(text).with(name_a, mean_a).with(name_b, mean_b);
    Versus { measured, difference: mean_a - mean_b, interval: paired(a, b) }
}

impl Versus {
    /// Judges by a least difference.
    fn at_least(self, claim: &'static str, least: f64, conclusion: &mut Conclusion) {
        conclusion.claim(claim, Verdict::of(self.difference >= least), self.measured, points(self.interval));
    }
}

/// Judges the claims on images as they are.
pub fn judge_plain(settings: &Images, records: &Records, conclusion: &mut Conclusion) -> Result<()> {
    let arms = Arms { settings, records };
    let of = |plan: Plan| arms.last(plan, "final_accuracy");

    let train = [arms.early(PLAIN_SMALL, "train_accuracy")?, arms.early(PLAIN_LARGE, "train_accuracy")?];
    let test = [arms.early(PLAIN_SMALL, "test_accuracy")?, arms.early(PLAIN_LARGE, "test_accuracy")?];
    let text = format!(
        "means over the epochs before annealing: training {} (small), {} (large); test {}, {}",
        percent(mean(&train[0])),
        percent(mean(&train[1])),
        percent(mean(&test[0])),
        percent(mean(&test[1]))
    );
    let measured = Measured::new(text)
        .with("train_small", mean(&train[0]))
        .with("train_large", mean(&train[1]))
        .with("test_small", mean(&test[0]))
        .with("test_large", mean(&test[1]));
    let ahead = mean(&train[0]) > mean(&train[1]) && mean(&test[0]) > mean(&test[1]);
    conclusion.claim("A1", Verdict::of(ahead), measured, points(paired(&test[0], &test[1])));

    let (large, small, noise) = (of(PLAIN_LARGE)?, of(PLAIN_SMALL)?, of(PLAIN_NOISE)?);
    let Versus { measured, difference, interval } =
        versus("test accuracy at the end", ("large", &large), ("small", &small));
    // Two standard errors; one seed has none.
    let verdict = interval.map_or(Verdict::NotTested, |_| {
        Verdict::of(difference >= 0.015 && difference > 2.0 * standard_error(&large, &small))
    });
    conclusion.claim("A2", verdict, measured, points(interval));

    let jump = arms.jump(PLAIN_LARGE, "test_accuracy")?;
    let text = format!("{:+.1} points from the {SIDE} looks before annealing to the {SIDE} after", 100.0 * mean(&jump));
    let measured = Measured::new(text).with("jump", mean(&jump));
    let none = vec![0.0; jump.len()];
    conclusion.claim("A3", Verdict::of(mean(&jump) >= 0.02), measured, points(paired(&jump, &none)));

    versus("test accuracy at the end", ("noise", &noise), ("small", &small)).at_least("A4", 0.01, conclusion);
    Ok(())
}

/// The standard error of the mean of `a[i] - b[i]`.
fn standard_error(a: &[f64], b: &[f64]) -> f64 {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    crate::experiments::statistics::standard_deviation(&differences) / (differences.len() as f64).sqrt()
}

/// Judges the claims on images with patches; those that need images without only if there are any.
pub fn judge_patch(settings: &Images, records: &Records, conclusion: &mut Conclusion) -> Result<()> {
    let arms = Arms { settings, records };
    order(&arms, conclusion)?;
    let of = |plan: Plan| arms.last(plan, "final_accuracy");
    let (large, small, noise) = (of(PATCH_LARGE)?, of(PATCH_SMALL)?, of(PATCH_NOISE)?);
    let clean = "accuracy on clean test images at the end";
    versus(clean, ("large", &large), ("small", &small)).at_least("B5", 0.04, conclusion);
    if records.arm(PLAIN_SMALL.arm).next().is_some() {
        let plain = of(PLAIN_SMALL)?;
        versus(clean, ("without_patches", &plain), ("small", &small)).at_least("B6", 0.05, conclusion);
    }
    let Versus { measured, difference, interval } = versus(clean, ("noise", &noise), ("small", &small));
    conclusion.claim("B7", Verdict::of(difference > 0.0), measured, points(interval));

    let main = [("large", PATCH_LARGE), ("small", PATCH_SMALL), ("noise", PATCH_NOISE)];
    let means = |metric: &str| -> Result<Vec<(&str, f64)>> {
        main.iter().map(|&(name, plan)| Ok((name, mean(&arms.last(plan, metric)?)))).collect()
    };
    let ends = |values: &[(&str, f64)]| {
        let fold = |better: fn(f64, f64) -> bool| {
            values.iter().map(|v| v.1).reduce(|m, x| if better(x, m) { x } else { m }).unwrap_or(0.0)
        };
        (fold(|a, b| a < b), fold(|a, b| a > b))
    };
    let list = |what: &str, values: &[(&str, f64)]| {
        let text = values.iter().map(|(name, x)| format!("{name} {}", percent(*x))).collect::<Vec<_>>().join(", ");
        values.iter().fold(Measured::new(format!("{what}: {text}")), |m, (name, x)| m.with(name, *x))
    };
    let mixed = means("final_mixed_accuracy")?;
    let (low, high) = ends(&mixed);
    let measured = list("accuracy on the mixed test set at the end", &mixed);
    conclusion.claim("B8", Verdict::of(high - low <= 0.05), measured, None);

    let few = of(PATCH_FEW)?;
    let Versus { measured, difference, interval } = versus(clean, ("few", &few), ("small", &small));
    conclusion.claim("B9", Verdict::of(difference.abs() <= 0.05), measured, points(interval));

    let train = means("train_accuracy")?;
    let measured = list("training accuracy in the last epoch", &train);
    conclusion.claim("B10", Verdict::of(ends(&train).0 > 0.9), measured, None);
    Ok(())
}

/// B1 to B4: when the patch is learned.
fn order(arms: &Arms<'_>, conclusion: &mut Conclusion) -> Result<()> {
    let metric = "patch_only_accuracy";
    let early = arms.third(PATCH_SMALL, metric)?;
    let text = format!("{} after a third of the epochs", percent(mean(&early)));
    let measured = Measured::new(text).with("third", mean(&early));
    conclusion.claim("B1", Verdict::of(mean(&early) > 0.8), measured, None);

    let large = arms.median(PATCH_LARGE, metric)?;
    let text = format!("{}, the median before annealing; small {}", percent(mean(&large)), percent(mean(&early)));
    let measured = Measured::new(text).with("median", mean(&large)).with("small", mean(&early));
    let holds = mean(&large) < 0.4 && mean(&large) <= 0.5 * mean(&early);
    conclusion.claim("B2", Verdict::of(holds), measured, points(paired(&early, &large)));

    let end = arms.last(PATCH_LARGE, metric)?;
    let measured = Measured::new(format!("{} at the end", percent(mean(&end)))).with("end", mean(&end));
    conclusion.claim("B3", Verdict::of(mean(&end) > 0.7), measured, None);

    let (before, end) = (arms.median(PATCH_NOISE, metric)?, arms.last(PATCH_NOISE, metric)?);
    let text = format!(
        "{}, the median before the noise is removed; {} at the end",
        percent(mean(&before)),
        percent(mean(&end))
    );
    let measured = Measured::new(text).with("median", mean(&before)).with("end", mean(&end));
    let holds = mean(&before) < 0.5 && mean(&end) >= mean(&before) + 0.2;
    conclusion.claim("B4", Verdict::of(holds), measured, points(paired(&end, &before)));
    Ok(())
}
