//! The real data sets, where `REGULARITY_DATA` names a folder that has them.

use std::path::PathBuf;

use super::*;

fn folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("REGULARITY_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: {test} needs real data; set REGULARITY_DATA to its folder");
    }
    folder
}

/// The source, or a word that the folder has no such data.
fn found<T>(source: Result<T>) -> Option<T> {
    match source {
        Ok(source) => Some(source),
        Err(DataError::Missing { what, .. }) => {
            eprintln!("skipped: the folder of REGULARITY_DATA has no {what}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn cifar10_selections_have_the_digests_of_the_official_files() {
    let Some(cifar) = folder("CIFAR-10").and_then(|folder| found(Cifar::ten(&folder))) else { return };
    for (split, excluded, per_class, expected) in
        [(Split::Train, 72, 600, "56defb76eeb5"), (Split::Test, 20, 900, "06d0ed4e352c")]
    {
        let images = cifar.load(&context(), split).unwrap();
        let records = if split == Split::Train { 50_000 } else { 10_000 };
        assert_eq!(images.histogram(10), [records / 10; 10]);
        assert_eq!(cifar.excluded(split).len(), excluded);
        let all = select(&cifar, &images, split, None, 0).unwrap();
        assert_eq!(all.records.len(), records - excluded);
        // None of the excluded records enters, so these hold for whoever has the official files.
        let subset = select(&cifar, &images, split, Some(per_class), 1).unwrap();
        assert_eq!(subset.digest().unwrap().short(), expected, "{split}");
    }
}

#[test]
fn cifar10_pixels_have_the_well_known_mean() {
    let Some(cifar) = folder("CIFAR-10").and_then(|folder| found(Cifar::ten(&folder))) else { return };
    let images = cifar.load(&context(), Split::Train).unwrap();
    let measured = Examples::new(&images).statistics().unwrap();
    let known = Normalization::cifar10();
    for (a, b) in measured.mean.iter().zip(known.mean).chain(measured.std.iter().zip(known.std)) {
        assert!((a - b).abs() < 0.11, "{a} {b}");
    }
}

#[test]
fn cifar100_samples_have_both_labels() {
    let Some(folder) = folder("CIFAR-100") else { return };
    for (labels, classes) in [(Labels::Fine, 100), (Labels::Coarse, 20)] {
        let Some(cifar) = found(Cifar::hundred(&folder, labels)) else { return };
        let images = cifar.partial().load(&context(), Split::Train).unwrap();
        let per_class = images.len() / classes;
        assert_eq!(images.histogram(classes), vec![per_class; classes]);
    }
}

#[test]
fn mnist_files_have_the_published_sums() {
    let Some(folder) = folder("MNIST") else { return };
    let Some(source) = found(Idx::open(Collection::Mnist, &folder)) else { return };
    assert_eq!(source.load(&context(), Split::Train).unwrap().len(), 60_000);
    assert_eq!(source.load(&context(), Split::Test).unwrap().len(), 10_000);
    for report in verify(&context(), &folder).unwrap() {
        assert!(report.is_sound(), "{report:?}");
    }
}
