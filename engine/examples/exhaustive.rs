//! Every lane function over all 2^32 inputs against its correctly rounded reference.
//!
//! `cargo run --release -p regularity-engine --example exhaustive -- [--isa NAME] [--threads N] [--step K] [NAME...]`
//!
//! `--step K` takes every K-th bit pattern only. Without names all functions run.

#[path = "../tests/oracle/mod.rs"]
mod oracle;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use oracle::{CASES, Case, same, ulps};
use regularity_engine::math::map_normal_quantile;
use regularity_engine::simd::Isa;

/// Inputs per block of work.
const BLOCK: u64 = 1 << 16;
/// Misrounded inputs that are shown.
const SHOWN: u64 = 40;

struct Options {
    isa: Isa,
    threads: usize,
    step: u64,
    names: Vec<String>,
}

fn parse() -> Result<Options, String> {
    let mut options = Options { isa: Isa::detect(), threads: 1, step: 1, names: Vec::new() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--isa" => options.isa = value()?.parse().map_err(|e| format!("{e}"))?,
            "--threads" => options.threads = value()?.parse().map_err(|e| format!("--threads: {e}"))?,
            "--step" => options.step = value()?.parse().map_err(|e| format!("--step: {e}"))?,
            _ => options.names.push(arg),
        }
    }
    options.isa.require().map_err(|e| e.to_string())?;
    Ok(options)
}

/// What a run found.
#[derive(Default)]
struct Tally {
    inputs: AtomicU64,
    wrong: AtomicU64,
    worst: AtomicU64,
}

/// Calls `block` with the first pattern of each block, from `threads` threads.
fn over_blocks(threads: usize, end: u64, span: u64, block: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let first = next.fetch_add(span, Ordering::Relaxed);
                    if first >= end {
                        break;
                    }
                    block(first);
                }
            });
        }
    });
}

fn unary(case: &Case, options: &Options) -> Tally {
    let tally = Tally::default();
    over_blocks(options.threads, 1 << 32, BLOCK * options.step, |first| {
        let x: Vec<f32> = (0..BLOCK)
            .map(|i| first + i * options.step)
            .take_while(|&bits| bits < 1 << 32)
            .map(|bits| f32::from_bits(bits as u32))
            .collect();
        let mut y = vec![0.0; x.len()];
        (case.map)(options.isa, &x, &mut y).expect("the tier was checked");
        for (&x, &y) in x.iter().zip(&y) {
            let expected = (case.reference)(x);
            if !same(y, expected) {
                tally.worst.fetch_max(ulps(y, expected), Ordering::Relaxed);
                if tally.wrong.fetch_add(1, Ordering::Relaxed) < SHOWN {
                    println!(
                        "  {}(0x{:08x} = {x:e}) gave 0x{:08x} = {y:e}, correct is 0x{:08x}",
                        case.name,
                        x.to_bits(),
                        y.to_bits(),
                        expected.to_bits()
                    );
                }
            }
        }
        tally.inputs.fetch_add(x.len() as u64, Ordering::Relaxed);
    });
    tally
}

/// The upper half of the words against the distribution function, the lower half against the upper.
fn quantile(options: &Options) -> Tally {
    let tally = Tally::default();
    over_blocks(options.threads, 1 << 31, BLOCK * options.step, |first| {
        let upper: Vec<u32> = (0..BLOCK)
            .map(|i| (1 << 31) + first + i * options.step)
            .take_while(|&w| w < 1 << 32)
            .map(|w| w as u32)
            .collect();
        let lower: Vec<u32> = upper.iter().map(|w| !w).collect();
        let (mut y, mut mirrored) = (vec![0.0; upper.len()], vec![0.0; upper.len()]);
        map_normal_quantile(options.isa, &upper, &mut y).expect("the tier was checked");
        map_normal_quantile(options.isa, &lower, &mut mirrored).expect("the tier was checked");
        let mut oracle = oracle::quantile::Oracle::default();
        for ((&w, &y), &m) in upper.iter().zip(&y).zip(&mirrored) {
            if !oracle.accepts(w, y) || m.to_bits() != (-y).to_bits() {
                // The neighbours tell by how much.
                let near = |d: i32| f32::from_bits(y.to_bits().wrapping_add_signed(d));
                let off = (1..=4).find(|&d| oracle.accepts(w, near(d)) || oracle.accepts(w, near(-d)));
                tally.worst.fetch_max(off.map_or(u64::MAX, |d| d as u64), Ordering::Relaxed);
                if tally.wrong.fetch_add(2, Ordering::Relaxed) < SHOWN {
                    println!("  normal_quantile(0x{w:08x}) gave 0x{:08x} = {y:e}, mirrored {m:e}", y.to_bits());
                }
            }
        }
        tally.inputs.fetch_add(2 * upper.len() as u64, Ordering::Relaxed);
    });
    tally
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let mut failed = false;
    println!("| function | tier | inputs | misrounded | max ulp | seconds |\n|---|---|---:|---:|---:|---:|");
    let wanted = |name: &str| options.names.is_empty() || options.names.iter().any(|n| n == name);
    let mut report = |name: &str, run: &dyn Fn() -> Tally| {
        if !wanted(name) {
            return;
        }
        let start = Instant::now();
        let tally = run();
        let [inputs, wrong, worst] = [tally.inputs, tally.wrong, tally.worst].map(AtomicU64::into_inner);
        let seconds = start.elapsed().as_secs_f64();
        println!("| {name} | {} | {inputs} | {wrong} | {worst} | {seconds:.0} |", options.isa);
        failed |= wrong != 0;
    };
    for case in CASES {
        report(case.name, &|| unary(case, &options));
    }
    report("normal_quantile", &|| quantile(&options));
    ExitCode::from(u8::from(failed))
}
