//! What chains of networks show.

use super::{Family, Loss, Recipe, Variant, recipes, strongest};
use crate::error::Result;
use crate::experiments::statistics::{Interval, interval, mean, paired, standard_deviation};
use crate::experiments::{Conclusion, Measured, Spread, Verdict};
use crate::record::{Records, Series, TaskRecord};

use super::super::settings::NetworkSettings;

/// Chains that a sign test wants at least: with fewer it cannot reach its level.
const FEWEST_CHAINS: usize = 5;
/// The level of sign tests.
const LEVEL: f64 = 0.05;

/// The chains of an arm.
pub(in super::super) struct Chains<'a> {
    tasks: Vec<&'a TaskRecord>,
}

impl<'a> Chains<'a> {
    pub(in super::super) fn of(records: &'a Records, recipe: &Recipe<'_>) -> Self {
        Self { tasks: records.tasks.iter().filter(|task| task.arm == recipe.arm).collect() }
    }

    /// A metric by round, the values of the chains; only of rounds that all chains made.
    pub(in super::super) fn by_round(&self, metric: &str) -> Vec<Vec<f64>> {
        let all: Vec<Vec<f64>> =
            self.tasks.iter().map(|task| task.series.get(metric).map(Series::values).unwrap_or_default()).collect();
        let rounds = all.iter().map(Vec::len).min().unwrap_or(0);
        (0..rounds).map(|t| all.iter().map(|values| values[t]).collect()).collect()
    }

    pub(in super::super) fn means(&self, metric: &str) -> Vec<f64> {
        self.by_round(metric).iter().map(|values| mean(values)).collect()
    }

    /// By round, of each chain whose twin comes down to the round's training loss: test accuracy of the round, and that of
    /// the twin at the first epoch with a loss no greater.
    pub(in super::super) fn matched(&self) -> Vec<Vec<(f64, f64)>> {
        let rounds = self.by_round("test_accuracy").len();
        let pair = |task: &TaskRecord, t: usize| {
            let wanted = task.series.get("train_loss")?.at(t as u64)?;
            let epoch = task.series.get("twin/train_loss")?.first(|loss| loss <= wanted)?;
            Some((task.series.get("test_accuracy")?.at(t as u64)?, task.series.get("twin/test_accuracy")?.at(epoch)?))
        };
        (0..rounds).map(|t| self.tasks.iter().filter_map(|task| pair(task, t)).collect()).collect()
    }
}

fn falls(values: &[f64]) -> bool {
    values.len() > 1 && values.windows(2).all(|pair| pair[0] > pair[1])
}

