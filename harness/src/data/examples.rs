//! Images as a network takes them: pooled, normalised, in batches.

use regularity_engine::random::Stream;

use super::augment::{CROP, FLIP};
use super::error::{DataError, Result};
use super::{Augment, Images, Shape, View};

/// Images whose pixels are exact means of blocks of the original ones, with their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examples {
    shape: Shape,
    /// `[image, row, column, channel]`; the pixel is `value / unit`.
    values: Vec<u16>,
    unit: u16,
    labels: Vec<u8>,
}

/// What is taken from each channel, and what it is divided by, in units of a pixel (0 to 255).
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    /// One value a channel.
    pub mean: Vec<f32>,
    /// One value a channel, positive.
    pub std: Vec<f32>,
}

impl Normalization {
    /// The constants of CIFAR-10 that wide residual networks are usually trained with.
    #[must_use]
    pub fn cifar10() -> Self {
        Self { mean: vec![125.3, 123.0, 113.9], std: vec![63.0, 62.1, 66.7] }
    }
}

impl Examples {
    /// All images, as they are.
    #[must_use]
    pub fn new(images: &Images) -> Self {
        let values = images.pixels.iter().map(|&x| u16::from(x)).collect();
        Self { shape: images.shape, values, unit: 1, labels: images.labels.clone() }
    }

    /// Means over blocks of 2 x 2 pixels, exact: nothing is rounded, so pooling twice is pooling 4 x 4.
    ///
    /// # Errors
    /// [`DataError::Request`] if height or width is odd, or after the fourth time.
    pub fn pool(&self) -> Result<Self> {
        let Shape { height, width, channels } = self.shape;
        let refuse = |what, requirement, actual: String| Err(DataError::Request { what, requirement, actual });
        if height % 2 != 0 || width % 2 != 0 || self.shape.is_empty() {
            return refuse("the size of an image to pool", "even", format!("{height} x {width}"));
        }
        // 255 * 4^4 fits into 16 bits.
        let Some(unit) = self.unit.checked_mul(4).filter(|&unit| unit <= 256) else {
            return refuse("the number of poolings", "at most 4", "5".to_owned());
        };
        let shape = Shape { height: height / 2, width: width / 2, channels };
        let row = width * channels;
        let mut values = Vec::with_capacity(self.labels.len() * shape.len());
        for rows in self.values.chunks_exact(2 * row) {
            let (upper, lower) = rows.split_at(row);
            for (upper, lower) in upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels)) {
                let sum = |c: usize| upper[c] + upper[c + channels] + lower[c] + lower[c + channels];
                values.extend((0..channels).map(sum));
            }
        }
        Ok(Self { shape, values, unit, labels: self.labels.clone() })
    }

    /// The size of an example.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }
    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
    /// The class of each example.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Mean and standard deviation of each channel over all pixels of all examples.
    ///
    /// Sums and sums of squares are exact integers; then one division each, a difference and a square root in `f64`, and
    /// one rounding to `f32`.
    ///
    /// # Errors
    /// [`DataError::Request`] without pixels, or if a channel is constant.
    pub fn statistics(&self) -> Result<Normalization> {
        let channels = self.shape.channels;
        let mut sums = vec![(0u64, 0u64); channels];
        for pixel in self.values.chunks_exact(channels.max(1)) {
            for (&x, (sum, squares)) in pixel.iter().zip(&mut sums) {
                *sum += u64::from(x);
                *squares += u64::from(x) * u64::from(x); // below 2^32 each, so 2^32 pixels fit
            }
        }
        let count = (self.values.len() / channels.max(1)) as f64;
        let unit = f64::from(self.unit);
        let mut normalization = Normalization { mean: Vec::new(), std: Vec::new() };
        for (sum, squares) in sums {
            let mean = sum as f64 / count;
            let variance = squares as f64 / count - mean * mean;
            if variance.is_nan() || variance <= 0.0 {
                let (what, requirement) = ("a channel to normalise", "one whose pixels differ");
                return Err(DataError::Request { what, requirement, actual: format!("constant at {}", mean / unit) });
            }
            normalization.mean.push((mean / unit) as f32);
            normalization.std.push((variance.sqrt() / unit) as f32);
        }
        Ok(normalization)
    }

    /// Prepares batches with this normalisation.
    ///
    /// # Errors
    /// [`DataError::Request`] unless there are a finite mean and a positive finite deviation for each channel.
    pub fn normalized(&self, by: &Normalization) -> Result<Batches<'_>> {
        let channels = self.shape.channels;
        let fits = by.mean.len() == channels && by.std.len() == channels;
        let sound = by.mean.iter().all(|m| m.is_finite()) && by.std.iter().all(|s| *s > 0.0 && s.is_finite());
        if !(fits && sound) {
            return Err(DataError::Request {
                what: "a normalisation",
                requirement: "a finite mean and a positive standard deviation for each channel",
                actual: format!("{by:?} for {channels} channels"),
            });
        }
        let values = 255 * usize::from(self.unit) + 1;
        let mut table = Vec::with_capacity(channels * values);
        for (&mean, &std) in by.mean.iter().zip(&by.std) {
            // value / unit is exact: a power of two
            table.extend((0..values).map(|value| (value as f32 / f32::from(self.unit) - mean) / std));
        }
        Ok(Batches { examples: self, table, values })
    }
}

