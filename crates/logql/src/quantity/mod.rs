//! Durations, sizes and numbers as text, read and written the way Loki's users know them.
//!
//! These are the rules of Go's `time` and `strconv` packages, of Prometheus' durations and of
//! `go-humanize`, whose words also show up in `__error_details__`.

pub mod bytes;
pub mod duration;
pub mod number;

/// A text that is not the quantity it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QuantityError(pub(crate) String);
