//! Files that are whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// The ending of files that are being written.
pub const PARTIAL: &str = ".part";

/// Writes beside the file, brings it to the disk, then renames: a reader sees the old contents or the new ones, never a
/// part, whatever happens meanwhile.
///
/// # Errors
/// [`Error::Write`].
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes).map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let partial = path.with_file_name(format!(".{}.{}{PARTIAL}", name.to_string_lossy(), std::process::id()));
    let written = File::create(&partial)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        // What could not be finished is of no use to anybody; if it cannot be removed either, the first error tells why.
        let _ = fs::remove_file(&partial);
    }
    written?;
    // The new name is an entry of the folder. Only Unix can open a folder as a file.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Reads a text.
///
/// # Errors
/// [`Error::Read`].
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// Makes a folder and those above it, unless they are there.
///
/// # Errors
/// [`Error::Write`].
pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Removes what interrupted writers left in a folder. Call it only while nobody writes there.
///
/// # Errors
/// [`Error::Read`] if the folder cannot be listed, [`Error::Write`] if a file cannot be removed.
pub fn remove_partial(folder: &Path) -> Result<()> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.to_string_lossy().ends_with(PARTIAL) {
            fs::remove_file(&path).map_err(|source| Error::Write { path, source })?;
        }
    }
    Ok(())
}

/// A value as pretty JSON with a final newline, written whole.
///
/// # Errors
/// [`Error::Write`].
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| Error::Write { path: path.to_owned(), source: e.into() })?;
    write_whole(path, (text + "\n").as_bytes())
}

/// Reads JSON.
///
/// # Errors
/// [`Error::Read`]; [`Error::Damaged`] if it is none, or says something else.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let damaged = |e: serde_json::Error| Error::Damaged { path: path.to_owned(), reason: e.to_string() };
    serde_json::from_str(&read_text(path)?).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_replaces_the_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(read_text(&path).unwrap(), "new");
        fs::write(folder.path().join(format!(".b.1{PARTIAL}")), "half").unwrap();
        remove_partial(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(write_whole(&folder.path().join("no/a.txt"), b""), Err(Error::Write { .. })));
    }
}
