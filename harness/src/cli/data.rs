//! `regularity data`: what lies in a folder of data, and whether it is whole.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use regularity_engine::{Context, Isa};
use serde::Serialize;

use super::terminal::{Terminal, Tone};
use crate::data::{self, FileReport, Report, SplitReport};
use crate::error::{Error, Result};

/// Look at image data on disk
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Verify(VerifyArgs),
}

/// Read every data set in and below a folder, and say whether it is whole
///
/// Reports sizes and MD5 sums of the files (with those that are published), the number of records, the number of each
/// class, and the digest over the records that experiments may use. Two people with the same digests have the same data.
/// Exits with 3 if something is damaged.
#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// The folder, such as the one given to --data
    folder: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, terminal: &mut Terminal) -> Result<()> {
    match &args.what {
        What::Verify(args) => verify(args, terminal),
    }
}

fn verify(args: &VerifyArgs, terminal: &mut Terminal) -> Result<()> {
    // Reading files computes nothing that a wider tier or a second thread would speed up.
    let context = Context::new(Isa::Portable, 1)?;
    let reports = data::verify(&context, &args.folder)?;
    if args.json {
        terminal.json(&reports.iter().map(Document::new).collect::<Vec<_>>())?;
    } else {
        for report in &reports {
            print(report, terminal)?;
        }
    }
    if reports.iter().all(Report::is_sound) {
        return Ok(());
    }
    Err(Error::DataUnsound { folder: args.folder.clone() })
}

fn print(report: &Report, terminal: &mut Terminal) -> Result<()> {
    toned(terminal, Tone::Heading, report.name)?;
    for FileReport { path, bytes, md5, official } in &report.files {
        let (tone, verdict) = match official {
            Some(true) => (Tone::Good, "as published"),
            Some(false) => (Tone::Bad, "NOT the published file"),
            None => (Tone::Dim, "no sum is published"),
        };
        toned(terminal, tone, &format!("  {md5}  {bytes:>10}  {}  {verdict}", shown(path)))?;
    }
    for split in &report.splits {
        match split {
            Ok(SplitReport { split, records, histogram, excluded, digest }) => {
                terminal.line(format_args!("  {split:<5}  {records} records, {excluded} excluded, digest {digest}"))?;
                let counts = histogram.iter().zip(&report.classes);
                let counts: Vec<_> = counts.map(|(count, class)| format!("{class} {count}")).collect();
                terminal.line(format_args!("         {}", counts.join(", ")))?;
            }
            Err(error) => toned(terminal, Tone::Bad, &format!("  {error}"))?,
        }
    }
    Ok(())
}

fn toned(terminal: &mut Terminal, tone: Tone, text: &str) -> Result<()> {
    let text = terminal.paint(tone, text).to_string();
    terminal.line(text)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A report as JSON.
#[derive(Serialize)]
struct Document {
    name: &'static str,
    sound: bool,
    classes: Vec<&'static str>,
    files: Vec<FileDocument>,
    splits: Vec<SplitDocument>,
}

#[derive(Serialize)]
struct FileDocument {
    path: String,
    bytes: u64,
    md5: String,
    /// Whether the sum is the published one; null where none is published.
    official: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SplitDocument {
    Whole { split: &'static str, records: usize, histogram: Vec<usize>, excluded: usize, digest: String },
    Damaged { error: String },
}

impl Document {
    fn new(report: &Report) -> Self {
        let file = |f: &FileReport| FileDocument {
            path: shown(&f.path),
            bytes: f.bytes,
            md5: f.md5.clone(),
            official: f.official,
        };
        let split = |split: &data::Result<SplitReport>| match split {
            Ok(s) => SplitDocument::Whole {
                split: s.split.name(),
                records: s.records,
                histogram: s.histogram.clone(),
                excluded: s.excluded,
                digest: s.digest.to_string(),
            },
            Err(error) => SplitDocument::Damaged { error: error.to_string() },
        };
        Self {
            name: report.name,
            sound: report.is_sound(),
            classes: report.classes.clone(),
            files: report.files.iter().map(file).collect(),
            splits: report.splits.iter().map(split).collect(),
        }
    }
}
