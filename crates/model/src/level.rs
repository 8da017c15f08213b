//! Severity words and the small set of levels they stand for.

/// The structured metadata that holds the level of a row.
pub const DETECTED_LEVEL: &str = "detected_level";

/// The normalised level of a line, as Loki's `detected_level` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `trace` (also FINEST, FINER).
    Trace,
    /// `debug` (also FINE).
    Debug,
    /// `info` (also CONFIG, NOTICE).
    Info,
    /// `warn` (also WARNING).
    Warn,
    /// `error` (also SEVERE).
    Error,
    /// `critical`.
    Critical,
    /// `fatal`.
    Fatal,
}

impl Level {
    /// The level that a word stands for, whatever its case; `None` for a word that is not one.
    pub fn from_word(word: &str) -> Option<Self> {
        const WORDS: [(&str, Level); 28] = [
            ("trace", Level::Trace),
            ("trc", Level::Trace),
            ("finest", Level::Trace),
            ("finer", Level::Trace),
            ("debug", Level::Debug),
            ("dbg", Level::Debug),
            ("fine", Level::Debug),
            ("info", Level::Info),
            ("inf", Level::Info),
            ("information", Level::Info),
            ("informational", Level::Info),
            ("config", Level::Info),
            ("notice", Level::Info),
            ("warn", Level::Warn),
            ("wrn", Level::Warn),
            ("warning", Level::Warn),
            ("error", Level::Error),
            ("err", Level::Error),
            ("eror", Level::Error),
            ("severe", Level::Error),
            ("critical", Level::Critical),
            ("crit", Level::Critical),
            ("alert", Level::Critical),
            ("fatal", Level::Fatal),
            ("ftl", Level::Fatal),
            ("panic", Level::Fatal),
            ("emerg", Level::Fatal),
            ("emergency", Level::Fatal),
        ];
        WORDS.iter().find(|(text, _)| text.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
    }

    /// The word Loki uses for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Fatal => "fatal",
        }
    }
}
