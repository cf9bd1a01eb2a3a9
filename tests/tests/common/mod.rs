//! What the tests of the command line share.

#![allow(clippy::unwrap_used)] // a test that unwraps says where it failed
#![allow(dead_code)] // every file of tests uses its part

use std::process::Output;

use assert_cmd::Command;

/// How a run of the command line ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The command line in an environment without settings that could show.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_regularity-under-test"));
    for name in ["CI", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command
}

/// Runs it with the given arguments.
pub fn run(args: &[&str]) -> Run {
    finish(command().args(args))
}

/// Runs a prepared command.
pub fn finish(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
}

/// The text with line breaks and the marks of the diagnostics' margin taken out, to look for phrases in it.
pub fn flat(text: &str) -> String {
    text.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}
