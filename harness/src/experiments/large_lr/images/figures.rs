//! Accuracy by epoch, with the epoch of annealing.

use super::run::{
    PATCH_LARGE, PATCH_NOISE, PATCH_SMALL, PATCHED, PLAIN_LARGE, PLAIN_NOISE, PLAIN_SMALL, Plan, UNPATCHED,
};
use super::settings::Images;
use crate::error::Result;
use crate::experiments::statistics::mean;
use crate::experiments::{Axis, Conclusion, Figure, Mark, Panel, Style};
use crate::record::{Records, Series};

/// Draws training and test accuracy of the arms on images as they are.
pub fn draw_plain(settings: &Images, records: &Records, conclusion: &mut Conclusion) -> Result<()> {
    let drawn =
        [(PLAIN_LARGE, "large, then small", 0), (PLAIN_SMALL, "small", 1), (PLAIN_NOISE, "small with noise", 2)];
    let figure = Figure::new(
        "plain-accuracy",
        "Images as they are",
        "Accuracy by epoch: means over the seeds, bands from the least to the greatest. The paper's figure 1 shows the same \
         two panels for learning rates 0.1 and 0.01; its text says that the small rate is ahead in both until annealing and \
         the large one generalises better afterwards. Training accuracy is that of the batches as they were trained on.",
    );
    let figure = figure.panel(panel(settings, records, &drawn, "Training", "train_accuracy")?);
    conclusion.figure(figure.panel(panel(settings, records, &drawn, "Test", "test_accuracy")?));
    Ok(())
}

/// Draws the accuracies of the arms on images with patches, and where all arms end.
pub fn draw_patch(settings: &Images, records: &Records, conclusion: &mut Conclusion) -> Result<()> {
    let drawn =
        [(PATCH_LARGE, "large, then small", 0), (PATCH_SMALL, "small", 1), (PATCH_NOISE, "small with noise", 2)];
    let figure = Figure::new(
        "patch-accuracy",
        "Images with a patch that can be memorised",
        "Accuracy by epoch on clean test images and on images with nothing but the patch: means over the seeds, bands from \
         the least to the greatest. The paper's figure (recalled, not read): a small learning rate knows the patch within \
         the first epochs and ends lowest on clean images; the others learn it after annealing only.",
    );
    let figure = figure.panel(panel(settings, records, &drawn, "Clean", "test_accuracy")?);
    conclusion.figure(figure.panel(panel(settings, records, &drawn, "Patch alone", "patch_only_accuracy")?));

    let there: Vec<Plan> =
        PATCHED.into_iter().chain(UNPATCHED).filter(|plan| records.arm(plan.arm).next().is_some()).collect();
    let names = there.iter().enumerate().map(|(i, plan)| (i as f64, plan.arm.to_owned()));
    let mut panel = Panel::new("", Axis::linear("").names(names), Axis::linear("accuracy on clean test images (%)"));
    for (i, plan) in there.iter().enumerate() {
        let dots = records.last(plan.arm, "final_accuracy")?.into_iter().map(|a| (i as f64, 100.0 * a)).collect();
        panel = panel.with(Mark::Dots(Style::new("", i), dots));
    }
    let figure = Figure::new(
        "clean-accuracy",
        "Accuracy on clean test images at the end",
        "One dot a seed. `patch-few` trains on the clean images alone, the `plain` arms on all images without patches.",
    );
    conclusion.figure(figure.panel(panel));
    Ok(())
}

/// A metric of some arms by epoch.
fn panel(
    settings: &Images,
    records: &Records,
    drawn: &[(Plan, &str, usize)],
    title: &str,
    metric: &str,
) -> Result<Panel> {
    let mut panel = Panel::new(title, Axis::linear("epoch"), Axis::linear("accuracy").range(0.0, 1.02));
    for &(plan, label, colour) in drawn {
        records.first(plan.arm)?;
        let all: Vec<&Series> = records.arm(plan.arm).map(|task| task.series(metric)).collect::<Result<_>>()?;
        // Seeds of an arm have the same epochs.
        let at = |i: usize| all.iter().map(|series| series.points()[i].1.get()).collect::<Vec<_>>();
        let epochs = all.first().map_or(&[][..], |series| series.points());
        let (mut line, mut band) = (Vec::new(), Vec::new());
        for (i, point) in epochs.iter().enumerate() {
            let (x, values) = (point.0 as f64, at(i));
            let low = values.iter().copied().fold(f64::INFINITY, |m, v| if v < m { v } else { m });
            let high = values.iter().copied().fold(f64::NEG_INFINITY, |m, v| if v > m { v } else { m });
            line.push((x, mean(&values)));
            band.push((x, low, high));
        }
        if all.len() > 1 {
            panel = panel.with(Mark::Band(Style::new("", colour), band));
        }
        panel = panel.line(Style::new(label, colour), line);
    }
    Ok(panel.with(Mark::Vertical((settings.anneal - 1) as f64, "annealing".to_owned())))
}
