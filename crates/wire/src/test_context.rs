//! What the decoders' tests share: a context to decode in, and batches shown as text.

use timberyard_model::{Limits, LogBatch, TenantId, Timestamp};

use crate::context::DecodeContext;

/// Owns what a [`DecodeContext`] borrows.
pub(crate) struct TestContext {
    pub(crate) tenant: TenantId,
    pub(crate) limits: Limits,
}

/// 2026-11-01T12:00:00Z, when every test request is received.
pub(crate) const RECEIVED_AT: Timestamp = Timestamp::from_nanos(1_793_534_400_000_000_000);

impl TestContext {
    pub(crate) fn new() -> Self {
        Self { tenant: TenantId::default(), limits: Limits::default() }
    }

    pub(crate) fn context(&self) -> DecodeContext<'_> {
        DecodeContext {
            tenant: &self.tenant,
            received_at: RECEIVED_AT,
            client_ip: Some("192.0.2.7"),
            node_id: "node-1",
            limits: &self.limits,
            discover_service_name: true,
            detect_level: true,
            label_attributes: crate::LabelAttributes::loki(),
        }
    }
}

/// One text a row: nanoseconds, labels, line, metadata.
pub(crate) fn rows_of(batch: &LogBatch) -> Vec<String> {
    let row = |row: timberyard_model::RowRef<'_>| {
        let mut text =
            format!("{} {} {}", row.timestamp().as_nanos(), row.labels(), row.line().escape_ascii());
        for (name, value) in row.metadata() {
            text.push_str(&format!(" {name}={}", value.escape_ascii()));
        }
        text
    };
    batch.rows.iter().map(row).collect()
}

/// Numbers below what is asked for, the same each time: a linear congruential generator with Knuth's multiplier.
pub(crate) fn random_numbers() -> impl FnMut(usize) -> usize {
    let mut state = 1_u64;
    move |below| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as usize % below
    }
}
