//! The request that decoders of the five systems are tested with.

use timberyard_model::{Limits, LogBatch, TenantId, Timestamp};

use crate::context::DecodeContext;
use crate::error::DecodeError;

/// When it came: 2026-11-20T10:00:00.5Z.
pub(crate) const RECEIVED_AT: Timestamp = Timestamp::from_nanos(1_795_168_800_500_000_000);

/// Runs `f` with a request from 192.0.2.7 to node `n1`, JSON 8 deep, lines of 512 bytes, 3 events a batch.
pub(crate) fn with_context<R>(f: impl FnOnce(&DecodeContext<'_>) -> R) -> R {
    let mut limits = Limits::default();
    limits.request.json_depth_max = 8;
    limits.request.events_max = 3;
    limits.record.line_bytes_max = 512;
    f(&DecodeContext {
        tenant: &TenantId::default(),
        received_at: RECEIVED_AT,
        client_ip: Some("192.0.2.7"),
        node_id: "n1",
        limits: &limits,
        discover_service_name: true,
        detect_level: true,
        label_attributes: crate::LabelAttributes::loki(),
    })
}

/// Each row in one line: timestamp, labels, line, metadata.
pub(crate) fn shown(batch: &LogBatch) -> Vec<String> {
    batch.rows.iter().map(|row| format!("{row:?}")).collect()
}

/// The text of an error that must be one.
pub(crate) fn refusal<T>(result: Result<T, DecodeError>) -> String {
    match result {
        Ok(_) => "was taken".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Calls `fuzz` with every prefix of the samples, and with each byte of them replaced by some that matter in
/// JSON.
pub(crate) fn mutate(samples: &[&str], fuzz: fn(&[u8], &DecodeContext<'_>)) {
    with_context(|context| {
        for sample in samples {
            for end in 0..=sample.len() {
                fuzz(&sample.as_bytes()[..end], context);
            }
            for at in 0..sample.len() {
                for byte in *b"\"\\{}[]:,0-n\x00\xff" {
                    let mut body = sample.as_bytes().to_vec();
                    body[at] = byte;
                    fuzz(&body, context);
                }
            }
        }
    });
}
