//! The figures.

use super::kernels::{Kernel, sine};
use super::line::LABELS;
use super::settings::Settings;
use super::toy_arms::{FIGURE_STRIDE, Part};
use super::{image_arm, image_arms};
use crate::error::Result;
use crate::experiments::{Axis, Conclusion, Figure, Mark, Panel, Style};
use crate::record::{Records, TaskRecord};

/// Points of curves that are functions of the kernel alone.
const CURVE: usize = 101;

/// Adds all figures.
///
/// # Errors
/// A metric that is missing.
pub fn draw(settings: &Settings, records: &Records, conclusion: &mut Conclusion) -> Result<()> {
    let spline = records.first(Part::Spline.arm())?;
    conclusion.figure(illustration(spline)?);
    conclusion.figure(diagonals(spline)?);
    conclusion.figure(errors(spline)?);
    for (kernel, noisy) in image_arms(&settings.images) {
        let arm = image_arm::name(kernel, noisy);
        let first = records.arm(&arm).next();
        if let Some(task) = first {
            conclusion.figure(rounds(settings, task, &arm, noisy));
        }
    }
    Ok(())
}

fn rounds_of(task: &TaskRecord) -> Result<usize> {
    Ok(task.last("fits")? as usize)
}

/// The kernel, and the sequence of fits.
fn illustration(task: &TaskRecord) -> Result<Figure> {
    let xs = || (0..CURVE).map(|i| i as f64 / (CURVE - 1) as f64);
    let mut kernel = Panel::new("Green's function", Axis::linear("x"), Axis::linear("g(x, s)"));
    for (colour, s) in [0.25, 0.5, 0.75].into_iter().enumerate() {
        kernel = kernel.line(Style::new(format!("s = {s}"), colour), xs().map(|x| (x, Kernel::Spline.at(x, s))));
    }
    let mut fits = Panel::new("Fits by round", Axis::linear("x"), Axis::linear("f(x)"))
        .line(Style::new("truth", 7).dashed(), xs().map(|x| (x, sine(x))));
    let points = LABELS.iter().enumerate().map(|(k, &y)| (k as f64 / 10.0, y)).collect();
    fits = fits.with(Mark::Dots(Style::new("labels", 7), points));
    for t in 0..rounds_of(task)? {
        let line = task.series(&format!("function/{t}"))?.xy();
        // Steps are places in the grid on which fits are judged.
        let scale = 1.0 / (FIGURE_STRIDE * (CURVE - 1)) as f64;
        fits = fits.line(Style::new(format!("t = {t}"), t % 7), line.map(move |(i, f)| (i * scale, f)));
    }
    let caption = "Left: the kernel of the illustrative example at three points. Right: eleven noisy labels, and the fits of \
                   the rounds: the first follows the noise, the second is nearest to the truth, later ones are over-smooth; \
                   then zero is within the tolerance. The paper's figure shows the same sequence (recalled, not read).";
    Ok(Figure::new("illustration", "The illustrative example", caption).panel(kernel).panel(fits))
}

/// Bars of the diagonals of A and B.
fn diagonals(task: &TaskRecord) -> Result<Figure> {
    let caption = "What a round (left) and all rounds so far (right) make of each direction of the kernel, strongest first. \
                   The last two directions are out of the kernel's reach. The products become sparse; the paper's figure shows \
                   the same bars for four rounds (recalled, not read).";
    let mut figure = Figure::new("diagonals", "Diagonals of A and B", caption);
    let count = rounds_of(task)?;
    let width = 0.8 / count.max(1) as f64;
    for (name, title) in [("a", "A: one round"), ("b", "B: all rounds")] {
        let mut panel = Panel::new(title, Axis::linear("direction"), Axis::linear("factor").range(0.0, 1.0));
        for t in 0..count {
            let shift = (t as f64 - 0.5 * (count as f64 - 1.0)) * width;
            let bars = task.series(&format!("{name}/{t}"))?.xy().map(|(k, x)| (k + 1.0 + shift, x)).collect();
            panel = panel.with(Mark::Bars(Style::new(format!("t = {t}"), t % 7), width, bars));
        }
        figure = figure.panel(panel);
    }
    Ok(figure)
}

/// Training and test error by round.
fn errors(task: &TaskRecord) -> Result<Figure> {
    let mut panel = Panel::new("Errors by round", Axis::linear("round t"), Axis::linear("mean squared error"));
    for (colour, (metric, label)) in
        [("training_error", "against the labels"), ("test_error", "against the truth")].into_iter().enumerate()
    {
        panel = panel.line(Style::new(label, colour), task.series(metric)?.xy());
    }
    if let Ok(single) = task.series("single/test_error") {
        panel = panel.line(Style::new("single fit of the same training error", 1).dashed(), single.xy());
    }
    let caption = "The error against the noisy labels grows in every round; that against the truth falls once and then grows. \
                   Dashed: single fits with the same training error are worse on the truth, if not by much.";
    Ok(Figure::new("errors", "Errors of the illustrative example", caption).panel(panel))
}

/// Accuracies on images by round, a panel for each tolerance; the first seed.
fn rounds(settings: &Settings, task: &TaskRecord, arm: &str, noisy: bool) -> Figure {
    let kernel = if arm.starts_with("rbf") { "Gaussian kernel" } else { "neural tangent kernel" };
    let labels = if noisy {
        format!("{:.0} % of the training labels drawn anew", 100.0 * settings.images.noise)
    } else {
        "no label noise".to_owned()
    };
    let caption = format!(
        "One seed, {labels}. Each panel is a chain at one tolerance (share of the mean square of the targets), to its collapse. \
         Dashed: single fits stopped at the same training error. The paper reports for deep networks that test accuracy \
         first rises and then falls, and that training accuracy against the first labels falls (recalled, not read)."
    );
    let mut figure = Figure::new(format!("rounds-{arm}"), format!("Accuracy by round, {kernel}"), caption);
    for (i, tolerance) in settings.images.tolerances.iter().enumerate() {
        let y = Axis::linear("accuracy").range(0.0, 1.0);
        let mut panel = Panel::new(format!("tolerance {tolerance}"), Axis::linear("round t"), y);
        let lines = [
            ("test_accuracy", Style::new("test", 0)),
            ("single/test_accuracy", Style::new("test, single fit", 0).dashed()),
            ("train_accuracy", Style::new("training, against its labels", 1)),
            ("clean_accuracy", Style::new("training, against the true labels", 2)),
        ];
        for (metric, style) in lines {
            if let Some(series) = task.series.get(&format!("{i}/{metric}")) {
                panel = panel.line(style, series.xy());
            }
        }
        figure = figure.panel(panel);
    }
    figure
}
