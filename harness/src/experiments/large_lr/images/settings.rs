//! The settings of the experiments on images.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::experiments::selected::Wanted;
use crate::network::Network;

/// Images, network and training, shared by all arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// The data set: `procedural`, or from the folder of `--data` one of `cifar10`, `mnist`, `fashion-mnist`; `auto`
    /// takes what there is, in this order.
    pub source: String,
    /// Rows and columns of an image at most: larger ones become means of 2 x 2 pixels, again and again.
    pub size: usize,
    /// The level of all nuisances of procedural images.
    pub nuisance: f64,
    /// Training images, a multiple of the number of classes.
    pub train: usize,
    /// Test images, likewise; all of them are looked at after the last epoch.
    pub test: usize,
    /// The first of the test images, which are looked at during training too.
    pub watched: usize,
    /// The network: `wrn-D-K`.
    pub network: String,
    /// Images in a batch; the last one of an epoch may be smaller.
    pub batch: usize,
    /// Epochs.
    pub epochs: u64,
    /// The first epoch, counted from 1, with the small learning rate and without noise in all arms.
    pub anneal: u64,
    /// The large learning rate.
    pub large: f64,
    /// The small one.
    pub small: f64,
    /// Standard deviation of the noise before activations.
    pub noise: f64,
    /// Momentum, Nesterov's.
    pub momentum: f64,
    /// Weight decay on all parameters.
    pub weight_decay: f64,
    /// Epochs from one look at the test images to the next.
    pub every: u64,
}

/// The patch, and which images have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// Seeds for each arm; 0 leaves this part out.
    pub seeds: u64,
    /// Rows and columns of the patch.
    pub side: usize,
    /// Standard deviation of `z`, which all classes share.
    pub carrier: f64,
    /// `zeta` of each class is uniform between minus and plus this.
    pub separation: f64,
    /// In patch-only images `zeta` is scaled by a number uniform between 0 and this.
    pub stretch: f64,
    /// The share of images that stay clean.
    pub clean: f64,
    /// The share of patched images that show the patch alone.
    pub alone: f64,
    /// `fixed`: an image is mixed or patch-only for the whole run; `per-read`: drawn anew each time it is read.
    pub split: String,
    /// Images of the patch-only test set.
    pub test: usize,
}

/// Images as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {
    /// Seeds for each arm; 0 leaves this part out.
    pub seeds: u64,
    /// What is not as with patches.
    pub schedule: Schedule,
}

/// A training whose learning rates all fall by one factor, again and again, in place of one fall to the small rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Epochs.
    pub epochs: u64,
    /// The first epochs, counted from 1, with a smaller learning rate; noise ends with the first of them.
    pub milestones: Vec<u64>,
    /// What the learning rate is multiplied with at each.
    pub factor: f64,
    /// The small learning rate at the start.
    pub small: f64,
    /// Standard deviation of the noise before activations, until the first milestone.
    pub noise: f64,
}

impl Plain {
    /// The settings for images as they are: `images` with what the schedule has instead.
    #[must_use]
    pub fn training(&self, images: &Images) -> Images {
        let Schedule { epochs, ref milestones, small, noise, .. } = self.schedule;
        Images { epochs, anneal: milestones.first().copied().unwrap_or(epochs), small, noise, ..images.clone() }
    }

    /// Whether the settings make sense together, and with those of the images.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting.
    pub fn check(&self, images: &Images) -> Result<()> {
        let Schedule { epochs, milestones, factor, small, noise } = &self.schedule;
        let ascending = milestones.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = milestones.iter().all(|epoch| (images.every + 1..=*epochs).contains(epoch));
        let milestones_fit = !milestones.is_empty() && ascending && inside;
        let fits = [
            ("milestones", milestones_fit, "ascending epochs from images.every + 1 to plain.schedule.epochs"),
            ("factor", *factor > 0.0 && *factor < 1.0, "between 0 and 1"),
            ("small", *small > 0.0 && small.is_finite(), "positive"),
            ("noise", *noise >= 0.0 && noise.is_finite(), "zero or positive"),
        ];
        let check = |(name, fits, must): (&str, bool, &str)| {
            if fits { Ok(()) } else { refuse(&format!("plain.schedule.{name}"), must) }
        };
        fits.into_iter().try_for_each(check)
    }
}

impl Schedule {
    /// What the learning rate is multiplied with in an epoch, counted from 1.
    #[must_use]
    pub fn factor(&self, epoch: u64) -> f64 {
        self.milestones.iter().take_while(|&&first| first <= epoch).fold(1.0, |product, _| product * self.factor)
    }
}

