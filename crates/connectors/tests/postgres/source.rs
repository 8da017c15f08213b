//! What is read is what was stored: the table against a vector of the same rows.

use std::sync::Arc;

use timberyard_connectors::postgres::{PostgresSink, PostgresSource};
use timberyard_logql::{Engine, QueryExtras, QueryRequest, syntax};
use timberyard_model::cancellation::{CancelReason, Cancellation};
use timberyard_model::counting::Cuts;
use timberyard_model::events::{EventConditions, EventOrder, EventPageRequest, EventStore};
use timberyard_model::limits::QueryLimits;
use timberyard_model::matcher::{LabelMatcher, LineFilter, LinePattern, ValueTest};
use timberyard_model::pattern::Pattern;
use timberyard_model::scan::{Columns, Direction, LogSource, ScanError, ScanRequest, SeriesRequest};
use timberyard_model::{LogBatch, TenantId, TimeRange, Timestamp};
use timberyard_testkit::memory_source::MemorySource;
use timberyard_testkit::parts::postgres::Postgres;
use timberyard_wire::change66_event::Event;
use tokio::runtime::Handle;

use super::fixture::{events, sink, write};

const EVENTS: i64 = 600;
/// The first event's time: 2026-11-20T00:00:00Z.
const START: i64 = 1_795_132_800_000_000_000;

