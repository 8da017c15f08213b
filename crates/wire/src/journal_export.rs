//! journald's export format, as `systemd-journal-upload` and `journalctl -o export` write it: entries of fields, with an
//! empty line after each. A field is `NAME=text`, or a name, a length and that many bytes.
//!
//! What an entry says is in [`crate::journal_record`]. It comes in pieces of any size; a field over the limit of lines is cut, and an entry
//! is never held beyond its own limit. Senders upload an entry that is refused again and again, so one whose time is out of
//! bounds is kept under the time it was received, and what is still refused is counted.
//!
//! Format: <https://systemd.io/JOURNAL_EXPORT_FORMATS/>.

use std::borrow::Cow;

use crate::context::{DecodeContext, Decoded, Rejections};
use crate::error::DecodeError;
use crate::gelf::cut;
use crate::journal_record::JournalRecord;
use crate::mapped_record::MappedRecord;
use crate::record_batch::RecordBatch;

/// The longest name of a field: journald has 64.
const NAME_BYTES_MAX: usize = 256;
/// The most fields and bytes of an entry that are kept.
const FIELDS_MAX: usize = 1024;
const ENTRY_BYTES_MAX: usize = 2 << 20;

/// What is left over between two pieces of an upload.
#[derive(Debug, Default)]
pub struct JournalUpload {
    place: Place,
    /// What has come of a line or of a length.
    pending: Vec<u8>,
    entry: Entry,
}

/// What comes next.
#[derive(Debug, Default)]
enum Place {
    /// A line: a field, the name of one, or the end of an entry.
    #[default]
    Line,
    /// The rest of a line that is longer than what is kept of it.
    RestOfLine,
    /// The length of the field of that name.
    Length(Vec<u8>),
    /// So many bytes of its value, of which the first are kept.
    Bytes { name: Vec<u8>, left: u64 },
    /// The line feed after it.
    LineFeed,
}

/// The fields of an entry so far.
#[derive(Debug, Default)]
struct Entry {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl JournalUpload {
    /// Takes a piece; gives the entries that have ended in it.
    ///
    /// # Errors
    /// It is no export: what came before the fault is lost with the piece, and nothing can follow.
    pub fn read(&mut self, piece: &[u8], context: &DecodeContext<'_>) -> Result<Decoded, DecodeError> {
        let mut batch = RecordBatch::new(context.tenant, context);
        let mut rejected = Rejections::default();
        let mut number = 0;
        let kept_max = context.limits.record.line_bytes_max;
        let mut rest = piece;
        while !rest.is_empty() {
            let (used, ended) = self.step(rest, kept_max)?;
            rest = rest.get(used..).unwrap_or_default();
            if let Some(entry) = ended {
                if let Err(reason) = push(&entry, context, &mut batch) {
                    rejected.add(number, || reason);
                }
                number += 1;
            }
        }
        Ok(Decoded { batch: batch.finish(), rejected })
    }

    /// The upload has ended: the entry that no empty line follows counts as well, if it is whole.
    ///
    /// # Errors
    /// It ended within a field.
    pub fn finish(&mut self, context: &DecodeContext<'_>) -> Result<Decoded, DecodeError> {
        match self.place {
            Place::Line if self.pending.is_empty() => self.read(b"\n", context),
            Place::LineFeed => self.read(b"\n\n", context),
            _ => Err(DecodeError::malformed("the upload ends within a field")),
        }
    }

    /// Goes on as far as one thing goes; gives the bytes used, and the entry that ended.
    fn step(&mut self, rest: &[u8], kept_max: usize) -> Result<(usize, Option<Entry>), DecodeError> {
        match &mut self.place {
            Place::Line => return self.line(rest, kept_max),
            Place::RestOfLine => {
                let Some(end) = memchr::memchr(b'\n', rest) else { return Ok((rest.len(), None)) };
                let line = std::mem::take(&mut self.pending);
                self.place = Place::Line;
                self.end_line(line)?;
                return Ok((end + 1, None));
            }
            Place::Length(name) => {
                let missing = (size_of::<u64>() - self.pending.len()).min(rest.len());
                self.pending.extend_from_slice(rest.get(..missing).unwrap_or_default());
                if let Ok(length) = <[u8; size_of::<u64>()]>::try_from(self.pending.as_slice()) {
                    let (name, left) = (std::mem::take(name), u64::from_le_bytes(length));
                    self.pending.clear();
                    self.place = Place::Bytes { name, left };
                    self.end_bytes();
                }
                return Ok((missing, None));
            }
            Place::Bytes { left, .. } => {
                let now = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                let kept = now.min(kept_max.saturating_sub(self.pending.len()));
                self.pending.extend_from_slice(rest.get(..kept).unwrap_or_default());
                *left -= now as u64;
                self.end_bytes();
                return Ok((now, None));
            }
            Place::LineFeed => {}
        }
        self.place = Place::Line;
        match rest.first() {
            Some(b'\n') => Ok((1, None)),
            _ => Err(DecodeError::malformed("no line feed follows the bytes of a field")),
        }
    }

    /// Ends the bytes of a field when none is missing.
    fn end_bytes(&mut self) {
        if let Place::Bytes { name, left: 0 } = &mut self.place {
            let (name, value) = (std::mem::take(name), std::mem::take(&mut self.pending));
            self.entry.add(name, value);
            self.place = Place::LineFeed;
        }
    }

