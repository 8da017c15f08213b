//! Answers whose JSON is written by hand, because it is made of rows.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use timberyard_model::{RowRef, Rows};

/// 200 with a JSON text.
pub(super) fn json_text(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A JSON array with one element a row.
pub(super) fn array_of(rows: &Rows, mut write: impl FnMut(&mut Vec<u8>, RowRef<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.bytes().saturating_mul(2).min(64 << 20));
    out.push(b'[');
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(&mut out, row);
    }
    out.push(b']');
    out
}

/// How many lines and values of the rows are not UTF-8, and so are shown with U+FFFD.
pub(super) fn replaced_values(rows: &Rows) -> u64 {
    let broken = |bytes: &[u8]| u64::from(std::str::from_utf8(bytes).is_err());
    rows.iter()
        .map(|row| broken(row.line()) + row.metadata().map(|(_, value)| broken(value)).sum::<u64>())
        .sum()
}
