//! CIFAR-10 and CIFAR-100 in the binary version of their authors (A. Krizhevsky, "Learning Multiple Layers of Features
//! from Tiny Images", 2009).
//!
//! A record is one label (CIFAR-10) or a coarse and a fine label (CIFAR-100), a byte each, then 32 x 32 red values by
//! rows, then the green ones, then the blue ones. A file is records and nothing else.

use std::path::{Path, PathBuf};

use regularity_engine::Context;

use super::error::{DataError, Result};
use super::files::{self, Bytes};
use super::{Images, Shape, Source, Split, inexact};

const SHAPE: Shape = Shape { height: 32, width: 32, channels: 3 };
const PIXELS: usize = SHAPE.height * SHAPE.width;

/// Which label of CIFAR-100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// One of 20 groups.
    Coarse,
    /// One of 100 classes.
    Fine,
}

/// What distinguishes the two data sets on disk.
#[derive(Debug)]
pub(super) struct Layout {
    pub name: &'static str,
    pub title: &'static str,
    /// Bytes before the pixels.
    pub label_bytes: usize,
    /// Files with their number of records.
    pub train: &'static [(&'static str, usize)],
    pub test: &'static [(&'static str, usize)],
    /// Where the files may lie, below the folder that is given.
    pub folders: &'static [&'static str],
    pub archive: &'static str,
}

pub(super) const TEN: Layout = Layout {
    name: "cifar10",
    title: "CIFAR-10",
    label_bytes: 1,
    train: &[
        ("data_batch_1.bin", 10_000),
        ("data_batch_2.bin", 10_000),
        ("data_batch_3.bin", 10_000),
        ("data_batch_4.bin", 10_000),
        ("data_batch_5.bin", 10_000),
    ],
    test: &[("test_batch.bin", 10_000)],
    folders: &["", "cifar-10-batches-bin", "cifar10", "cifar-10"],
    archive: "cifar-10-binary.tar.gz",
};
pub(super) const HUNDRED: Layout = Layout {
    name: "cifar100",
    title: "CIFAR-100",
    label_bytes: 2,
    train: &[("train.bin", 50_000)],
    test: &[("test.bin", 10_000)],
    folders: &["", "cifar-100-binary", "cifar100", "cifar-100", "cifar-100-subset"],
    archive: "cifar-100-binary.tar.gz",
};

impl Layout {
    pub(super) fn files(&self, split: Split) -> &'static [(&'static str, usize)] {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }
}

/// Where the files were found.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Folder(PathBuf),
    Archive(PathBuf),
}

/// CIFAR-10 or CIFAR-100 on disk.
#[derive(Debug)]
pub struct Cifar {
    pub(super) layout: &'static Layout,
    pub(super) place: Place,
    labels: Labels,
    /// Whether files may have fewer records than the official ones.
    partial: bool,
}

impl Cifar {
    /// Finds CIFAR-10 below `folder`: the six files, or the official archive.
    ///
    /// # Errors
    /// [`DataError::Missing`].
    pub fn ten(folder: &Path) -> Result<Self> {
        Self::find(&TEN, folder, Labels::Fine)
    }

    /// Finds CIFAR-100 below `folder`: the two files, or the official archive.
    ///
    /// # Errors
    /// [`DataError::Missing`].
    pub fn hundred(folder: &Path, labels: Labels) -> Result<Self> {
        Self::find(&HUNDRED, folder, labels)
    }

    fn find(layout: &'static Layout, folder: &Path, labels: Labels) -> Result<Self> {
        let (first, _) = layout.train[0];
        let folders: Vec<PathBuf> = layout.folders.iter().map(|name| folder.join(name)).collect();
        let unpacked = folders.iter().find(|folder| folder.join(first).is_file()).cloned().map(Place::Folder);
        let place = unpacked.or_else(|| files::first_file(&folders, &[layout.archive]).map(Place::Archive));
        let place = place.ok_or_else(|| DataError::Missing {
            what: layout.title,
            folder: folder.to_owned(),
            expected: format!("{first} (nor {}), also not in a folder {}", layout.archive, layout.folders[1]),
        })?;
        Ok(Self { layout, place, labels, partial: false })
    }

    /// Accepts files with fewer (but whole) records than the official ones: samples of a data set.
    ///
    /// Excluded records are those of the official files, so a sample that leaves out records in between must not be
    /// used where goldens are compared.
    #[must_use]
    pub fn partial(self) -> Self {
        Self { partial: true, ..self }
    }

    pub(super) fn read(&self, split: Split) -> Result<Vec<Bytes>> {
        let names: Vec<&str> = self.layout.files(split).iter().map(|&(name, _)| name).collect();
        match &self.place {
            Place::Folder(folder) => names.iter().map(|name| self.read_plain(folder, name)).collect(),
            Place::Archive(path) => files::members(path, &names),
        }
    }

    fn read_plain(&self, folder: &Path, name: &str) -> Result<Bytes> {
        let path = folder.join(name);
        if !path.is_file() {
            let (what, folder) = (self.layout.title, folder.to_owned());
            return Err(DataError::Missing { what, folder, expected: name.to_owned() });
        }
        files::read(&path)
    }

