//! Images as networks take them.

use std::path::Path;

use regularity_engine::Context;
use regularity_engine::digest::Digest;

use super::super::settings::Settings;
use super::{Family, Training};
use crate::data::{Examples, Normalization, Split};
use crate::error::Result;
use crate::experiments::selected::{Wanted, choose};

/// Values of an image that a perceptron reads at most.
const MOST_VALUES: usize = 1024;

/// The images of a family of networks.
#[derive(Debug)]
pub struct NetworkImages {
    pub(in super::super) family: Family,
    pub(in super::super) train: Examples,
    pub(in super::super) test: Examples,
    /// Of the training images.
    pub(in super::super) normalization: Normalization,
    pub(in super::super) classes: usize,
}

/// What a run says about the images of its networks.
#[derive(Debug, Default)]
pub(in super::super) struct Loaded {
    pub(in super::super) images: Vec<NetworkImages>,
    pub(in super::super) names: Vec<&'static str>,
    pub(in super::super) external: bool,
    pub(in super::super) digests: Vec<Digest>,
}

/// Loads the images of every family that has chains.
///
/// # Errors
/// Data that is missing or damaged, and settings that make no sense.
pub(in super::super) fn load(context: &Context, settings: &Settings, folder: Option<&Path>) -> Result<Loaded> {
    let networks = &settings.networks;
    let common = settings.images.source.as_str();
    let mut families: Vec<(Family, &str, &str, &Training)> = vec![
        (Family::Perceptron, "networks.perceptron", common, &networks.perceptron),
        (Family::Convolutional, "networks.convolutional", common, &networks.convolutional),
    ];
    let deep = networks.deep_sources.iter().enumerate();
    families.extend(deep.map(|(i, source)| (Family::Deep(i), "networks.deep", source.as_str(), &networks.deep)));
    let mut loaded = Loaded::default();
    for (family, name, source, training) in families.into_iter().filter(|family| family.3.chains > 0) {
        let (size, nuisance) = (settings.images.size, settings.images.nuisance);
        let wanted = Wanted { source, size, nuisance, train: training.train, test: training.test };
        let (source, external) = wanted.open(folder)?;
        let train = choose(context, source.as_ref(), Split::Train, training.train, &format!("{name}.train"))?;
        let test = choose(context, source.as_ref(), Split::Test, training.test, &format!("{name}.test"))?;
        loaded.digests.extend([train.digest()?, test.digest()?]);
        loaded.names.push(source.name());
        loaded.external |= external;
        let [mut train, mut test] = [&train, &test].map(|subset| Examples::new(&subset.images));
        while family == Family::Perceptron && train.shape().len() > MOST_VALUES {
            (train, test) = (train.pool()?, test.pool()?);
        }
        let (normalization, classes) = (train.statistics()?, source.classes().len());
        loaded.images.push(NetworkImages { family, train, test, normalization, classes });
    }
    Ok(loaded)
}