/// Events of several kinds, many at the same times, some with what columns cannot hold.
fn varied() -> LogBatch {
    let event = |number: i64| {
        let pick = |words: &[&str]| words[(number * 7 % words.len() as i64) as usize].to_owned();
        let time = Timestamp::from_nanos(START + number * 31 % 97 * 60_000_000_000 + number % 3);
        let event_type = pick(&["behavioral", "telemetry", "observability", "error", "performance"]);
        let name = pick(&["click", "scroll", "", "ünïcode", "a\\u0000b"]).replace('\0', "");
        let name = if name.is_empty() { "x".repeat(300) } else { name };
        let members = [
            format!(r#""event_id":"id-{number}","timestamp":"{time}","event_type":"{event_type}""#),
            format!(r#""event_name":"{name}","n":{}"#, number % 11),
            match number % 4 {
                0 => r#""user_id":"","priority":"high""#.to_owned(),
                1 => format!(r#""user_id":"u{}","app_version":"1.{}""#, number % 5, number % 3),
                2 => r#""user_id":null,"session_id":"\u0000s""#.to_owned(),
                _ => format!(r#""session_id":"s{}","sequence_number":{number}"#, number % 20),
            },
            match number % 5 {
                0 => r#""properties":{"provider_name":"p","deep":{"provider_name":"q"}}"#.to_owned(),
                1 => r#""properties":{"provider_name":["p"]}"#.to_owned(),
                2 => r#""properties":{"provider_name":"q","odd":"\ud800"}"#.to_owned(),
                _ => r#""properties":null"#.to_owned(),
            },
        ];
        format!("{{{}}}", members.join(","))
    };
    let list: Vec<String> = (0..EVENTS).map(event).collect();
    events("default", &format!(r#"{{"logs":[{}]}}"#, list.join(",")), START / 1000)
}

struct Stores {
    memory: MemorySource,
    postgres: PostgresSource,
}

async fn stores() -> Stores {
    let server = Postgres::shared();
    let (pool, sink) = sink(server).await;
    let memory = MemorySource::default();
    for batch in
        [varied(), events("other", r#"{"logs":[{"event_id":"o","event_type":"error","event_name":"n"}]}"#, 1)]
    {
        memory.push_batch(&batch).expect("new");
        write(&sink, batch).await.expect("stored");
    }
    Stores { memory, postgres: PostgresSource::new(pool, Handle::current()) }
}

/// The rows of a scan in order; fails on one beyond a frontier.
fn scanned(source: &dyn LogSource, request: &ScanRequest) -> Vec<String> {
    let mut scan = source.scan(request).expect("starts");
    let (mut rows, mut frontier) = (Vec::new(), None);
    while let Some(block) = scan.next_block().expect("readable") {
        // Rows of a block are in no order but for equal times.
        let mut of_block: Vec<_> = block.rows.iter().collect();
        let later_first = request.direction == Direction::Backward;
        if later_first {
            of_block.reverse();
        }
        of_block.sort_by_key(|row| {
            if later_first { -row.timestamp().as_nanos() } else { row.timestamp().as_nanos() }
        });
        for row in of_block {
            let is_beyond = frontier.is_some_and(|frontier: Timestamp| match later_first {
                true => row.timestamp() > frontier,
                false => row.timestamp() < frontier,
            });
            assert!(!is_beyond, "{row:?}");
            rows.push(format!("{row:?}"));
        }
        frontier = Some(block.frontier);
    }
    rows
}

fn filter(negated: bool, any_of: &[&str]) -> LineFilter {
    let literal = |text: &&str| LinePattern::Literal(text.as_bytes().into());
    LineFilter { negated, any_of: any_of.iter().map(literal).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_give_the_same_rows_in_the_same_order() {
    let Stores { memory, postgres } = stores().await;
    let all = ScanRequest::all(TenantId::default(), TimeRange::ALL);
    let at = |minutes: i64| Timestamp::from_nanos(START + minutes * 60_000_000_000 + 1);
    let pattern = |text: &str| Pattern::whole(text).expect("a pattern");
    let not_behavioral = ValueTest::NotMatches(pattern("beh.*"));
    let regex = LinePattern::Regex(Pattern::anywhere("id-[1-3]+\"").expect("a pattern"));
    let requests = [
        all.clone(),
        ScanRequest { range: TimeRange::new(at(10), at(40)), ..all.clone() },
        ScanRequest { range: TimeRange::new(at(40), at(10)), ..all.clone() },
        ScanRequest { matchers: vec![LabelMatcher::equal("event_type", "error")], ..all.clone() },
        ScanRequest { matchers: vec![LabelMatcher::equal("event_type", "none")], ..all.clone() },
        ScanRequest {
            matchers: vec![LabelMatcher { name: "event_type".into(), test: not_behavioral }],
            ..all.clone()
        },
        ScanRequest { matchers: vec![LabelMatcher::equal("app_version", "")], ..all.clone() },
        ScanRequest { line_filters: vec![filter(false, &["click", "ü"])], ..all.clone() },
        ScanRequest {
            line_filters: vec![filter(true, &["click"]), filter(false, &["\"n\":1"])],
            ..all.clone()
        },
        ScanRequest { line_filters: vec![LineFilter { negated: false, any_of: vec![regex] }], ..all.clone() },
        ScanRequest { columns: Columns { line: false, metadata: true }, ..all.clone() },
        ScanRequest {
            columns: Columns { line: false, metadata: false },
            line_filters: vec![filter(false, &["click"])],
            ..all.clone()
        },
        ScanRequest { tenant: TenantId::new("other").expect("a tenant"), ..all.clone() },
        ScanRequest { tenant: TenantId::new("nobody").expect("a tenant"), ..all },
    ];
    tokio::task::block_in_place(|| {
        for mut request in requests {
            for direction in [Direction::Backward, Direction::Forward] {
                request.direction = direction;
                let (expected, found) = (scanned(&memory, &request), scanned(&postgres, &request));
                assert_eq!(found.len(), expected.len(), "{request:?}");
                assert_eq!(found, expected, "{request:?}");
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_counts_are_those_of_the_rows() {
    let Stores { memory, postgres } = stores().await;
    let everything = SeriesRequest {
        tenant: TenantId::default(),
        range: TimeRange::ALL,
        selectors: Vec::new(),
        memory_bytes_max: 1 << 20,
        cancellation: Cancellation::default(),
    };
    let minute = 60_000_000_000;
    let range =
        TimeRange::new(Timestamp::from_nanos(START + 1), Timestamp::from_nanos(START + 7 * minute + 2));
    let selectors = vec![
        vec![LabelMatcher::equal("event_type", "error"), LabelMatcher::equal("priority", "high")],
        vec![LabelMatcher::equal("app_version", "1.1")],
    ];
    tokio::task::block_in_place(|| {
        for request in [
            everything.clone(),
            SeriesRequest { range, ..everything.clone() },
            SeriesRequest { selectors, range, ..everything.clone() },
        ] {
            assert_eq!(postgres.series(&request), memory.series(&request));
            for cuts in [
                Cuts::NONE,
                Cuts::every(minute, [0, 0]),
                Cuts::every(7 * minute, [minute * 3, 5]),
                Cuts::every(1, [0, 0]),
                Cuts::every(i64::MAX, [i64::MIN, i64::MAX]),
            ] {
                let counted = |source: &dyn LogSource| {
                    let mut sums: std::collections::BTreeMap<_, (u64, u64)> = Default::default();
                    source
                        .count(&request, cuts, &mut |labels, cell| {
                            assert!(request.range.contains(cell.time));
                            // Cells of one stretch of both kinds are one.
                            let stretch = match cuts.periodic() {
                                Some((period, [first, second])) => [first, second]
                                    .map(|cut| Cuts::every(period, [cut, cut]).stretch(cell.time)),
                                None => [0; 2],
                            };
                            let sum = sums.entry((labels.clone(), stretch)).or_default();
                            *sum = (sum.0 + cell.rows, sum.1 + cell.line_bytes);
                            Ok(())
                        })
                        .expect("counted");
                    sums
                };
                assert_eq!(counted(&postgres), counted(&memory), "{cuts:?}");
            }
        }
        let estimate =
            postgres.estimate(&ScanRequest::all(TenantId::default(), TimeRange::ALL)).expect("estimated");
        assert_eq!(estimate.streams, memory.series(&everything).expect("readable").len() as u64);
        let small = SeriesRequest { memory_bytes_max: 1, ..everything };
        assert_eq!(postgres.series(&small), Err(ScanError::Memory { limit: 1 }));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn logql_answers_the_same() {
    let Stores { memory, postgres } = stores().await;
    let queries = [
        r#"{service_name="analytics"}"#,
        r#"{service_name="analytics", event_type!="error"} |= "click" | json | n > 3"#,
        r#"{event_type=~"err.*|tel.*"} | user_id="u1""#,
        r#"{service_name="analytics"} | json | line_format "{{.event_name}} {{.n}}" |~ "^cl""#,
        r#"sum by (event_type) (count_over_time({service_name="analytics"} [7m]))"#,
        r#"sum by (app_version, priority) (bytes_over_time({service_name="analytics"} [5m] offset 2m))"#,
        r#"sum by (event_type) (count_over_time({service_name="analytics"} |= "scroll" [3m]))"#,
        r#"sum by (user_id) (count_over_time({service_name="analytics"} | user_id != "" [10m]))"#,
        r#"max by (event_type) (max_over_time({service_name="analytics"} | json | unwrap n [9m]))"#,
        r#"topk(2, sum by (event_name) (rate({service_name="analytics"} | json [20m])))"#,
        r#"absent_over_time({event_type="none"}[5m])"#,
    ];
    tokio::task::block_in_place(|| {
        for query in queries {
            for direction in [Direction::Forward, Direction::Backward] {
                let request = QueryRequest {
                    tenant: TenantId::default(),
                    expression: syntax::parse(query, &QueryLimits::default()).expect(query),
                    start: Timestamp::from_nanos(START + 7),
                    end: Timestamp::from_nanos(START + 6_000_000_000_000),
                    step_ns: 60_000_000_000,
                    interval_ns: 0,
                    limit: 50,
                    direction,
                    extras: QueryExtras::default(),
                    now: Timestamp::from_nanos(START + 9_000_000_000_000),
                    cancellation: Cancellation::default(),
                };
                let run = |source: &dyn LogSource| {
                    let answer = Engine::new(QueryLimits::default()).run(source, &request);
                    format!("{:?}", answer.expect(query).value)
                };
                assert_eq!(run(&postgres), run(&memory), "{query}");
            }
        }
    });
}

fn page_request(conditions: EventConditions, order: EventOrder, descending: bool) -> EventPageRequest {
    EventPageRequest {
        tenant: TenantId::default(),
        conditions,
        order,
        descending,
        offset: 30,
        rows_max: 40,
        bytes_max: 1 << 20,
        cancellation: Cancellation::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_filtered_sorted_and_counted() {
    let Stores { memory, postgres } = stores().await;
    let any = EventConditions::of(TimeRange::ALL);
    let text = |value: &str| Some(value.to_owned());
    let range =
        TimeRange::new(Timestamp::from_nanos(START + 1), Timestamp::from_nanos(START + 3_000_000_000_000));
    let conditions = [
        any.clone(),
        EventConditions { range, ..any.clone() },
        EventConditions { event_type: Some("error"), ..any.clone() },
        EventConditions { priority: Some("high"), event_name: text("click"), ..any.clone() },
        EventConditions { event_name: text(&"x".repeat(300)), ..any.clone() },
        EventConditions { event_name: text(&"x".repeat(299)), ..any.clone() },
        EventConditions { event_name: text("a\0b"), ..any.clone() },
        EventConditions { fields: vec![("user_id", String::new())], ..any.clone() },
        EventConditions {
            fields: vec![("user_id", "u1".into()), ("app_version", "1.2".into())],
            ..any.clone()
        },
        EventConditions { fields: vec![("session_id", "\0s".into())], ..any.clone() },
        EventConditions { provider_name: text("p"), ..any.clone() },
        EventConditions { provider_name: text("q"), ..any },
    ];
    let mut rows = Vec::new();
    let all = memory.scan(&ScanRequest::all(TenantId::default(), TimeRange::ALL)).expect("starts");
    let mut all = all;
    while let Some(block) = all.next_block().expect("readable") {
        rows.push(block.rows);
    }
    tokio::task::block_in_place(|| {
        for conditions in conditions {
            let accepted = |event: &Event<'_>| {
                let is =
                    |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|wanted| wanted == has);
                conditions.range.contains(event.timestamp())
                    && conditions.event_type.is_none_or(|wanted| event.event_type() == wanted)
                    && conditions.priority.is_none_or(|wanted| event.priority() == wanted)
                    && is(&conditions.event_name, &event.event_name())
                    && conditions
                        .fields
                        .iter()
                        .all(|(name, wanted)| event.field(name).as_deref() == Some(wanted))
                    && conditions
                        .provider_name
                        .iter()
                        .all(|wanted| event.has_property("provider_name", wanted))
            };
            let events = rows.iter().flat_map(|rows| rows.iter()).map(Event::new);
            let accepted: Vec<Event<'_>> = events.filter(accepted).collect();
            for (_, order) in EventOrder::NAMES {
                for descending in [false, true] {
                    let mut expected: Vec<(Vec<u8>, i64)> =
                        accepted.iter().map(|event| (sort_key(order, event), event.id())).collect();
                    expected.sort();
                    if descending {
                        expected.reverse();
                    }
                    let request = page_request(conditions.clone(), order, descending);
                    let page = postgres.page(&request).expect("readable");
                    assert_eq!(page.total, accepted.len() as u64, "{conditions:?}");
                    let ids: Vec<i64> = page.rows.iter().map(|row| Event::new(row).id()).collect();
                    let expected: Vec<i64> = expected.iter().skip(30).take(40).map(|(_, id)| *id).collect();
                    assert_eq!(ids, expected, "{conditions:?} by {order:?}");
                }
            }
        }
        let mut small = page_request(EventConditions::of(TimeRange::ALL), EventOrder::Id, true);
        small.bytes_max = 1000;
        assert_eq!(postgres.page(&small).err(), Some(ScanError::Memory { limit: 1000 }));
    });
}

/// What sorts as the order says, absent texts first.
fn sort_key(order: EventOrder, event: &Event<'_>) -> Vec<u8> {
    let number = |number: i64| (number as u64 ^ 1 << 63).to_be_bytes().to_vec();
    let field = |name: &str| match event.field(name) {
        Some(text) => [b"1", text.replace('\0', "\u{fffd}").as_bytes()].concat(),
        None => Vec::new(),
    };
    match order {
        EventOrder::Id | EventOrder::CreatedAt => number(event.id()),
        EventOrder::EventId => event.event_id().as_bytes().to_vec(),
        EventOrder::Timestamp => number(event.timestamp().as_nanos()),
        EventOrder::EventType => event.event_type().into(),
        EventOrder::EventName => event.event_name().replace('\0', "\u{fffd}").into_bytes(),
        EventOrder::UserId => field("user_id"),
        EventOrder::SessionId => field("session_id"),
        EventOrder::AppVersion => field("app_version"),
        EventOrder::Priority => event.priority().into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_of_a_question_that_nobody_waits_for() {
    let server = Postgres::shared();
    let (pool, sink): (_, PostgresSink) = sink(server).await;
    write(&sink, varied()).await.expect("stored");
    let source = Arc::new(PostgresSource::new(pool.clone(), Handle::current()));
    let request = ScanRequest::all(TenantId::default(), TimeRange::ALL);
    tokio::task::block_in_place(|| {
        for _ in 0..2 * pool.settings().connections_max {
            let mut scan = source.scan(&request).expect("starts");
            assert!(scan.next_block().expect("readable").is_some(), "left after its first block");
        }
        let mut scan = source.scan(&request).expect("starts");
        request.cancellation.cancel(CancelReason::ClientGone);
        assert_eq!(scan.next_block().err(), Some(ScanError::Cancelled(CancelReason::ClientGone)));
    });
}
