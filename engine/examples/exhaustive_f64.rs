//! The scalar `f64` functions against CORE-MATH's correctly rounded ones.
//!
//! `cargo run --release -p regularity-engine --example exhaustive_f64 -- [INPUTS] [NAME...]` (100,000,000 of each by default)

#[path = "../tests/oracle/mod.rs"]
mod oracle;

use std::process::ExitCode;
use std::time::Instant;

use oracle::scalar::{CASES, ulps};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    let inputs = args.next_if(|a| a.parse::<u64>().is_ok()).and_then(|a| a.parse().ok()).unwrap_or(100_000_000u64);
    let names: Vec<String> = args.collect();
    let mut failed = false;
    println!("| function | inputs | misrounded | share | max distance from correct rounding (ulp) | seconds |");
    println!("|---|---:|---:|---:|---:|---:|");
    for case in CASES.iter().filter(|c| names.is_empty() || names.iter().any(|n| n == c.name)) {
        let start = Instant::now();
        let (mut wrong, mut worst, mut worst_input) = (0u64, 0u64, 0.0);
        for i in 0..inputs {
            let x = case.sample(i);
            let distance = ulps((case.function)(x), (case.reference)(x));
            wrong += u64::from(distance > 0);
            if distance > worst {
                (worst, worst_input) = (distance, x);
            }
        }
        let share = 100.0 * wrong as f64 / inputs as f64;
        let seconds = start.elapsed().as_secs_f64();
        println!("| {} | {inputs} | {wrong} | {share:.2} % | {worst} | {seconds:.0} |", case.name);
        if worst > 1 {
            println!("  worst at {worst_input:e} (0x{:016x})", worst_input.to_bits());
            failed = true;
        }
    }
    ExitCode::from(u8::from(failed))
}
