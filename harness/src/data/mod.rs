//! Images with labels: where they come from, which of them take part, and how they reach a network.
//!
//! ```text
//! Source      a data set: CIFAR, IDX files, or images made by a procedure
//!   | load    one split, as bytes
//! Images
//!   | select  a class-balanced subset without the excluded records; its digest names the data of a run
//! Subset
//!   | pool    optional: means over 2 x 2 pixels, exact
//! Examples
//!   | fill    normalised f32, [n, h, w, c], each example cropped and flipped by its own keyed draws
//! batch
//! ```
//!
//! The same selection gives the same bits everywhere: draws are keyed ([`regularity_engine::random`]), pixels are
//! integers until the one division of the normalisation, and the procedural images use no function of the platform.
//!
//! # Sources
//! | name | files, below the folder that is given | classes |
//! |---|---|---|
//! | `cifar10` | `data_batch_1.bin` ... `test_batch.bin`, also in `cifar-10-batches-bin/`, or `cifar-10-binary.tar.gz` | 10 |
//! | `cifar100` | `train.bin`, `test.bin`, also in `cifar-100-binary/`, or `cifar-100-binary.tar.gz` | 100 or 20 |
//! | `mnist`, `fashion-mnist` | the four IDX files, plain or `.gz`, also in a folder of the data set's name | 10 |
//! | `procedural` | none | 10 |

mod augment;
mod cifar;
mod error;
mod examples;
mod files;
mod idx;
mod inexact;
mod procedural;
mod select;
#[cfg(test)]
mod tests;
mod verify;

use std::fmt::{self, Debug};

use regularity_engine::Context;

pub use augment::{Augment, View};
pub use cifar::{Cifar, Labels};
pub use error::{DataError, Result};
pub use examples::{Batches, Examples, Normalization};
pub use idx::{Collection, Idx};
pub use procedural::{Nuisance, Procedural};
pub use select::{Subset, select};
pub use verify::{FileReport, Report, SplitReport, verify};

/// Training or test images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// To train on.
    Train,
    /// To judge by.
    Test,
}

impl Split {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Train, Self::Test];

    /// `train` or `test`, as digests and keys of draws spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// Values of a pixel: 3 for colours (red, green, blue), 1 for grey.
    pub channels: usize,
}

impl Shape {
    /// Values of an image.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.height * self.width * self.channels
    }
    /// Whether an image has no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Images and their labels, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// The size of each.
    pub shape: Shape,
    /// `[image, row, column, channel]`, channels innermost, 0 dark to 255 bright.
    pub pixels: Vec<u8>,
    /// The class of each image.
    pub labels: Vec<u8>,
}

impl Images {
    /// The number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
    /// The pixels of one image, `[row, column, channel]`.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn image(&self, index: usize) -> &[u8] {
        &self.pixels[index * self.shape.len()..][..self.shape.len()]
    }
    /// How many images there are of each class.
    #[must_use]
    pub fn histogram(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &label in &self.labels {
            if let Some(count) = counts.get_mut(usize::from(label)) {
                *count += 1;
            }
        }
        counts
    }
}

/// A data set.
pub trait Source: Debug + Send + Sync {
    /// The name, as configurations and digests spell it.
    fn name(&self) -> &'static str;
    /// The size of its images.
    fn shape(&self) -> Shape;
    /// The names of its classes; labels are places in this list.
    fn classes(&self) -> &[&'static str];
    /// All images of a split, in the order of the files.
    ///
    /// # Errors
    /// [`DataError`] that names the file and the record.
    fn load(&self, context: &Context, split: Split) -> Result<Images>;
    /// The images of a split that no experiment uses, as ascending places in what [`load`](Self::load) gives, and why
    /// stands with the source. None unless it says so.
    fn excluded(&self, split: Split) -> Vec<usize> {
        let _ = split;
        Vec::new()
    }
}
