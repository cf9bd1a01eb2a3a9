//! Small made-up files, the procedural images, and the real data sets where `REGULARITY_DATA` names them.

mod batches;
mod files;
mod learning_curve;
mod procedural;
mod real;

use std::path::Path;

use regularity_engine::{Context, Isa};

use super::*;

fn context() -> Context {
    Context::new(Isa::Portable, 1).unwrap()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join(name), bytes).unwrap();
}

/// A record of CIFAR-10: every value is a hash of its place.
fn record(label: u8, salt: usize) -> Vec<u8> {
    std::iter::once(label).chain((0..3072).map(|i| (i * 7 + salt * 13 + i / 256) as u8)).collect()
}

/// The six files of CIFAR-10 with `records` records each, label `i mod 10`.
fn made_up_cifar10(folder: &Path, records: usize) {
    let files = cifar::TEN.train.iter().chain(cifar::TEN.test);
    for (number, (name, _)) in files.enumerate() {
        let bytes: Vec<u8> = (0..records).flat_map(|i| record((i % 10) as u8, 100 * number + i)).collect();
        write(folder, name, &bytes);
    }
}
