//! Random queries over random events, answered by the engine over the table and by the naive engine. The seed is fixed;
//! with `TIMBERYARD_TORTURE` set there are many more.

use proptest::prelude::*;
use proptest::sample::select;
use timberyard_connectors::postgres::PostgresSource;
use timberyard_logql::QueryRequest;
use timberyard_model::scan::Direction;
use timberyard_model::{LogBatch, Timestamp};
use timberyard_testkit::memory_source::MemorySource;
use timberyard_testkit::parts::postgres::Postgres;
use timberyard_testkit::random_logql::{check_all, compare, log_query, metric_query, range_request};
use tokio::runtime::Handle;

use super::fixture::{events, sink, write};

const EVENTS: i64 = 300;
const CASES: u32 = 250;
/// With `TIMBERYARD_TORTURE` set.
const CASES_OF_TORTURE: u32 = 10_000;
/// Of the first event, in seconds after the epoch: 2026-11-20T00:00:00Z.
const START: i64 = 1_795_132_800;

/// What the queries of made-up services say, as it is said of events; the longer of two that begin alike comes first.
const WORDS: [(&str, &str); 17] = [
    (r#"{app=~".+"}"#, r#"{service_name="analytics"}"#),
    (r#"{app="a"}"#, r#"{event_type="error"}"#),
    (r#"{app=~"a|b", env!="y"}"#, r#"{event_type=~"err.*|tel.*", priority!="high"}"#),
    (r#"{env="x"}"#, r#"{priority="high"}"#),
    (r#"{app="none"}"#, r#"{event_type="none"}"#),
    (r#"| logfmt word="level", v"#, r#"| json word="event_name", v="n""#),
    ("| logfmt --strict", "| json"),
    ("| logfmt", "| json"),
    ("unwrap v", "unwrap n"),
    ("| v ", "| n "),
    (r#""ok""#, r#""click""#),
    (r#""error""#, r#""scroll""#),
    (r#""warn" or "v=7""#, r#""scroll" or "\"n\":7""#),
    (r#""v=1.*""#, r#""\"n\":[12].*""#),
    ("(app", "(event_type"),
    ("env", "priority"),
    ("level", "event_name"),
];

/// Events of several kinds, no two at the same time.
fn varied() -> LogBatch {
    let event = |number: i64| {
        let pick = |words: &[&str]| words[(number * 7 % words.len() as i64) as usize].to_owned();
        let time = Timestamp::from_nanos((START + number * 31 % 200) * 1_000_000_000 + number);
        let members = [
            format!(r#""event_id":"id-{number}","timestamp":"{time}","n":{}"#, number % 11),
            format!(r#""event_type":"{}""#, pick(&["behavioral", "telemetry", "error"])),
            format!(r#""event_name":"{}""#, pick(&["click", "scroll", "click twice", "ünïcode"])),
            match number % 3 {
                0 => r#""priority":"high","user_id":"u1""#.to_owned(),
                1 => r#""session_id":"s1","properties":{"n":5,"deep":{"v":1.5}}"#.to_owned(),
                _ => r#""app_version":"1.0","user_id":"""#.to_owned(),
            },
        ];
        format!("{{{}}}", members.join(","))
    };
    let list: Vec<String> = (0..EVENTS).map(event).collect();
    events("default", &format!(r#"{{"logs":[{}]}}"#, list.join(",")), START * 1_000_000)
}

fn of_events(query: String) -> String {
    WORDS.iter().fold(query, |query, (word, of_events)| query.replace(word, of_events))
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_agree_with_the_naive_engine() {
    let (pool, sink) = sink(Postgres::shared()).await;
    let (memory, batch) = (MemorySource::default(), varied());
    memory.push_batch(&batch).expect("new");
    write(&sink, batch).await.expect("stored");
    let source = PostgresSource::new(pool, Handle::current());
    let entries = memory.entries();
    let cases = if std::env::var_os("TIMBERYARD_TORTURE").is_some() { CASES_OF_TORTURE } else { CASES };
    let steps = select(vec![0_i64, 1, 5, 10, 33]);
    let query = prop_oneof![(metric_query(), steps), (log_query(), Just(1))];
    let span = (0_i64..100, 0_i64..150, 0_usize..40, any::<bool>());
    tokio::task::block_in_place(|| {
        check_all(cases, &(query, span), |((query, step), (start, length, limit, forward))| {
            let start = START + start;
            let request = QueryRequest {
                limit,
                direction: if forward { Direction::Forward } else { Direction::Backward },
                ..range_request(&of_events(query), start, start + length, step)
            };
            compare(&source, &entries, &request)
        });
    });
}