/// The first place of the largest value.
fn peak(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// The probability that of `n` fair coins at least `k` show heads.
fn at_least(k: usize, n: usize) -> f64 {
    let (mut ways, mut sum, mut all) = (1.0, 0.0, 1.0);
    for i in 0..=n {
        if i >= k {
            sum += ways;
        }
        // From (n over i) to (n over i + 1); exact for the numbers of chains that there are.
        ways = ways * (n - i) as f64 / (i + 1) as f64;
        all *= if i < n { 2.0 } else { 1.0 };
    }
    sum / all
}

fn percents(values: &[f64]) -> String {
    values.iter().map(|x| format!("{:.1}", 100.0 * x)).collect::<Vec<_>>().join(" ")
}

fn spread(of: &str, interval: Option<Interval>) -> Option<Spread> {
    interval.map(|i| Spread { text: format!("95 % interval over {} chains of {of}", i.n), low: i.low, high: i.high })
}

/// What is said of several arms: claims hold if they do for each, and are not tested if there is none.
struct Findings {
    texts: Vec<String>,
    values: Vec<(String, f64)>,
    holds: bool,
    tested: bool,
    spread: Option<Spread>,
}

impl Findings {
    fn new() -> Self {
        Self { texts: Vec::new(), values: Vec::new(), holds: true, tested: true, spread: None }
    }

    fn add(&mut self, arm: &str, text: &str, holds: bool) {
        self.texts.push(format!("{arm}: {text}"));
        self.holds &= holds;
    }

    fn value(&mut self, arm: &str, name: &str, value: f64) {
        self.values.push((format!("{arm}/{name}"), value));
    }

    fn conclude(self, claim: &'static str, conclusion: &mut Conclusion) {
        let tested = self.tested && !self.texts.is_empty();
        let verdict = if tested { Verdict::of(self.holds) } else { Verdict::NotTested };
        let text = if self.texts.is_empty() { "not measured in this run".to_owned() } else { self.texts.join("; ") };
        conclusion.claim(claim, verdict, Measured { text, values: self.values }, self.spread);
    }
}

/// Training accuracy against the labels of the beginning falls in every round.
fn training_falls(records: &Records, arms: &[&Recipe<'_>]) -> Findings {
    let mut findings = Findings::new();
    for recipe in arms {
        let chains = Chains::of(records, recipe);
        let train = chains.by_round("train_accuracy");
        let means: Vec<f64> = train.iter().map(|values| mean(values)).collect();
        findings.add(&recipe.arm, &format!("{} %", percents(&means)), falls(&means));
        if let (Some(first), Some(last)) = (train.first(), train.last()) {
            findings.value(&recipe.arm, "fall", mean(first) - mean(last));
            let what = format!("the fall from the first round to the last, {}", recipe.arm);
            findings.spread = findings.spread.or(spread(&what, paired(first, last)));
        }
    }
    findings
}

/// Round 1 beats round 0 in so many chains that chance does not explain it.
fn second_better(records: &Records, arms: &[&Recipe<'_>]) -> Findings {
    let mut findings = Findings::new();
    for recipe in arms {
        let test = Chains::of(records, recipe).by_round("test_accuracy");
        let [first, second, ..] = &test[..] else { continue };
        if first.len() < FEWEST_CHAINS {
            continue;
        }
        let better = first.iter().zip(second).filter(|(first, second)| second > first).count();
        let (n, gain) = (first.len(), mean(second) - mean(first));
        let text = format!("{better} of {n} chains, {:+.2} points on average", 100.0 * gain);
        findings.add(&recipe.arm, &text, at_least(better, n) <= LEVEL);
        findings.value(&recipe.arm, "gain", gain);
        let what = format!("the gain, {}", recipe.arm);
        findings.spread = findings.spread.or(spread(&what, paired(second, first)));
    }
    findings
}

/// Mean test accuracy is highest between the first round and the last.
fn interior_peak(records: &Records, arms: &[&Recipe<'_>]) -> Findings {
    let mut findings = Findings::new();
    for recipe in arms {
        let test = Chains::of(records, recipe).by_round("test_accuracy");
        let means: Vec<f64> = test.iter().map(|values| mean(values)).collect();
        let best = peak(&means);
        let text = format!("{} %, best in round {best}", percents(&means));
        findings.add(&recipe.arm, &text, best > 0 && best + 1 < means.len());
        findings.value(&recipe.arm, "best_round", best as f64);
        if let Some(last) = test.last() {
            let what = format!("the best round above the last, {}", recipe.arm);
            findings.spread = findings.spread.or(spread(&what, paired(&test[best], last)));
        }
    }
    findings
}

/// A twin that is stopped at the training loss of a round, from round 2 on, has another test accuracy.
fn unlike_early_stopping(records: &Records, arms: &[&Recipe<'_>]) -> Findings {
    let mut findings = Findings::new();
    for recipe in arms {
        let mut best: Option<(usize, Interval, f64)> = None;
        let mut texts = Vec::new();
        for (t, pairs) in Chains::of(records, recipe).matched().into_iter().enumerate().skip(2) {
            let differences: Vec<f64> = pairs.iter().map(|(chain, twin)| chain - twin).collect();
            let Some(interval) = interval(&differences) else { continue };
            let error = standard_deviation(&differences) / (differences.len() as f64).sqrt();
            // Chains that all differ alike differ without a doubt; those that do not differ, not at all.
            let errors = if interval.mean == 0.0 { 0.0 } else { interval.mean.abs() / error };
            texts.push(format!("{:+.1}", 100.0 * interval.mean));
            if best.as_ref().is_none_or(|b| errors > b.2) {
                best = Some((t, interval, errors));
            }
        }
        let Some((t, interval, errors)) = best else { continue };
        let text = format!("{} points from round 2 on, {errors:.1} standard errors in round {t}", texts.join(" "));
        findings.add(&recipe.arm, &text, errors > 2.0);
        findings.value(&recipe.arm, "difference", interval.mean);
        let what = format!("the difference in round {t}, {}", recipe.arm);
        findings.spread = findings.spread.or(spread(&what, Some(interval)));
    }
    findings
}

/// The gain of the best round without weight decay is smaller than with the strongest one.
fn decay_is_the_fuel(records: &Records, without: &Recipe<'_>, with: &Recipe<'_>) -> Findings {
    let mut findings = Findings::new();
    let gain = |recipe| {
        let means = Chains::of(records, recipe).means("test_accuracy");
        let later = means.get(1..).unwrap_or_default();
        later.get(peak(later)).map(|best| best - means[0])
    };
    if let (Some(without_gain), Some(with_gain)) = (gain(without), gain(with)) {
        let text = format!("{:+.2} points against {:+.2}", 100.0 * without_gain, 100.0 * with_gain);
        findings.add(&without.arm, &text, without_gain.abs() < with_gain);
        findings.value(&without.arm, "gain", without_gain);
        findings.value(&with.arm, "gain", with_gain);
    }
    findings
}

/// Rounds that stop at one tolerance.
fn at_a_tolerance(records: &Records, recipe: &Recipe<'_>) -> Findings {
    let mut findings = Findings::new();
    let chains = Chains::of(records, recipe);
    let train = chains.means("train_accuracy");
    let of = |metric: &str| chains.tasks.iter().filter_map(|task| task.last(metric).ok()).collect::<Vec<_>>();
    let (rounds, collapsed) = (of("rounds"), of("collapsed"));
    let ended = rounds.iter().filter(|&&rounds| rounds < recipe.training.rounds as f64).count();
    let text = format!(
        "training {} %, test {} %; {ended} of {} chains end before the last round, {} of them by collapse",
        percents(&train),
        percents(&chains.means("test_accuracy")),
        rounds.len(),
        collapsed.iter().sum::<f64>(),
    );
    findings.add(&recipe.arm, &text, falls(&train));
    findings.value(&recipe.arm, "rounds", mean(&rounds));
    // One round tells nothing about what happens from round to round.
    findings.tested = train.len() > 1;
    findings
}

/// Judges groups N, V and P.
pub(in super::super) fn conclude(
    settings: &NetworkSettings,
    records: &Records,
    conclusion: &mut Conclusion,
) -> Result<()> {
    let all = recipes(settings)?;
    let main = |family: fn(Family) -> bool| -> Vec<&Recipe<'_>> {
        all.iter().filter(|r| family(r.family) && r.variant == Variant::Main).collect()
    };
    let perceptrons = main(|f| f == Family::Perceptron);
    let decayed: Vec<_> = perceptrons.iter().copied().filter(|r| r.decay > 0.0).collect();
    let strongest_of = |loss| strongest(&all, Family::Perceptron, loss);
    let strong: Vec<_> = [Loss::Squared, Loss::Entropy].into_iter().filter_map(strongest_of).collect();
    training_falls(records, &decayed).conclude("N1", conclusion);
    second_better(records, &strong).conclude("N2", conclusion);
    interior_peak(records, &strong).conclude("N3", conclusion);
    let without = perceptrons.iter().find(|r| r.loss == Loss::Squared && r.decay == 0.0);
    match (without, strongest_of(Loss::Squared)) {
        (Some(without), Some(with)) if with.decay > 0.0 => decay_is_the_fuel(records, without, with),
        _ => Findings::new(),
    }
    .conclude("N4", conclusion);
    unlike_early_stopping(records, &strong).conclude("N5", conclusion);
    let stopped = all.iter().find(|r| matches!(r.variant, Variant::Tolerance(_)));
    stopped.map_or_else(Findings::new, |recipe| at_a_tolerance(records, recipe)).conclude("N6", conclusion);

    let small = main(|f| f == Family::Convolutional);
    training_falls(records, &small).conclude("V1", conclusion);
    let mut findings = Findings::new();
    for recipe in &small {
        let means = Chains::of(records, recipe).means("test_accuracy");
        let best = peak(&means);
        findings.add(&recipe.arm, &format!("{} %, best in round {best}", percents(&means)), best > 0);
        findings.value(&recipe.arm, "best_round", best as f64);
    }
    findings.conclude("V2", conclusion);

    let deep = main(|f| matches!(f, Family::Deep(_)));
    training_falls(records, &deep).conclude("P1", conclusion);
    interior_peak(records, &deep).conclude("P2", conclusion);
    unlike_early_stopping(records, &deep).conclude("P3", conclusion);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_tests_are_those_of_the_binomial_distribution() {
        assert_eq!([at_least(0, 10), at_least(10, 10), at_least(5, 5)], [1.0, 1.0 / 1024.0, 1.0 / 32.0]);
        assert_eq!(at_least(9, 10), 11.0 / 1024.0);
        assert!(at_least(8, 10) > LEVEL && at_least(FEWEST_CHAINS, FEWEST_CHAINS) < LEVEL);
    }
}
