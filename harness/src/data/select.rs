//! Which images take part.

use regularity_engine::digest::{Digest, Digester};
use regularity_engine::random::Stream;

use super::error::{DataError, Result};
use super::{Images, Source, Split};

/// A part of a split, in the order of selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subset {
    /// The name of the source.
    pub source: &'static str,
    /// The split it comes from.
    pub split: Split,
    /// The place of each selected record in the split.
    pub records: Vec<u32>,
    /// The selected images.
    pub images: Images,
}

impl Subset {
    /// The digest of the selected records: source, split, places, labels and pixels. Records that were not selected,
    /// and how the files were packed, do not enter.
    ///
    /// # Errors
    /// None in practice; the engine's error type for shapes.
    pub fn digest(&self) -> Result<Digest> {
        let Images { shape, pixels, labels } = &self.images;
        let n = labels.len();
        let name = |what: &str| format!("{}/{}/{what}", self.source, self.split);
        Ok(Digester::new()
            .tensor(&name("record"), &[n], &self.records)?
            .tensor(&name("label"), &[n], labels)?
            .tensor(&name("pixel"), &[n, shape.height, shape.width, shape.channels], pixels)?
            .finish())
    }
}

/// Selects from `images`, which is what `source` loads for `split`, never an excluded record.
///
/// With a number for `per_class`, that many of each class, drawn by `seed` and arranged in rounds
/// ([`Stream::class_balanced`]): the beginning of a larger selection is the smaller one. Without, all records in the
/// order of the files.
///
/// # Errors
/// [`DataError::Request`] if a class has too few records, naming the class.
pub fn select(
    source: &dyn Source,
    images: &Images,
    split: Split,
    per_class: Option<usize>,
    seed: u64,
) -> Result<Subset> {
    let mut excluded = source.excluded(split);
    excluded.retain(|&record| record < images.len()); // a sample of a data set may end before
    let chosen: Vec<usize> = match per_class {
        None => {
            let mut excluded = excluded.into_iter().peekable();
            (0..images.len()).filter(|&record| excluded.next_if_eq(&record).is_none()).collect()
        }
        Some(per_class) => {
            let classes = source.classes().len();
            let mut room = images.histogram(classes);
            for &record in &excluded {
                room[usize::from(images.labels[record])] -= 1;
            }
            if let Some(class) = room.iter().position(|&room| room < per_class) {
                return Err(DataError::Request {
                    what: "the number of images for each class",
                    requirement: "at most what every class has to offer",
                    actual: format!(
                        "{per_class}, and class {class} ({}) of {} {split} has {}",
                        source.classes()[class],
                        source.name(),
                        room[class]
                    ),
                });
            }
            let stream = Stream::new(seed, &format!("data/select/{}/{split}", source.name()), 0);
            stream.class_balanced(&images.labels, &vec![per_class; classes], &excluded)?
        }
    };
    let mut subset = Images {
        shape: images.shape,
        pixels: Vec::with_capacity(chosen.len() * images.shape.len()),
        labels: Vec::with_capacity(chosen.len()),
    };
    for &record in &chosen {
        subset.pixels.extend_from_slice(images.image(record));
        subset.labels.push(images.labels[record]);
    }
    let records = chosen.into_iter().map(|record| record as u32).collect(); // no split has 2^32 records
    Ok(Subset { source: source.name(), split, records, images: subset })
}
