//! The same with the real Apache Kafka, which is killed, and with two members that share a group.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use timberyard_connectors::kafka::KafkaInputSettings;
use timberyard_model::sink::Sink;
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::parts::kafka::KafkaBroker;

use crate::batches::{PATIENCE, record};
use crate::input::{numbered, send_numbered, settings_of, sink_to, start, wait_until_committed};
use crate::shared_store::SharedStore;

/// A broker for tests that do it no harm; it ends with this process.
fn shared_broker() -> &'static str {
    static BROKER: OnceLock<KafkaBroker> = OnceLock::new();
    tokio::task::block_in_place(|| BROKER.get_or_init(|| KafkaBroker::start(6)).address())
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_under_load_and_every_row_is_stored_once() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let broker = shared_broker();
    let store = Arc::new(SharedStore::default());
    store.milliseconds.store(3, Ordering::Relaxed);
    let small = KafkaInputSettings {
        batch_rows_max: 50,
        session_timeout_seconds: 6,
        ..settings_of(broker, "rebalanced")
    };
    let sink = sink_to(broker, "rebalanced");
    send_numbered(&sink, 10, 5).await;
    let first = start(&small, &store);
    tokio::task::block_in_place(|| store.wait_for(10));
    let mut second = None;
    for (number, lines) in numbered(6000).get(10..).expect("6000 lines").chunks(5).enumerate() {
        let service = format!("service-{}", number % 23);
        let rows: Vec<_> = lines.iter().map(|line| (service.as_str(), line.as_str())).collect();
        sink.write(record("default", &rows)).await.expect("sent");
        match number {
            200 => second = Some(start(&small, &store)),
            700 => tokio::task::block_in_place(|| drop(second.take())),
            900 => second = Some(start(&small, &store)),
            _ => {}
        }
    }
    tokio::task::block_in_place(|| wait_until_committed(broker, "rebalanced", 6, 1200));
    assert_eq!(store.lines(), numbered(6000));
    assert!(first.statistics().rebalances >= 2, "{:?}", first.statistics());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_comes_back_loses_and_doubles_nothing() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let mut broker = tokio::task::block_in_place(|| KafkaBroker::start(3));
    let store = Arc::new(SharedStore::default());
    let _input = start(&settings_of(broker.address(), "killed"), &store);
    let sink = Arc::new(sink_to(broker.address(), "killed"));
    let lines = numbered(400);
    let mut sending = tokio::task::JoinSet::new();
    for (number, line) in lines.iter().cloned().enumerate() {
        let sink = Arc::clone(&sink);
        sending.spawn(async move {
            let service = format!("service-{}", number % 9);
            let row = record("default", &[(service.as_str(), line.as_str())]);
            while sink.write(row.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        if number == 150 {
            tokio::task::block_in_place(|| broker.kill());
        }
        if number == 250 {
            tokio::task::block_in_place(|| broker.start_again());
        }
    }
    while let Some(sent) = sending.join_next().await {
        sent.expect("sent");
    }
    tokio::task::block_in_place(|| store.wait_for(400));
    assert_eq!(store.lines(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_and_not_committed_is_not_stored_twice() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let (brokers, topic) = (shared_broker(), "interrupted");
    let store = Arc::new(SharedStore::default());
    let sink = sink_to(brokers, topic);
    let send = async |lines: &[String]| {
        for lines in lines.chunks(5) {
            let rows: Vec<_> = lines.iter().map(|line| ("web", line.as_str())).collect();
            sink.write(record("default", &rows)).await.expect("sent");
        }
    };
    let lines = numbered(70);
    send(&lines[..50]).await;
    let input = start(&settings_of(brokers, topic), &store);
    tokio::task::block_in_place(|| wait_until_committed(brokers, topic, 6, 10));
    tokio::task::block_in_place(|| input.stop());

    // As after a crash between write and commit: the group is where it was, and more has come since.
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "timberyard")
        .create()
        .expect("a consumer");
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, 5);
    let committed = consumer.committed_offsets(asked, PATIENCE).expect("answered");
    let elements = committed.elements();
    let element =
        elements.iter().find(|element| element.offset() == Offset::Offset(10)).expect("ten messages");
    let mut back = TopicPartitionList::new();
    let mut earlier = back.add_partition(topic, element.partition());
    earlier.set_offset(Offset::Offset(3)).expect("an offset");
    earlier.set_metadata(element.metadata());
    // Until the group has noticed that its member left, nobody else may.
    tokio::task::block_in_place(|| {
        eventually("the group is empty", || consumer.commit(&back, CommitMode::Sync).ok());
    });
    send(&lines[50..]).await;
    let input = start(&settings_of(brokers, topic), &store);
    tokio::task::block_in_place(|| wait_until_committed(brokers, topic, 6, 14));
    assert_eq!(store.lines(), lines);
    assert_eq!(input.statistics().repeated, 35, "of seven messages");
}
