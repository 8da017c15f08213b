//! What a message looks like: its key, its headers, its bytes.
//!
//! The key is the service. A message of the form `batch` holds the rows of one tenant and service in the bytes of a batch
//! record (`docs/format/batch-record.md`), not compressed, since the producer compresses many messages as one. A message of the form
//! `logstream` holds one log as LogStream's JSON.

use std::collections::HashMap;

use timberyard_model::batch::UniqueKey;
use timberyard_model::rows::RowRef;
use timberyard_model::sink::SinkError;
use timberyard_model::{LogBatch, TenantId};
use timberyard_wire::log_entry::LogEntry;
use timberyard_wire::service_name::{SERVICE_NAME, UNKNOWN_SERVICE};
use timberyard_wire::{batch_record, logstream};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::settings::MessageFormat;

/// The header that names the form of a message: [`FORMAT_BATCH`] or [`FORMAT_LOGSTREAM`].
pub const FORMAT_HEADER: &str = "timberyard-format";
/// The header that names the tenant whose rows a message holds.
pub const TENANT_HEADER: &str = "timberyard-tenant";
/// The header that tells messages apart: the same in a message that is sent again, another in any other message.
pub const ID_HEADER: &str = "timberyard-id";
/// The form of a message that is a batch record.
pub const FORMAT_BATCH: &str = "batch";
/// The form of a message that is LogStream's JSON.
pub const FORMAT_LOGSTREAM: &str = "logstream";

impl MessageFormat {
    /// Its name in the header.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Batch => FORMAT_BATCH,
            Self::Logstream => FORMAT_LOGSTREAM,
        }
    }
}

/// A message before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The service.
    pub key: Box<str>,
    /// The rows.
    pub payload: Vec<u8>,
    /// What tells it apart: a hash of the rows, with the time they were received at, and the message's number in its batch.
    pub id: Box<str>,
}

impl Message {
    fn new(service: &str, payload: Vec<u8>) -> Self {
        Self { key: service.into(), payload, id: Box::default() }
    }
}

/// The messages of a batch, those of one service in the order of its rows. None is longer than the limit.
///
/// # Errors
/// A row by itself is too long for a message.
pub fn messages(
    batch: &LogBatch,
    format: MessageFormat,
    bytes_max: usize,
) -> Result<Vec<Message>, SinkError> {
    let mut messages = match format {
        MessageFormat::Batch => batch_messages(batch, bytes_max)?,
        MessageFormat::Logstream => {
            batch.rows.iter().map(|row| log_message(row, bytes_max)).collect::<Result<Vec<_>, _>>()?
        }
    };
    let received_at = batch.received_at.as_nanos() as u64;
    for (number, message) in messages.iter_mut().enumerate() {
        message.id = format!("{:032x}-{number}", xxh3_128_with_seed(&message.payload, received_at)).into();
    }
    Ok(messages)
}

fn service_of(row: RowRef<'_>) -> &str {
    row.labels().get(SERVICE_NAME).unwrap_or(UNKNOWN_SERVICE)
}

fn too_large(bytes: usize, bytes_max: usize) -> SinkError {
    SinkError::TooLarge(format!(
        "a row takes {bytes} bytes as a message, limit is {bytes_max} (message_bytes_max)"
    ))
}

fn log_message(row: RowRef<'_>, bytes_max: usize) -> Result<Message, SinkError> {
    let mut payload = Vec::with_capacity(row.line().len() + 256);
    logstream::write_message(&mut payload, &LogEntry::new(row));
    match payload.len() {
        0.. if payload.len() > bytes_max => Err(too_large(payload.len(), bytes_max)),
        _ => Ok(Message::new(service_of(row), payload)),
    }
}

fn batch_messages(batch: &LogBatch, bytes_max: usize) -> Result<Vec<Message>, SinkError> {
    let mut messages = Vec::new();
    for (service, rows) in by_service(batch) {
        if rows.len() == batch.rows.len() && batch.rows.bytes() < bytes_max {
            let payload = batch_record::encode_uncompressed(batch);
            if payload.len() <= bytes_max {
                messages.push(Message::new(service, payload));
                continue;
            }
        }
        write_parts(batch, service, &rows, bytes_max, &mut messages)?;
    }
    Ok(messages)
}

/// The numbers of the rows of each service, services in the order of their first rows.
fn by_service(batch: &LogBatch) -> Vec<(&str, Vec<u32>)> {
    let mut services: Vec<(&str, Vec<u32>)> = Vec::new();
    let mut places = HashMap::new();
    // Streams are few and rows many: the service is looked up once a stream.
    let mut of_stream = vec![None; batch.rows.streams().len()];
    for (number, row) in batch.rows.iter().enumerate() {
        let stream = row.stream_index();
        let place = of_stream.get(stream).copied().flatten().unwrap_or_else(|| {
            let service = service_of(row);
            *places.entry(service).or_insert_with(|| {
                services.push((service, Vec::new()));
                services.len() - 1
            })
        });
        if let Some(known) = of_stream.get_mut(stream) {
            *known = Some(place);
        }
        if let Some((_, rows)) = services.get_mut(place) {
            rows.push(number as u32);
        }
    }
    services
}

