//! Checkpoints: the values of a network, the state of its optimiser and the step, as one safetensors file.
//!
//! Weights and running statistics stand under their own names, which are torchvision's, so that any program that reads
//! safetensors can load them. The optimiser's state stands beside them as `optimizer.<kind>.<name>`, such as
//! `optimizer.momentum_buffer.conv1.weight`. The file's metadata has one entry, `regularity`, a JSON object:
//!
//! ```text
//! {"format":1,"numerics_version":1,"step":7,"settings":{...},"digest":"<SHA-256>"}
//! ```
//!
//! The digest is the engine's ([`regularity_engine::digest`]) over all tensors in the order of their names, then the step
//! as a `u64` scalar named `step`: a file with a changed bit is recognised, though safetensors itself has no check sum.
//! No state of a random generator is stored, because every draw is a function of its key. The same checkpoint is the
//! same bytes.
//!
//! A file appears under its name whole or not at all ([`crate::files`]).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use regularity_engine::NUMERICS_VERSION;
use regularity_engine::digest::{Digest, Digester};
use regularity_engine::optim::Optimizer;
use regularity_engine::params::{Entry, Table};
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::write_whole;

/// The key of the one entry of the metadata.
const KEY: &str = "regularity";
/// The version of what stands in the entry.
const FORMAT: u32 = 1;

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The shape, row-major; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f32>,
}

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        self.data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into()
    }
    fn data_len(&self) -> usize {
        size_of_val(&self.data[..])
    }
}

/// The entry of the metadata.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    numerics_version: u32,
    step: u64,
    settings: BTreeMap<String, String>,
    digest: String,
}

/// What a run needs to go on as if it had not been interrupted.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The number of steps that are done.
    pub step: u64,
    /// Whatever the run wants to know again, such as the hash of its configuration.
    pub settings: BTreeMap<String, String>,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// The state of a run after `step` steps: `values` are the network's, laid out by `table`.
    ///
    /// # Errors
    /// [`regularity_engine::Error::Shape`] if an arena does not fit the table.
    pub fn new(table: &Table, values: &[f32], optimizer: Option<&Optimizer>, step: u64) -> Result<Self> {
        let mut checkpoint = Self { step, settings: BTreeMap::new(), tensors: BTreeMap::new() };
        check_arena("elements of the values", table.len(), values.len())?;
        checkpoint.insert(table.entries().iter(), "", values);
        for (kind, state) in optimizer.map_or_else(Vec::new, Optimizer::state) {
            check_arena("elements of the optimiser's state", table.trained_len(), state.len())?;
            checkpoint.insert(table.trained(), &format!("optimizer.{kind}."), state);
        }
        Ok(checkpoint)
    }

    fn insert<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>, prefix: &str, arena: &[f32]) {
        for entry in entries {
            let tensor = Tensor { shape: entry.shape().to_vec(), data: arena[entry.range()].to_vec() };
            self.tensors.insert(format!("{prefix}{}", entry.name()), tensor);
        }
    }

    /// Puts everything back: the values of the network, and the state and the step count of the optimiser.
    ///
    /// Nothing is changed unless everything fits. `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if a tensor is missing, has another shape, or belongs to no part of the network or of the
    /// optimiser; [`regularity_engine::Error::Shape`] if `values` does not fit the table.
    pub fn restore(
        &self,
        path: &Path,
        table: &Table,
        values: &mut [f32],
        optimizer: Option<&mut Optimizer>,
    ) -> Result<()> {
        check_arena("elements of the values", table.len(), values.len())?;
        let kinds: Vec<&str> = optimizer
            .as_deref()
            .map_or_else(Vec::new, |optimizer| optimizer.state().into_iter().map(|(kind, _)| kind).collect());
        let prefixes: Vec<String> = kinds.iter().map(|kind| format!("optimizer.{kind}.")).collect();
        let mut wanted: BTreeMap<String, &Entry> =
            table.entries().iter().map(|entry| (entry.name().to_owned(), entry)).collect();
        for prefix in &prefixes {
            wanted.extend(table.trained().map(|entry| (format!("{prefix}{}", entry.name()), entry)));
        }
        for (name, entry) in &wanted {
            let tensor = self.tensors.get(name).ok_or_else(|| unusable(path, format!("it has no `{name}`")))?;
            check_shape(path, name, entry.shape(), &tensor.shape)?;
        }
        if let Some(name) = self.tensors.keys().find(|name| !wanted.contains_key(*name)) {
            return Err(unusable(path, format!("its `{name}` has no place in this run")));
        }
        let copy = |prefix: &str, entry: &Entry, arena: &mut [f32]| {
            if let Some(tensor) = self.tensors.get(&format!("{prefix}{}", entry.name())) {
                arena[entry.range()].copy_from_slice(&tensor.data);
            }
        };
        table.entries().iter().for_each(|entry| copy("", entry, values));
        if let Some(optimizer) = optimizer {
            for ((_, state), prefix) in optimizer.restore(self.step).into_iter().zip(&prefixes) {
                table.trained().for_each(|entry| copy(prefix, entry, state));
            }
        }
        Ok(())
    }

    /// The shape and the elements of a tensor.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<(&[usize], &[f32])> {
        self.tensors.get(name).map(|tensor| (&tensor.shape[..], &tensor.data[..]))
    }

    /// What the file's digest is to be.
    fn digest(&self) -> Result<Digest> {
        let add =
            |digester: Digester, (name, tensor): (&String, &Tensor)| digester.tensor(name, &tensor.shape, &tensor.data);
        Ok(self.tensors.iter().try_fold(Digester::new(), add)?.tensor("step", &[], &[self.step])?.finish())
    }

    /// Writes the file, whole or not at all; one of that name is replaced.
    ///
    /// # Errors
    /// [`Error::Write`] if the system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let header = Header {
            format: FORMAT,
            numerics_version: NUMERICS_VERSION,
            step: self.step,
            settings: self.settings.clone(),
            digest: self.digest()?.to_string(),
        };
        let header = serde_json::to_string(&header);
        let header = header.map_err(|e| Error::Write { path: path.to_owned(), source: e.into() })?;
        write_file(path, &self.tensors, Some(HashMap::from([(KEY.to_owned(), header)])))
    }

    /// Reads a file that [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`Error::Read`] if the system refuses; [`Error::Checkpoint`] if the file is damaged, was not written by this
    /// project, or belongs to another version of the format or of the numerics.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let file = parse(path, &bytes)?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(path, &e))?;
        let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let header = header.ok_or_else(|| unusable(path, "it holds weights and no state of a run".to_owned()))?;
        let header: Header = serde_json::from_str(header).map_err(|e| damaged(path, &e))?;
        for (what, expected, actual) in
            [("format", FORMAT, header.format), ("numerics", NUMERICS_VERSION, header.numerics_version)]
        {
            if expected != actual {
                return Err(unusable(path, format!("it has version {actual} of the {what}, and this is {expected}")));
            }
        }
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let data = floats(view.dtype(), view.data());
            let data = data.filter(|_| view.dtype() == Dtype::F32);
            let data = data.ok_or_else(|| unusable(path, format!("its `{name}` is {:?} and not F32", view.dtype())))?;
            tensors.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), data });
        }
        let checkpoint = Self { step: header.step, settings: header.settings, tensors };
        if checkpoint.digest()?.to_string() != header.digest {
            return Err(unusable(path, "it is damaged: its numbers do not have the digest that it states".to_owned()));
        }
        Ok(checkpoint)
    }
}

