//! Bytes from plain files, gzip files, and members of tar archives.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::error::{DataError, Result};

/// The contents of a file and what to call it in messages.
#[derive(Debug)]
pub(super) struct Bytes {
    /// The path, or `archive: member`.
    pub file: String,
    /// The contents, unpacked.
    pub bytes: Vec<u8>,
}

/// Reads a file as it is.
pub(super) fn raw(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

/// Reads a file, unpacked if its name ends in `.gz`.
pub(super) fn read(path: &Path) -> Result<Bytes> {
    let mut bytes = raw(path)?;
    if is_gzip(path) {
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).map_err(|e| damaged(path, &e))?;
        bytes = unpacked;
    }
    Ok(Bytes { file: path.display().to_string(), bytes })
}

/// The members of a gzipped tar archive with the given file names, whatever their folder, in the order of `names`.
pub(super) fn members(archive: &Path, names: &[&str]) -> Result<Vec<Bytes>> {
    let file = File::open(archive).map_err(|source| DataError::Read { path: archive.to_owned(), source })?;
    let mut tar = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in tar.entries().map_err(|e| damaged(archive, &e))? {
        let mut entry = entry.map_err(|e| damaged(archive, &e))?;
        let name = entry.path().map_err(|e| damaged(archive, &e))?;
        let name = name.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !names.contains(&name.as_str()) || !entry.header().entry_type().is_file() {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| damaged(archive, &e))?;
        found.insert(name, bytes);
        if found.len() == names.len() {
            break; // what follows is of no interest
        }
    }
    names
        .iter()
        .map(|&name| {
            let bytes = found.remove(name).ok_or_else(|| DataError::Archive {
                path: archive.to_owned(),
                reason: format!("it has no member {name}"),
            })?;
            Ok(Bytes { file: format!("{}: {name}", archive.display()), bytes })
        })
        .collect()
}

/// The first of the paths `folder/name` that is a file.
pub(super) fn first_file(folders: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name))).find(|path| path.is_file())
}

pub(super) fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

fn damaged(path: &Path, error: &std::io::Error) -> DataError {
    DataError::Archive { path: path.to_owned(), reason: error.to_string() }
}
