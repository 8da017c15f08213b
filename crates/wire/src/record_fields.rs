//! Reads the members of JSON records by type, and gathers everything that is wrong with them.
//!
//! A sender learns about all bad fields at once: a value of the wrong type is noted under its path
//! (`logs[3].event_type`) and reading goes on. Only text that is not JSON ends it. `null` is as good as
//! absent.

use std::borrow::Cow;
use std::fmt::Write;

use timberyard_model::Timestamp;
use timberyard_model::batch_builder::RecordError;

use crate::error::{DecodeError, FieldError};
use crate::json::{JsonKind, JsonReader};

/// How many faults are told; the rest is only counted.
const FAULTS_TOLD_MAX: usize = 100;

/// How many records one body may hold: a record of three bytes takes some seventy in memory.
const RECORDS_MAX: usize = 1_000_000;

/// A JSON reader that knows which record it is in.
#[derive(Debug)]
pub(crate) struct FieldReader<'a> {
    /// The text, for everything that is not a plain field.
    pub(crate) json: JsonReader<'a>,
    /// The lists that were entered, each with the number of the element.
    place: Vec<(&'static str, usize)>,
    records: usize,
    faults: Vec<FieldError>,
    faults_untold: usize,
}

impl<'a> FieldReader<'a> {
    pub(crate) fn new(body: &'a [u8], depth_max: usize) -> Self {
        Self {
            json: JsonReader::new(body, depth_max),
            place: Vec::new(),
            records: 0,
            faults: Vec::new(),
            faults_untold: 0,
        }
    }

    /// Says that what follows is an element of `list` (empty for a list at the top).
    pub(crate) fn enter(&mut self, list: &'static str, index: usize) {
        self.place.push((list, index));
    }

    /// Back to where the list is.
    pub(crate) fn leave(&mut self) {
        self.place.pop();
    }

    /// The path of a field of the record that was entered; of the record itself when `field` is empty.
    pub(crate) fn path(&self, field: &str) -> String {
        let mut path = String::new();
        for (list, index) in &self.place {
            let dot = if path.is_empty() || list.is_empty() { "" } else { "." };
            // Writing to a string cannot fail.
            let _ = write!(path, "{dot}{list}[{index}]");
        }
        if !field.is_empty() {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(field);
        }
        path
    }

    /// Notes what is wrong with a field.
    pub(crate) fn refuse(&mut self, field: &str, message: impl Into<String>) {
        if self.faults.len() < FAULTS_TOLD_MAX {
            self.faults.push(FieldError::new(self.path(field), message));
        } else {
            self.faults_untold += 1;
        }
    }

    /// Notes that a field is missing or of no use, unless it was refused for another reason already.
    pub(crate) fn require(&mut self, field: &str, message: &str) {
        let path = self.path(field);
        if !self.faults.iter().rev().take(16).any(|fault| fault.field == path) {
            self.refuse(field, message);
        }
    }

    /// Notes why a record was not taken, under the field that is to blame.
    pub(crate) fn refuse_record(&mut self, error: &RecordError, time_field: &str, line_field: &str) {
        let field = match error {
            RecordError::InTheFuture { .. } | RecordError::TooOld { .. } => time_field,
            RecordError::LineTooLong { .. } => line_field,
            _ => "",
        };
        self.refuse(field, error.to_string());
    }

    /// Whether anything was refused so far.
    pub(crate) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Checks that nothing follows; gives all that was refused as one error.
    pub(crate) fn finish(mut self) -> Result<(), DecodeError> {
        self.json.finish()?;
        if self.faults_untold > 0 {
            let message = format!("{} more fields are wrong", self.faults_untold);
            self.faults.push(FieldError::new("", message));
        }
        if self.faults.is_empty() { Ok(()) } else { Err(DecodeError::Rejected(self.faults)) }
    }

    /// The same error, told to have happened in the field.
    pub(crate) fn within(&self, field: &str, error: DecodeError) -> DecodeError {
        error.within(self.path(field))
    }

    /// Whether the next value is of the kind; if not, it is read over, and refused unless it is `null`.
    fn is(&mut self, field: &str, wanted: JsonKind) -> Result<bool, DecodeError> {
        let found = self.json.peek().map_err(|error| self.within(field, error))?;
        if found == wanted {
            return Ok(true);
        }
        if found != JsonKind::Null {
            self.refuse(field, format!("must be {}, found {}", wanted.described(), found.described()));
        }
        self.json.skip().map_err(|error| self.within(field, error))?;
        Ok(false)
    }

    /// Enters a record, or refuses what stands in its place.
    pub(crate) fn begin_record(&mut self) -> Result<bool, DecodeError> {
        self.records += 1;
        if self.records > RECORDS_MAX {
            let message = format!("body has more than {RECORDS_MAX} records, the limit; send it in parts");
            return Err(self.json.error(message));
        }
        if self.json.peek()? == JsonKind::Null {
            self.json.skip()?;
            self.refuse("", "must be an object, found null");
            return Ok(false);
        }
        let is_object = self.is("", JsonKind::Object)?;
        if is_object {
            self.json.begin_object()?;
        }
        Ok(is_object)
    }

