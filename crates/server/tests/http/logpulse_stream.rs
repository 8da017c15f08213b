//! LogPulse's live stream, over real connections.

use std::time::Duration;

use serde_json::{Value, json};
use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::RecordLimits;
use timberyard_model::{BatchBuilder, Labels, LogBatch, TenantId};
use timberyard_testkit::websocket::WebSocket;
use tokio::task::block_in_place;

use crate::connections::Served;
use crate::harness::NOW;

const PATIENCE: Duration = Duration::from_secs(20);

fn batch(app: &str, lines: &[&[u8]]) -> LogBatch {
    let limits = RecordLimits::default();
    let mut batch = BatchBuilder::new(TenantId::default(), NOW, EqualEntries::Keep, &limits);
    let stream = batch.stream(&Labels::from_pairs([("app", app), ("level", "warn")]));
    for line in lines {
        batch.push(stream, NOW, line, &[("session_id", b"s")]).expect("within limits");
    }
    batch.finish()
}

fn connect(served: &Served, path: &str) -> WebSocket {
    WebSocket::connect(&served.address.to_string(), path, &[]).expect("upgrades")
}

fn next(client: &mut WebSocket) -> Value {
    client.next(PATIENCE).expect("a message in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_filter_can_be_changed_while_listening() {
    let served = Served::with(|_| {}).await;
    let mut client = block_in_place(|| connect(&served, "/stream?app=api&level="));
    let hello = block_in_place(|| next(&mut client));
    assert_eq!(hello, json!({"type":"connected","filter":{"app":"api","level":""}}));

    served.state.intake.submit(batch("web", &[b"elsewhere"])).await.expect("stored");
    served.state.intake.submit(batch("api", &[b"a\xff", b"a\xff"])).await.expect("stored");
    let first = block_in_place(|| next(&mut client));
    assert_eq!(first["type"], "log");
    assert_eq!(first["data"]["message"], "a\u{fffd}");
    assert_eq!(first["data"]["level"], "warn");
    assert_eq!(first["data"]["timestamp"], "2026-11-01T01:00:00Z");
    assert_eq!(first["data"]["labels"], json!({"app":"api","level":"warn","session_id":"s"}));
    let second = block_in_place(|| next(&mut client));
    assert_ne!(first["data"]["id"], second["data"]["id"]);

    for (message, answer) in [
        (
            json!({"type":"filter","labels":{"app":"web"}}),
            json!({"type":"filter_updated","filter":{"app":"web"}}),
        ),
        (json!({"type":"hello"}), json!({"type":"error","message":"expected a message of type `filter`"})),
        (
            json!({"type":"filter","labels":{"a-b":"c"}}),
            json!({"type":"error","message":"`a-b` is not a label name"}),
        ),
    ] {
        block_in_place(|| client.send(&message));
        assert_eq!(block_in_place(|| next(&mut client)), answer);
    }
    served.state.intake.submit(batch("api", &[b"no longer"])).await.expect("stored");
    served.state.intake.submit(batch("web", &[b"now here"])).await.expect("stored");
    assert_eq!(block_in_place(|| next(&mut client))["data"]["message"], "now here");
    drop(client);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_told_how_many_lines_it_missed() {
    let served = Served::with(|_| {}).await;
    let mut client = block_in_place(|| connect(&served, "/stream"));
    assert_eq!(block_in_place(|| next(&mut client))["type"], "connected");
    let line = vec![b'x'; 128 << 10];
    for _ in 0..40 {
        let lines: Vec<&[u8]> = vec![&line; 8];
        served.state.intake.submit(batch("api", &lines)).await.expect("never held up by the reader");
    }
    let (mut shown, mut missed) = (0, 0);
    while shown + missed < 320 {
        let message = block_in_place(|| next(&mut client));
        match message["type"].as_str() {
            Some("log") => shown += 1,
            Some("missed") => missed += message["count"].as_u64().expect("a number"),
            _ => panic!("{message}"),
        }
    }
    assert_eq!(shown + missed, 320);
    assert_eq!(missed, served.state.tail_hub.missed_rows());
    assert!(missed > 0, "40 MiB cannot all have been queued");
    drop(client);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_no_stream_can_pass_is_refused() {
    let served = Served::with(|settings| settings.limits.query.tails_max = 1).await;
    let address = served.address.to_string();
    let refused = block_in_place(|| WebSocket::connect(&address, "/stream?a-b=c", &[]));
    assert_eq!(refused.expect_err("not a label"), 400);
    let first = block_in_place(|| connect(&served, "/stream"));
    let refused = block_in_place(|| WebSocket::connect(&address, "/stream", &[]));
    assert_eq!(refused.expect_err("too many"), 429);
    let foreign = [("origin", "http://evil.example")];
    let refused = block_in_place(|| WebSocket::connect(&address, "/stream", &foreign));
    assert_eq!(refused.expect_err("a stranger's page"), 403);
    drop(first);
    served.stop().await;
}