/// Writes the rows as so many messages as are needed: all in one, else each half by itself.
fn write_parts(
    batch: &LogBatch,
    service: &str,
    rows: &[u32],
    bytes_max: usize,
    messages: &mut Vec<Message>,
) -> Result<(), SinkError> {
    let row_bytes = |number: &u32| batch.rows.get(*number as usize).line().len();
    let line_bytes: usize = rows.iter().map(row_bytes).sum();
    if line_bytes <= bytes_max {
        let payload = batch_record::encode_uncompressed(&part_of(batch, rows));
        if payload.len() <= bytes_max {
            messages.push(Message::new(service, payload));
            return Ok(());
        }
        if rows.len() < 2 {
            return Err(too_large(payload.len(), bytes_max));
        }
    } else if rows.len() < 2 {
        return Err(too_large(line_bytes, bytes_max));
    }
    let (first, second) = rows.split_at(rows.len() / 2);
    write_parts(batch, service, first, bytes_max, messages)?;
    write_parts(batch, service, second, bytes_max, messages)
}

/// A batch of some rows of another, which are in order, with those of its keys that are theirs.
pub(super) fn part_of(batch: &LogBatch, rows: &[u32]) -> LogBatch {
    let keys = batch.unique_keys.iter().filter_map(|UniqueKey { row, key }| {
        let row = rows.binary_search(row).ok()?;
        Some(UniqueKey { row: row as u32, key: key.clone() })
    });
    LogBatch {
        tenant: batch.tenant.clone(),
        received_at: batch.received_at,
        equal_entries: batch.equal_entries,
        rows: batch.rows.selected(rows),
        unique_keys: keys.collect(),
        origins: Vec::new(),
    }
}

/// The headers of a message of a tenant.
pub(super) fn headers<'m>(
    format: MessageFormat,
    tenant: &'m TenantId,
    message: &'m Message,
) -> [(&'static str, &'m str); 3] {
    [(FORMAT_HEADER, format.header()), (TENANT_HEADER, tenant.as_str()), (ID_HEADER, &message.id)]
}

#[cfg(test)]
mod tests {
    use timberyard_model::batch::EqualEntries;
    use timberyard_model::limits::RecordLimits;
    use timberyard_model::{BatchBuilder, Labels, Timestamp};

    use super::*;

    fn batch(rows: &[(&str, usize)]) -> LogBatch {
        let now = Timestamp::from_nanos(1);
        let mut batch =
            BatchBuilder::new(TenantId::default(), now, EqualEntries::Keep, &RecordLimits::default());
        for (number, (service, bytes)) in rows.iter().enumerate() {
            let stream = batch.stream(&Labels::from_pairs([(SERVICE_NAME, service)]));
            batch.push(stream, now, &vec![b'a' + number as u8; *bytes], &[]).expect("within limits");
            batch.unique_key(&number.to_string());
        }
        batch.finish()
    }

    #[test]
    fn rows_of_a_service_stay_together_and_in_order() {
        let batch = batch(&[("a", 1), ("b", 1), ("a", 1), ("b", 1)]);
        let messages = messages(&batch, MessageFormat::Batch, 1000).expect("small");
        let shown: Vec<_> = messages
            .iter()
            .map(|message| {
                let part = batch_record::decode(&message.payload).expect("a record");
                let lines: Vec<u8> = part.rows.iter().flat_map(|row| row.line().to_vec()).collect();
                let keys: Vec<_> =
                    part.unique_keys.iter().map(|key| format!("{}={}", key.row, key.key)).collect();
                (message.key.to_string(), String::from_utf8_lossy(&lines).into_owned(), keys.join(" "))
            })
            .collect();
        let expected = [("a", "ac", "0=0 1=2"), ("b", "bd", "0=1 1=3")];
        assert_eq!(shown, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    }

    #[test]
    fn no_message_is_longer_than_the_limit() {
        let batch = batch(&[("a", 300); 20]);
        let messages = messages(&batch, MessageFormat::Batch, 1000).expect("each row fits");
        assert!(messages.len() > 5 && messages.iter().all(|message| message.payload.len() <= 1000));
        let rows = messages.iter().map(|m| batch_record::decode(&m.payload).expect("a record").rows.len());
        assert_eq!(rows.sum::<usize>(), 20);
    }

    #[test]
    fn a_row_that_is_too_long_for_a_message_is_named() {
        for format in [MessageFormat::Batch, MessageFormat::Logstream] {
            let refused = messages(&batch(&[("a", 1), ("a", 2000)]), format, 1000).expect_err("too long");
            assert!(matches!(&refused, SinkError::TooLarge(reason) if reason.contains("limit is 1000")));
        }
    }
}
