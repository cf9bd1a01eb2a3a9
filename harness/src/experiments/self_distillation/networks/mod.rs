//! Self-distillation of networks: a chain is a network on the labels, then others on the outputs of the one before.
//!
//! The recipe is that of the paper as far as it is known: each round starts from fresh weights and learns the softmax
//! outputs that the last one has for the training images; all accuracies are against the labels of the beginning. Beside
//! each chain runs its *twin*, one more network on those labels, judged after each epoch: to stop it early is the other
//! regulariser, and where its training loss first comes down to that of a round, the two are compared.
//!
//! | module | what |
//! |---|---|
//! | [`data`] | images as networks take them |
//! | [`trainer`] | a network with its optimiser |
//! | [`chain`] | the arm: rounds and twin |
//! | [`verdicts`], [`figures`] | what they show |
//!
//! CALIBRATION.md beside this file tells how the settings were found.

pub(super) mod chain;
pub(super) mod data;
pub(super) mod figures;
pub(super) mod trainer;
pub(super) mod verdicts;

use crate::error::{Error, Result};
use crate::network::Network;

use super::settings::{NetworkSettings, Training};

/// Convolutions of the small network: channels and stride.
pub(super) const CONVOLUTIONS: [(usize, usize); 4] = [(16, 1), (32, 2), (64, 2), (64, 1)];

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Net {
    /// A perceptron with so many hidden units.
    Perceptron(usize),
    /// Plain convolutions.
    Convolutional,
    /// One of the paper's, with batch normalisation.
    Deep(Network),
}

/// What a network minimises, as a mean over examples; p is the softmax of its logits, t the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// `|p - t|^2`
    Squared,
    /// `- sum over classes of t ln p`
    Entropy,
}

impl Loss {
    /// Its name in arms.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Squared => "l2",
            Self::Entropy => "ce",
        }
    }
}

/// What part of the settings an arm belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Perceptron,
    Convolutional,
    /// With the place of its data set in `deep_sources`.
    Deep(usize),
}

/// What sets an arm apart from the others of its family, loss and decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Variant {
    /// Label noise as the settings say, rounds of a fixed length, and a twin.
    Main,
    /// The same without label noise and without a twin.
    Clean,
    /// Each round stops at the first epoch with this share of the mean square of the targets; no twin.
    Tolerance(f64),
}

/// An arm of networks.
#[derive(Debug, Clone)]
pub(super) struct Recipe<'a> {
    pub(super) arm: String,
    pub(super) family: Family,
    pub(super) net: Net,
    pub(super) loss: Loss,
    pub(super) decay: f64,
    pub(super) variant: Variant,
    pub(super) chains: u64,
    pub(super) training: &'a Training,
}

impl Recipe<'_> {
    /// The share of labels that are drawn anew.
    pub(super) fn noise(&self) -> f64 {
        if self.variant == Variant::Clean { 0.0 } else { self.training.noise }
    }

    /// An estimate of the work of a chain, in 10^9 operations of the speed of large convolutions.
    pub(super) fn gflop(&self) -> f64 {
        // Multiply-adds of a forward pass, in 10^6.
        let forward = match self.net {
            Net::Perceptron(hidden) => 800.0 * hidden as f64 / 1e6,
            Net::Convolutional => 5.1,
            Net::Deep(Network::Vgg16) => 313.0,
            Net::Deep(_) => 84.0,
        };
        let Training { rounds, epochs, train, test, .. } = *self.training;
        let (train, test) = if train == 0 { (50_000.0, 10_000.0) } else { (train as f64, test as f64) };
        // Forward and twice as much backward; a twin is judged after each epoch. Small layers reach half that speed.
        let twin = if self.variant == Variant::Main { 3.0 * train + train + test } else { 0.0 };
        4e-3 * forward * epochs as f64 * (rounds as f64 * 3.0 * train + twin)
    }
}

/// `3e-3` for 0.003, `0` for 0.
fn decay_name(decay: f64) -> String {
    if decay == 0.0 { "0".to_owned() } else { format!("{decay:e}") }
}

