//! A body as it was received, as the payload of a write-ahead-log record, and back to its batch.
//!
//! The bytes are drawn in `docs/format/received-record.md`. The body is decoded again when the log is replayed, under the
//! settings recorded with it, so that it gives the same batch whatever the settings are then.

use timberyard_model::ingest_record::{ReceivedBody, ReceivedFormat};
use timberyard_model::limits::{RecordLimits, RequestLimits};
use timberyard_model::{Limits, LogBatch, TenantId, Timestamp};

use crate::byte_reader::{ByteReader, write_counted, write_varint};
use crate::context::DecodeContext;
use crate::error::DecodeError;
use crate::loki_push_proto;

/// The format's version, the first byte of a record. Version 1 is a [batch record](crate::batch_record).
pub const VERSION: u8 = 2;

const LOKI_PUSH_PROTO: u8 = 1;
const FLAG_DISCOVER_SERVICE_NAME: u8 = 1;
const FLAG_DETECT_LEVEL: u8 = 2;

/// The record of a body that came at `received_at` for `tenant`.
pub fn encode(received: &ReceivedBody, tenant: &TenantId, received_at: Timestamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(received.bytes.len() + 128);
    let format = match received.format {
        ReceivedFormat::LokiPushProto => LOKI_PUSH_PROTO,
    };
    let mut flags = 0;
    if received.discover_service_name {
        flags |= FLAG_DISCOVER_SERVICE_NAME;
    }
    if received.detect_level {
        flags |= FLAG_DETECT_LEVEL;
    }
    out.extend_from_slice(&[VERSION, format, flags]);
    out.extend_from_slice(&received_at.as_nanos().to_le_bytes());
    out.extend_from_slice(&received.limits.record.future_seconds_max.to_le_bytes());
    let RecordLimits {
        line_bytes_max,
        label_names_max,
        label_name_bytes_max,
        label_value_bytes_max,
        metadata_pairs_max,
        metadata_bytes_max,
        // One is above, one is not the decoder's, and a body of which something was refused is not kept.
        future_seconds_max: _,
        label_values_max: _,
        age_seconds_max: _,
    } = received.limits.record;
    let limits = [
        received.limits.request.inflated_bytes_max,
        line_bytes_max,
        label_names_max,
        label_name_bytes_max,
        label_value_bytes_max,
        metadata_pairs_max,
        metadata_bytes_max,
    ];
    limits.into_iter().for_each(|limit| write_varint(&mut out, limit as u64));
    write_counted(&mut out, tenant.as_str().as_bytes());
    out.extend_from_slice(&received.bytes);
    out
}

/// The batch of a record.
pub fn decode(record: &[u8]) -> Result<LogBatch, DecodeError> {
    let mut reader = ByteReader::new(record, 0);
    let version = reader.byte()?;
    if version != VERSION {
        return Err(DecodeError::Unsupported(format!(
            "log record has version {version}, this program reads version {VERSION}"
        )));
    }
    let format = reader.byte()?;
    let flags = reader.byte()?;
    if flags & !(FLAG_DISCOVER_SERVICE_NAME | FLAG_DETECT_LEVEL) != 0 {
        return Err(reader.error(format!("log record has unknown flags {flags:#x}")));
    }
    let received_at = Timestamp::from_nanos(i64::from_le_bytes(reader.array()?));
    let future_seconds_max = i64::from_le_bytes(reader.array()?);
    let mut limit = || Ok::<_, DecodeError>(usize::try_from(reader.varint()?).unwrap_or(usize::MAX));
    let request = RequestLimits { inflated_bytes_max: limit()?, ..RequestLimits::default() };
    let record = RecordLimits {
        line_bytes_max: limit()?,
        label_names_max: limit()?,
        label_name_bytes_max: limit()?,
        label_value_bytes_max: limit()?,
        metadata_pairs_max: limit()?,
        metadata_bytes_max: limit()?,
        future_seconds_max,
        ..RecordLimits::default()
    };
    let tenant = reader.text()?;
    let tenant = TenantId::new(tenant).map_err(|error| reader.error(error.to_string()))?;
    let limits = Limits { request, record, ..Limits::default() };
    let context = DecodeContext {
        tenant: &tenant,
        received_at,
        client_ip: None,
        node_id: "",
        limits: &limits,
        discover_service_name: flags & FLAG_DISCOVER_SERVICE_NAME != 0,
        detect_level: flags & FLAG_DETECT_LEVEL != 0,
        label_attributes: crate::LabelAttributes::loki(),
    };
    match format {
        LOKI_PUSH_PROTO => Ok(loki_push_proto::decode(reader.rest(), &context)?.batch),
        _ => Err(DecodeError::Unsupported(format!("log record holds a body of unknown format {format}"))),
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::Labels;

    use super::*;
    use crate::loki_push_encode::PushEncoder;

    #[test]
    fn a_body_gives_its_batch_again_under_other_settings() {
        let tenant = TenantId::new("team-a").expect("valid");
        let mut limits = Limits::default();
        limits.record.line_bytes_max = 9;
        let context = DecodeContext {
            tenant: &tenant,
            received_at: Timestamp::from_nanos(1_000_000_000),
            client_ip: Some("10.0.0.1"),
            node_id: "node-1",
            limits: &limits,
            discover_service_name: true,
            detect_level: false,
            label_attributes: crate::LabelAttributes::loki(),
        };
        let lines: [(i64, &[u8]); 3] = [(1, b"short"), (2, b"much too long for it"), (3, b"\xff")];
        let mut encoder = PushEncoder::new(&Labels::from_pairs([("app", "shop")]));
        lines.iter().for_each(|(nanos, line)| encoder.push(Timestamp::from_nanos(*nanos), line));
        let body = encoder.finish().expect("small");
        let decoded = loki_push_proto::decode(&body, &context).expect("valid");
        assert_eq!((decoded.batch.rows.len(), decoded.rejected.count), (2, 1));
        let received = loki_push_proto::received(&body, &context);
        let record = encode(&received, &tenant, context.received_at);
        let again = decode(&record).expect("valid");
        assert_eq!(again.tenant, tenant);
        assert_eq!(again.received_at, context.received_at);
        assert_eq!(again.equal_entries, decoded.batch.equal_entries);
        assert!(again.rows.iter().eq(decoded.batch.rows.iter()));
        for end in 0..record.len() {
            assert!(decode(&record[..end]).is_err(), "cut at {end}");
        }
    }
}
