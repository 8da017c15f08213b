//! Batches become messages, and are acknowledged when the brokers have them.

use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use timberyard_connectors::ByteSize;
use timberyard_connectors::kafka::{
    CompressionType, KafkaSink, KafkaSinkSettings, MessageFormat, Partitioner, fnv1a,
};
use timberyard_model::sink::{Sink, SinkError};
use timberyard_wire::batch_record;

use crate::batches::{arrived, header, record};

fn settings(brokers: &str) -> KafkaSinkSettings {
    KafkaSinkSettings { brokers: brokers.to_owned(), topic: "logs".to_owned(), ..Default::default() }
}

fn sink(settings: KafkaSinkSettings) -> KafkaSink {
    KafkaSink::new("kafka", settings).expect("valid settings")
}

fn cluster(partitions: i32) -> MockCluster<'static, rdkafka::producer::DefaultProducerContext> {
    let cluster = MockCluster::new(1).expect("mock brokers");
    cluster.create_topic("logs", partitions, 1).expect("a topic");
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_a_message_of_each_service_with_tenant_and_format() {
    let cluster = cluster(1);
    for compression in
        [CompressionType::Zstd, CompressionType::Lz4, CompressionType::Gzip, CompressionType::Snappy]
    {
        let sink = sink(KafkaSinkSettings { compression, ..settings(&cluster.bootstrap_servers()) });
        sink.write(record("team-a", &[("web", "one"), ("db", "two"), ("web", "three")])).await.expect("sent");
        assert_eq!(sink.statistics().messages, 2);
        assert_eq!(sink.statistics().queued_bytes, 0);
    }
    let messages = arrived(&cluster.bootstrap_servers(), "logs", 8);
    for pair in messages.chunks(2) {
        assert_eq!(pair[0].key(), Some(&b"web"[..]));
        assert_eq!(pair[1].key(), Some(&b"db"[..]));
        assert_eq!(header(&pair[0], "timberyard-format").as_deref(), Some("batch"));
        assert_eq!(header(&pair[0], "timberyard-tenant").as_deref(), Some("team-a"));
        let batch = batch_record::decode(pair[0].payload().expect("a payload")).expect("a batch record");
        let lines: Vec<_> = batch.rows.iter().map(|row| row.line()).collect();
        assert_eq!((batch.tenant.as_str(), lines), ("team-a", vec![&b"one"[..], b"three"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logstreams_form_is_one_log_a_message() {
    let cluster = cluster(1);
    let sink = sink(KafkaSinkSettings {
        format: MessageFormat::Logstream,
        ..settings(&cluster.bootstrap_servers())
    });
    sink.write(record("default", &[("web", "one"), ("web", "two")])).await.expect("sent");
    let messages = arrived(&cluster.bootstrap_servers(), "logs", 2);
    let log: serde_json::Value =
        serde_json::from_slice(messages[1].payload().expect("a payload")).expect("JSON");
    assert_eq!((log["service"].as_str(), log["message"].as_str()), (Some("web"), Some("two")));
    assert_eq!(messages[1].key(), Some(&b"web"[..]));
    assert_eq!(header(&messages[1], "timberyard-format").as_deref(), Some("logstream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_stays_on_its_partition() {
    let cluster = cluster(4);
    let sink =
        sink(KafkaSinkSettings { partitioner: Partitioner::Fnv1a, ..settings(&cluster.bootstrap_servers()) });
    let services = ["auth", "cart", "payment", "search", "mail", "a"];
    for _ in 0..2 {
        let rows: Vec<_> = services.iter().map(|service| (*service, "line")).collect();
        sink.write(record("default", &rows)).await.expect("sent");
    }
    for message in arrived(&cluster.bootstrap_servers(), "logs", 12) {
        let expected = fnv1a(message.key().expect("a key")) % 4;
        assert_eq!(u32::try_from(message.partition()), Ok(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_brokers_fail_at_for_a_moment_is_sent_again_and_is_there_once() {
    let cluster = cluster(1);
    let sink = sink(settings(&cluster.bootstrap_servers()));
    sink.write(record("default", &[("web", "before")])).await.expect("sent");
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        ],
    );
    sink.write(record("default", &[("web", "during")])).await.expect("sent again");
    sink.write(record("default", &[("web", "after")])).await.expect("sent");
    let messages = arrived(&cluster.bootstrap_servers(), "logs", 3);
    assert_eq!(messages.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_away_are_said_to_be_and_then_used_again() {
    let cluster = cluster(1);
    let sink =
        sink(KafkaSinkSettings { delivery_timeout_seconds: 1, ..settings(&cluster.bootstrap_servers()) });
    cluster.broker_down(1).expect("down");
    let refused = sink.write(record("default", &[("web", "lost")])).await.expect_err("nobody is there");
    assert!(matches!(&refused, SinkError::Unavailable(reason) if reason.contains("within 1 s")), "{refused}");
    assert_eq!(sink.statistics().failures, 1);
    assert_eq!(sink.statistics().queued_bytes, 0);
    cluster.broker_up(1).expect("up");
    let mut tries = 0;
    while let Err(error) = sink.write(record("default", &[("web", "again")])).await {
        tries += 1;
        assert!(tries < 30, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_and_a_row_too_large_are_refused_for_what_they_are() {
    let cluster = cluster(1);
    cluster.broker_down(1).expect("down");
    let sink = sink(KafkaSinkSettings {
        queue_bytes_max: ByteSize(1 << 20),
        delivery_timeout_seconds: 2,
        ..settings(&cluster.bootstrap_servers())
    });
    let line = "x".repeat(200_000);
    let large = record("default", &[("web", line.as_str()); 5]);
    let first = sink.write(large.clone());
    let second = sink.write(large);
    let (first, second) = tokio::join!(first, second);
    assert!(matches!(first, Err(SinkError::Unavailable(_))), "{first:?}");
    assert!(matches!(second, Err(SinkError::Overloaded { .. })), "{second:?}");

    let small =
        KafkaSinkSettings { message_bytes_max: ByteSize(1000), ..settings(&cluster.bootstrap_servers()) };
    let refused =
        KafkaSink::new("kafka", small).expect("valid").write(record("default", &[("web", &line)])).await;
    assert!(matches!(refused, Err(SinkError::TooLarge(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_is_there_or_what_is_wrong() {
    let cluster = cluster(3);
    let found = sink(settings(&cluster.bootstrap_servers())).connect_check().await.expect("it answers");
    assert_eq!(found, "Kafka, 1 broker, topic logs, partitions: 3");
}
