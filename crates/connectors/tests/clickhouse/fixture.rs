//! A table in the real engine, and batches to write to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use timberyard_connectors::clickhouse::{
    ClickHouseServer, ClickHouseSettings, ClickHouseSink, ClickHouseSource,
};
use timberyard_model::batch::{EqualEntries, LogBatch};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{Direction, LogSource, ScanRequest};
use timberyard_model::sink::{Sink, SinkError};
use timberyard_model::time::TimeRange;
use timberyard_model::{IngestRecord, TenantId, Timestamp};
use timberyard_testkit::memory_source::Entry;
use timberyard_testkit::parts::clickhouse::ClickHouse;
use timberyard_testkit::random_logql::labels;
use tokio::runtime::Runtime;

static TENANTS: AtomicU32 = AtomicU32::new(0);

/// A table of an engine, as a sink and a source.
pub(crate) struct Table {
    pub(crate) engine: ClickHouse,
    pub(crate) runtime: Runtime,
    pub(crate) sink: ClickHouseSink,
    pub(crate) source: ClickHouseSource,
}

impl Table {
    pub(crate) fn new(engine: ClickHouse, change: impl FnOnce(&mut ClickHouseSettings)) -> Self {
        let mut settings = ClickHouseSettings {
            url: engine.url(),
            database: "test".to_owned(),
            batch_age_ms: 1,
            ..ClickHouseSettings::default()
        };
        change(&mut settings);
        let runtime = Runtime::new().expect("a runtime");
        let server = ClickHouseServer::new(settings).expect("valid settings");
        let sink = ClickHouseSink::new("clickhouse", Arc::clone(&server));
        let source = ClickHouseSource::new(server, runtime.handle().clone());
        Self { engine, runtime, sink, source }
    }

    pub(crate) fn write(&self, batch: LogBatch) -> Result<(), SinkError> {
        self.runtime.block_on(self.sink.write(IngestRecord::from(batch)))
    }

    pub(crate) fn entries(&self, tenant: &TenantId, direction: Direction) -> Vec<Entry> {
        entries(&self.source, tenant, direction)
    }
}

/// Everything that a source has of a tenant.
pub(crate) fn entries(source: &ClickHouseSource, tenant: &TenantId, direction: Direction) -> Vec<Entry> {
    let request = ScanRequest { direction, ..ScanRequest::all(tenant.clone(), TimeRange::ALL) };
    let mut scan = source.scan(&request).expect("a scan");
    let mut entries = Vec::new();
    while let Some(block) = scan.next_block().expect("a block") {
        entries.extend(block.rows.iter().map(|row| Entry {
            tenant: tenant.clone(),
            labels: row.labels().clone(),
            timestamp: row.timestamp(),
            line: row.line().to_vec(),
            metadata: row.metadata().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
            merges: false,
        }));
    }
    entries
}

/// One that no other test has.
pub(crate) fn tenant() -> TenantId {
    TenantId::new(&format!("t{}", TENANTS.fetch_add(1, Ordering::Relaxed))).expect("a tenant")
}

/// A batch that came a moment behind the last one.
pub(crate) fn batch(tenant: &TenantId, entries: &[Entry], equal_entries: EqualEntries) -> LogBatch {
    static RECEIVED: AtomicU32 = AtomicU32::new(0);
    let mut rows = RowsBuilder::default();
    for entry in entries {
        let stream = rows.stream(&entry.labels);
        let metadata = entry.metadata.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        rows.push(stream, entry.timestamp, &entry.line, metadata).expect("fits");
    }
    let received = i64::from(RECEIVED.fetch_add(1, Ordering::Relaxed)) * 1_000_000;
    LogBatch {
        tenant: tenant.clone(),
        received_at: Timestamp::from_nanos(1_790_000_000_000_000_000 + received),
        equal_entries,
        rows: rows.finish(),
        unique_keys: Vec::new(),
        origins: Vec::new(),
    }
}

/// An entry of one stream.
pub(crate) fn line(tenant: &TenantId, nanos: i64, line: &[u8]) -> Entry {
    Entry {
        tenant: tenant.clone(),
        labels: labels("service_name=api env=prod"),
        timestamp: Timestamp::from_nanos(nanos),
        line: line.to_vec(),
        metadata: Vec::new(),
        merges: false,
    }
}
