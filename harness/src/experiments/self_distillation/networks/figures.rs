//! Figures of the networks: mean and standard deviation over chains, by round.

use super::verdicts::Chains;
use super::{Family, Loss, Recipe, Variant, recipes};
use crate::error::Result;
use crate::experiments::statistics::{mean, standard_deviation};
use crate::experiments::{Axis, Conclusion, Figure, Mark, Panel, Style};
use crate::record::Records;

use super::super::settings::NetworkSettings;

/// What the paper shows for its networks, as far as anybody remembers.
const PAPER: &str = "The paper shows for its deep networks that training accuracy against the labels of the beginning falls \
                     with each round, and that test accuracy first rises and then falls (recalled, not read).";

/// Adds all figures of networks.
///
/// # Errors
/// Settings that make no sense.
pub(in super::super) fn draw(settings: &NetworkSettings, records: &Records, conclusion: &mut Conclusion) -> Result<()> {
    let all = recipes(settings)?;
    let mut families: Vec<Family> = Vec::new();
    for recipe in &all {
        if !families.contains(&recipe.family) {
            families.push(recipe.family);
        }
    }
    for family in families {
        let main: Vec<_> = all.iter().filter(|r| r.family == family && r.variant == Variant::Main).collect();
        let (name, title) = match family {
            Family::Perceptron => ("perceptrons".to_owned(), "Perceptrons".to_owned()),
            Family::Convolutional => ("convolutional".to_owned(), "Convolutional network".to_owned()),
            Family::Deep(i) => (format!("deep-{i}"), format!("Networks of the paper, {}", settings.deep_sources[i])),
        };
        conclusion.figure(accuracies(records, &main, &name, &title));
        conclusion.figure(twins(records, &main, &name, &title));
    }
    let variants: Vec<_> = all.iter().filter(|r| r.variant != Variant::Main).collect();
    if !variants.is_empty() {
        let caption = "Left and right as in the figure of the perceptrons. With a tolerance each round stops at the first epoch \
                       that comes within it of the round's targets, and the chain ends when none does or when the targets \
                       lie within it of having no preference; only rounds that all chains made are drawn.";
        let figure = Figure::new("variants", "Perceptrons with a tolerance, and without label noise", caption);
        conclusion.figure(panels(figure, records, &variants));
    }
    Ok(())
}

/// Mean, with a band of one standard deviation over chains.
fn curve(panel: Panel, style: Style, by_round: &[Vec<f64>]) -> Panel {
    let points = || by_round.iter().enumerate().filter(|(_, values)| !values.is_empty());
    let band = points().map(|(t, values)| {
        let (mean, deviation) = (mean(values), standard_deviation(values));
        (t as f64, mean - deviation, mean + deviation)
    });
    let band = Mark::Band(Style::new("", style.colour), band.collect());
    let line: Vec<_> = points().map(|(t, values)| (t as f64, mean(values))).collect();
    // A dashed line's band would hide that of the full one.
    let panel = if style.dashed { panel } else { panel.with(band) };
    panel.line(style, line)
}

fn panels(mut figure: Figure, records: &Records, arms: &[&Recipe<'_>]) -> Figure {
    for (metric, title) in [("test_accuracy", "Test"), ("train_accuracy", "Training, against its labels")] {
        let mut panel = Panel::new(title, Axis::linear("round t"), Axis::linear("accuracy"));
        for (colour, recipe) in arms.iter().enumerate() {
            let style = Style::new(&recipe.arm, colour % 8);
            panel = curve(panel, style, &Chains::of(records, recipe).by_round(metric));
        }
        figure = figure.panel(panel);
    }
    figure
}

fn accuracies(records: &Records, arms: &[&Recipe<'_>], name: &str, title: &str) -> Figure {
    let noise = arms.first().map_or(0.0, |recipe| recipe.noise());
    let caption = format!(
        "Mean over chains, with a band of one standard deviation; {:.0} % of the training labels were drawn anew. Loss (l2: \
         squared distance of the softmax outputs from the targets; ce: cross-entropy) and weight decay (wd) in the \
         legend. {PAPER}",
        100.0 * noise
    );
    panels(Figure::new(format!("{name}-rounds"), format!("{title} by round"), caption), records, arms)
}

/// Chains against their early-stopped twins.
fn twins(records: &Records, arms: &[&Recipe<'_>], name: &str, title: &str) -> Figure {
    let caption = "Full: test accuracy of the rounds. Dashed: the twin, a network on the labels of the beginning, at the first \
                   epoch at which its training loss is no greater than that of the round; means over the chains in which \
                   there is one. The paper finds them different (recalled, not read).";
    let mut figure = Figure::new(format!("{name}-twins"), format!("{title} against early stopping"), caption);
    for (loss, title) in [(Loss::Squared, "Squared error"), (Loss::Entropy, "Cross-entropy")] {
        let own: Vec<_> = arms.iter().filter(|r| r.loss == loss).collect();
        if own.is_empty() {
            continue;
        }
        let mut panel = Panel::new(title, Axis::linear("round t"), Axis::linear("test accuracy"));
        for (colour, recipe) in arms.iter().enumerate().filter(|(_, r)| r.loss == loss) {
            let pairs = Chains::of(records, recipe).matched();
            let half = |which: fn(&(f64, f64)) -> f64| -> Vec<Vec<f64>> {
                pairs.iter().map(|pairs| pairs.iter().map(which).collect()).collect()
            };
            panel = curve(panel, Style::new(&recipe.arm, colour % 8), &half(|pair| pair.0));
            let style = Style::new(format!("{}, stopped early", recipe.arm), colour % 8).dashed();
            panel = curve(panel, style, &half(|pair| pair.1));
        }
        figure = figure.panel(panel);
    }
    figure
}
