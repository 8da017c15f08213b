//! Joins lines that belong together: a stack trace and the line before it.
//!
//! A group ends where a line begins a new one, when nothing came for a while, or at its limit of lines or bytes.

use regex::bytes::Regex;
use serde::Deserialize;

/// What the settings say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultilineSettings {
    /// A line that matches begins a new group.
    pub first_line: Option<String>,
    /// Rules that are known by name, instead of `first_line`.
    pub preset: Option<Preset>,
    /// How long a group waits for its next line, in milliseconds.
    #[serde(default = "wait_ms")]
    pub wait_ms: u64,
    /// Lines of a group.
    #[serde(default = "lines_max")]
    pub lines_max: usize,
}

fn wait_ms() -> u64 {
    3000
}

fn lines_max() -> usize {
    500
}

/// Traces whose form is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Java and Kotlin: `at …`, `… more`, `Caused by:`, `Suppressed:`.
    Java,
    /// Python: from `Traceback` up to the line of the exception.
    Python,
    /// Go: `goroutine … [`, the lines of its frames, and the empty lines between.
    Go,
}

impl Preset {
    /// What a line is like that goes on with a group.
    fn goes_on(self) -> &'static str {
        match self {
            Self::Java => r"^(\s+(at |\.\.\. \d+ |Suppressed: |Caused by: )|Caused by: |Suppressed: )",
            Self::Python => {
                r"^(\s|Traceback \(most recent call last\):|[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning)(:|$)|During handling of the above exception|The above exception was the direct cause|$)"
            }
            Self::Go => {
                r"^(\s|goroutine \d+ \[|created by |[\w./*()\-\[\]…]+\(.*\)$|\[signal |exit status|$)"
            }
        }
    }
}

/// How lines of one target are joined.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    rule: Rule,
    pub(crate) wait_nanos: i64,
    lines_max: usize,
}

#[derive(Clone, Debug)]
enum Rule {
    Begins(Regex),
    GoesOn(Regex),
}

impl Joining {
    /// Makes rules ready, or says what is wrong with them.
    pub(crate) fn new(settings: &MultilineSettings) -> Result<Self, String> {
        let compile = |text: &str| Regex::new(text).map_err(|error| error.to_string());
        let rule = match (&settings.first_line, settings.preset) {
            (Some(text), None) => Rule::Begins(compile(text)?),
            (None, Some(preset)) => Rule::GoesOn(compile(preset.goes_on())?),
            _ => return Err("needs one of first_line and preset".to_owned()),
        };
        let wait_nanos = i64::try_from(settings.wait_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        Ok(Self { rule, wait_nanos, lines_max: settings.lines_max.max(1) })
    }

    fn begins(&self, line: &[u8]) -> bool {
        match &self.rule {
            Rule::Begins(first) => first.is_match(line),
            Rule::GoesOn(next) => !next.is_match(line),
        }
    }
}

/// A group that is not complete.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    text: Vec<u8>,
    lines: usize,
    /// When its last line came, in nanoseconds.
    last: i64,
}

impl Group {
    /// Whether a line is to be put into a group of its own.
    pub(crate) fn ends_before(&self, line: &[u8], joining: &Joining, bytes_max: usize) -> bool {
        self.lines > 0
            && (self.lines >= joining.lines_max
                || self.text.len() + line.len() + 1 > bytes_max
                || joining.begins(line))
    }

    /// Adds a line that came `now`.
    pub(crate) fn push(&mut self, line: &[u8], now: i64) {
        if self.lines > 0 {
            self.text.push(b'\n');
        }
        self.text.extend_from_slice(line);
        self.lines += 1;
        self.last = now;
    }

    /// Whether it has waited long enough.
    pub(crate) fn is_due(&self, joining: &Joining, now: i64) -> bool {
        self.lines > 0 && now.saturating_sub(self.last) >= joining.wait_nanos
    }

    /// Its text, when it has any; it is empty afterwards.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        let group = std::mem::take(self);
        (group.lines > 0).then_some(group.text)
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(settings: &MultilineSettings, text: &str) -> Vec<String> {
        let joining = Joining::new(settings).expect("valid");
        let mut group = Group::default();
        let mut groups = Vec::new();
        for line in text.lines() {
            if group.ends_before(line.as_bytes(), &joining, 1000) {
                groups.extend(group.take());
            }
            group.push(line.as_bytes(), 0);
        }
        groups.extend(group.take());
        groups.into_iter().map(|group| String::from_utf8(group).expect("text")).collect()
    }

    fn preset(preset: Preset) -> MultilineSettings {
        MultilineSettings { first_line: None, preset: Some(preset), wait_ms: 1, lines_max: 50 }
    }

    #[test]
    fn traces_are_joined_to_the_line_before_them() {
        let java = "ERROR no\njava.lang.X: y\n\tat a.b(C.java:1)\nCaused by: z\n\t... 3 more\nINFO next";
        let found = groups(&preset(Preset::Java), java);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[1].starts_with("java.lang.X") && found[1].ends_with("3 more"));
        let python = "ERROR x\nTraceback (most recent call last):\n  File \"a\", line 1\n    f()\nValueError: bad\nINFO next";
        assert_eq!(groups(&preset(Preset::Python), python).len(), 2);
        let go =
            "panic: no\n\ngoroutine 1 [running]:\nmain.main()\n\t/a/b.go:3 +0x1\nexit status 2\nINFO next";
        assert_eq!(groups(&preset(Preset::Go), go).len(), 2);
    }

    #[test]
    fn a_first_line_begins_a_group_and_limits_end_one() {
        let settings = MultilineSettings {
            first_line: Some(r"^\d{4}-".to_owned()),
            preset: None,
            wait_ms: 1000,
            lines_max: 3,
        };
        assert_eq!(groups(&settings, "2026-a\n b\n2026-c\nd\ne\nf"), ["2026-a\n b", "2026-c\nd\ne", "f"]);
        let joining = Joining::new(&settings).expect("valid");
        let mut group = Group::default();
        assert!(!group.is_due(&joining, i64::MAX));
        group.push(b"x", 5);
        assert!(!group.is_due(&joining, 1_000_000_004) && group.is_due(&joining, 1_000_000_005));
        assert!(Joining::new(&MultilineSettings { first_line: None, ..settings }).is_err());
    }
}
