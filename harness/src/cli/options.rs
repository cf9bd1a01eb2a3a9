//! Flags that several subcommands share.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use regularity_engine::Isa;

/// Reads the name of a tier; clap lists the names in the help and suggests the nearest to a misspelt one.
///
/// Whether this CPU has the tier is not judged here: that is an error with a remedy of its own.
pub fn isa_parser() -> impl TypedValueParser<Value = Isa> {
    let names = std::iter::once("auto").chain(Isa::ALL.map(Isa::name));
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Isa>())
}

/// Reads a number of threads. The upper limit only catches slips: oversubscription is allowed.
pub fn threads_parser() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u16).range(1..=1024).map(usize::from)
}

/// Reads a size of a problem.
pub fn size_parser() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u64).range(1..=1 << 32).try_map(usize::try_from)
}