/// The main arms of a family: one for each loss and decay.
fn main_arms<'a>(prefix: &str, family: Family, net: Net, training: &'a Training) -> Vec<Recipe<'a>> {
    let squared = training.squared_decays.iter().map(|&decay| (Loss::Squared, decay));
    let entropy = training.entropy_decays.iter().map(|&decay| (Loss::Entropy, decay));
    let recipe = |(loss, decay): (Loss, f64)| Recipe {
        arm: format!("{prefix}-{}-wd{}", loss.name(), decay_name(decay)),
        family,
        net,
        loss,
        decay,
        variant: Variant::Main,
        chains: training.chains,
        training,
    };
    if training.chains == 0 { Vec::new() } else { squared.chain(entropy).map(recipe).collect() }
}

/// The arm with the strongest decay of a loss.
pub(super) fn strongest<'r, 'a>(recipes: &'r [Recipe<'a>], family: Family, loss: Loss) -> Option<&'r Recipe<'a>> {
    let own = recipes.iter().filter(|r| r.family == family && r.loss == loss && r.variant == Variant::Main);
    own.max_by(|a, b| a.decay.total_cmp(&b.decay))
}

/// All arms of networks, in the order of the plan.
///
/// # Errors
/// [`Error::Usage`] for settings that make no sense.
pub(super) fn recipes(settings: &NetworkSettings) -> Result<Vec<Recipe<'_>>> {
    let NetworkSettings { hidden, tolerance, clean_chains, perceptron, convolutional, deep, .. } = settings;
    for (name, training) in [("perceptron", perceptron), ("convolutional", convolutional), ("deep", deep)] {
        check(name, training)?;
    }
    if !(0.0..1.0).contains(tolerance) {
        return refuse(format!("networks.tolerance is {tolerance}"), "it is a share, from 0 to below 1");
    }
    let mut recipes = main_arms("mlp", Family::Perceptron, Net::Perceptron(*hidden), perceptron);
    if let Some(main) = strongest(&recipes, Family::Perceptron, Loss::Squared).cloned() {
        let of =
            |name: &str, variant, chains| Recipe { arm: format!("mlp-l2-{name}"), variant, chains, ..main.clone() };
        let stopped = (*tolerance > 0.0).then(|| of("tolerance", Variant::Tolerance(*tolerance), main.chains));
        let clean = (*clean_chains > 0).then(|| of("clean", Variant::Clean, *clean_chains));
        recipes.extend(stopped.into_iter().chain(clean));
    }
    recipes.extend(main_arms("cnn", Family::Convolutional, Net::Convolutional, convolutional));
    for (place, source) in settings.deep_sources.iter().enumerate() {
        for name in &settings.deep_networks {
            let net = Net::Deep(name.parse::<Network>()?);
            recipes.extend(main_arms(&format!("{name}-{source}"), Family::Deep(place), net, deep));
        }
    }
    Ok(recipes)
}

fn refuse<T>(message: String, help: &str) -> Result<T> {
    Err(Error::Usage { message, help: help.to_owned() })
}

fn check(name: &str, training: &Training) -> Result<()> {
    let Training { chains, rounds, noise, epochs, batch, rate, squared_decays, entropy_decays, .. } = training;
    if *chains == 0 {
        return Ok(());
    }
    for (what, count) in [("rounds", *rounds), ("epochs", *epochs), ("batch", *batch as u64)] {
        if count == 0 {
            return refuse(format!("networks.{name}.{what} is 0"), "it must be at least 1");
        }
    }
    if !(0.0..=1.0).contains(noise) {
        return refuse(format!("networks.{name}.noise is {noise}"), "it is a share, from 0 to 1");
    }
    let positive = |x: f64| x >= 0.0 && x.is_finite();
    if !positive(*rate) || !squared_decays.iter().chain(entropy_decays).all(|&decay| positive(decay)) {
        let decays = format!("{squared_decays:?} and {entropy_decays:?}");
        return refuse(
            format!("networks.{name}: the rate is {rate}, and the decays are {decays}"),
            "they must be finite numbers from 0 on",
        );
    }
    Ok(())
}
