//! The command line: one file a subcommand, each a set of flags and a thin `run`.
//!
//! Results go to standard output, talk to standard error, and the exit code tells how it ended
//! ([`crate::error::Exit`]). Adding a subcommand is one file and one line each in `Command` and `dispatch`.

mod bench;
mod bless;
mod check;
mod compare;
mod completions;
mod data;
mod doctor;
mod estimate;
mod list;
mod options;
mod report;
mod request;
mod run;
mod selftest;
mod sweep;
mod terminal;
mod trace;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{Exit, Result};
use crate::experiments::{REGISTRY, Registry};
use terminal::Terminal;

const AFTER_HELP: &str = "\
Exit codes:
  0    fine
  1    a golden or a claim does not hold
  2    usage or configuration
  3    data missing or damaged
  4    training is not finite
  5    input or output failed
  130  interrupted

Results go to standard output, everything else to standard error. NO_COLOR is respected.";

/// Deep-learning experiments with the same bits on every machine.
#[derive(Debug, Parser)]
#[command(name = "regularity", bin_name = "regularity", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Run(run::Args),
    Check(check::Args),
    Bless(bless::Args),
    Report(report::Args),
    Compare(compare::Args),
    Trace(trace::Args),
    Sweep(sweep::Args),
    Doctor(doctor::Args),
    Selftest(selftest::Args),
    Bench(bench::Args),
    Data(data::Args),
    Completions(completions::Args),
}

/// Reads the arguments of the process, does what they ask, and says how the process ends.
#[must_use]
pub fn main() -> ExitCode {
    main_with(REGISTRY)
}

/// The same with other experiments.
#[must_use]
pub fn main_with(registry: &Registry) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help, the version, or a usage error; that they cannot be printed is no reason to end differently.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(Exit::Usage as u8));
        }
    };
    let mut terminal = Terminal::of_process();
    let outcome = dispatch(cli.command, registry, &mut terminal).and_then(|()| terminal.flush());
    let exit = match outcome {
        Ok(()) => Exit::Fine,
        Err(e) => {
            let exit = e.exit();
            if exit != Exit::Fine {
                terminal.error(e);
            }
            exit
        }
    };
    ExitCode::from(exit as u8)
}

fn dispatch(command: Command, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    match command {
        Command::List(args) => list::run(&args, registry, terminal),
        Command::Run(args) => run::run(&args, registry, terminal),
        Command::Check(args) => check::run(&args, registry, terminal),
        Command::Bless(args) => bless::run(&args, registry, terminal),
        Command::Report(args) => report::run(&args, registry, terminal),
        Command::Compare(args) => compare::run(&args, terminal),
        Command::Trace(args) => trace::run(&args, registry, terminal),
        Command::Sweep(args) => sweep::run(&args, registry, terminal),
        Command::Doctor(args) => doctor::run(&args, terminal),
        Command::Selftest(args) => selftest::run(&args, terminal),
        Command::Bench(args) => bench::run(&args, terminal),
        Command::Data(args) => data::run(&args, terminal),
        Command::Completions(args) => completions::run(&args, terminal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
