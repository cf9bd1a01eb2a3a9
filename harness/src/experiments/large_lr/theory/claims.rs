//! The verdicts, from the metrics alone.

use super::super::phrases::{percent, points, spread};
use super::super::settings::Theory;
use super::run::{LARGE, LARGE_NO_Q, Plan, SMALL, SMALL_FEW, SMALL_NO_Q, SMALL_NOISE};
use crate::error::{Error, Result};
use crate::experiments::statistics::{interval, mean, paired};
use crate::experiments::{Conclusion, Measured, Verdict};
use crate::record::{Records, TaskRecord};

/// A residual below this is fitted: the loss is below 0.29, the margin above 1.1.
const FITTED: f64 = 0.25;
/// A residual below this has collapsed.
const COLLAPSED: f64 = 0.15;

/// Judges every claim.
pub fn judge(settings: &Theory, records: &Records, conclusion: &mut Conclusion) -> Result<()> {
    let of = |arm: Plan, f: &dyn Fn(&TaskRecord) -> Result<f64>| -> Result<Vec<f64>> {
        records.first(arm.arm)?;
        records.arm(arm.arm).map(f).collect()
    };
    let last = |arm: Plan, metric: &str| records.last(arm.arm, metric);
    let at_annealing = |metric: &'static str| of(LARGE, &|task| at(task, annealed(task)?, metric));

    // T1
    let q = of(SMALL, &|task| time_when(task, "q_only_residual", FITTED))?;
    let p = of(SMALL, &|task| time_when(task, "p_only_residual", FITTED))?;
    let text = format!("Q-only fitted at time {:.0}, P-only at {:.0} (means)", mean(&q), mean(&p));
    let measured = Measured::new(text).with("q_only_fitted", mean(&q)).with("p_only_fitted", mean(&p));
    let verdict = Verdict::of(q.iter().zip(&p).all(|(q, p)| q < p));
    conclusion.claim("T1", verdict, measured, spread(paired(&p, &q)));

    // T2
    let p = at_annealing("p_only_train_accuracy")?;
    let both = at_annealing("both_train_accuracy")?;
    let q = at_annealing("q_only_train_accuracy")?;
    let weights = (settings.p_only as f64, settings.both as f64);
    let holding = p.iter().zip(&both).map(|(p, b)| (p * weights.0 + b * weights.1) / (weights.0 + weights.1));
    let (holding, q) = (mean(&holding.collect::<Vec<_>>()), interval(&q).map_or(mean(&q), |i| i.mean));
    let loss = mean(&at_annealing("q_only_loss")?);
    let text = format!(
        "at annealing {} of the examples with P are right and {} of the Q-only ones, whose loss is {:.2} (chance: 0.69)",
        percent(holding),
        percent(q),
        loss
    );
    let measured = Measured::new(text).with("p_holding", holding).with("q_only", q).with("q_only_loss", loss);
    conclusion.claim("T2", Verdict::of(holding > 0.95 && q < 0.75), measured, None);

    // T3
    let kink = at_annealing("kink")?;
    let end = last(LARGE, "kink")?;
    let smalls = records.arm(LARGE.arm).zip(records.arm(SMALL.arm)).map(|(large, small)| {
        let time = at(large, annealed(large)?, "time")?;
        near(small, time, "kink")
    });
    let small = smalls.collect::<Result<Vec<_>>>()?;
    let text = format!(
        "large: {:.1} at annealing, {:.1} at the end; small at the same time: {:.1}",
        mean(&kink),
        mean(&end),
        mean(&small)
    );
    let measured =
        Measured::new(text).with("annealing", mean(&kink)).with("end", mean(&end)).with("small", mean(&small));
    let holds = mean(&kink) < 0.5 * mean(&small) && mean(&end) > 2.0 * mean(&kink);
    conclusion.claim("T3", Verdict::of(holds), measured, spread(paired(&small, &kink)));

    // T4
    let error = |arm: Plan| -> Result<Vec<f64>> {
        Ok(last(arm, "p_only_test_accuracy")?.into_iter().map(|a| 1.0 - a).collect())
    };
    let (large, small) = (error(LARGE)?, error(SMALL)?);
    let (all_large, all_small) = (last(LARGE, "test_error")?, last(SMALL, "test_error")?);
    let difference = paired(&small, &large);
    let text = format!(
        "P-only test error {} (small) against {} (large), over all {} against {}",
        percent(mean(&small)),
        percent(mean(&large)),
        percent(mean(&all_small)),
        percent(mean(&all_large))
    );
    let measured = Measured::new(text)
        .with("small", mean(&small))
        .with("large", mean(&large))
        .with("small_all", mean(&all_small))
        .with("large_all", mean(&all_large));
    let verdict = match difference {
        None => Verdict::NotTested, // one seed tells nothing
        Some(difference) => Verdict::of(
            mean(&small) >= 1.5 * mean(&large) && difference.low > 0.0 && mean(&all_small) > mean(&all_large),
        ),
    };
    conclusion.claim("T4", verdict, measured, points(difference));

    // T5
    let arms = [LARGE, SMALL];
    let metrics = ["q_only_test_accuracy", "both_test_accuracy"];
    let mut worst = f64::INFINITY;
    for (arm, metric) in arms.into_iter().flat_map(|arm| metrics.map(|metric| (arm, metric))) {
        let accuracy = mean(&last(arm, metric)?);
        worst = if accuracy < worst { accuracy } else { worst };
    }
    let measured = Measured::new(format!("the least of the four mean accuracies is {}", percent(worst)));
    conclusion.claim("T5", Verdict::of(worst > 0.99), measured.with("least", worst), None);

    // T6
    let beside = |task: &TaskRecord| {
        let step = task.series("both_residual")?.first(|r| r < COLLAPSED);
        let step = step.or_else(|| task.series("both_residual").ok()?.points().last().map(|p| p.0));
        at(task, step.unwrap_or(0), "p_only_residual")
    };
    let (large_p, small_p) = (of(LARGE, &beside)?, of(SMALL, &beside)?);
    let text = format!(
        "when the residual of examples with both falls below {COLLAPSED}, that of P-only ones is {:.2} (small), {:.2} (large)",
        mean(&small_p),
        mean(&large_p)
    );
    let measured = Measured::new(text).with("small", mean(&small_p)).with("large", mean(&large_p));
    let holds = mean(&small_p) > 0.4 && mean(&large_p) < 0.3;
    conclusion.claim("T6", Verdict::of(holds), measured, spread(paired(&small_p, &large_p)));

    // T7: the same windows in both, those before annealing.
    let ratios = records.arm(LARGE.arm).zip(records.arm(SMALL.arm)).map(|(large, small)| {
        let until = annealed(large)?;
        let mean_until = |task: &TaskRecord| -> Result<f64> {
            let points = task.series("activation_change")?.points().iter().filter(|p| p.0 <= until);
            Ok(mean(&points.map(|p| p.1.get()).collect::<Vec<_>>()))
        };
        Ok((mean_until(large)?, mean_until(small)?))
    });
    let ratios = ratios.collect::<Result<Vec<_>>>()?;
    let (large, small): (Vec<f64>, Vec<f64>) = ratios.into_iter().unzip();
    let (share_large, share_small) = (mean(&large), mean(&small));
    let text = format!(
        "in windows of {} before annealing {} of the units change (large), {} (small); the square root of the ratio of temperatures is {:.0}",
        settings.window,
        percent(share_large),
        percent(share_small),
        (1.0 / settings.ratio).sqrt()
    );
    let measured = Measured::new(text).with("large", share_large).with("small", share_small);
    conclusion.claim("T7", Verdict::of(share_large >= 3.0 * share_small), measured, spread(paired(&large, &small)));

    // T8
    let (large, small, noise) = (error(LARGE)?, error(SMALL)?, error(SMALL_NOISE)?);
    let difference = paired(&small, &noise);
    let text = format!(
        "P-only test error {} with the noise, {} without, {} with the large learning rate",
        percent(mean(&noise)),
        percent(mean(&small)),
        percent(mean(&large))
    );
    let measured = Measured::new(text).with("noise", mean(&noise));
    let verdict = match (difference, paired(&noise, &large)) {
        (Some(gain), Some(gap)) => Verdict::of(gain.low > 0.0 && gap.low <= 0.0 || mean(&noise) <= mean(&large)),
        _ => Verdict::NotTested,
    };
    conclusion.claim("T8", verdict, measured, points(difference));

    // T9
    let (large_p, all) = (error(LARGE_NO_Q)?, error(SMALL_NO_Q)?);
    let difference = paired(&all, &large_p);
    let text = format!("P-only test error {} (small), {} (large)", percent(mean(&all)), percent(mean(&large_p)));
    let measured = Measured::new(text).with("small", mean(&all)).with("large", mean(&large_p));
    let verdict = difference.map_or(Verdict::NotTested, |d| Verdict::of(d.mean.abs() < 0.005));
    conclusion.claim("T9", verdict, measured, points(difference));

    // T10
    let few = error(SMALL_FEW)?;
    let text = format!(
        "P-only test error: P-only examples alone {}, small {}, large {}, all examples with P and no Q {}",
        percent(mean(&few)),
        percent(mean(&small)),
        percent(mean(&large)),
        percent(mean(&all))
    );
    let measured = Measured::new(text).with("few", mean(&few)).with("all", mean(&all));
    let verdict = match (paired(&few, &small), paired(&small, &all), paired(&large, &all)) {
        (Some(above), Some(below), Some(large)) => {
            Verdict::of(above.low > 0.0 && below.low > 0.0 && large.mean < 0.005)
        }
        _ => Verdict::NotTested,
    };
    conclusion.claim("T10", verdict, measured, points(paired(&small, &all)));
    Ok(())
}

/// The step at which an arm was annealed.
fn annealed(task: &TaskRecord) -> Result<u64> {
    let missing = || Error::Defect { what: format!("{} was never annealed", task.id()) };
    task.series("annealing_time")?.points().last().map(|point| point.0).ok_or_else(missing)
}

/// A metric at a step at which it was evaluated.
fn at(task: &TaskRecord, step: u64, metric: &str) -> Result<f64> {
    let missing = || Error::Defect { what: format!("{} has no `{metric}` at step {step}", task.id()) };
    task.series(metric)?.at(step).ok_or_else(missing)
}

/// A metric at the last evaluation that is not after a time.
fn near(task: &TaskRecord, time: f64, metric: &str) -> Result<f64> {
    let before = task.series("time")?.points().iter().take_while(|point| point.1.get() <= time).last();
    at(task, before.map_or(0, |point| point.0), metric)
}

/// The time at which a residual first lies below a level, or at the end if it never does.
fn time_when(task: &TaskRecord, metric: &str, level: f64) -> Result<f64> {
    let step = task.series(metric)?.first(|residual| residual < level);
    step.map_or_else(|| task.last("time"), |step| at(task, step, "time"))
}
