//! Log queries.

use timberyard_logql::{QueryRequest, QueryValue};
use timberyard_model::scan::Direction;
use timberyard_testkit::memory_source::MemorySource;

use crate::run::{check_error, request, run, second, shown, source};

fn logs() -> MemorySource {
    source(&[
        "10 app=a | one",
        "30 app=a | three",
        "20 app=b | two | trace=t1",
        "40 app=b | four level=error",
        "50 app=a | five",
    ])
}

#[track_caller]
fn check(request: &QueryRequest, expected: &[&str]) {
    let answer = run(&logs(), request).expect("an answer");
    assert_eq!(shown(&answer.value), expected);
    assert_eq!(answer.statistics.entries_returned, expected.len() as u64);
}

const ALL: &str = r#"{app=~".+"}"#;

#[test]
fn lines_are_grouped_by_their_labels() {
    check(
        &request(ALL),
        &[
            r#"{app="a"} 10 one"#,
            r#"{app="a"} 30 three"#,
            r#"{app="a"} 50 five"#,
            r#"{app="b"} 40 four level=error"#,
            r#"{app="b", trace="t1"} 20 two"#,
        ],
    );
}

#[test]
fn categories_keep_metadata_and_parsed_labels_apart() {
    let answer =
        run(&logs(), &request(r#"{app="b"} | logfmt | trace="t1" or level="error""#)).expect("an answer");
    let QueryValue::Streams(streams) = answer.value else { panic!("not streams") };
    let [stream] = streams.streams.as_slice() else { panic!("not one stream") };
    assert_eq!(stream.stream.to_string(), r#"{app="b"}"#);
    let labels: Vec<_> =
        stream.entries.iter().map(|e| (e.metadata.to_string(), e.parsed.to_string())).collect();
    let text = |metadata: &str, parsed: &str| (metadata.to_owned(), parsed.to_owned());
    assert_eq!(labels, [text(r#"{trace="t1"}"#, "{}"), text("{}", r#"{level="error"}"#)]);
}

#[test]
fn the_limit_counts_from_the_end_that_is_asked_for() {
    check(
        &QueryRequest { limit: 2, ..request(ALL) },
        &[r#"{app="a"} 10 one"#, r#"{app="b", trace="t1"} 20 two"#],
    );
    check(
        &QueryRequest { limit: 3, direction: Direction::Backward, ..request(ALL) },
        &[r#"{app="a"} 50 five"#, r#"{app="a"} 30 three"#, r#"{app="b"} 40 four level=error"#],
    );
    check(&QueryRequest { limit: 0, ..request(ALL) }, &[]);
}

#[test]
fn the_start_is_inside_and_the_end_is_not() {
    check(
        &QueryRequest { start: second(20), end: second(40), ..request(ALL) },
        &[r#"{app="a"} 30 three"#, r#"{app="b", trace="t1"} 20 two"#],
    );
    check(&QueryRequest { start: second(30), end: second(30), ..request(ALL) }, &[r#"{app="a"} 30 three"#]);
    check(&QueryRequest { start: second(30), end: second(20), ..request(ALL) }, &[]);
}

#[test]
fn an_interval_leaves_out_lines_that_follow_too_soon() {
    let seconds = |seconds: i64| seconds * 1_000_000_000;
    check(
        &QueryRequest { interval_ns: seconds(15), ..request(ALL) },
        &[r#"{app="a"} 10 one"#, r#"{app="a"} 30 three"#, r#"{app="a"} 50 five"#],
    );
    let backward = QueryRequest { direction: Direction::Backward, ..request(ALL) };
    check(
        &QueryRequest { interval_ns: seconds(30), limit: 2, ..backward },
        &[r#"{app="a"} 50 five"#, r#"{app="b", trace="t1"} 20 two"#],
    );
}

#[test]
fn filters_apply_before_the_limit() {
    check(
        &QueryRequest { limit: 2, ..request(r#"{app=~".+"} |~ "^f" | app="a""#) },
        &[r#"{app="a"} 50 five"#],
    );
    check(
        &request(r#"{app=~".+"} | logfmt | level="error""#),
        &[r#"{app="b", level="error"} 40 four level=error"#],
    );
}

#[test]
fn rows_of_equal_time_keep_the_order_in_which_they_were_stored() {
    let rows: Vec<String> = (0..10).map(|number| format!("10 app=a | {number}")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let source = source(&rows);
    let lines = |request: &QueryRequest| -> String {
        let answer = run(&source, request).expect("an answer");
        let QueryValue::Streams(streams) = answer.value else { panic!("not streams") };
        let entries = streams.streams.iter().flat_map(|stream| &stream.entries);
        entries.map(|entry| String::from_utf8_lossy(&entry.line).into_owned()).collect()
    };
    let backward = QueryRequest { direction: Direction::Backward, ..request(ALL) };
    assert_eq!(lines(&request(ALL)), "0123456789");
    assert_eq!(lines(&QueryRequest { limit: 4, ..request(ALL) }), "0123");
    assert_eq!(lines(&backward), "9876543210");
    assert_eq!(lines(&QueryRequest { limit: 4, ..backward }), "9876");
}

#[test]
fn reading_stops_when_no_later_block_can_matter() {
    let answer = run(&logs(), &QueryRequest { limit: 1, ..request(ALL) }).expect("an answer");
    assert_eq!(answer.statistics.scan.blocks_read, 1);
    let answer = run(&logs(), &request(ALL)).expect("an answer");
    assert_eq!(answer.statistics.scan.blocks_read, 2);
}

#[test]
fn an_instant_log_query_is_refused() {
    check_error(&logs(), ALL, "log queries are not supported as an instant query type");
}

#[test]
fn a_stage_that_does_not_compile_matters_once_a_stream_would_meet_it() {
    for stage in [r#"|~ "(?=ahead)""#, r#"|> "<_><_>""#, r#"| line_format "{{""#] {
        check(&request(&format!(r#"{{app="none"}} {stage}"#)), &[]);
        let counted = request(&format!(r#"count_over_time({{app="none"}} {stage} [1m])"#));
        assert_eq!(shown(&run(&logs(), &counted).expect("an answer").value), Vec::<String>::new());
        let met = format!(r#"{{app="a"}} {stage}"#);
        for query in [format!("count_over_time({met} [5m])"), met] {
            let error = run(&logs(), &request(&query)).expect_err(&query).to_string();
            assert!(error.starts_with("parse error : stage "), "{query}: {error}");
        }
    }
}

#[test]
fn sizes_in_label_filters_are_rounded_and_those_behind_unwrap_are_not() {
    let sizes = source(&["10 app=a | size=1000B", "20 app=a | size=1KiB", "30 app=a | size=1.05kB"]);
    let shown_of = |query: &str| shown(&run(&sizes, &request(query)).expect("an answer").value);
    assert_eq!(shown_of(r#"{app="a"} | logfmt | size = 1KiB"#), [r#"{app="a", size="1000B"} 10 size=1000B"#]);
    let counted = QueryRequest {
        end: second(100),
        step_ns: 0,
        ..request(r#"sum(sum_over_time({app="a"} | logfmt | unwrap bytes(size) | size = 1KiB [5m]))"#)
    };
    assert_eq!(shown(&run(&sizes, &counted).expect("an answer").value), ["{} 1024"]);
}
