//! `regularity report`: one page for one run or several.

use std::path::PathBuf;

use super::terminal::Terminal;
use crate::error::Result;
use crate::experiments::Registry;
use crate::{files, report, run};

/// Write one HTML page about finished runs
///
/// The page needs no network and no other file. Claims and figures are made anew from the recorded metrics.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of finished runs
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
}

pub fn run(args: &Args, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    let mut views = Vec::new();
    for path in &args.runs {
        views.push(run::open_finished(registry, path)?.0);
    }
    files::write_whole(&args.output, report::page(&views)?.as_bytes())?;
    terminal.line(args.output.display())
}
