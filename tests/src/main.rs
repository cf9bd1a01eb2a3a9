//! The command line `regularity`, built for the tests of this package.

fn main() -> std::process::ExitCode {
    regularity::cli::main()
}
