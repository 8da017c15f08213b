//! Reads the file given as `--env-file`: `NAME=value` lines, as shells, compose and systemd write them.
//!
//! Comments start with `#`; `export ` may stand before a name; a value may stand in single quotes (taken as
//! it is) or double quotes (with `\n`, `\t`, `\"`, `\\`). No variable is expanded.

use std::path::Path;

use super::error::ConfigError;

/// One variable of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The line, from 1.
    pub(crate) number: u64,
    /// The variable.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: String,
}

/// Reads a file from disk.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
    parse(&text).map_err(|(line, reason)| ConfigError::Malformed { path: path.to_owned(), line, reason })
}

/// Reads the text of a file; an error has the number of its line.
pub(crate) fn parse(text: &str) -> Result<Vec<Line>, (u64, String)> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or_else(|| {
            (number, "must be NAME=value, a comment that starts with #, or empty".to_owned())
        })?;
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err((number, format!("`{name}` is not the name of a variable")));
        }
        let value = unquote(value.trim()).map_err(|reason| (number, reason))?;
        lines.push(Line { number, name: name.to_owned(), value });
    }
    Ok(lines)
}

fn unquote(value: &str) -> Result<String, String> {
    let unended = || "the quote is not closed".to_owned();
    if let Some(rest) = value.strip_prefix('\'') {
        let (inside, _) = rest.split_once('\'').ok_or_else(unended)?;
        return Ok(inside.to_owned());
    }
    let Some(rest) = value.strip_prefix('"') else {
        let plain = value.split_once(" #").map_or(value, |(before, _)| before);
        // `NAME= # comment`: the space was trimmed away.
        return Ok(if plain.starts_with('#') { String::new() } else { plain.trim_end().to_owned() });
    };
    let mut inside = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(inside),
            '\\' => match chars.next().ok_or_else(unended)? {
                'n' => inside.push('\n'),
                't' => inside.push('\t'),
                other => inside.push(other),
            },
            other => inside.push(other),
        }
    }
    Err(unended())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_shells_and_compose_write_them() {
        let text =
            "# c\n\nA=1\nexport B = two words  # why\nC='a # b'\nD=\"x\\ny\"\nE=\nF= # nothing\nG=a#b\n";
        let lines = parse(text).expect("valid");
        let values: Vec<_> =
            lines.iter().map(|line| (line.number, line.name.as_str(), line.value.as_str())).collect();
        assert_eq!(
            values,
            [
                (3, "A", "1"),
                (4, "B", "two words"),
                (5, "C", "a # b"),
                (6, "D", "x\ny"),
                (7, "E", ""),
                (8, "F", ""),
                (9, "G", "a#b")
            ]
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        assert_eq!(parse("A=1\nnonsense\n").expect_err("bad").0, 2);
        assert_eq!(parse("A='x\n").expect_err("bad"), (1, "the quote is not closed".to_owned()));
        assert_eq!(parse("A B=x\n").expect_err("bad").0, 1);
    }
}
