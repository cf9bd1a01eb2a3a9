//! The command line `regularity`.

fn main() -> std::process::ExitCode {
    regularity::cli::main()
}
