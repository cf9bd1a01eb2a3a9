//! Images as the network reads them.

use std::path::Path;

use regularity_engine::Context;

use super::settings::Images;
use crate::data::{Augment, Examples, Normalization, Shape, Subset};
use crate::error::Result;
use crate::experiments::selected::Selected;
use crate::experiments::{DataFacts, Dataset};

/// Training and test images, pooled and normalised; empty if no arm wants any.
#[derive(Debug, Default)]
pub struct Pictures {
    /// To train on.
    pub train: Set,
    /// To judge by.
    pub test: Set,
    /// The number of classes.
    pub classes: usize,
}

/// Images with their classes.
#[derive(Debug)]
pub struct Set {
    /// The size of each.
    pub shape: Shape,
    /// `[image, row, column, channel]`.
    pub pixels: Vec<f32>,
    /// The class of each image.
    pub labels: Vec<u32>,
}

impl Default for Set {
    fn default() -> Self {
        let shape = Shape { height: 0, width: 0, channels: 0 };
        Self { shape, pixels: Vec::new(), labels: Vec::new() }
    }
}

impl Set {
    /// The pixels of one image.
    #[must_use]
    pub fn image(&self, index: usize) -> &[f32] {
        &self.pixels[index * self.shape.len()..][..self.shape.len()]
    }
}

/// Loads or makes the images and prepares them: CIFAR-10 with the authors' constants, other images with the mean and the
/// deviation of the training images.
///
/// # Errors
/// Data that is missing or damaged, settings that make no sense together, and images that cannot be pooled.
pub fn load(context: &Context, settings: &Images, folder: Option<&Path>) -> Result<Dataset<Pictures>> {
    let Selected { train, test, classes, facts } = settings.wanted().select(context, folder)?;
    let pooled = |subset: &Subset| -> Result<Examples> {
        let mut examples = Examples::new(&subset.images);
        while examples.shape().height > settings.size {
            examples = examples.pool()?;
        }
        Ok(examples)
    };
    let is_cifar = train.source == "cifar10";
    let (train, test) = (pooled(&train)?, pooled(&test)?);
    let by = if is_cifar { Normalization::cifar10() } else { train.statistics()? };
    let set = |examples: &Examples| -> Result<Set> {
        let (shape, n) = (examples.shape(), examples.len());
        let (mut pixels, mut labels) = (vec![0.0; n * shape.len()], vec![0; n]);
        let all: Vec<u32> = (0..n as u32).collect(); // no split has 2^32 records
        examples.normalized(&by)?.fill(&all, Augment::default(), 0, 0, &mut pixels, &mut labels)?;
        Ok(Set { shape, pixels, labels })
    };
    Ok(Dataset { data: Pictures { train: set(&train)?, test: set(&test)?, classes }, facts })
}

/// No images, where no arm wants any.
#[must_use]
pub fn nothing() -> Dataset<Pictures> {
    Dataset { data: Pictures::default(), facts: DataFacts::default() }
}
