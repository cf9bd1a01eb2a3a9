//! The verdicts.

use super::expected::{
    EXTENSION, GAUSSIAN, GAUSSIAN_LIMIT, ILLUSTRATION, INTERIOR, INTERIOR_BOUNDS, INTERIOR_FITS, SECOND_BETTER, SINGLE,
};
use super::settings::{ImageSettings, Settings};
use super::toy_arms::Part;
use super::{DRAWS, image_arm, image_arms};
use crate::error::Result;
use crate::experiments::statistics::mean;
use crate::experiments::{Conclusion, Measured, Verdict};
use crate::record::{Records, Series, TaskRecord};

/// Counts comparisons with expected numbers, and keeps the largest deviation in units of its tolerance.
#[derive(Debug, Default)]
struct Tally {
    compared: u64,
    worst: f64,
}

impl Tally {
    /// Holds `found` to `expected` within `tolerance`.
    fn absolute(&mut self, found: f64, expected: f64, tolerance: f64) {
        self.compared += 1;
        let deviation = (found - expected).abs() / tolerance;
        // A number that is none counts as far off.
        self.worst = if deviation <= self.worst { self.worst } else { deviation };
    }

    /// The same with a tolerance relative to what is expected.
    fn relative(&mut self, found: f64, expected: f64, tolerance: f64) {
        self.absolute(found, expected, tolerance * expected.abs());
    }

    fn holds(&self) -> bool {
        self.compared > 0 && self.worst <= 1.0
    }

    fn measured(&self) -> Measured {
        let text = format!("{} numbers, at most {:.2} of the tolerance off", self.compared, self.worst);
        Measured::new(text).with("compared", self.compared as f64).with("worst_share_of_tolerance", self.worst)
    }
}

/// The series' values, or nothing if it was never recorded.
fn values(task: &TaskRecord, metric: &str) -> Vec<f64> {
    task.series.get(metric).map(Series::values).unwrap_or_default()
}

fn rises(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] < pair[1])
}

