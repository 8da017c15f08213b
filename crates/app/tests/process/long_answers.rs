//! Answers longer than any limit: through cursors, as rows, and with `query --all`; and plans.

use serde_json::{Value, json};
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{SECOND, now};
use crate::logql::push;
use crate::start::server;
use crate::terminal::timberyard;

/// Pushes `total` numbered lines in three streams, a thousand to a point of time; gives the first time.
fn push_numbered(server: &ServerProcess, total: usize) -> i64 {
    let start = now() - 600 * SECOND;
    for first in (0..total).step_by(6000) {
        for stream in 0..3 {
            let numbers = (first..(first + 6000).min(total)).filter(|number| number % 3 == stream);
            let texts: Vec<(i64, String)> =
                numbers.map(|number| (start + (number / 1000) as i64, number.to_string())).collect();
            let lines: Vec<(i64, &str)> = texts.iter().map(|(time, text)| (*time, text.as_str())).collect();
            push(server, &json!({ "job": "long", "stream": stream.to_string() }), &lines);
        }
    }
    start
}

fn page(server: &ServerProcess, direction: &str, limit: &str, cursor: &str) -> Value {
    let answer = server
        .get("/loki/api/v1/query_range")
        .query("query", r#"{job="long"}"#)
        .query("limit", limit)
        .query("direction", direction)
        .query("cursor", cursor)
        .send();
    answer.expect_status(200).json()["data"].clone()
}

fn numbers(data: &Value) -> Vec<usize> {
    let streams = data["result"].as_array().expect("streams").iter();
    let values = streams.flat_map(|stream| stream["values"].as_array().expect("values"));
    values.map(|value| value[1].as_str().expect("a line").parse().expect("a number")).collect()
}

#[test]
fn a_cursor_outlives_flushes_and_restarts_and_loses_and_repeats_nothing() {
    let mut server = server();
    push_numbered(&server, 4_000);
    for direction in ["forward", "backward"] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let data = page(&server, direction, "450", &cursor);
            seen.extend(numbers(&data));
            pages += 1;
            match data["nextCursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
            match pages {
                2 => {
                    server.post("/flush").send().expect_status(204);
                }
                4 => {
                    server.kill();
                    server.start_again();
                }
                _ => {}
            }
        }
        assert_eq!(pages, 9, "{direction}");
        let in_order = match direction {
            "forward" => seen
                .chunks(450)
                .map(|page| page.iter().min())
                .is_sorted_by_key(|min| min.map(|min| min / 1000)),
            _ => seen
                .chunks(450)
                .rev()
                .map(|page| page.iter().min())
                .is_sorted_by_key(|min| min.map(|min| min / 1000)),
        };
        assert!(in_order, "{direction}");
        seen.sort_unstable();
        assert_eq!(seen, (0..4_000).collect::<Vec<_>>(), "{direction}");
    }
}

#[test]
fn query_all_shows_every_line_in_order() {
    let server = server();
    push_numbered(&server, 30_000);
    let url = server.url("");
    let ask = |more: &[&str]| {
        let arguments = [&["query", r#"{job="long"}"#, "-o", "raw", "--url", &url], more].concat();
        let text = timberyard(&arguments).succeeded().text();
        text.lines().map(|line| line.parse::<usize>().expect("a number")).collect::<Vec<_>>()
    };
    for (more, direction) in [(&["--all", "--forward"][..], 1), (&["--all"][..], -1)] {
        let mut numbers = ask(more);
        assert!(numbers.is_sorted_by_key(|number| direction * (number / 1000) as i64), "{more:?}");
        numbers.sort_unstable();
        assert_eq!(numbers, (0..30_000).collect::<Vec<_>>(), "{more:?}");
    }
    // The same in pages, as of a server that knows no better; here more lines have one time than fit into a page.
    let mut paged = ask(&["--limit", "10000", "--batch", "700", "--forward"]);
    paged.sort_unstable();
    assert_eq!(paged, (0..10_000).collect::<Vec<_>>());
}

#[test]
fn a_plan_is_shown_and_nothing_is_read() {
    let server = server();
    push_numbered(&server, 3_000);
    server.post("/flush").send().expect_status(204);
    let said =
        timberyard(&["query", r#"{job="long"} |= "77" | json"#, "--explain", "--url", &server.url("")]);
    let text = said.succeeded().text();
    for expected in [
        "logs query: {job=\"long\"} |= \"77\" | json",
        "streams        3 of {job=\"long\"}",
        "by the store   |= \"77\"",
        "afterwards     | json",
        "with 3000 rows",
        "in memory      0 rows",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