/// Writes tensors that are no checkpoint, whole or not at all.
///
/// # Errors
/// [`Error::Write`] if the system refuses, or a tensor has not as many elements as its shape.
pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    write_file(path, tensors, None)
}

fn write_file(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: Option<HashMap<String, String>>,
) -> Result<()> {
    let bytes = safetensors::serialize(tensors, metadata);
    write_whole(path, &bytes.map_err(|e| Error::Write { path: path.to_owned(), source: std::io::Error::other(e) })?)
}

/// Loads pre-trained weights from any safetensors file, such as an export of torchvision's: every tensor of `table` for
/// which `wanted` holds must be there with its shape. `num_batches_tracked` is passed over, and so is whatever else the
/// file has for tensors that are not wanted. Half-precision and double-precision numbers are converted, to nearest.
///
/// # Errors
/// [`Error::Read`] if the system refuses; [`Error::Checkpoint`] if the file is damaged, lacks a tensor, has one of
/// another shape or type, or one that has no place in the network; [`regularity_engine::Error::Shape`] if `values` does
/// not fit the table.
pub fn read_weights(path: &Path, table: &Table, wanted: impl Fn(&Entry) -> bool, values: &mut [f32]) -> Result<()> {
    check_arena("elements of the values", table.len(), values.len())?;
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let file = parse(path, &bytes)?;
    if let Some(name) = file.names().into_iter().find(|name| {
        !name.ends_with("num_batches_tracked") && !name.starts_with("optimizer.") && table.find(name).is_none()
    }) {
        return Err(unusable(path, format!("its `{name}` has no place in this network")));
    }
    let mut loaded = Vec::new();
    for entry in table.entries().iter().filter(|entry| wanted(entry)) {
        let name = entry.name();
        let view = file.tensor(name).map_err(|_| unusable(path, format!("it has no `{name}`")))?;
        check_shape(path, name, entry.shape(), view.shape())?;
        let data = floats(view.dtype(), view.data());
        let data = data.ok_or_else(|| unusable(path, format!("its `{name}` is {:?}, no float", view.dtype())))?;
        loaded.push((entry.range(), data));
    }
    for (range, data) in loaded {
        values[range].copy_from_slice(&data);
    }
    Ok(())
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes).map_err(|e| damaged(path, &e))
}

/// The numbers of a tensor, rounded to nearest; None if they are no floats.
fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|&b| half(u16::from_le_bytes(b))).collect(),
        Dtype::BF16 => {
            bytes.as_chunks().0.iter().map(|&b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)).collect()
        }
        _ => return None,
    })
}

/// An IEEE-754 binary16 number, exactly.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15) << 31, u32::from(bits >> 10) & 31, u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction as f32 / 16_777_216.0, // units of 2^-24
        31 => f32::from_bits(0x7f80_0000 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

fn check_arena(what: &'static str, expected: usize, actual: usize) -> Result<()> {
    if expected == actual {
        return Ok(());
    }
    Err(regularity_engine::Error::Shape { op: "checkpoint", what, expected, actual }.into())
}

fn check_shape(path: &Path, name: &str, expected: &[usize], actual: &[usize]) -> Result<()> {
    if expected == actual {
        return Ok(());
    }
    Err(unusable(path, format!("its `{name}` has the shape {actual:?}, and this network's has {expected:?}")))
}

fn unusable(path: &Path, reason: String) -> Error {
    Error::Checkpoint { path: path.to_owned(), reason }
}

fn damaged(path: &Path, reason: &dyn std::error::Error) -> Error {
    unusable(path, format!("it is damaged, or no safetensors file: {reason}"))
}

#[cfg(test)]
mod tests;
