//! Which columns rows lie in: Timberyard's own tables, or the table that another system has its logs in.

use serde::{Deserialize, Serialize};

/// The tables of a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Timberyard's own (`docs/format/clickhouse.md`).
    #[default]
    Timberyard,
    /// LogStream's `app_logs`.
    Logstream,
    /// Logtopus' `logs`.
    Logtopus,
}

/// A column of another system's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LayoutColumn {
    /// Its name.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) kind: ColumnKind,
    /// Its type in a table that we make.
    pub(super) made_as: &'static str,
}

/// What a column holds, whatever type of it a table has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    /// Bytes.
    Text,
    /// A UUID, or the text of one.
    Id,
    /// The time of the row, in some precision.
    Time,
    /// A `UInt64`.
    Number,
}

const fn column(name: &'static str, kind: ColumnKind, made_as: &'static str) -> LayoutColumn {
    LayoutColumn { name, kind, made_as }
}

const fn text(name: &'static str) -> LayoutColumn {
    column(name, ColumnKind::Text, "String")
}

const LOGSTREAM: [LayoutColumn; 6] = [
    column("id", ColumnKind::Id, "UUID"),
    text("service"),
    text("level"),
    text("message"),
    text("meta"),
    column("timestamp", ColumnKind::Time, "DateTime64(3)"),
];

const LOGTOPUS: [LayoutColumn; 13] = [
    column("timestamp", ColumnKind::Time, "DateTime64(3)"),
    column("level", ColumnKind::Text, "LowCardinality(String)"),
    text("message"),
    text("object"),
    text("extra"),
    text("logger_name"),
    column("sequence", ColumnKind::Number, "UInt64"),
    text("error"),
    text("stacktrace"),
    text("session_id"),
    text("client_id"),
    text("source"),
    text("client_ip"),
];

impl Layout {
    /// The name of the table when none is written.
    pub(super) fn table_default(self) -> &'static str {
        match self {
            Self::Timberyard | Self::Logtopus => "logs",
            Self::Logstream => "app_logs",
        }
    }

    /// Whose table it is, for people.
    pub(super) fn owner(self) -> &'static str {
        match self {
            Self::Timberyard => "Timberyard",
            Self::Logstream => "LogStream",
            Self::Logtopus => "Logtopus",
        }
    }

    /// As it is written in settings.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Timberyard => "timberyard",
            Self::Logstream => "logstream",
            Self::Logtopus => "logtopus",
        }
    }

    /// The columns of another system's table, in the order in which rows are inserted; none of our own tables.
    pub(super) fn columns(self) -> &'static [LayoutColumn] {
        match self {
            Self::Timberyard => &[],
            Self::Logstream => &LOGSTREAM,
            Self::Logtopus => &LOGTOPUS,
        }
    }

    /// Whether the table is another system's.
    pub(super) fn is_adopted(self) -> bool {
        self != Self::Timberyard
    }
}

impl std::str::FromStr for Layout {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Timberyard, Self::Logstream, Self::Logtopus]
            .into_iter()
            .find(|layout| layout.word() == word)
            .ok_or_else(|| format!("`{word}` is not timberyard, logstream or logtopus"))
    }
}