    fn line(&mut self, rest: &[u8], kept_max: usize) -> Result<(usize, Option<Entry>), DecodeError> {
        let end = memchr::memchr(b'\n', rest);
        let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let room = (kept_max + NAME_BYTES_MAX).saturating_sub(self.pending.len());
        self.pending.extend_from_slice(part.get(..room).unwrap_or(part));
        let Some(end) = end else {
            if part.len() > room {
                self.place = Place::RestOfLine;
            }
            return Ok((rest.len(), None));
        };
        let line = std::mem::take(&mut self.pending);
        if line.is_empty() {
            let entry = std::mem::take(&mut self.entry);
            return Ok((end + 1, (!entry.fields.is_empty()).then_some(entry)));
        }
        self.end_line(line)?;
        Ok((end + 1, None))
    }

    fn end_line(&mut self, line: Vec<u8>) -> Result<(), DecodeError> {
        let equals = memchr::memchr(b'=', &line);
        let name = line.get(..equals.unwrap_or(line.len())).unwrap_or_default();
        let is_name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.iter().all(is_name) {
            let shown = String::from_utf8_lossy(name.get(..64).unwrap_or(name)).into_owned();
            return Err(DecodeError::malformed(format!("{shown:?} is no name of a field")));
        }
        match equals {
            Some(equals) => {
                let value = line.get(equals + 1..).unwrap_or_default().to_vec();
                self.entry.add(name.to_vec(), value);
            }
            None => self.place = Place::Length(line),
        }
        Ok(())
    }
}

impl Entry {
    /// Keeps a field while there is room for it.
    fn add(&mut self, name: Vec<u8>, value: Vec<u8>) {
        let bytes = self.bytes + name.len() + value.len();
        if self.fields.len() < FIELDS_MAX && bytes <= ENTRY_BYTES_MAX {
            self.bytes = bytes;
            self.fields.push((name, value));
        }
    }
}

fn push(entry: &Entry, context: &DecodeContext<'_>, batch: &mut RecordBatch) -> Result<(), String> {
    let JournalRecord { labels, service, metadata, timestamp, line } = JournalRecord::of(&entry.fields)?;
    let record = MappedRecord {
        labels: labels.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect(),
        metadata: metadata.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect(),
        timestamp: timestamp.unwrap_or(context.received_at),
        line: cut(line, context),
        service: service.as_deref(),
    };
    record.push_at_any_time(context, batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::{TestContext, rows_of};

    const EXPORT: &[u8] = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1793534300123456\n_HOSTNAME=web-1\nPRIORITY=3\nSYSLOG_FACILITY=3\n\
        SYSLOG_IDENTIFIER=nginx\n_SYSTEMD_UNIT=nginx.service\n_PID=17\nMESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\n\n\
        __REALTIME_TIMESTAMP=1793534300000000\n_SYSTEMD_UNIT=a.service\nMESSAGE=plain = text\nCODE_FILE=\n\n";

    fn rows(export: &[u8], piece: usize, line_bytes_max: usize) -> Result<Vec<String>, DecodeError> {
        let mut test = TestContext::new();
        test.limits.record.line_bytes_max = line_bytes_max;
        let context = test.context();
        let mut upload = JournalUpload::default();
        let mut rows = Vec::new();
        let mut add = |decoded: Decoded| {
            rows.extend(rows_of(&decoded.batch));
            rows.extend(decoded.rejected.described.into_iter().map(|refused| refused.reason));
        };
        for piece in export.chunks(piece) {
            add(upload.read(piece, &context)?);
        }
        add(upload.finish(&context)?);
        Ok(rows)
    }

    #[test]
    fn entries_are_read_however_they_come() {
        let expected = [
            r#"1793534300123456000 {facility="daemon", host="web-1", level="error", service_name="nginx", unit="nginx.service"} two\nlines pid=17 detected_level=error"#,
            r#"1793534300000000000 {service_name="a", unit="a.service"} plain = text code_file= detected_level=unknown"#,
        ];
        for piece in 1..EXPORT.len() {
            assert_eq!(rows(EXPORT, piece, 1000).expect("an export"), expected, "pieces of {piece}");
        }
        let end = EXPORT.len() - 1;
        assert_eq!(rows(&EXPORT[..end], 7, 1000).expect("no empty line at the end"), expected);
    }

    #[test]
    fn long_fields_are_cut() {
        let export = b"MESSAGE=0123456789\nMESSAGE_ID=x\n\nMESSAGE\n\x0a\0\0\0\0\0\0\x000123456789\nA=b\n\n";
        for piece in 1..export.len() {
            let rows = rows(export, piece, 4).expect("an export");
            assert!(rows[1].contains(" 0123 a=b "), "{rows:?}");
            assert_eq!(rows.len(), 2);
        }
        let long = [b"MESSAGE=", vec![b'x'; 5000].as_slice(), b"\nA=b\n\n"].concat();
        for piece in [1, 7, 600, 9000] {
            let rows = rows(&long, piece, 4).expect("an export");
            assert_eq!(rows.len(), 1, "{rows:?}");
        }
    }

    #[test]
    fn what_is_no_export_is_refused() {
        for export in [
            &b"message=x\n\n"[..],
            b"=x\n\n",
            b"MESSAGE\n\x02\0\0\0\0\0\0\0abc\n\n",
            b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffabc",
            b"MESSAGE=cut",
            b"MESSAGE\n\x02\0",
        ] {
            assert!(rows(export, 5, 100).is_err(), "{}", export.escape_ascii());
        }
    }
}
