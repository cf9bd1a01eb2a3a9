//! MNIST (Y. LeCun et al.) and Fashion-MNIST (H. Xiao et al.) in the IDX format, plain or gzipped.
//!
//! A file of images is the magic number `0x00000803`, then the numbers of images, rows and columns, then a byte a pixel;
//! a file of labels is `0x00000801`, the number of labels, then a byte each. Numbers are 32-bit, big-endian.

use std::path::{Path, PathBuf};

use regularity_engine::Context;

use super::error::{DataError, Result};
use super::files::{self, Bytes};
use super::{Images, Shape, Source, Split};

const SHAPE: Shape = Shape { height: 28, width: 28, channels: 1 };
const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;

/// Which data set: their files have the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// Handwritten digits.
    Mnist,
    /// Articles of clothing.
    FashionMnist,
}

impl Collection {
    const fn title(self) -> &'static str {
        match self {
            Self::Mnist => "MNIST",
            Self::FashionMnist => "Fashion-MNIST",
        }
    }
    /// Where the files may lie. The folder itself comes last for Fashion-MNIST, so that a folder that holds both data
    /// sets gives each its own.
    const fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Mnist => &["", "mnist", "MNIST/raw"],
            Self::FashionMnist => &["fashion-mnist", "FashionMNIST/raw", ""],
        }
    }
}

/// Names of the files of images and of labels; some copies have a dot for the last hyphen.
pub(super) const fn names(split: Split) -> [[&'static str; 4]; 2] {
    match split {
        Split::Train => [
            [
                "train-images-idx3-ubyte",
                "train-images-idx3-ubyte.gz",
                "train-images.idx3-ubyte",
                "train-images.idx3-ubyte.gz",
            ],
            [
                "train-labels-idx1-ubyte",
                "train-labels-idx1-ubyte.gz",
                "train-labels.idx1-ubyte",
                "train-labels.idx1-ubyte.gz",
            ],
        ],
        Split::Test => [
            [
                "t10k-images-idx3-ubyte",
                "t10k-images-idx3-ubyte.gz",
                "t10k-images.idx3-ubyte",
                "t10k-images.idx3-ubyte.gz",
            ],
            [
                "t10k-labels-idx1-ubyte",
                "t10k-labels-idx1-ubyte.gz",
                "t10k-labels.idx1-ubyte",
                "t10k-labels.idx1-ubyte.gz",
            ],
        ],
    }
}

/// MNIST or Fashion-MNIST on disk.
#[derive(Debug)]
pub struct Idx {
    collection: Collection,
    folder: PathBuf,
}

impl Idx {
    /// Finds the data set below `folder`.
    ///
    /// # Errors
    /// [`DataError::Missing`].
    pub fn open(collection: Collection, folder: &Path) -> Result<Self> {
        let [images, _] = names(Split::Train);
        let folders: Vec<PathBuf> = collection.folders().iter().map(|name| folder.join(name)).collect();
        let found = folders.into_iter().find(|folder| images.iter().any(|name| folder.join(name).is_file()));
        let found = found.ok_or_else(|| DataError::Missing {
            what: collection.title(),
            folder: folder.to_owned(),
            expected: format!("{} (nor .gz)", images[0]),
        })?;
        Ok(Self { collection, folder: found })
    }

    /// The files of images and of labels.
    pub(super) fn paths(&self, split: Split) -> Result<[PathBuf; 2]> {
        let [images, labels] = names(split);
        let find = |names: &[&str]| {
            files::first_file(std::slice::from_ref(&self.folder), names).ok_or_else(|| DataError::Missing {
                what: self.collection.title(),
                folder: self.folder.clone(),
                expected: format!("{} (nor .gz)", names[0]),
            })
        };
        Ok([find(&images)?, find(&labels)?])
    }
}

/// The dimensions behind the magic number, and the bytes behind them.
fn header<'a, const N: usize>(file: &'a Bytes, magic: u32, what: &'static str) -> Result<([usize; N], &'a [u8])> {
    let word = |i: usize| file.bytes.get(4 * i..4 * i + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let actual = word(0).unwrap_or(0);
    if actual != magic {
        return Err(DataError::Magic { file: file.file.clone(), what, expected: magic, actual });
    }
    let mut dimensions = [0; N];
    for (i, dimension) in dimensions.iter_mut().enumerate() {
        let word = word(i + 1).ok_or_else(|| DataError::Count {
            file: file.file.clone(),
            what: "bytes of header",
            expected: 4 * (N + 1),
            actual: file.bytes.len(),
        })?;
        *dimension = word as usize;
    }
    Ok((dimensions, &file.bytes[4 * (N + 1)..]))
}

/// Whether `bytes` are `records` of `len` bytes and nothing else.
fn check_records(file: &Bytes, bytes: &[u8], records: usize, len: usize, what: &'static str) -> Result<()> {
    let whole = bytes.len() / len;
    let file = || file.file.clone();
    if whole < records && !bytes.len().is_multiple_of(len) {
        let actual = bytes.len() % len;
        return Err(DataError::Truncated { file: file(), record: whole, expected: len, actual });
    }
    if whole != records || !bytes.len().is_multiple_of(len) {
        return Err(DataError::Count { file: file(), what, expected: records, actual: bytes.len().div_ceil(len) });
    }
    Ok(())
}

impl Source for Idx {
    fn name(&self) -> &'static str {
        match self.collection {
            Collection::Mnist => "mnist",
            Collection::FashionMnist => "fashion-mnist",
        }
    }
    fn shape(&self) -> Shape {
        SHAPE
    }
    fn classes(&self) -> &[&'static str] {
        match self.collection {
            Collection::Mnist => &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
            Collection::FashionMnist => {
                &["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
            }
        }
    }
    fn load(&self, _: &Context, split: Split) -> Result<Images> {
        let [images, labels] = self.paths(split)?;
        let (images, labels) = (files::read(&images)?, files::read(&labels)?);
        let ([count, height, width], pixels) = header::<3>(&images, IMAGES, "images")?;
        let ([label_count], label_bytes) = header::<1>(&labels, LABELS, "labels")?;
        for (what, expected, actual) in
            [("rows in an image", SHAPE.height, height), ("columns in an image", SHAPE.width, width)]
        {
            if expected != actual {
                return Err(DataError::Count { file: images.file, what, expected, actual });
            }
        }
        check_records(&images, pixels, count, SHAPE.len(), "images")?;
        check_records(&labels, label_bytes, label_count, 1, "labels")?;
        if label_count != count {
            let what = "labels";
            return Err(DataError::Count { file: labels.file, what, expected: count, actual: label_count });
        }
        let classes = self.classes().len();
        if let Some(record) = label_bytes.iter().position(|&label| usize::from(label) >= classes) {
            let (file, label) = (labels.file.clone(), label_bytes[record]);
            return Err(DataError::Label { file, record, label, classes });
        }
        Ok(Images { shape: SHAPE, pixels: pixels.to_vec(), labels: label_bytes.to_vec() })
    }
}
