//! The types that columns of another system's table may have, and their values in `RowBinary`.

use super::super::layout::ColumnKind;
use super::super::row_binary::RowWriter;

/// 1900-01-01 in seconds since 1970: the first time of a `DateTime64`.
const FIRST_SECOND: i64 = -2_208_988_800;

/// What is known of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    /// `String`, or a dictionary of it.
    Text {
        /// Whether a value may be `NULL`.
        is_nullable: bool,
    },
    /// `UUID`
    Uuid,
    /// `DateTime64` with so many digits behind the second.
    Ticks {
        /// 0 to 9.
        digits: u32,
    },
    /// `DateTime`
    Seconds,
    /// `UInt64`
    Number,
}

impl ColumnType {
    /// The type that a table names, when a column of that kind may have it.
    pub(super) fn read(kind: ColumnKind, named: &str) -> Option<Self> {
        let is_text = |named: &str| matches!(named, "String" | "LowCardinality(String)");
        let is_nullable_text =
            |named: &str| matches!(named, "Nullable(String)" | "LowCardinality(Nullable(String))");
        match kind {
            ColumnKind::Text if is_nullable_text(named) => Some(Self::Text { is_nullable: true }),
            ColumnKind::Text if is_text(named) => Some(Self::Text { is_nullable: false }),
            ColumnKind::Id if named == "UUID" => Some(Self::Uuid),
            ColumnKind::Id if is_text(named) => Some(Self::Text { is_nullable: false }),
            ColumnKind::Number if named == "UInt64" => Some(Self::Number),
            ColumnKind::Time if named == "DateTime" || named.starts_with("DateTime(") => Some(Self::Seconds),
            ColumnKind::Time => {
                let digits = named.strip_prefix("DateTime64(")?.trim_end_matches(')');
                let digits = digits.split(',').next()?.trim().parse().ok()?;
                (digits <= 9).then_some(Self::Ticks { digits })
            }
            _ => None,
        }
    }

    /// A column's value as SQL, of a type that does not depend on the table's.
    pub(super) fn value_sql(self, column: &str) -> String {
        match self {
            Self::Text { is_nullable: true } => format!("ifNull(CAST({column}, 'Nullable(String)'), '')"),
            Self::Text { is_nullable: false } => format!("CAST({column}, 'String')"),
            Self::Uuid | Self::Number => column.to_owned(),
            // Times too far away for nanoseconds wrap around; nothing asks for them.
            Self::Ticks { .. } | Self::Seconds => {
                let (unit, factor) = self.unit();
                let ticks = match self {
                    Self::Seconds => format!("toInt64(toUnixTimestamp({column}))"),
                    _ => format!("toUnixTimestamp64{unit}({column})"),
                };
                let factor = if self == Self::Seconds { 1_000_000_000 } else { factor };
                format!("fromUnixTimestamp64Nano({ticks} * {factor}, 'UTC')")
            }
        }
    }

    /// The first and the last value of the column that a range of nanoseconds may touch, as SQL to compare the column with.
    pub(super) fn bounds_sql(self, first: i64, last: i64) -> (String, String) {
        let (unit, factor) = self.unit();
        let first = first.div_euclid(factor).max(FIRST_SECOND * (1_000_000_000 / factor));
        let last = last.div_euclid(factor);
        let bound = |ticks: i64| format!("fromUnixTimestamp64{unit}(toInt64({ticks}), 'UTC')");
        (bound(first), bound(last))
    }

    /// The name of a unit that is at least as fine as the column, and how many nanoseconds it is.
    fn unit(self) -> (&'static str, i64) {
        match self {
            Self::Ticks { digits: 7.. } => ("Nano", 1),
            Self::Ticks { digits: 4.. } => ("Micro", 1_000),
            _ => ("Milli", 1_000_000),
        }
    }

    /// Whether the column can hold that time, as precisely as it does.
    pub(super) fn holds_time(self, nanos: i64) -> bool {
        let seconds = nanos.div_euclid(1_000_000_000);
        match self {
            Self::Seconds => u32::try_from(seconds).is_ok(),
            _ => seconds >= FIRST_SECOND,
        }
    }

    /// Appends a time that the column [holds](Self::holds_time).
    pub(super) fn put_time(self, bytes: &mut Vec<u8>, nanos: i64) {
        match self {
            Self::Ticks { digits } => {
                bytes.put_i64(nanos.div_euclid(10_i64.pow(9_u32.saturating_sub(digits))));
            }
            _ => {
                let seconds = u32::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(0);
                bytes.extend_from_slice(&seconds.to_le_bytes());
            }
        }
    }

    /// Appends a text; that of a UUID to a column of these.
    pub(super) fn put_text(self, bytes: &mut Vec<u8>, text: &[u8]) {
        if self == (Self::Text { is_nullable: true }) {
            bytes.push(0);
        }
        bytes.put_text(text);
    }

    /// Appends an id.
    pub(super) fn put_id(self, bytes: &mut Vec<u8>, id: uuid::Uuid) {
        match self {
            Self::Uuid => {
                let (high, low) = id.as_u64_pair();
                bytes.put_u64(high);
                bytes.put_u64(low);
            }
            _ => self.put_text(bytes, id.hyphenated().to_string().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_hold_what_a_column_is_for_are_taken() {
        for (kind, named, expected) in [
            (ColumnKind::Text, "LowCardinality(String)", Some(ColumnType::Text { is_nullable: false })),
            (ColumnKind::Text, "Nullable(String)", Some(ColumnType::Text { is_nullable: true })),
            (ColumnKind::Text, "Enum8('INFO' = 1)", None),
            (ColumnKind::Id, "UUID", Some(ColumnType::Uuid)),
            (ColumnKind::Id, "UInt64", None),
            (ColumnKind::Time, "DateTime64(3, 'Europe/Berlin')", Some(ColumnType::Ticks { digits: 3 })),
            (ColumnKind::Time, "DateTime('UTC')", Some(ColumnType::Seconds)),
            (ColumnKind::Time, "DateTime64(10)", None),
            (ColumnKind::Time, "Date", None),
            (ColumnKind::Number, "UInt32", None),
        ] {
            assert_eq!(ColumnType::read(kind, named), expected, "{named}");
        }
    }

    #[test]
    fn a_time_is_as_precise_as_its_column_and_within_what_that_holds() {
        let mut bytes = Vec::new();
        ColumnType::Ticks { digits: 3 }.put_time(&mut bytes, -1);
        assert_eq!(bytes, (-1_i64).to_le_bytes());
        assert!(!ColumnType::Seconds.holds_time(-1));
        assert!(ColumnType::Seconds.holds_time(i64::from(u32::MAX) * 1_000_000_000));
        assert!(!ColumnType::Ticks { digits: 9 }.holds_time(i64::MIN));
        let (first, last) = ColumnType::Ticks { digits: 1 }.bounds_sql(i64::MIN, i64::MAX);
        assert_eq!(first, "fromUnixTimestamp64Milli(toInt64(-2208988800000), 'UTC')");
        assert_eq!(last, "fromUnixTimestamp64Milli(toInt64(9223372036854), 'UTC')");
    }
}
