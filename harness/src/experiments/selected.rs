//! The images of a run: where they come from, and which take part.

use std::path::Path;

use regularity_engine::Context;
use regularity_engine::digest::Digester;

use super::{DataFacts, Picture};
use crate::data::{Cifar, Collection, DataError, Idx, Labels, Nuisance, Procedural, Source, Split, Subset, select};
use crate::error::{Error, Result};

/// The seed of procedural images and of the selection: all seeds of a run share the images.
const SEED: u64 = 1;
/// Training images that the report shows.
const SHOWN: usize = 10;

/// Which images an experiment asks for. Messages call these settings `images.source` and so on.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The data set: `procedural`, or from the folder of `--data` one of `cifar10`, `cifar100`, `mnist`,
    /// `fashion-mnist`; `auto` takes the CIFAR-10 or the MNIST that is there, in this order.
    pub source: &'a str,
    /// Rows and columns of a procedural image, in pixels.
    pub size: usize,
    /// The level of all nuisances of procedural images.
    pub nuisance: f64,
    /// Training images, a multiple of the number of classes.
    pub train: usize,
    /// Test images, likewise.
    pub test: usize,
}

/// What was selected, as many images of each class as of any other.
#[derive(Debug)]
pub struct Selected {
    /// To train on.
    pub train: Subset,
    /// To judge by.
    pub test: Subset,
    /// The number of classes.
    pub classes: usize,
    /// What is recorded about the data.
    pub facts: DataFacts,
}

impl Wanted<'_> {
    /// Loads or makes the images, and selects.
    ///
    /// # Errors
    /// Data that is missing or damaged; [`Error::Usage`] for a name that is no source, for files without a folder, for a
    /// folder without use, and for numbers that are no multiple of the classes.
    pub fn select(&self, context: &Context, folder: Option<&Path>) -> Result<Selected> {
        let (source, external) = self.open(folder)?;
        let classes = source.classes().len();
        let some = |split, count: usize, what: &str| match count {
            0 => Err(no_multiple(count, classes, what)),
            _ => choose(context, source.as_ref(), split, count, what),
        };
        let train = some(Split::Train, self.train, "images.train")?;
        let test = some(Split::Test, self.test, "images.test")?;
        let digests = [train.digest()?, test.digest()?].map(|digest| digest.to_string());
        let digest = Digester::new()
            .tensor("train", &[digests[0].len()], digests[0].as_bytes())?
            .tensor("test", &[digests[1].len()], digests[1].as_bytes())?
            .finish();
        let facts = DataFacts {
            name: Some(source.name().to_owned()),
            external,
            digest: Some(digest),
            pictures: if external { Vec::new() } else { pictures(&train, source.classes()) },
        };
        Ok(Selected { train, test, classes, facts })
    }

    /// The source, and whether it is files of the user.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is no source, for files without a folder, and for a folder without use; data that
    /// is missing or damaged.
    pub fn open(&self, folder: Option<&Path>) -> Result<(Box<dyn Source>, bool)> {
        let procedural = || -> Result<Box<dyn Source>> {
            let nuisance = Nuisance::level(self.nuisance);
            Ok(Box::new(Procedural::new(self.size, self.train, self.test, nuisance, SEED)?))
        };
        let idx =
            |collection, folder: &Path| -> Result<Box<dyn Source>> { Ok(Box::new(Idx::open(collection, folder)?)) };
        match (self.source, folder) {
            ("auto" | "procedural", None) => Ok((procedural()?, false)),
            ("auto", Some(folder)) => Ok((first_of_two(folder)?, true)),
            ("cifar10", Some(folder)) => Ok((Box::new(Cifar::ten(folder)?), true)),
            ("cifar100", Some(folder)) => Ok((Box::new(Cifar::hundred(folder, Labels::Fine)?), true)),
            ("mnist", Some(folder)) => Ok((idx(Collection::Mnist, folder)?, true)),
            ("fashion-mnist", Some(folder)) => Ok((idx(Collection::FashionMnist, folder)?, true)),
            ("cifar10" | "cifar100" | "mnist" | "fashion-mnist", None) => Err(Error::Usage {
                message: format!("the images of {} come from files", self.source),
                help: "name their folder with --data, or leave images.source at auto".to_owned(),
            }),
            ("procedural", Some(_)) => Err(Error::Usage {
                message: "procedural images need no --data".to_owned(),
                help: "leave --data away, or set images.source to auto".to_owned(),
            }),
            (other, _) => Err(Error::Usage {
                message: format!("`{other}` is no source of images"),
                help: "there are auto, procedural, cifar10, cifar100, mnist and fashion-mnist".to_owned(),
            }),
        }
    }
}

/// The CIFAR-10 or the MNIST of a folder, in this order. The message names both if neither is there.
fn first_of_two(folder: &Path) -> Result<Box<dyn Source>> {
    match Cifar::ten(folder) {
        Err(DataError::Missing { expected, .. }) => match Idx::open(Collection::Mnist, folder) {
            Err(DataError::Missing { expected: other, .. }) => {
                let expected = format!("{expected}, and no {other}");
                Err(DataError::Missing { what: "CIFAR-10 or MNIST", folder: folder.to_owned(), expected }.into())
            }
            idx => Ok(Box::new(idx?)),
        },
        cifar => Ok(Box::new(cifar?)),
    }
}

/// As many images of each class as add up to `count`, or all if it is 0; `what` is the setting that says so.
///
/// # Errors
/// Those of the source; [`Error::Usage`] if the count is no multiple of the number of classes.
pub fn choose(context: &Context, source: &dyn Source, split: Split, count: usize, what: &str) -> Result<Subset> {
    let classes = source.classes().len();
    if !count.is_multiple_of(classes) {
        return Err(no_multiple(count, classes, what));
    }
    let images = source.load(context, split)?;
    Ok(select(source, &images, split, (count > 0).then_some(count / classes), SEED)?)
}

fn no_multiple(count: usize, classes: usize, what: &str) -> Error {
    Error::Usage {
        message: format!("{what} is {count}, no multiple of the {classes} classes"),
        help: format!("for example --set {what}={}", (count / classes).max(1) * classes),
    }
}

/// The first images, one of each class.
fn pictures(subset: &Subset, classes: &[&str]) -> Vec<Picture> {
    let shape = subset.images.shape;
    let rgb = |image: &[u8]| -> Vec<u8> {
        image.chunks(shape.channels).flat_map(|p| if p.len() == 3 { [p[0], p[1], p[2]] } else { [p[0]; 3] }).collect()
    };
    (0..SHOWN.min(subset.images.len()))
        .map(|i| Picture {
            caption: classes.get(usize::from(subset.images.labels[i])).unwrap_or(&"").to_string(),
            width: shape.width,
            height: shape.height,
            rgb: rgb(subset.images.image(i)),
        })
        .collect()
}
