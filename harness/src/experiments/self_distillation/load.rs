//! The images of a run.

use std::path::Path;

use regularity_engine::Context;
use regularity_engine::digest::Digester;

use super::images::{Vectors, vectors};
use super::networks::data::{self, NetworkImages};
use super::settings::{ImageSettings, Settings};
use crate::error::Result;
use crate::experiments::selected::{Selected, Wanted};
use crate::experiments::{DataFacts, Dataset};

/// Images as the kernels see them, with their labels.
#[derive(Debug)]
pub struct Pictures {
    /// Training images.
    pub train: Vectors,
    /// Test images.
    pub test: Vectors,
    /// The class of each training image.
    pub train_labels: Vec<u8>,
    /// The class of each test image.
    pub test_labels: Vec<u8>,
    /// The number of classes.
    pub classes: usize,
    /// The images of the networks.
    pub networks: Vec<NetworkImages>,
}

/// Loads or makes the images, and selects as many of each class as the settings say.
///
/// # Errors
/// Data that is missing or damaged, and settings that make no sense.
pub fn load(context: &Context, settings: &Settings, folder: Option<&Path>) -> Result<Dataset<Pictures>> {
    let ImageSettings { size, nuisance, train, test, .. } = settings.images;
    let wanted = Wanted { source: &settings.images.source, size, nuisance, train, test };
    let Selected { train, test, classes, facts } = wanted.select(context, folder)?;
    let length = train.images.shape.len();
    let (train_vectors, test_vectors) = vectors(&train.images.pixels, &test.images.pixels, length)?;
    let of_networks = data::load(context, settings, folder)?;
    let mut digester = Digester::new();
    let digests = [("train", train.digest()?), ("test", test.digest()?)].into_iter();
    for (name, digest) in digests.chain(of_networks.digests.iter().map(|&digest| ("network", digest))) {
        let digest = digest.to_string();
        digester = digester.tensor(name, &[digest.len()], digest.as_bytes())?;
    }
    // Several only if the networks of the paper have data sets of their own.
    let mut names = facts.name.into_iter().collect::<Vec<_>>();
    for name in of_networks.names {
        if !names.iter().any(|there| there == name) {
            names.push(name.to_owned());
        }
    }
    let external = facts.external || of_networks.external;
    let facts = DataFacts {
        name: Some(names.join("+")),
        external,
        digest: Some(digester.finish()),
        pictures: if external { Vec::new() } else { facts.pictures },
    };
    let data = Pictures {
        train: train_vectors,
        test: test_vectors,
        train_labels: train.images.labels,
        test_labels: test.images.labels,
        classes,
        networks: of_networks.images,
    };
    Ok(Dataset { data, facts })
}
