//! Figures of the order of learning: one panel for what is learned, over time.

use super::run::{LARGE, PLANS, Plan, SMALL, SMALL_NOISE};
use crate::error::Result;
use crate::experiments::{Axis, Conclusion, Figure, Mark, Panel, Style};
use crate::record::{Records, TaskRecord};

/// The arms that are drawn, with their names and colours.
const DRAWN: [(Plan, &str, usize); 3] =
    [(LARGE, "large, then small", 0), (SMALL, "small", 1), (SMALL_NOISE, "small with noise", 2)];

/// Draws all figures. Lines are those of the first seed; the end points of all seeds stand in the last figure.
pub fn draw(records: &Records, conclusion: &mut Conclusion) -> Result<()> {
    let order = Figure::new(
        "learning-order",
        "The order of learning",
        "Training accuracy on Q-only examples, test accuracy on P-only ones and the kink of the Q branch against time (sum \
         of learning rates), first seed. The paper's theorems (recalled, not read) say: with a small learning rate Q is \
         learned first and P badly; with a large one P first, Q after annealing (vertical line).",
    );
    let order = order
        .panel(panel(records, "Q-only, training", "q_only_train_accuracy", Axis::linear("accuracy").range(0.0, 1.02))?)
        .panel(panel(records, "P-only, test", "p_only_test_accuracy", Axis::linear("accuracy").range(0.5, 1.02))?)
        .panel(panel(records, "Kink", "kink", Axis::linear("|g(z+ζ) + g(z-ζ) - 2 g(z)|"))?);
    conclusion.figure(order);

    let residuals = Figure::new(
        "residuals",
        "Which examples give gradient",
        "Mean residual (0.5: nothing learned, 0: fitted) of examples with both patterns, with P alone and with Q alone, \
         first seed. With a small learning rate those with both fall silent while P-only ones are not yet fitted.",
    );
    let axis = || Axis::linear("mean residual").range(0.0, 0.55);
    let residuals = residuals
        .panel(panel(records, "both", "both_residual", axis())?)
        .panel(panel(records, "P-only", "p_only_residual", axis())?)
        .panel(panel(records, "Q-only", "q_only_residual", axis())?);
    conclusion.figure(residuals);

    let short = |plan: &Plan| plan.arm.trim_start_matches("theory-").to_owned();
    let mut ends = Panel::new(
        "",
        Axis::linear("").names(PLANS.iter().enumerate().map(|(i, plan)| (i as f64, short(plan)))),
        Axis::linear("P-only test error (%)"),
    );
    for (i, plan) in PLANS.iter().enumerate() {
        let errors = records.last(plan.arm, "p_only_test_accuracy")?.into_iter().map(|a| 100.0 * (1.0 - a));
        let dots = errors.map(|error| (i as f64, error)).collect();
        ends = ends.with(Mark::Dots(Style::new("", i), dots));
    }
    let figure = Figure::new(
        "p-only-errors",
        "Test error on P-only examples at the end",
        "One dot a seed. Without Q patterns (no-q) both learning rates learn P from all examples that hold it; `few` \
         has the P-only examples alone.",
    );
    conclusion.figure(figure.panel(ends));
    Ok(())
}

/// A metric of the first seed of each arm over time.
fn panel(records: &Records, title: &str, metric: &str, y: Axis) -> Result<Panel> {
    let mut panel = Panel::new(title, Axis::log("time"), y);
    for (plan, label, colour) in DRAWN {
        let task = records.first(plan.arm)?;
        let line = times(task)?.into_iter().zip(task.series(metric)?.values());
        panel = panel.line(Style::new(label, colour), line.filter(|(time, _)| *time > 0.0));
    }
    let annealing = records.first(LARGE.arm)?.last("annealing_time")?;
    Ok(panel.with(Mark::Vertical(annealing, "annealing".to_owned())))
}

/// The time of each evaluation.
fn times(task: &TaskRecord) -> Result<Vec<f64>> {
    Ok(task.series("time")?.values())
}
