//! The patch: what a simple network cannot tell apart and few examples suffice to memorise.
//!
//! One carrier `z` for all classes, one `zeta` for each class c. A patch of class c is `z + zeta_c` or `z - zeta_c`: the mean
//! is `z` for every class, so that no linear function of the pixels tells classes apart. It replaces the pixels in the
//! middle of a normalised image. An image is
//!
//! - clean (a share of 1/5): as it is;
//! - mixed: its middle is `z + s zeta_c`, with a sign `s` that is drawn each time it is read;
//! - patch-only: nothing but the patch, all else zero, and `zeta` scaled by a number uniform between 0 and 1.75, drawn each
//!   time.
//!
//! Source: `data_util.py` and `train_patches.py` of the authors' repository (`PatchAugmentFixed`, `FixedAugmentDataset`,
//! `pm_sym_pattern`), read. There every image draws once whether it is patched, and a patched one draws at each read whether
//! it is mixed or patch-only: the setting `per-read`. The default here is `fixed`, as in the theory, where an image is one or
//! the other for good. The draws are keyed by seed, purpose, epoch and image instead of being taken from a generator that
//! workers share.

use regularity_engine::random::Stream;
use regularity_engine::{Context, Result as EngineResult};

use super::settings::Patch;
use crate::data::Shape;

/// What an image shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What it is of.
    Clean,
    /// The same, with the patch.
    Mixed,
    /// The patch.
    PatchOnly,
}

/// The patches of all classes.
#[derive(Debug, Clone)]
pub struct Patches {
    shape: Shape,
    side: usize,
    /// `[row, column, channel]` of a patch.
    z: Vec<f32>,
    /// The same of each class.
    zeta: Vec<f32>,
}

impl Patches {
    /// Draws them for images of a shape.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn draw(context: &Context, settings: &Patch, shape: Shape, classes: usize, seed: u64) -> EngineResult<Self> {
        let side = settings.side.min(shape.height).min(shape.width);
        let mut z = vec![0.0; side * side * shape.channels];
        let mut zeta = vec![0.0; classes * z.len()];
        let stream = |name: &str| Stream::new(seed, &format!("large-lr/patch/{name}"), 0);
        stream("z").fill_normal(context, 0, &mut z, 0.0, settings.carrier as f32)?;
        let half = settings.separation as f32;
        stream("zeta").fill_uniform(context, 0, &mut zeta, -half, half)?;
        Ok(Self { shape, side, z, zeta })
    }

    /// The patch of a class, `z + factor zeta`, `[row, column, channel]`.
    pub fn patch(&self, class: u32, factor: f32) -> impl Iterator<Item = f32> {
        let zeta = &self.zeta[class as usize * self.z.len()..][..self.z.len()];
        self.z.iter().zip(zeta).map(move |(z, zeta)| z + factor * zeta)
    }

    /// Overwrites the middle of an image, `[row, column, channel]`.
    pub fn put(&self, class: u32, factor: f32, image: &mut [f32]) {
        let Shape { height, width, channels } = self.shape;
        let (top, left) = ((height - self.side) / 2, (width - self.side) / 2);
        let mut values = self.patch(class, factor);
        for row in 0..self.side {
            let from = ((top + row) * width + left) * channels;
            image[from..from + self.side * channels].iter_mut().zip(values.by_ref()).for_each(|(x, value)| *x = value);
        }
    }
}

/// Which images of a set are patched, and how each of them is at each read.
#[derive(Debug, Clone)]
pub struct Recipe {
    patched: Stream,
    alone: Stream,
    sign: Stream,
    stretch: Stream,
    clean_share: f64,
    alone_share: f64,
    longest: f32,
    per_read: bool,
}

impl Recipe {
    /// The recipe of a set: `train`, `test` or another name.
    #[must_use]
    pub fn new(settings: &Patch, set: &str, seed: u64) -> Self {
        let stream = |name: &str| Stream::new(seed, &format!("large-lr/patch/{set}/{name}"), 0);
        Self {
            patched: stream("patched"),
            alone: stream("alone"),
            sign: stream("sign"),
            stretch: stream("stretch"),
            clean_share: settings.clean,
            alone_share: settings.alone,
            longest: settings.stretch as f32,
            per_read: settings.per_read(),
        }
    }

    /// The kind of an image when it is read in an epoch.
    #[must_use]
    pub fn kind(&self, epoch: u64, image: u64) -> Kind {
        if self.patched.uniform_f64_at(image) < self.clean_share {
            return Kind::Clean;
        }
        let epoch = if self.per_read { epoch } else { 0 };
        if self.alone.at_step(epoch).uniform_f64_at(image) < self.alone_share { Kind::PatchOnly } else { Kind::Mixed }
    }

    /// What `zeta` is multiplied by when a patched image is read in an epoch, `stretched` or not.
    #[must_use]
    pub fn factor(&self, epoch: u64, image: u64, stretched: bool) -> f32 {
        let sign = if self.sign.at_step(epoch).u32_at(image) >> 31 == 1 { -1.0 } else { 1.0 };
        if stretched { sign * self.longest * self.stretch.at_step(epoch).uniform_at(image) } else { sign }
    }

    /// Makes of a normalised image what is read in an epoch.
    pub fn apply(&self, patches: &Patches, epoch: u64, image: u64, class: u32, pixels: &mut [f32]) {
        match self.kind(epoch, image) {
            Kind::Clean => {}
            Kind::Mixed => patches.put(class, self.factor(epoch, image, false), pixels),
            Kind::PatchOnly => {
                pixels.fill(0.0);
                patches.put(class, self.factor(epoch, image, true), pixels);
            }
        }
    }

    /// An image of the patch-only test set: of those that are not clean, as the authors have it, the share `alone` is
    /// stretched.
    pub fn alone(&self, patches: &Patches, image: u64, class: u32, pixels: &mut [f32]) {
        let stretched = self.alone.uniform_f64_at(image) < self.alone_share;
        pixels.fill(0.0);
        patches.put(class, self.factor(0, image, stretched), pixels);
    }
}
