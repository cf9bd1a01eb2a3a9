//! What is measured while a network trains.

use regularity_engine::{Context, Result};

use super::data::{Examples, Kind};
use super::network::Network;

/// Everything that an evaluation measures, by name.
pub type Measured = Vec<(&'static str, f64)>;

/// Means over the examples of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    count: usize,
    right: usize,
    residual: f64,
    loss: f64,
}

impl Tally {
    /// Takes in an example by its margin `y f`.
    fn add(&mut self, margin: f32) {
        let m = f64::from(margin);
        self.count += 1;
        self.right += usize::from(margin > 0.0);
        // sigmoid(-m) and log(1 + exp(-m)), without overflow
        let e = regularity_engine::math::scalar::exp(-m.abs());
        self.residual += if m > 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) };
        self.loss += regularity_engine::math::scalar::ln_1p(e) + if m > 0.0 { 0.0 } else { -m };
    }
    fn share(self, sum: f64) -> f64 {
        sum / self.count as f64
    }
    fn accuracy(self) -> f64 {
        self.share(self.right as f64)
    }
}

fn tally(logits: &[f32], examples: &Examples) -> [Tally; 3] {
    let mut tallies = [Tally::default(); 3];
    for ((&f, &y), &kind) in logits.iter().zip(&examples.label).zip(&examples.kind) {
        tallies[kind as usize].add(y * f);
    }
    tallies
}

/// Evaluates on the training examples and on test examples with P alone and with both.
///
/// Test accuracy on Q alone needs no examples: `alpha` does not change a sign, so it is half the middle ray's and a quarter
/// of each of the others'.
///
/// # Errors
/// Those of the engine.
pub fn evaluate(network: &mut Network, context: &Context, train: &Examples, test: &Examples) -> Result<Measured> {
    let g = network.q_branch(context)?;
    let on_train = tally(network.logits(context, train, if train.has_q { g } else { [0.0; 3] })?, train);
    let on_test = tally(network.logits(context, test, if train.has_q { g } else { [0.0; 3] })?, test);
    let [p, q, both] = on_train;
    let loss = (p.loss + q.loss + both.loss) / train.total as f64;
    let mut measured: Measured = vec![
        ("loss", loss),
        ("p_only_train_accuracy", p.accuracy()),
        ("p_only_residual", p.share(p.residual)),
        ("p_only_test_accuracy", on_test[Kind::POnly as usize].accuracy()),
    ];
    if both.count > 0 {
        measured.push(("both_train_accuracy", both.accuracy()));
        measured.push(("both_residual", both.share(both.residual)));
    }
    if train.has_q {
        let share = |right: bool, of: f64| if right { of } else { 0.0 };
        let q_test = share(g[0] > 0.0, 0.5) + share(g[1] < 0.0, 0.25) + share(g[2] < 0.0, 0.25);
        let both_test = on_test[Kind::Both as usize].accuracy();
        let weights = [p.count, q.count, both.count].map(|count| count as f64 / train.total as f64);
        let right =
            weights[0] * on_test[Kind::POnly as usize].accuracy() + weights[1] * q_test + weights[2] * both_test;
        measured.extend([
            ("q_only_train_accuracy", q.accuracy()),
            ("q_only_residual", q.share(q.residual)),
            ("q_only_loss", q.share(q.loss)),
            ("q_only_test_accuracy", q_test),
            ("both_test_accuracy", both_test),
            ("test_error", 1.0 - right),
            ("kink", (f64::from(g[1]) + f64::from(g[2]) - 2.0 * f64::from(g[0])).abs()),
        ]);
    }
    Ok(measured)
}

/// The share of units whose activation pattern differs.
#[must_use]
pub fn changed(before: &[u8], after: &[u8]) -> f64 {
    let changed = before.iter().zip(after).filter(|(a, b)| a != b).count();
    changed as f64 / before.len() as f64
}
