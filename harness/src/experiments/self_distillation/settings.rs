//! What can be set.

use serde::{Deserialize, Serialize};

use crate::config::Profile;

/// The settings of the experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Draws of noise over which the illustrative example is averaged.
    pub draws: u64,
    /// Kernels on images.
    pub images: ImageSettings,
    /// Networks on images of the same source.
    pub networks: NetworkSettings,
}

/// Settings of the experiments on images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSettings {
    /// The data set: `procedural`, or from the folder of `--data` one of `cifar10`, `mnist`, `fashion-mnist`; `auto` takes
    /// what there is, in this order.
    pub source: String,
    /// Rows and columns of a procedural image, in pixels.
    pub size: usize,
    /// The level of all nuisances of procedural images.
    pub nuisance: f64,
    /// Training images, a multiple of the number of classes.
    pub train: usize,
    /// Test images, likewise.
    pub test: usize,
    /// The share of training labels that are drawn anew.
    pub noise: f64,
    /// Tolerances, as shares of the mean square of the targets, in descending order.
    pub tolerances: Vec<f64>,
    /// Rounds of a chain at most.
    pub most_rounds: u64,
    /// Coefficients of the single fits that are tried, evenly in the logarithm.
    pub ridge_grid: u64,
    /// Whether there is a run without label noise beside the main one.
    pub clean: bool,
    /// Seeds: of the selection of images, of the noise, and of the pairs that set the width of the Gaussian kernel.
    pub seeds: u64,
}

/// Settings of the networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// Hidden units of the perceptron.
    pub hidden: usize,
    /// The tolerance of the perceptrons whose rounds stop at one, as a share of the mean square of one-hot targets around
    /// their mean; 0 for none.
    pub tolerance: f64,
    /// Chains of perceptrons without label noise.
    pub clean_chains: u64,
    /// Perceptrons. Images of more than 1024 values are averaged over blocks of 2 x 2 pixels until they have no more.
    pub perceptron: Training,
    /// The small convolutional network.
    pub convolutional: Training,
    /// The networks of the paper.
    pub deep: Training,
    /// Their names: `resnet50`, `vgg16`, or any other that `regularity bench step` knows.
    pub deep_networks: Vec<String>,
    /// Their data sets: `cifar10`, `cifar100`, or what `images.source` may be.
    pub deep_sources: Vec<String>,
}

/// How chains of networks are trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Chains of each arm, each with a seed: of its label noise, its initial weights and the order of its images. 0 for no
    /// such networks.
    pub chains: u64,
    /// Networks of a chain, the ordinary fit included.
    pub rounds: u64,
    /// Training images, a multiple of the number of classes; 0 for all that there are.
    pub train: usize,
    /// Test images, likewise.
    pub test: usize,
    /// The share of training labels that are drawn anew.
    pub noise: f64,
    /// Epochs of a network.
    pub epochs: u64,
    /// Images of a step.
    pub batch: usize,
    /// Adam's rate at the start; it falls to zero along half a cosine.
    pub rate: f64,
    /// Whether training images are cropped and mirrored at random.
    pub augment: bool,
    /// Weight decays of the arms whose loss is the squared distance of softmax outputs from their targets.
    pub squared_decays: Vec<f64>,
    /// Weight decays of the arms with cross-entropy.
    pub entropy_decays: Vec<f64>,
}

impl Training {
    /// No networks.
    const NONE: Self = Self {
        chains: 0,
        rounds: 0,
        train: 0,
        test: 0,
        noise: 0.0,
        epochs: 0,
        batch: 0,
        rate: 0.0,
        augment: false,
        squared_decays: Vec::new(),
        entropy_decays: Vec::new(),
    };

    /// The recipe of the perceptrons.
    fn perceptron() -> Self {
        Self {
            chains: 10,
            rounds: 6,
            train: 1500,
            test: 1000,
            noise: 0.3,
            epochs: 30,
            batch: 50,
            rate: 3e-3,
            augment: false,
            squared_decays: vec![0.0, 1e-3, 3e-3],
            entropy_decays: vec![1e-3, 3e-3],
        }
    }

    /// The recipe of the small convolutional network.
    fn convolutional() -> Self {
        Self {
            chains: 2,
            rounds: 5,
            train: 1500,
            test: 1000,
            noise: 0.2,
            epochs: 16,
            batch: 64,
            rate: 1e-3,
            augment: false,
            squared_decays: vec![1e-3],
            entropy_decays: Vec::new(),
        }
    }

    /// The recipe of the networks of the paper. Its own is not known: this is that of K. Borup and L. Andersen's code
    /// (2021) for ResNet-50 on CIFAR-10, with Adam's usual weight decay in place of their penalty on un-squared norms.
    fn deep() -> Self {
        Self {
            chains: 10,
            rounds: 5,
            train: 0,
            test: 0,
            noise: 0.0,
            epochs: 75,
            batch: 16,
            rate: 1e-4,
            augment: true,
            squared_decays: vec![1e-4],
            entropy_decays: vec![1e-4],
        }
    }
}

impl NetworkSettings {
    fn of(profile: Profile) -> Self {
        let (perceptron, convolutional) = (Training::perceptron(), Training::convolutional());
        let whole = Self {
            hidden: 256,
            tolerance: 0.65,
            clean_chains: 3,
            perceptron,
            convolutional,
            deep: Training::NONE,
            deep_networks: Vec::new(),
            deep_sources: Vec::new(),
        };
        let Self { perceptron, convolutional, .. } = whole.clone();
        match profile {
            Profile::Smoke => Self {
                hidden: 32,
                clean_chains: 1,
                perceptron: Training { chains: 2, rounds: 3, train: 200, test: 200, epochs: 8, ..perceptron },
                convolutional: Training { chains: 1, rounds: 2, train: 100, test: 100, epochs: 2, ..convolutional },
                ..whole
            },
            Profile::Quick => Self {
                clean_chains: 1,
                perceptron: Training {
                    chains: 5,
                    rounds: 3,
                    train: 500,
                    squared_decays: vec![0.0, 3e-3],
                    entropy_decays: vec![3e-3],
                    ..perceptron
                },
                convolutional: Training { chains: 1, rounds: 2, train: 300, test: 300, epochs: 8, ..convolutional },
                ..whole
            },
            Profile::Standard => whole,
            Profile::Paper => Self {
                deep: Training::deep(),
                deep_networks: ["resnet50", "vgg16"].map(str::to_owned).to_vec(),
                deep_sources: ["cifar10", "cifar100"].map(str::to_owned).to_vec(),
                ..whole
            },
        }
    }
}

impl Settings {
    /// The settings of a profile.
    #[must_use]
    pub fn of(profile: Profile) -> Self {
        let images = ImageSettings {
            source: "auto".to_owned(),
            size: 32,
            nuisance: 0.5,
            train: 200,
            test: 200,
            noise: 0.3,
            tolerances: vec![0.3, 0.1, 0.03, 0.01],
            most_rounds: 60,
            ridge_grid: 20,
            clean: false,
            seeds: 1,
        };
        let networks = NetworkSettings::of(profile);
        match profile {
            Profile::Smoke => Self { draws: 100, images, networks },
            Profile::Quick => {
                let images = ImageSettings { train: 1000, test: 1000, ridge_grid: 60, ..images };
                Self { draws: 1000, images, networks }
            }
            Profile::Standard | Profile::Paper => {
                let images = ImageSettings { train: 3000, test: 2000, ridge_grid: 60, clean: true, seeds: 3, ..images };
                Self { draws: 4000, images, networks }
            }
        }
    }
}
