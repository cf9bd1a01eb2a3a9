//! What lies in a folder, and whether it is what its name says: `regularity data verify`.

use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use regularity_engine::Context;
use regularity_engine::digest::Digest;

use super::cifar::Place;
use super::error::{DataError, Result};
use super::{Cifar, Collection, Idx, Labels, Source, Split, files, select};

/// MD5 sums that the authors of the data sets, or the libraries that hand them out, publish for the files as they are
/// downloaded. For the unpacked files of CIFAR nobody publishes any.
const OFFICIAL: [(&str, &str, &str); 10] = [
    ("cifar10", "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
    ("cifar100", "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
    ("mnist", "train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    ("mnist", "train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
    ("mnist", "t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
    ("mnist", "t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ("fashion-mnist", "train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    ("fashion-mnist", "train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
    ("fashion-mnist", "t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
    ("fashion-mnist", "t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
];

/// A file of a data set.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its MD5 sum, 32 hexadecimal digits.
    pub md5: String,
    /// Whether that is the published sum; None where none is published.
    pub official: Option<bool>,
}

/// A split of a data set.
#[derive(Debug, Clone)]
pub struct SplitReport {
    /// Which.
    pub split: Split,
    /// Records in its files.
    pub records: usize,
    /// How many of each class, in the order of the classes.
    pub histogram: Vec<usize>,
    /// Records that no experiment uses.
    pub excluded: usize,
    /// The digest over all records but those ([`super::Subset::digest`]): the same for whoever has the official files.
    pub digest: Digest,
}

/// A data set that was found.
#[derive(Debug)]
pub struct Report {
    /// Its name.
    pub name: &'static str,
    /// The names of its classes.
    pub classes: Vec<&'static str>,
    /// Its files.
    pub files: Vec<FileReport>,
    /// Its splits, or what is wrong with each.
    pub splits: Vec<Result<SplitReport>>,
}

impl Report {
    /// Whether every split could be read and no published sum was missed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.splits.iter().all(Result::is_ok) && self.files.iter().all(|file| file.official != Some(false))
    }
}

/// Looks for every known data set in and below `folder` and reads all of it.
///
/// Samples of CIFAR (fewer records than the official files) are reported as they are; a published sum that a file misses
/// is reported and no error, since what counts is the digest over the records.
///
/// # Errors
/// [`DataError::Missing`] if there is none; [`DataError::Read`] if a file cannot be read for its sum. What is wrong inside
/// of a file stands in the report.
pub fn verify(context: &Context, folder: &Path) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for found in [Cifar::ten(folder), Cifar::hundred(folder, Labels::Fine)] {
        let Some(cifar) = present(found)? else { continue };
        let paths = match &cifar.place {
            Place::Archive(path) => vec![path.clone()],
            Place::Folder(at) => {
                let names = Split::ALL.into_iter().flat_map(|split| cifar.layout.files(split));
                names.map(|(name, _)| at.join(name)).filter(|path| path.is_file()).collect()
            }
        };
        reports.push(report(context, &cifar.partial(), &paths)?);
    }
    for collection in [Collection::Mnist, Collection::FashionMnist] {
        let Some(idx) = present(Idx::open(collection, folder))? else { continue };
        let mut paths = Vec::new();
        for split in Split::ALL {
            // A missing file is reported with the split.
            paths.extend(idx.paths(split).into_iter().flatten());
        }
        let report = report(context, &idx, &paths)?;
        // Both data sets have the same names; in a folder of neither name, only the sums tell which it is.
        let of_other = collection == Collection::FashionMnist
            && reports.iter().any(|other: &Report| other.files.iter().any(|f| f.path == report.files[0].path));
        if !of_other {
            reports.push(report);
        }
    }
    if reports.is_empty() {
        return Err(DataError::Missing {
            what: "a data set",
            folder: folder.to_owned(),
            expected: "files of CIFAR-10, CIFAR-100, MNIST or Fashion-MNIST".to_owned(),
        });
    }
    Ok(reports)
}

/// What was found, or None if it is not there.
fn present<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(DataError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn report(context: &Context, source: &dyn Source, paths: &[PathBuf]) -> Result<Report> {
    let files = paths.iter().map(|path| file(source.name(), path)).collect::<Result<Vec<_>>>()?;
    let splits = Split::ALL.map(|name| split(context, source, name)).into();
    Ok(Report { name: source.name(), classes: source.classes().to_vec(), files, splits })
}

fn file(source: &str, path: &Path) -> Result<FileReport> {
    let bytes = files::raw(path)?;
    let md5: String = Md5::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let published = OFFICIAL.iter().find(|&&(of, file, _)| of == source && file == name);
    let official = published.map(|&(_, _, sum)| sum == md5);
    Ok(FileReport { path: path.to_owned(), bytes: bytes.len() as u64, md5, official })
}

fn split(context: &Context, source: &dyn Source, split: Split) -> Result<SplitReport> {
    let images = source.load(context, split)?;
    let subset = select(source, &images, split, None, 0)?;
    Ok(SplitReport {
        split,
        records: images.len(),
        histogram: images.histogram(source.classes().len()),
        excluded: images.len() - subset.records.len(),
        digest: subset.digest()?,
    })
}
