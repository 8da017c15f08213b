//! Topics are read, written to sinks, and committed; nothing is lost and nothing is there twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{ClientConfig, TopicPartitionList};
use timberyard_connectors::ByteSize;
use timberyard_connectors::kafka::{
    DecodeSettings, Destinations, InputFormat, KafkaInput, KafkaInputSettings, KafkaSink, KafkaSinkSettings,
};
use timberyard_model::Limits;
use timberyard_model::sink::Sink;
use timberyard_testkit::eventually::eventually;
use timberyard_wire::LabelAttributes;
use tokio::runtime::Handle;

use crate::batches::{PATIENCE, arrived, header, record};
use crate::shared_store::SharedStore;

pub(crate) fn settings(brokers: &str) -> KafkaInputSettings {
    settings_of(brokers, "logs")
}

pub(crate) fn settings_of(brokers: &str, topic: &str) -> KafkaInputSettings {
    KafkaInputSettings {
        brokers: brokers.to_owned(),
        topics: vec![topic.to_owned()],
        batch_age_milliseconds_max: 20,
        ..KafkaInputSettings::default()
    }
}

pub(crate) fn start(settings: &KafkaInputSettings, store: &Arc<SharedStore>) -> KafkaInput {
    let decode = DecodeSettings {
        limits: Limits::default(),
        node_id: "node".into(),
        discover_service_name: true,
        detect_level: false,
        label_attributes: LabelAttributes::loki().clone(),
    };
    let sink = Arc::clone(store) as Arc<dyn Sink>;
    let destinations = Destinations { ours: Arc::clone(&sink), foreign: sink };
    KafkaInput::start("orders", settings, decode, destinations, Handle::current()).expect("valid settings")
}

fn sink(brokers: &str) -> KafkaSink {
    sink_to(brokers, "logs")
}

pub(crate) fn sink_to(brokers: &str, topic: &str) -> KafkaSink {
    let settings =
        KafkaSinkSettings { brokers: brokers.to_owned(), topic: topic.to_owned(), ..Default::default() };
    KafkaSink::new("kafka", settings).expect("valid settings")
}

fn cluster(partitions: i32) -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).expect("mock brokers");
    for topic in ["logs", "logs-dead-letter"] {
        cluster.create_topic(topic, partitions, 1).expect("a topic");
    }
    cluster
}

/// Sends texts as they are.
fn produce(brokers: &str, payloads: &[&str]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a producer");
    for payload in payloads {
        producer.send(BaseRecord::<str, str>::to("logs").payload(payload).key("key")).expect("queued");
    }
    producer.flush(PATIENCE).expect("sent");
}

pub(crate) fn numbered(rows: usize) -> Vec<String> {
    (0..rows).map(|number| format!("line {number:06}")).collect()
}

/// Sends numbered lines of several services, so many a batch.
pub(crate) async fn send_numbered(sink: &KafkaSink, rows: usize, rows_per_batch: usize) {
    for (number, lines) in numbered(rows).chunks(rows_per_batch).enumerate() {
        let service = format!("service-{}", number % 7);
        let rows: Vec<_> = lines.iter().map(|line| (service.as_str(), line.as_str())).collect();
        sink.write(record("default", &rows)).await.expect("sent");
    }
}