    /// Appends the records of one file.
    fn append(&self, file: &Bytes, official: usize, images: &mut Images) -> Result<()> {
        let record_len = self.layout.label_bytes + SHAPE.len();
        let (records, rest) = (file.bytes.len() / record_len, file.bytes.len() % record_len);
        let name = || file.file.clone();
        if rest != 0 {
            return Err(DataError::Truncated { file: name(), record: records, expected: record_len, actual: rest });
        }
        if records > official || (records < official && !self.partial) {
            return Err(DataError::Count { file: name(), what: "records", expected: official, actual: records });
        }
        let classes = self.classes().len();
        for (record, bytes) in file.bytes.chunks_exact(record_len).enumerate() {
            let (labels, planes) = bytes.split_at(self.layout.label_bytes);
            let label = match self.labels {
                Labels::Coarse => labels[0],
                Labels::Fine => labels[labels.len() - 1],
            };
            if usize::from(label) >= classes {
                return Err(DataError::Label { file: name(), record, label, classes });
            }
            images.labels.push(label);
            let (red, rest) = planes.split_at(PIXELS);
            let (green, blue) = rest.split_at(PIXELS);
            let pixels = red.iter().zip(green).zip(blue);
            images.pixels.extend(pixels.flat_map(|((&r, &g), &b)| [r, g, b]));
        }
        Ok(())
    }
}

impl Source for Cifar {
    fn name(&self) -> &'static str {
        match self.labels {
            Labels::Coarse => "cifar100-coarse",
            Labels::Fine => self.layout.name,
        }
    }
    fn shape(&self) -> Shape {
        SHAPE
    }
    fn classes(&self) -> &[&'static str] {
        match (self.layout.label_bytes, self.labels) {
            (1, _) => &TEN_CLASSES,
            (_, Labels::Coarse) => &COARSE_CLASSES,
            (_, Labels::Fine) => &FINE_CLASSES,
        }
    }
    fn load(&self, _: &Context, split: Split) -> Result<Images> {
        let mut images = Images { shape: SHAPE, pixels: Vec::new(), labels: Vec::new() };
        for (file, &(_, records)) in self.read(split)?.iter().zip(self.layout.files(split)) {
            self.append(file, records, &mut images)?;
        }
        Ok(images)
    }
    fn excluded(&self, split: Split) -> Vec<usize> {
        if self.layout.label_bytes != 1 {
            return Vec::new();
        }
        let mut first = 0;
        let mut all = Vec::new();
        for &(name, records) in self.layout.files(split) {
            let of_file = inexact::CIFAR_10.iter().find(|(file, _)| *file == name).map_or(&[][..], |(_, list)| list);
            all.extend(of_file.iter().map(|record| first + record));
            first += records;
        }
        all
    }
}

const TEN_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const COARSE_CLASSES: [&str; 20] = [
    "aquatic_mammals",
    "fish",
    "flowers",
    "food_containers",
    "fruit_and_vegetables",
    "household_electrical_devices",
    "household_furniture",
    "insects",
    "large_carnivores",
    "large_man-made_outdoor_things",
    "large_natural_outdoor_scenes",
    "large_omnivores_and_herbivores",
    "medium_mammals",
    "non-insect_invertebrates",
    "people",
    "reptiles",
    "small_mammals",
    "trees",
    "vehicles_1",
    "vehicles_2",
];
const FINE_CLASSES: [&str; 100] = [
    "apple",
    "aquarium_fish",
    "baby",
    "bear",
    "beaver",
    "bed",
    "bee",
    "beetle",
    "bicycle",
    "bottle",
    "bowl",
    "boy",
    "bridge",
    "bus",
    "butterfly",
    "camel",
    "can",
    "castle",
    "caterpillar",
    "cattle",
    "chair",
    "chimpanzee",
    "clock",
    "cloud",
    "cockroach",
    "couch",
    "crab",
    "crocodile",
    "cup",
    "dinosaur",
    "dolphin",
    "elephant",
    "flatfish",
    "forest",
    "fox",
    "girl",
    "hamster",
    "house",
    "kangaroo",
    "keyboard",
    "lamp",
    "lawn_mower",
    "leopard",
    "lion",
    "lizard",
    "lobster",
    "man",
    "maple_tree",
    "motorcycle",
    "mountain",
    "mouse",
    "mushroom",
    "oak_tree",
    "orange",
    "orchid",
    "otter",
    "palm_tree",
    "pear",
    "pickup_truck",
    "pine_tree",
    "plain",
    "plate",
    "poppy",
    "porcupine",
    "possum",
    "rabbit",
    "raccoon",
    "ray",
    "road",
    "rocket",
    "rose",
    "sea",
    "seal",
    "shark",
    "shrew",
    "skunk",
    "skyscraper",
    "snail",
    "snake",
    "spider",
    "squirrel",
    "streetcar",
    "sunflower",
    "sweet_pepper",
    "table",
    "tank",
    "telephone",
    "television",
    "tiger",
    "tractor",
    "train",
    "trout",
    "tulip",
    "turtle",
    "wardrobe",
    "whale",
    "willow_tree",
    "wolf",
    "woman",
    "worm",
];
