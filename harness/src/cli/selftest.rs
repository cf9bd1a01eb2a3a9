//! `regularity selftest`: does this machine keep the contract?

use std::path::PathBuf;
use std::time::Instant;

use regularity_engine::{Isa, NUMERICS_VERSION};
use serde_json::json;

use super::options::{isa_parser, threads_parser};
use super::terminal::{Terminal, Tone};
use crate::error::Result;
use crate::golden::Snapshot;
use crate::host;
use crate::selftest::{self, Comparison, GOLDEN, Outcome};

/// Check that this machine computes the same bits as every other
///
/// Runs every kernel on keyed inputs, prints a digest of each, and compares them with the golden digests that are built
/// into this program. Exits with 1 if any differs, and lists which. Takes seconds.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The instruction-set tier to run [default: every one that this CPU has]
    #[arg(long, value_name = "TIER", value_parser = isa_parser())]
    isa: Option<Isa>,
    /// Threads [default: as many as this process may run at once]
    #[arg(long, value_name = "N", value_parser = threads_parser())]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Compare with this file instead of the golden that is built in
    #[arg(long, value_name = "FILE", hide = true)]
    golden: Option<PathBuf>,
}

pub fn run(args: &Args, terminal: &mut Terminal) -> Result<()> {
    let start = Instant::now();
    let (golden, path) = match &args.golden {
        Some(path) => (Snapshot::read(path)?, path.display().to_string()),
        None => (Snapshot::parse("golden/selftest.snap (built in)", GOLDEN)?, "golden/selftest.snap".to_owned()),
    };
    let tiers = args.isa.map_or_else(Isa::available, |isa| vec![isa]);
    let threads = args.threads.unwrap_or_else(host::threads);
    let outcomes = selftest::run(&tiers, threads)?;
    let comparison = selftest::compare(&outcomes, &golden, &path)?;
    if args.json {
        terminal.json(&as_json(&outcomes, &comparison, &tiers, threads, &path))?;
    } else {
        print(&outcomes, terminal)?;
    }
    terminal.flush()?;
    comparison.verdict(&tiers, threads)?;
    let names: Vec<_> = tiers.iter().map(|isa| isa.name()).collect();
    let text = format!(
        "fine: {} kernels equal the golden on {}, {} ({:.1} s)",
        outcomes.len(),
        names.join(", "),
        host::threads_text(threads),
        start.elapsed().as_secs_f64()
    );
    terminal.note(Some(Tone::Good), text);
    Ok(())
}

/// The lines of the golden; where tiers disagree, one line for each, with its name behind.
fn print(outcomes: &[Outcome], terminal: &mut Terminal) -> Result<()> {
    terminal.line(selftest::version_line())?;
    for outcome in outcomes {
        for (isa, digest) in outcome.digests.iter().take(if outcome.agrees() { 1 } else { usize::MAX }) {
            let line = outcome.line(digest);
            if outcome.agrees() {
                terminal.line(line)?;
            } else {
                let text = format!("{line}  {}", terminal.paint(Tone::Bad, isa.name()));
                terminal.line(text)?;
            }
        }
    }
    Ok(())
}

fn as_json(
    outcomes: &[Outcome],
    comparison: &Comparison,
    tiers: &[Isa],
    threads: usize,
    golden: &str,
) -> serde_json::Value {
    let kernel = |outcome: &Outcome| {
        let digests: serde_json::Map<_, _> =
            outcome.digests.iter().map(|(isa, digest)| (isa.name().to_owned(), json!(digest))).collect();
        json!({
            "name": outcome.name,
            "dtype": outcome.dtype,
            "shape": outcome.shape,
            "expected": comparison.expected.get(outcome.name),
            "digests": digests,
            "pass": comparison.differences.iter().all(|d| d.name != outcome.name),
        })
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "numerics_version": NUMERICS_VERSION,
        "golden": golden,
        "tiers": tiers.iter().map(|isa| isa.name()).collect::<Vec<_>>(),
        "threads": threads,
        "pass": comparison.differences.is_empty(),
        "differences": comparison.differences,
        "kernels": outcomes.iter().map(kernel).collect::<Vec<_>>(),
    })
}