/// Examples as normalised `f32`: `(pixel - mean) / std`, two roundings.
#[derive(Debug)]
pub struct Batches<'a> {
    examples: &'a Examples,
    /// The result for each channel and value.
    table: Vec<f32>,
    values: usize,
}

impl Batches<'_> {
    /// Writes `indices.len()` examples to `images` (`[n, h, w, c]`) and their classes to `labels`, each example as seen
    /// by its view in `epoch` ([`Augment::view`] of its index).
    ///
    /// # Errors
    /// [`DataError::Request`] if an index is not below the number of examples, a buffer has not the batch's size, or the
    /// padding reaches beyond the image.
    pub fn fill(
        &self,
        indices: &[u32],
        augment: Augment,
        seed: u64,
        epoch: u64,
        images: &mut [f32],
        labels: &mut [u32],
    ) -> Result<()> {
        let shape = self.examples.shape;
        let refuse = |what, requirement, actual: String| Err(DataError::Request { what, requirement, actual });
        if images.len() != indices.len() * shape.len() || labels.len() != indices.len() {
            let actual = format!("{} values and {} labels", images.len(), labels.len());
            return refuse("the buffers of a batch", "as large as the batch", actual);
        }
        if augment.padding >= shape.height || augment.padding >= shape.width {
            let actual = augment.padding.to_string();
            return refuse("the padding of a crop", "below height and width", actual);
        }
        let (crop, flip) = (Stream::new(seed, CROP, epoch), Stream::new(seed, FLIP, epoch));
        for ((&index, out), label) in indices.iter().zip(images.chunks_exact_mut(shape.len())).zip(labels) {
            let Some(&class) = self.examples.labels.get(index as usize) else {
                let actual = format!("{index} of {}", self.examples.len());
                return refuse("the index of an example", "below their number", actual);
            };
            *label = u32::from(class);
            let view = match augment == Augment::default() {
                true => View::default(),
                false => augment.view_from(&crop, &flip, u64::from(index)),
            };
            self.write(index as usize, view, out);
        }
        Ok(())
    }

    /// Writes one view of one example, which there is.
    fn write(&self, index: usize, view: View, out: &mut [f32]) {
        let shape = self.examples.shape;
        let image = &self.examples.values[index * shape.len()..][..shape.len()];
        for (row, out) in out.chunks_exact_mut(shape.width * shape.channels).enumerate() {
            for (column, out) in out.chunks_exact_mut(shape.channels).enumerate() {
                let (from_row, from_column) = view.source(shape, row, column);
                let pixel = &image[(from_row * shape.width + from_column) * shape.channels..][..shape.channels];
                for ((out, &value), table) in out.iter_mut().zip(pixel).zip(self.table.chunks_exact(self.values)) {
                    *out = table[usize::from(value)];
                }
            }
        }
    }
}