/// Waits until the group has committed everything.
pub(crate) fn wait_until_committed(brokers: &str, topic: &str, partitions: i32, messages: i64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "timberyard")
        .create()
        .expect("a consumer");
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, partitions - 1);
    eventually("all offsets are committed", || {
        let committed = consumer.committed_offsets(asked.clone(), PATIENCE).expect("answered");
        let offsets =
            committed.elements().iter().filter_map(|element| element.offset().to_raw()).collect::<Vec<_>>();
        (offsets.iter().filter(|offset| **offset > 0).sum::<i64>() == messages).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_stored_for_its_tenant_in_large_batches() {
    let cluster = cluster(3);
    let sink = sink(&cluster.bootstrap_servers());
    send_numbered(&sink, 300, 3).await;
    sink.write(record("team-a", &[("web", "of team a")])).await.expect("sent");
    let store = Arc::new(SharedStore::default());
    let input = start(&settings(&cluster.bootstrap_servers()), &store);
    tokio::task::block_in_place(|| store.wait_for(301));
    let rows = store.rows();
    let of_team: Vec<_> = rows.iter().filter(|(tenant, _)| tenant == "team-a").collect();
    assert_eq!(of_team, [&("team-a".to_owned(), "of team a".to_owned())]);
    assert!(store.batches() < 30, "{} batches of 101 messages", store.batches());
    tokio::task::block_in_place(|| wait_until_committed(&cluster.bootstrap_servers(), "logs", 3, 101));
    eventually("the figures are those of the messages", || {
        let statistics = input.statistics();
        let settled = statistics.buffered_bytes == 0 && statistics.repeated == 0;
        (settled && (statistics.messages, statistics.rows) == (101, 301)).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_away_or_loses_its_answer_is_tried_until_it_has_the_rows_once() {
    let cluster = cluster(1);
    let store = Arc::new(SharedStore::default());
    store.refuse.store(2, Ordering::Relaxed);
    store.lose_answers.store(1, Ordering::Relaxed);
    let input = start(&settings(&cluster.bootstrap_servers()), &store);
    send_numbered(&sink(&cluster.bootstrap_servers()), 100, 10).await;
    tokio::task::block_in_place(|| wait_until_committed(&cluster.bootstrap_servers(), "logs", 1, 10));
    assert_eq!(store.lines(), numbered(100));
    assert!(input.statistics().retries >= 3 && input.statistics().repeated > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_read_from_its_beginning() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let store = Arc::new(SharedStore::default());
    produce(&brokers, &[r#"{"msg":"one"}"#]);
    let first = start(&settings(&brokers), &store);
    tokio::task::block_in_place(|| store.wait_for(1));
    tokio::task::block_in_place(|| first.stop());
    // Kafka forgets a group's offsets with the topic: as for a group that is new.
    let again = KafkaInputSettings { group: "again".to_owned(), ..settings(&brokers) };
    let _second = start(&again, &store);
    tokio::task::block_in_place(|| store.wait_for(2));
    assert_eq!(store.lines(), ["one", "one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_is_a_dead_letter_with_its_reason_and_place() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let store = Arc::new(SharedStore::default());
    let ndjson = KafkaInputSettings { format: InputFormat::Ndjson, ..settings(&brokers) };
    produce(&brokers, &["{\"msg\":\"one\"}", "\n", "{\"msg\":\"two\"}\nno json\n", "{\"msg\":\"three\"}"]);
    let input = start(&ndjson, &store);
    tokio::task::block_in_place(|| store.wait_for(3));
    assert_eq!(store.lines(), ["one", "three", "two"]);
    let letters = tokio::task::block_in_place(|| arrived(&brokers, "logs-dead-letter", 2));
    let shown: Vec<_> = letters
        .iter()
        .map(|letter| {
            let place = ["timberyard-topic", "timberyard-partition", "timberyard-offset"];
            let place: Vec<_> = place.iter().map(|name| header(letter, name).expect("a header")).collect();
            (place.join(" "), header(letter, "timberyard-reason").expect("a reason"))
        })
        .collect();
    assert_eq!(shown[0], ("logs 0 1".to_owned(), "body holds no JSON object".to_owned()));
    assert_eq!(shown[1].0, "logs 0 2");
    assert!(shown[1].1.contains("line 2, column"), "{}", shown[1].1);
    assert_eq!(letters[1].payload(), Some(&b"{\"msg\":\"two\"}\nno json\n"[..]));
    assert_eq!(letters[1].key(), Some(&b"key"[..]));
    eventually("both are counted", || (input.statistics().dead_letters == 2).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_within_its_bound_while_a_sink_is_away_or_slow() {
    const LINE_BYTES: usize = 1000;
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    let sink = sink(&brokers);
    for number in 0..200 {
        let line = format!("{number:0>LINE_BYTES$}");
        let service = format!("service-{}", number % 5);
        let rows = [(service.as_str(), line.as_str()); 5];
        sink.write(record("default", &rows)).await.expect("sent");
    }
    let store = Arc::new(SharedStore::default());
    store.milliseconds.store(20, Ordering::Relaxed);
    // Away for seconds at first, then slow.
    store.refuse.store(10, Ordering::Relaxed);
    let bounded = KafkaInputSettings {
        batch_bytes_max: ByteSize(20_000),
        buffer_bytes_max: ByteSize(60_000),
        ..settings(&brokers)
    };
    let input = start(&bounded, &store);
    let mut most = 0;
    while store.rows().len() < 1000 {
        most = most.max(input.statistics().buffered_bytes);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!((20_000..200_000).contains(&most), "{most} bytes were held");
    assert_eq!(store.rows().len(), 1000);
    assert!(store.batches() >= 30, "{} batches", store.batches());
}
