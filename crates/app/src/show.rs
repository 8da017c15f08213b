//! Shows log lines on standard output, the way `--output` asks for.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};
use timberyard_model::Timestamp;

use crate::cli::Output;
use crate::failure::Failure;

/// A line as a server gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShownLine {
    /// Its time.
    pub(crate) timestamp: Timestamp,
    /// Its labels, by name.
    pub(crate) labels: Map<String, Value>,
    /// The line, with U+FFFD for what is not UTF-8.
    pub(crate) text: String,
    /// The line's bytes, when they are not UTF-8 and the server gave them.
    pub(crate) bytes: Option<Vec<u8>>,
}

/// Writes lines to standard output.
pub(crate) struct LineWriter {
    out: io::BufWriter<io::Stdout>,
    output: Output,
    is_terminal: bool,
}

impl LineWriter {
    /// A writer in the given form; colours only on a terminal.
    pub(crate) fn new(output: Output) -> Self {
        let out = io::stdout();
        let is_terminal = io::IsTerminal::is_terminal(&out);
        Self { out: io::BufWriter::new(out), output, is_terminal }
    }

    /// Writes one line.
    pub(crate) fn write(&mut self, line: &ShownLine) -> Result<(), Failure> {
        if let (Output::Raw, Some(bytes)) = (self.output, &line.bytes) {
            let written = self.out.write_all(bytes).and_then(|()| self.out.write_all(b"\n"));
            return written.map_err(|error| Failure::output(&error));
        }
        let text = format(line, self.output, self.is_terminal);
        writeln!(self.out, "{text}").map_err(|error| Failure::output(&error))
    }

    /// Writes a text that is formatted already, as a line.
    pub(crate) fn write_text(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(|error| Failure::output(&error))
    }

    /// Makes everything visible.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::output(&error))
    }
}

fn format(line: &ShownLine, output: Output, coloured: bool) -> String {
    match output {
        Output::Raw => line.text.clone(),
        Output::Jsonl => {
            let mut object = Map::new();
            object.insert("labels".to_owned(), Value::Object(line.labels.clone()));
            object.insert("line".to_owned(), Value::String(line.text.clone()));
            object.insert("timestamp".to_owned(), Value::String(line.timestamp.to_string()));
            Value::Object(object).to_string()
        }
        Output::Default => {
            let labels = selector(&line.labels);
            let dim = if coloured { Style::new().dimmed() } else { Style::new() };
            let colour = if coloured { colour_of(&labels) } else { Style::new() };
            format!("{dim}{}{dim:#} {colour}{labels}{colour:#} {}", line.timestamp, line.text)
        }
    }
}

/// A colour for a stream: always the same, and most likely another than that of the next stream.
fn colour_of(labels: &str) -> Style {
    const COLOURS: [AnsiColor; 12] = [
        AnsiColor::Blue,
        AnsiColor::Green,
        AnsiColor::Magenta,
        AnsiColor::Cyan,
        AnsiColor::Yellow,
        AnsiColor::Red,
        AnsiColor::BrightBlue,
        AnsiColor::BrightGreen,
        AnsiColor::BrightMagenta,
        AnsiColor::BrightCyan,
        AnsiColor::BrightYellow,
        AnsiColor::BrightRed,
    ];
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    let place = usize::try_from(hasher.finish() % COLOURS.len() as u64).unwrap_or(0);
    COLOURS.get(place).map_or_else(Style::new, |colour| colour.on_default())
}

/// `{a="b", c="d"}`
pub(crate) fn selector(labels: &Map<String, Value>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_output_shows_what_it_says() {
        let labels = Map::from_iter([("app".to_owned(), Value::from("a\"b"))]);
        let line = ShownLine {
            timestamp: Timestamp::from_nanos(1_500_000_000),
            labels,
            text: "hi".to_owned(),
            bytes: None,
        };
        assert_eq!(format(&line, Output::Raw, true), "hi");
        assert_eq!(format(&line, Output::Default, false), r#"1970-01-01T00:00:01.5Z {app="a\"b"} hi"#);
        assert_eq!(
            format(&line, Output::Jsonl, true),
            r#"{"labels":{"app":"a\"b"},"line":"hi","timestamp":"1970-01-01T00:00:01.5Z"}"#
        );
    }

    #[test]
    fn a_stream_keeps_its_colour() {
        assert_eq!(colour_of("{a=\"b\"}"), colour_of("{a=\"b\"}"));
        let colours: std::collections::HashSet<String> =
            (0..50).map(|number| colour_of(&number.to_string()).to_string()).collect();
        assert!(colours.len() > 6, "{} colours", colours.len());
    }
}
