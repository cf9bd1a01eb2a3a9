//! `regularity doctor`: what this machine is, and what it can do at most.

use regularity_engine::simd::check_float_environment;
use regularity_engine::{Error as EngineError, Isa, NUMERICS_VERSION};
use serde::Serialize;

use super::options::threads_parser;
use super::terminal::{Terminal, Tone};
use crate::error::Result;
use crate::host::{self, Caches};
use crate::measure::{Bandwidth, FmaPeak, Level, Spread, bandwidths, fma_peaks};

/// Show what this machine is and how fast it can be
///
/// Lists the instruction-set tiers of this CPU, checks the floating-point environment, and measures within some five
/// seconds the multiply-add peak of each tier and the bandwidth of each level of memory, on one thread and on all.
/// These are the limits that the kernels are judged against.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Tell facts only, measure nothing
    #[arg(long)]
    no_measure: bool,
    /// What "all threads" means in the measurements [default: as many as this process may run at once]
    #[arg(long, value_name = "N", value_parser = threads_parser())]
    threads: Option<usize>,
}

/// Samples of each speed.
const ROUNDS: usize = 7;
/// Seconds of one sample; short, so that all of them take some five seconds.
const SAMPLE_S: f64 = 0.006;

#[derive(Debug, Serialize)]
struct Diagnosis {
    version: &'static str,
    numerics_version: u32,
    cpu: Option<String>,
    architecture: &'static str,
    system: &'static str,
    threads: usize,
    caches: Caches,
    float_environment: FloatEnvironment,
    tiers: Vec<Tier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<Measured>,
}

#[derive(Debug, Serialize)]
struct FloatEnvironment {
    fine: bool,
    /// What deviates from IEEE-754 defaults.
    deviation: Option<String>,
}

#[derive(Debug, Serialize)]
struct Tier {
    isa: &'static str,
    available: bool,
    /// Why not, if not.
    reason: Option<&'static str>,
    /// Whether `auto` picks it.
    auto: bool,
}

#[derive(Debug, Serialize)]
struct Measured {
    fma_peak: Vec<FmaPeak>,
    bandwidth: Vec<Bandwidth>,
}

pub fn run(args: &Args, terminal: &mut Terminal) -> Result<()> {
    let environment = check_float_environment();
    let mut diagnosis = facts(args.threads.unwrap_or_else(host::threads), &environment);
    if !args.no_measure && environment.is_ok() {
        terminal.note(None, "measuring for some five seconds; other programs that run meanwhile make it slower ...");
        diagnosis.measured = Some(measure(&diagnosis)?);
    }
    if args.json {
        terminal.json(&diagnosis)?;
    } else {
        print(&diagnosis, terminal)?;
    }
    Ok(environment?)
}

fn facts(threads: usize, environment: &regularity_engine::Result<()>) -> Diagnosis {
    let tier = |isa: Isa| {
        let reason = match isa.require() {
            Err(EngineError::IsaUnavailable { reason, .. }) => Some(reason),
            _ => None,
        };
        Tier { isa: isa.name(), available: reason.is_none(), reason, auto: isa == Isa::detect() }
    };
    Diagnosis {
        version: env!("CARGO_PKG_VERSION"),
        numerics_version: NUMERICS_VERSION,
        cpu: host::cpu_name(),
        architecture: std::env::consts::ARCH,
        system: std::env::consts::OS,
        threads,
        caches: Caches::detect(),
        float_environment: FloatEnvironment {
            fine: environment.is_ok(),
            deviation: environment.as_ref().err().map(ToString::to_string),
        },
        tiers: Isa::ALL.map(tier).into(),
        measured: None,
    }
}

fn measure(diagnosis: &Diagnosis) -> Result<Measured> {
    let mut threads = vec![1, diagnosis.threads];
    threads.dedup();
    Ok(Measured {
        fma_peak: fma_peaks(&Isa::available(), &threads, ROUNDS, SAMPLE_S)?,
        bandwidth: bandwidths(Isa::detect(), diagnosis.caches, &threads, ROUNDS, SAMPLE_S)?,
    })
}

fn print(d: &Diagnosis, terminal: &mut Terminal) -> Result<()> {
    let size = |bytes: Option<usize>| bytes.map_or_else(|| "unknown".to_owned(), bytes_text);
    let Caches { l1_data, l2, l3 } = d.caches;
    terminal.line(format_args!("version       {}, numerics version {}", d.version, d.numerics_version))?;
    let cpu = d.cpu.as_deref().unwrap_or("unknown");
    terminal.line(format_args!("CPU           {cpu} ({}, {})", d.architecture, d.system))?;
    terminal.line(format_args!("threads       {}", d.threads))?;
    terminal.line(format_args!("caches        L1 {}, L2 {}, L3 {}", size(l1_data), size(l2), size(l3)))?;
    let environment = match &d.float_environment.deviation {
        None => terminal.paint(Tone::Good, "fine: rounds to nearest even, keeps subnormal numbers").to_string(),
        Some(deviation) => terminal.paint(Tone::Bad, deviation).to_string(),
    };
    terminal.line(format_args!("environment   {environment}"))?;
    heading(terminal, "tiers")?;
    for tier in &d.tiers {
        let state = match tier.reason {
            None if tier.auto => terminal.paint(Tone::Good, "available, and what `auto` picks").to_string(),
            None => terminal.paint(Tone::Good, "available").to_string(),
            Some(reason) => terminal.paint(Tone::Dim, &format!("not on this CPU: {reason}")).to_string(),
        };
        terminal.line(format_args!("{:<13} {state}", tier.isa))?;
    }
    let Some(measured) = &d.measured else { return Ok(()) };
    heading(terminal, "multiply-add peak, f32, GFLOP/s       min    median       max")?;
    for FmaPeak { isa, threads, gflops } in &measured.fma_peak {
        terminal.line(format_args!("{isa:<13} {:<19}{}", host::threads_text(*threads), row(gflops)))?;
    }
    heading(terminal, "bandwidth, GB/s                       min    median       max   bytes an array")?;
    for b in &measured.bandwidth {
        let level = match b.level {
            Level::L1 => "L1",
            Level::L2 => "L2",
            Level::L3 => "L3",
            Level::Memory => "memory",
        };
        let operation = format!("{:?}", b.operation).to_lowercase();
        let name = format!("{level:<6} {operation}");
        let row = row(&b.gb_per_s);
        let array = bytes_text(b.array_bytes);
        terminal.line(format_args!("{name:<13} {:<19}{row}   {array}", host::threads_text(b.threads)))?;
    }
    Ok(())
}

fn heading(terminal: &mut Terminal, text: &str) -> Result<()> {
    let text = format!("\n{}", terminal.paint(Tone::Heading, text));
    terminal.line(text)
}

fn row(spread: &Spread) -> String {
    format!("{:>9.1} {:>9.1} {:>9.1}", spread.min, spread.median, spread.max)
}

fn bytes_text(bytes: usize) -> String {
    match bytes {
        b if b >= 1 << 20 && b.is_multiple_of(1 << 20) => format!("{} MiB", b >> 20),
        b => format!("{} KiB", b >> 10),
    }
}
