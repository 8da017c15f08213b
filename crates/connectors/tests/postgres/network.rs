//! A network that breaks at every place of a batch.

use std::sync::atomic::Ordering;

use timberyard_connectors::postgres::{PostgresPool, PostgresSettings, PostgresSink};
use timberyard_testkit::cutting_relay::CuttingRelay;
use timberyard_testkit::parts::postgres::Postgres;

use super::fixture::{migrated, plain, write};

/// Bytes between one cut and the next one: few of those to the client, so that one of them parts the answer to a commit.
const TO_SERVER_STEP_BYTES: usize = 97;
const TO_CLIENT_STEP_BYTES: usize = 13;

#[tokio::test]
async fn a_batch_that_is_cut_anywhere_is_stored_once() {
    let server = Postgres::shared();
    let direct = migrated(server).await;
    let relay = CuttingRelay::to(server.port());
    let settings = PostgresSettings { port: relay.port(), ..direct.settings().clone() };
    let sink = PostgresSink::new("postgres", PostgresPool::new(settings).expect("settings are right"));
    let mut number = 0;
    let mut ids = || {
        number += 1;
        [format!("a{number}"), format!("b{number}")]
    };
    let [a, b] = ids();
    assert_eq!(write(&sink, plain(&[&a, &b], 1)).await, Ok(()), "connected and prepared");
    for (is_to_server, step_bytes) in [(true, TO_SERVER_STEP_BYTES), (false, TO_CLIENT_STEP_BYTES)] {
        for bytes in (0_u32..).step_by(step_bytes) {
            match is_to_server {
                true => relay.cut_to_server_after(bytes),
                false => relay.cut_to_client_after(bytes),
            }
            let [a, b] = ids();
            assert_eq!(
                write(&sink, plain(&[&a, &b], i64::from(bytes) * 10)).await,
                Ok(()),
                "cut after {bytes}"
            );
            if relay.spare() {
                // The batch was through before the cut.
                break;
            }
        }
    }
    let found = sink.statistics().found_stored.load(Ordering::Relaxed);
    assert!(found > 0, "no cut was between a commit and its answer");
    assert!(sink.statistics().retries.load(Ordering::Relaxed) > found);
    let stored = "SELECT count(*), count(DISTINCT event_id) FROM analytics_logs";
    assert_eq!(server.sql(&direct.settings().database, stored), format!("{0}|{0}", 2 * number));
}