/// The first place of the largest value.
fn peak(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// Groups A to D, E1 and F.
pub fn on_the_line(records: &Records, conclusion: &mut Conclusion) -> Result<()> {
    let spline = records.first(Part::Spline.arm())?;
    let fits = spline.last("fits")?;
    let four = Verdict::of(fits == 4.0);
    let measured = || Measured::new(format!("{fits} fits")).with("fits", fits);
    conclusion.claim("A1", four, measured(), None);
    conclusion.claim("F", four, measured(), None);

    let mut tally = Tally::default();
    let [c, before, after] = ["c", "norm_before", "norm_after"].map(|name| values(spline, name));
    let [training, test] = ["training_error", "test_error"].map(|name| values(spline, name));
    let [rough, freedom, sparsity] = ["roughness", "degrees_of_freedom", "sparsity"].map(|name| values(spline, name));
    for (t, row) in ILLUSTRATION.iter().enumerate().take(c.len()) {
        tally.relative(c[t], row.c, 1e-9);
        tally.absolute(before[t], row.norms[0], 1e-8);
        tally.absolute(after[t], row.norms[1], 1e-8);
        tally.absolute(training[t], row.training_error, 1e-7);
        tally.absolute(test[t], row.test_error, 1e-7);
        tally.absolute(rough[t], row.roughness, 1e-5);
        tally.absolute(freedom[t], row.degrees_of_freedom, 1e-5);
        tally.absolute(sparsity[t], row.sparsity, 1e-5);
    }
    conclusion.claim("A2", Verdict::of(tally.holds() && c.len() == ILLUSTRATION.len()), tally.measured(), None);

    let best = test.iter().enumerate().fold(0, |best, (t, &e)| if e < test[best] { t } else { best });
    let text = format!("best in round {best}; sparsity {}", list(&sparsity));
    let measured = Measured::new(text).with("best_round", best as f64);
    conclusion.claim("A3", Verdict::of(best == 1 && rises(&sparsity)), measured, None);

    let last = values(spline, "b/3");
    let count = |low: f64, high: f64| last.iter().filter(|b| (low..high).contains(*b)).count();
    let counts = (count(0.5, 1.0), count(0.1, 0.5), count(0.0, 0.03));
    let text = format!("{}, {} and {}", counts.0, counts.1, counts.2);
    conclusion.claim("A4", Verdict::of(counts == (1, 1, 9)), Measured::new(text), None);

    let better = records.first(DRAWS)?.last("second_better")?;
    let measured = Measured::new(format!("{:.1} %", 100.0 * better)).with("share", better);
    // Six points: seven standard deviations of a share over a thousand draws, as many as the quick profile makes; the hundred
    // of the smoke profile are too few to tell.
    conclusion.claim("A5", Verdict::of((better - SECOND_BETTER).abs() < 0.06), measured, None);

    let mut tally = Tally::default();
    let [single_c, single_test, single_rough] =
        ["single/c", "single/test_error", "single/roughness"].map(|name| values(spline, name));
    for (t, [c, error, roughness]) in SINGLE.into_iter().enumerate().take(single_c.len()) {
        tally.relative(single_c[t], c, 1e-6);
        tally.absolute(single_test[t], error, 1e-6);
        tally.absolute(single_rough[t], roughness, 1e-3);
    }
    let ordered = single_c.len() == SINGLE.len()
        && (0..single_c.len()).all(|t| test[t + 1] < single_test[t] && single_rough[t] < rough[t + 1]);
    conclusion.claim("B", Verdict::of(tally.holds() && ordered), tally.measured(), None);

    let beyond = values(spline, "beyond_single_fits");
    let text = format!("pairs out of reach by round: {}", list(&beyond));
    conclusion.claim(
        "E1",
        Verdict::of(beyond.first() == Some(&0.0) && beyond.iter().any(|&n| n > 0.0)),
        Measured::new(text),
        None,
    );
    variants(records, conclusion)
}

/// Groups C and D.
fn variants(records: &Records, conclusion: &mut Conclusion) -> Result<()> {
    let interior = records.first(Part::Interior.arm())?;
    let mut tally = Tally::default();
    let (c, test) = (values(interior, "c"), values(interior, "test_error"));
    for ([expected_c, error], (c, test)) in INTERIOR.into_iter().zip(c.iter().zip(&test)) {
        tally.relative(*c, expected_c, 1e-4);
        tally.relative(*test, error, 1e-4);
    }
    for (name, expected, tolerance) in INTERIOR_BOUNDS {
        tally.relative(interior.last(name)?, expected, tolerance);
    }
    let fits = values(interior, "fits");
    let counted = fits.iter().copied().eq(INTERIOR_FITS.iter().map(|&n| n as f64)) && c.len() == INTERIOR.len();
    conclusion.claim("C1", Verdict::of(tally.holds() && counted), tally.measured(), None);

    let gaussian = records.first(Part::Gaussian.arm())?;
    let series = |name: &str| values(gaussian, name);
    let (r0, guaranteed, crossing, fits) =
        (series("r0"), series("guaranteed_rounds"), series("crossing"), series("fits"));
    let (bound, limit, sparsity) = (series("sparsity_bound"), series("sparsity_limit"), series("sparsity"));
    let (best_round, best_error) = (series("best_round"), series("best_test_error"));
    let mut tally = Tally::default();
    let mut counted = r0.len() == GAUSSIAN.len() && sparsity.len() == GAUSSIAN.len();
    for (i, row) in GAUSSIAN.iter().enumerate().take(sparsity.len()) {
        tally.relative(r0[i], row.r0, 1e-4);
        // Printed with two or three decimals.
        tally.absolute(guaranteed[i], row.rounds[0], 6e-3);
        tally.absolute(crossing[i], row.rounds[1], 6e-3);
        tally.relative(bound[i], row.bound, 1e-4);
        tally.relative(limit[i], GAUSSIAN_LIMIT, 1e-4);
        tally.relative(sparsity[i], row.sparsity, 1e-4);
        tally.relative(best_error[i], row.best.1, 1e-4);
        counted &= fits[i] == row.fits as f64 && best_round[i] == row.best.0 as f64;
    }
    let verdict = Verdict::of(tally.holds() && counted && rises(&bound));
    conclusion.claim("C2", verdict, tally.measured(), None);

    let extension = records.first(Part::Extension.arm())?;
    let mut tally = Tally::default();
    for (i, row) in EXTENSION.iter().enumerate() {
        for (found, expected) in values(extension, &format!("test_error/{i}")).iter().zip(row) {
            // Half a unit of the fifth digit, and a little for numbers that lie on the edge.
            tally.absolute(*found, *expected, 5.1e-6);
        }
    }
    conclusion.claim("D", Verdict::of(tally.holds() && tally.compared == 21), tally.measured(), None);
    Ok(())
}

/// What the chains on images show: means over the seeds of an arm.
struct Chains {
    arm: String,
    /// Of each tolerance, the mean test accuracy by round, as far as all seeds go.
    accuracy: Vec<Vec<f64>>,
    /// The same of the single fits stopped at the same training error; its first entry belongs to round 1.
    single: Vec<Vec<f64>>,
    /// The mean over seeds of the best single fit of all.
    ridge: f64,
    broken: f64,
    rounds: usize,
    training_rises: bool,
}

fn mean_by_round(tasks: &[&TaskRecord], metric: &str) -> Vec<f64> {
    let all: Vec<Vec<f64>> = tasks.iter().map(|task| values(task, metric)).collect();
    let shared = all.iter().map(Vec::len).min().unwrap_or(0);
    (0..shared).map(|t| mean(&all.iter().map(|series| series[t]).collect::<Vec<_>>())).collect()
}

impl Chains {
    fn of(settings: &ImageSettings, records: &Records, arm: String) -> Self {
        let tasks: Vec<&TaskRecord> = records.arm(&arm).collect();
        let indices = 0..settings.tolerances.len();
        let by_round =
            |name: &str| indices.clone().map(|i| mean_by_round(&tasks, &format!("{i}/{name}"))).collect::<Vec<_>>();
        let every = |name: &str| -> Vec<Vec<f64>> {
            let all = tasks.iter().flat_map(|task| indices.clone().map(move |i| values(task, &format!("{i}/{name}"))));
            all.collect()
        };
        let best = |task: &&TaskRecord| {
            values(task, "ridge/test_accuracy").into_iter().fold(0.0, |m, x| if x > m { x } else { m })
        };
        let broken = every("broken_laws");
        Self {
            accuracy: by_round("test_accuracy"),
            single: by_round("single/test_accuracy"),
            ridge: mean(&tasks.iter().map(best).collect::<Vec<_>>()),
            broken: broken.iter().flatten().sum(),
            rounds: broken.iter().map(Vec::len).sum(),
            training_rises: every("training_error").iter().all(|series| rises(series)),
            arm,
        }
    }

    /// The places of tolerances of a tenth and less.
    fn tight<'a>(&'a self, settings: &'a ImageSettings) -> impl Iterator<Item = usize> + 'a {
        (0..self.accuracy.len()).filter(|&i| settings.tolerances[i] <= 0.1 && !self.accuracy[i].is_empty())
    }
}

/// Groups E2, E3 and K.
pub fn on_images(settings: &Settings, records: &Records, conclusion: &mut Conclusion) -> Result<()> {
    let images = &settings.images;
    let arms = image_arms(images);
    let chains = |noisy: bool| -> Vec<Chains> {
        let own = arms.iter().filter(move |arm| arm.1 == noisy);
        own.map(|&(kernel, noisy)| Chains::of(images, records, image_arm::name(kernel, noisy))).collect()
    };
    let (noisy, clean) = (chains(true), chains(false));
    let everything = || noisy.iter().chain(&clean);

    let spline = values(records.first(Part::Spline.arm())?, "training_error");
    let rounds: usize = everything().map(|c| c.rounds).sum();
    let holds = rises(&spline) && everything().all(|c| c.training_rises);
    conclusion.claim("E2", Verdict::of(holds), Measured::new(format!("{rounds} rounds on images")), None);

    let broken: f64 = everything().map(|c| c.broken).sum();
    let measured = Measured::new(format!("{broken} broken in {rounds} rounds")).with("broken", broken);
    conclusion.claim("K6", Verdict::of(broken == 0.0 && rounds > 0), measured, None);

    let differences: Vec<f64> = noisy
        .iter()
        .flat_map(|c| c.tight(images).map(|i| (&c.accuracy[i], &c.single[i])).collect::<Vec<_>>())
        .flat_map(|(chain, single)| single.iter().enumerate().map(|(t, s)| chain[t + 1] - s).collect::<Vec<_>>())
        .collect();
    let apart = differences.iter().filter(|d| **d != 0.0).count();
    let text = format!(
        "in {apart} of {} rounds; on average the chain is {:+.2} points better",
        differences.len(),
        100.0 * mean(&differences)
    );
    let verdict = Verdict::of(apart * 2 > differences.len());
    conclusion.claim("E3", verdict, Measured::new(text).with("mean_difference", mean(&differences)), None);
    peaks(images, &noisy, conclusion);
    Ok(())
}

/// K1 to K5.
fn peaks(images: &ImageSettings, noisy: &[Chains], conclusion: &mut Conclusion) {
    let (mut interior, mut gains, mut falls) = (true, Vec::new(), Vec::new());
    let (mut places, mut ordered, mut gaps) = (Vec::new(), true, Vec::new());
    for chains in noisy {
        let mut rounds = Vec::new();
        for i in chains.tight(images) {
            let accuracy = &chains.accuracy[i];
            let best = peak(accuracy);
            interior &= best > 0 && best + 1 < accuracy.len();
            gains.push(accuracy[best] - accuracy[0]);
            falls.push(accuracy[best] - accuracy[accuracy.len() - 1]);
            rounds.push(best as f64);
        }
        ordered &= rises(&rounds);
        places.push(format!("{}: {}", chains.arm, list(&rounds)));
        let best = chains.accuracy.iter().flatten().fold(0.0, |m: f64, &x| if x > m { x } else { m });
        gaps.push(best - chains.ridge);
    }
    let least = |values: &[f64]| values.iter().fold(f64::INFINITY, |m, &x| if x < m { x } else { m });
    let points = |name: &str, values: &[f64]| {
        let text = values.iter().map(|x| format!("{:+.1}", 100.0 * x)).collect::<Vec<_>>().join(", ");
        values
            .iter()
            .enumerate()
            .fold(Measured::new(format!("{text} points")), |m, (i, x)| m.with(&format!("{name}_{i}"), *x))
    };
    let at = Measured::new(format!("best rounds {}", places.join("; ")));
    if gains.is_empty() {
        return;
    }
    conclusion.claim("K1", Verdict::of(interior), at.clone(), None);
    conclusion.claim("K2", Verdict::of(least(&gains) >= 0.05), points("gain", &gains), None);
    conclusion.claim("K3", Verdict::of(least(&falls) >= 0.05), points("fall", &falls), None);
    let near = gaps.iter().all(|gap| gap.abs() <= 0.015);
    conclusion.claim("K4", Verdict::of(near), points("above_best_single_fit", &gaps), None);
    conclusion.claim("K5", Verdict::of(ordered), at, None);
}

/// Numbers in one line.
fn list(values: &[f64]) -> String {
    let short = |x: &f64| if x.fract() == 0.0 { format!("{x}") } else { format!("{x:.3}") };
    values.iter().map(short).collect::<Vec<_>>().join(", ")
}
