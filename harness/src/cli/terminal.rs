//! Where words go: results to standard output, talk to standard error, colours to people only.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

use crate::error::{Error, Result};

/// The two output streams, and whether each may be coloured.
pub struct Terminal {
    out: BufWriter<io::Stdout>,
    colour_out: bool,
    colour_err: bool,
}

/// How a piece of text is meant; shown as a colour where there are colours.
#[derive(Debug, Clone, Copy)]
pub enum Tone {
    /// A heading.
    Heading,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Of less interest.
    Dim,
}

/// A text with its tone; prints escape codes only if `colour` is set.
struct Painted<'a> {
    text: &'a str,
    tone: Tone,
    colour: bool,
}

impl Display for Painted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.colour {
            return f.pad(self.text);
        }
        let code = match self.tone {
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Dim => "2",
        };
        write!(f, "\x1b[{code}m")?;
        f.pad(self.text)?;
        f.write_str("\x1b[0m")
    }
}

/// Whether a terminal may be coloured, by the variables that people set.
fn colours_wanted(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty()) && variable("TERM").is_none_or(|term| term != "dumb")
}

impl Terminal {
    /// The streams of this process; colours where a terminal shows them and `NO_COLOR` is empty or not set.
    pub fn of_process() -> Self {
        let wanted = colours_wanted(|name| std::env::var_os(name));
        Self {
            out: BufWriter::new(io::stdout()),
            colour_out: wanted && io::stdout().is_terminal(),
            colour_err: wanted && io::stderr().is_terminal(),
        }
    }

    /// A line of a result.
    pub fn line(&mut self, text: impl Display) -> Result<()> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// A result for machines: pretty JSON with a final newline.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer_pretty(&mut self.out, value).map_err(io::Error::from)?;
        self.line("")
    }

    /// `text` as standard output shows that tone.
    pub fn paint<'a>(&self, tone: Tone, text: &'a str) -> impl Display + 'a {
        Painted { text, tone, colour: self.colour_out }
    }

    /// Talk: what happens meanwhile, and what to do next. It is no result, so that it cannot be said is no error.
    pub fn note(&mut self, tone: Option<Tone>, text: impl Display) {
        let text = text.to_string();
        let _ = match tone {
            Some(tone) => writeln!(io::stderr(), "{}", Painted { text: &text, tone, colour: self.colour_err }),
            None => writeln!(io::stderr(), "{text}"),
        };
    }

    /// The end of a command that failed: cause and remedy.
    pub fn error(&mut self, error: Error) {
        // What the command said before it failed comes first; that it cannot be written changes nothing now.
        let _ = self.out.flush();
        let _ = writeln!(io::stderr(), "{:?}", miette::Report::new(error));
    }

    /// Writes out what is still held back.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_and_dumb_terminals_are_respected() {
        let wanted = |set: &[(&str, &str)]| {
            colours_wanted(|name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| OsString::from(value)))
        };
        assert!(wanted(&[]) && wanted(&[("TERM", "xterm")]) && wanted(&[("NO_COLOR", "")]));
        assert!(!wanted(&[("NO_COLOR", "1")]) && !wanted(&[("TERM", "dumb")]));
    }

    #[test]
    fn painted_text_keeps_its_width_and_is_plain_without_colour() {
        let plain = Painted { text: "ab", tone: Tone::Good, colour: false };
        assert_eq!(format!("{plain:>4}|"), "  ab|");
        let coloured = Painted { colour: true, ..plain };
        assert_eq!(format!("{coloured:>4}|"), "\x1b[32m  ab\x1b[0m|");
    }
}
