//! Events as they come in, and places to put them.

use timberyard_connectors::postgres::{Migrations, PostgresPool, PostgresSettings, PostgresSink};
use timberyard_model::sink::{Sink, SinkError};
use timberyard_model::{IngestRecord, Limits, LogBatch, TenantId, Timestamp};
use timberyard_testkit::parts::postgres::Postgres;
use timberyard_wire::change66::decode_batch;
use timberyard_wire::{DecodeContext, LabelAttributes};

/// When everything here is received.
pub(super) const NOW: &str = "2026-11-21T17:00:00.123456Z";

/// Settings for a database of that server.
pub(super) fn settings(server: &Postgres, database: &str) -> PostgresSettings {
    PostgresSettings { port: server.port(), database: database.to_owned(), ..PostgresSettings::default() }
}

/// A new database with its tables.
pub(super) async fn migrated(server: &Postgres) -> PostgresPool {
    let pool = PostgresPool::new(settings(server, &server.create_database())).expect("settings are right");
    Migrations::built_in().up(&pool).await.expect("migrated");
    pool
}

/// A new database with its tables, and a sink of it.
pub(super) async fn sink(server: &Postgres) -> (PostgresPool, PostgresSink) {
    let pool = migrated(server).await;
    (pool.clone(), PostgresSink::new("postgres", pool))
}

/// Events of a body, numbered from `number` on.
pub(super) fn events(tenant: &str, body: &str, number: i64) -> LogBatch {
    let context = DecodeContext {
        tenant: &TenantId::new(tenant).expect("a tenant"),
        received_at: Timestamp::parse_rfc3339(NOW).expect("a time"),
        client_ip: None,
        node_id: "node",
        limits: &Limits::default(),
        discover_service_name: true,
        detect_level: true,
        label_attributes: LabelAttributes::loki(),
    };
    decode_batch(body.as_bytes(), &context, number).expect("events").batch
}

/// A batch of plain events with these ids.
pub(super) fn plain(ids: &[&str], number: i64) -> LogBatch {
    let event = |id: &&str| format!(r#"{{"event_id":"{id}","event_type":"telemetry","event_name":"n"}}"#);
    let list: Vec<String> = ids.iter().map(event).collect();
    events("default", &format!(r#"{{"logs":[{}]}}"#, list.join(",")), number)
}

/// Writes a batch.
pub(super) async fn write(sink: &PostgresSink, batch: LogBatch) -> Result<(), SinkError> {
    sink.write(IngestRecord::from(batch)).await
}
