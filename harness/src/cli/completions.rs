//! `regularity completions SHELL`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use super::terminal::Terminal;
use crate::error::Result;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example, for bash:\n  regularity completions bash > ~/.local/share/bash-completion/completions/regularity"
)]
pub struct Args {
    /// The shell to complete for
    shell: Shell,
}

pub fn run(args: &Args, terminal: &mut Terminal) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "regularity", &mut script);
    terminal.line(String::from_utf8_lossy(&script).trim_end())
}
