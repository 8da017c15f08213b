//! Parameters as the five systems' clients give them: whole numbers in a range and RFC 3339 times; an empty
//! value counts as none.

use std::ops::RangeInclusive;

use timberyard_model::{TimeRange, Timestamp};

use crate::error_response::ErrorResponse;
use crate::form::Form;

/// A parameter that is there and not empty.
pub(super) fn present<'f>(form: &'f Form, name: &str) -> Option<&'f str> {
    form.get(name).filter(|value| !value.is_empty())
}

/// A whole number; 400 `invalid_NAME`, naming the range, when it is another one.
pub(super) fn number(
    form: &Form,
    name: &str,
    default: usize,
    range: RangeInclusive<usize>,
) -> Result<usize, ErrorResponse> {
    let Some(text) = present(form, name) else { return Ok(default) };
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let message = format!("{name} must be a whole number from {} to {}", range.start(), range.end());
        ErrorResponse::bad_request(format!("invalid_{name}"), message)
    })
}

/// A time; 400 `invalid_NAME` when it is not RFC 3339.
pub(super) fn time(form: &Form, name: &str) -> Result<Option<Timestamp>, ErrorResponse> {
    let Some(text) = present(form, name) else { return Ok(None) };
    // In a URL, the `+` of an offset is a space unless it was escaped.
    let text = text.trim().replace(' ', "+");
    match Timestamp::parse_rfc3339(&text) {
        Ok(time) => Ok(Some(time)),
        Err(error) => Err(ErrorResponse::bad_request(format!("invalid_{name}"), format!("{name}: {error}"))),
    }
}

/// The range from `start` to `end`, both included; open where they are absent.
pub(super) fn inclusive_range(start: Option<Timestamp>, end: Option<Timestamp>) -> TimeRange {
    let end = end.map_or(Timestamp::MAX, |end| end.saturating_add_nanos(1));
    TimeRange::new(start.unwrap_or(Timestamp::MIN), end)
}