    /// Enters a list, or refuses what stands in its place.
    pub(crate) fn begin_list(&mut self, field: &str) -> Result<bool, DecodeError> {
        let is_array = self.is(field, JsonKind::Array)?;
        if is_array {
            self.json.begin_array()?;
        }
        Ok(is_array)
    }

    /// The next key of the record.
    pub(crate) fn next_key(&mut self) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        self.json.next_key().map_err(|error| self.within("", error))
    }

    /// A string, byte for byte.
    pub(crate) fn bytes(&mut self, field: &str) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        if !self.is(field, JsonKind::String)? {
            return Ok(None);
        }
        self.json.string().map(Some).map_err(|error| self.within(field, error))
    }

    /// A string as text: bytes that are not UTF-8 become U+FFFD.
    pub(crate) fn text(&mut self, field: &str) -> Result<Option<Cow<'a, str>>, DecodeError> {
        if !self.is(field, JsonKind::String)? {
            return Ok(None);
        }
        self.json.text().map(Some).map_err(|error| self.within(field, error))
    }

    /// The text of a JSON object, as it was sent.
    pub(crate) fn object(&mut self, field: &str) -> Result<Option<&'a [u8]>, DecodeError> {
        if !self.is(field, JsonKind::Object)? {
            return Ok(None);
        }
        self.json.raw().map(Some).map_err(|error| self.within(field, error))
    }

    /// A whole number, as text and value; `wanted` says which numbers are taken.
    pub(crate) fn integer<T: std::str::FromStr>(
        &mut self,
        field: &str,
        wanted: &str,
    ) -> Result<Option<(&'a str, T)>, DecodeError> {
        if !self.is(field, JsonKind::Number)? {
            return Ok(None);
        }
        let text = self.json.number().map_err(|error| self.within(field, error))?;
        match text.parse() {
            Ok(value) => Ok(Some((text, value))),
            Err(_) => {
                let shown: String = text.chars().take(40).collect();
                self.refuse(field, format!("must be {wanted}, found {shown}"));
                Ok(None)
            }
        }
    }

    /// An RFC 3339 time.
    pub(crate) fn time(&mut self, field: &str) -> Result<Option<Timestamp>, DecodeError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        // Longer texts are none, and would only make the message long.
        let shown: String = text.chars().take(64).collect();
        match Timestamp::parse_rfc3339(&shown) {
            Ok(time) => Ok(Some(time)),
            Err(error) => {
                self.refuse(field, error.to_string());
                Ok(None)
            }
        }
    }

    /// Refuses a value that is too long to be a label's.
    pub(crate) fn check_label_value(&mut self, field: &str, value: &str, bytes_max: usize) {
        if value.len() > bytes_max {
            self.refuse(field, format!("is {} bytes, limit is {bytes_max}", value.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bad_fields_are_named_with_their_place() {
        let body = br#"{"a": 1, "b": "x", "c": null, "d": "2026", "e": -1}"#;
        let mut fields = FieldReader::new(body, 8);
        fields.enter("streams", 2);
        fields.enter("entries", 0);
        assert!(fields.begin_record().expect("an object"));
        while let Some(key) = fields.next_key().expect("valid") {
            match &*key {
                b"a" => assert!(fields.bytes("a").expect("valid").is_none()),
                b"b" => assert_eq!(fields.text("b").expect("valid").as_deref(), Some("x")),
                b"c" => assert!(fields.object("c").expect("valid").is_none()),
                b"d" => assert!(fields.time("d").expect("valid").is_none()),
                _ => assert!(fields.integer::<u64>("e", "a whole number from 0").expect("valid").is_none()),
            }
        }
        fields.leave();
        fields.refuse("labels", "must not be empty");
        let DecodeError::Rejected(errors) = fields.finish().expect_err("refused") else {
            panic!("not a list of fields");
        };
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "streams[2].entries[0].a: must be a string, found a number",
                "streams[2].entries[0].d: `2026` is not an RFC 3339 time such as 2026-11-20T10:00:00Z",
                "streams[2].entries[0].e: must be a whole number from 0, found -1",
                "streams[2].labels: must not be empty",
            ]
        );
    }

    #[test]
    fn a_flood_of_records_is_refused() {
        let body = format!("[{}]", "{},".repeat(RECORDS_MAX + 1));
        let mut fields = FieldReader::new(body.as_bytes(), 8);
        fields.json.begin_array().expect("an array");
        let mut read = || -> Result<(), DecodeError> {
            while fields.json.next_element()? {
                fields.begin_record()?;
                while fields.next_key()?.is_some() {}
            }
            Ok(())
        };
        assert!(read().expect_err("too many").to_string().starts_with("body has more than 1000000 records"));
    }

    #[test]
    fn a_flood_of_faults_is_counted() {
        let mut fields = FieldReader::new(b"", 8);
        for index in 0..1000 {
            fields.enter("", index);
            fields.refuse("level", "bad");
            fields.leave();
        }
        assert_eq!(fields.path(""), "");
        let DecodeError::Rejected(errors) = fields.finish().expect_err("refused") else {
            panic!("not a list of fields");
        };
        assert_eq!(errors.len(), FAULTS_TOLD_MAX + 1);
        assert_eq!(errors[FAULTS_TOLD_MAX].message, "900 more fields are wrong");
    }
}
