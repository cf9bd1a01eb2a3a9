//! Tensors with a note in one safetensors file that proves to be whole.
//!
//! The metadata has one entry, `regularity`, a JSON object: the version of this format, the numerics version, the names
//! in their order, the note, and the SHA-256 digest over the tensors in that order and over the note. safetensors has
//! no check sum of its own. Any program that reads safetensors can read the tensors.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use regularity_engine::NUMERICS_VERSION;
use regularity_engine::digest::{Digest, Digester};
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use super::tensors::{Elements, Tensor, Tensors};
use crate::error::{Error, Result};
use crate::files;

const KEY: &str = "regularity";
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    numerics_version: u32,
    names: Vec<String>,
    /// JSON as a text, so that the digest is over the bytes that are read back.
    note: String,
    digest: String,
}

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        match self.elements {
            Elements::F32(_) => Dtype::F32,
            Elements::F64(_) => Dtype::F64,
            Elements::U8(_) => Dtype::U8,
            Elements::U32(_) => Dtype::U32,
            Elements::U64(_) => Dtype::U64,
            Elements::I64(_) => Dtype::I64,
        }
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        self.elements.to_le_bytes().into()
    }
    fn data_len(&self) -> usize {
        self.elements.len() * self.dtype().bitsize() / 8
    }
}

fn digest(tensors: &Tensors, note: &str) -> Result<Digest> {
    let tensors = tensors.digest()?;
    let note = Digester::new().tensor("note", &[note.len()], note.as_bytes())?.finish();
    let both = [*tensors.as_bytes(), *note.as_bytes()].concat();
    Ok(Digester::new().tensor("container", &[both.len()], &both)?.finish())
}

/// Writes a file, whole or not at all.
///
/// # Errors
/// [`Error::Write`].
pub fn write(path: &Path, tensors: &Tensors, note: &serde_json::Value) -> Result<()> {
    let failed = |source: std::io::Error| Error::Write { path: path.to_owned(), source };
    let note = note.to_string();
    let header = Header {
        format: FORMAT,
        numerics_version: NUMERICS_VERSION,
        names: tensors.iter().map(|t| t.name.clone()).collect(),
        digest: digest(tensors, &note)?.to_string(),
        note,
    };
    let header = serde_json::to_string(&header).map_err(|e| failed(e.into()))?;
    let bytes = safetensors::serialize(
        tensors.iter().map(|t| (t.name.as_str(), t)),
        Some(HashMap::from([(KEY.to_owned(), header)])),
    );
    files::write_whole(path, &bytes.map_err(|e| failed(std::io::Error::other(e)))?)
}

/// Reads a file that [`write()`] wrote, and checks every bit of it.
///
/// # Errors
/// [`Error::Read`]; [`Error::Damaged`] if it is not what was written, or of another version.
pub fn read(path: &Path) -> Result<(Tensors, serde_json::Value)> {
    let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let file =
        SafeTensors::deserialize(&bytes).map_err(|e| damaged(format!("it is cut off or no safetensors file ({e})")))?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
    let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let header = header.ok_or_else(|| damaged("it was not written by this program".to_owned()))?;
    let header: Header = serde_json::from_str(header).map_err(|e| damaged(e.to_string()))?;
    if header.format != FORMAT || header.numerics_version != NUMERICS_VERSION {
        let reason = format!(
            "it has format {} and numerics version {}, and this program {FORMAT} and {NUMERICS_VERSION}",
            header.format, header.numerics_version
        );
        return Err(damaged(reason));
    }
    let mut tensors = Tensors::new();
    for name in &header.names {
        let view = file.tensor(name).map_err(|e| damaged(e.to_string()))?;
        let dtype = format!("{:?}", view.dtype()).to_lowercase();
        let elements = Elements::from_le_bytes(&dtype, view.data());
        let elements = elements.ok_or_else(|| damaged(format!("its tensor `{name}` is of {dtype}")))?;
        tensors.put_tensor(Tensor { name: name.clone(), shape: view.shape().to_vec(), elements })?;
    }
    if digest(&tensors, &header.note)?.to_string() != header.digest {
        return Err(damaged("its contents do not have the digest that it states".to_owned()));
    }
    let note = serde_json::from_str(&header.note).map_err(|e| damaged(e.to_string()))?;
    Ok((tensors, note))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written() -> (tempfile::TempDir, std::path::PathBuf) {
        let mut tensors = Tensors::new();
        tensors.put("z", &[3], &[0.1f32, -0.0, 5.0]).unwrap();
        tensors.put("a", &[], &[u64::MAX]).unwrap();
        tensors.put("m", &[2, 2], &[0.1f64, 5e-324, 1.0, 2.0]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        write(&path, &tensors, &json!({ "loss": 0.1, "step": 3 })).unwrap();
        assert_eq!(read(&path).unwrap().0.digest().unwrap(), tensors.digest().unwrap());
        (folder, path)
    }

    #[test]
    fn order_types_and_bits_survive_and_the_bytes_are_the_same_each_time() {
        let (_keep, path) = written();
        let (_keep_too, again) = written();
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&again).unwrap());
        let (tensors, note) = read(&path).unwrap();
        assert_eq!(tensors.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
        assert_eq!((tensors.get::<u64>("a").unwrap(), &note), (&[u64::MAX][..], &json!({ "loss": 0.1, "step": 3 })));
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_noticed() {
        let (_keep, path) = written();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read(&path), Err(Error::Damaged { .. })), "cut to {length}");
        }
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(read(&path).is_err(), "byte {index}");
        }
    }
}