/// The refusal of a setting.
pub(in super::super) fn refuse(name: &str, must: &str) -> Result<()> {
    Err(Error::Usage {
        message: format!("the setting {name} must be {must}"),
        help: "`regularity run large-lr --dry-run` shows every setting with its value".to_owned(),
    })
}

impl Images {
    /// The images to select.
    #[must_use]
    pub fn wanted(&self) -> Wanted<'_> {
        let Self { source, size, nuisance, train, test, .. } = self;
        Wanted { source, size: *size, nuisance: *nuisance, train: *train, test: *test }
    }

    /// Depth and width of the network.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is no wide residual network.
    pub fn shape(&self) -> Result<[usize; 2]> {
        match self.network.parse()? {
            Network::Wide { depth, width } => Ok([depth, width]),
            Network::ResNet(_) | Network::Vgg16 => Err(Error::Usage {
                message: format!("{} has no noise before its activations", self.network),
                help: "images.network is wrn-D-K, such as wrn-10-1".to_owned(),
            }),
        }
    }

    /// What a run costs: 10^9 operations, and memory in MiB.
    ///
    /// # Errors
    /// As [`shape`](Self::shape).
    pub fn cost(&self) -> Result<(f64, usize)> {
        let [depth, width] = self.shape()?;
        let (blocks, pixels) = (((depth - 4) / 6) as f64, (self.size * self.size) as f64);
        let (mut c_in, mut multiplications) = (16.0, pixels * 16.0 * 27.0);
        for group in 0..3 {
            let (c, pixels) = ((16 << group) as f64 * width as f64, pixels / f64::from(1 << (2 * group)));
            let projection = if c_in == c { 0.0 } else { c_in * c };
            multiplications += pixels * (9.0 * (c_in * c + (2.0 * blocks - 1.0) * c * c) + projection);
            c_in = c;
        }
        // Forward, and backward to data and weights; looks at test images are a tenth of it.
        let images = self.train as f64 * self.epochs as f64 * 1.1;
        let memory = 1 + (self.batch * self.size * self.size * 16 * width * 4 * 8 * (depth - 4) / 6) / (1 << 20);
        Ok((6.0 * multiplications * images * 1e-9, memory))
    }

    /// Steps in an epoch.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.train.div_ceil(self.batch.max(1)) as u64
    }

    /// Whether the settings make sense together.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting.
    pub fn check(&self) -> Result<()> {
        self.shape()?;
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let fits = [
            ("images.size", self.size >= 4, "at least 4"),
            ("images.watched", (1..=self.test).contains(&self.watched), "at least 1 and at most images.test"),
            ("images.batch", (1..=self.train).contains(&self.batch), "at least 1 and at most images.train"),
            ("images.anneal", (2..=self.epochs).contains(&self.anneal), "from 2 to images.epochs"),
            ("images.every", (1..self.anneal).contains(&self.every), "at least 1 and below images.anneal"),
            ("images.large", positive(self.large), "positive"),
            ("images.small", positive(self.small), "positive"),
            ("images.noise", self.noise >= 0.0 && self.noise.is_finite(), "zero or positive"),
            ("images.momentum", (0.0..1.0).contains(&self.momentum), "in [0, 1)"),
            ("images.weight_decay", self.weight_decay >= 0.0 && self.weight_decay.is_finite(), "zero or positive"),
        ];
        fits.into_iter().try_for_each(|(name, fits, must)| if fits { Ok(()) } else { refuse(name, must) })
    }
}

impl Patch {
    /// Whether mixed or patch-only is drawn at each read.
    #[must_use]
    pub fn per_read(&self) -> bool {
        self.split == "per-read"
    }

    /// Whether the settings make sense together, for images of at most that size.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting.
    pub fn check(&self, size: usize) -> Result<()> {
        let finite = |x: f64| x >= 0.0 && x.is_finite();
        let fits = [
            ("patch.side", (1..=size).contains(&self.side), "at least 1 and at most the size of an image"),
            ("patch.carrier", finite(self.carrier), "zero or positive"),
            ("patch.separation", finite(self.separation), "zero or positive"),
            ("patch.stretch", finite(self.stretch), "zero or positive"),
            ("patch.clean", self.clean > 0.0 && self.clean <= 1.0, "in (0, 1]"),
            ("patch.alone", (0.0..=1.0).contains(&self.alone), "in [0, 1]"),
            ("patch.split", ["fixed", "per-read"].contains(&self.split.as_str()), "fixed or per-read"),
            ("patch.test", self.test > 0, "at least 1"),
        ];
        fits.into_iter().try_for_each(|(name, fits, must)| if fits { Ok(()) } else { refuse(name, must) })
    }
}
