//! Shows log lines on standard output, the way `--output` asks for.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};
use timberyard_model::Timestamp;

use crate::cli::{LineArguments, Output};
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
    form: LineForm,
}

/// How lines are shown.
struct LineForm {
    arguments: LineArguments,
    coloured: bool,
}

impl LineWriter {
    /// A writer in the given form; colours only on a terminal, if nobody asks for them.
    pub(crate) fn new(arguments: &LineArguments) -> Self {
        let out = io::stdout();
        let coloured = arguments.colored_output || io::IsTerminal::is_terminal(&out);
        let form = LineForm { arguments: arguments.clone(), coloured };
        Self { out: io::BufWriter::new(out), form }
    }

    /// Writes one line.
    pub(crate) fn write(&mut self, line: &ShownLine) -> Result<(), Failure> {
        if let (Output::Raw, Some(bytes)) = (self.form.arguments.output, &line.bytes) {
            let written = self.out.write_all(bytes).and_then(|()| self.out.write_all(b"\n"));
            return written.map_err(|error| Failure::output(&error));
        }
        let text = self.form.text(line);
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

impl LineForm {
    fn text(&self, line: &ShownLine) -> String {
        match self.arguments.output {
            Output::Raw => line.text.clone(),
            Output::Jsonl => {
                let mut object = Map::new();
                if !self.arguments.no_labels {
                    object.insert("labels".to_owned(), Value::Object(self.labels(line)));
                }
                object.insert("line".to_owned(), Value::String(line.text.clone()));
                object.insert("timestamp".to_owned(), Value::String(line.timestamp.to_string()));
                Value::Object(object).to_string()
            }
            Output::Default => {
                let (dim, colour) = match self.coloured {
                    // By all labels, so that a stream keeps its colour.
                    true => (Style::new().dimmed(), colour_of(&selector(&line.labels))),
                    false => (Style::new(), Style::new()),
                };
                let time = format!("{dim}{}{dim:#}", line.timestamp);
                if self.arguments.no_labels {
                    return format!("{time} {colour}{}{colour:#}", line.text);
                }
                format!("{time} {colour}{}{colour:#} {}", selector(&self.labels(line)), line.text)
            }
        }
    }

    /// The labels that are shown.
    fn labels(&self, line: &ShownLine) -> Map<String, Value> {
        let LineArguments { include_label, exclude_label, .. } = &self.arguments;
        let mut labels = line.labels.clone();
        labels.retain(|name, _| {
            (include_label.is_empty() || include_label.contains(name)) && !exclude_label.contains(name)
        });
        labels
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

    fn form(output: Output, change: impl FnOnce(&mut LineArguments)) -> LineForm {
        let mut arguments = LineArguments { output, ..LineArguments::default() };
        change(&mut arguments);
        LineForm { arguments, coloured: false }
    }

    fn line() -> ShownLine {
        let labels =
            [("app", "a\"b"), ("env", "x")].map(|(name, value)| (name.to_owned(), Value::from(value)));
        ShownLine {
            timestamp: Timestamp::from_nanos(1_500_000_000),
            labels: Map::from_iter(labels),
            text: "hi".to_owned(),
            bytes: None,
        }
    }

    #[test]
    fn each_output_shows_what_it_says() {
        for (output, expected) in [
            (Output::Raw, "hi"),
            (Output::Default, r#"1970-01-01T00:00:01.5Z {app="a\"b", env="x"} hi"#),
            (
                Output::Jsonl,
                r#"{"labels":{"app":"a\"b","env":"x"},"line":"hi","timestamp":"1970-01-01T00:00:01.5Z"}"#,
            ),
        ] {
            assert_eq!(form(output, |_| ()).text(&line()), expected);
        }
    }

    #[test]
    fn labels_are_shown_as_far_as_they_are_wanted() {
        let shown = |output, change: fn(&mut LineArguments)| form(output, change).text(&line());
        assert_eq!(shown(Output::Default, |wanted| wanted.no_labels = true), "1970-01-01T00:00:01.5Z hi");
        assert_eq!(
            shown(Output::Default, |wanted| wanted.include_label = vec!["env".to_owned(), "none".to_owned()]),
            r#"1970-01-01T00:00:01.5Z {env="x"} hi"#
        );
        assert_eq!(
            shown(Output::Jsonl, |wanted| wanted.exclude_label = vec!["app".to_owned()]),
            r#"{"labels":{"env":"x"},"line":"hi","timestamp":"1970-01-01T00:00:01.5Z"}"#
        );
        assert_eq!(
            shown(Output::Jsonl, |wanted| wanted.no_labels = true),
            r#"{"line":"hi","timestamp":"1970-01-01T00:00:01.5Z"}"#
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
