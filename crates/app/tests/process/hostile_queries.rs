//! Queries that would eat the machine: each gets an answer or an error that names the limit, in time and within a
//! budget of memory, while other queries go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use timberyard_testkit::http::{Answer, percent_encode};
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{HOUR, SECOND, now};
use crate::start::server_with;

/// Memory that one query may hold.
const QUERY_BYTES_MAX: u64 = 48 << 20;
/// What the process may grow by while it answers one of them: estimates, the answer's text, and what an allocator keeps.
const GROWTH_BYTES_MAX: u64 = 4 * QUERY_BYTES_MAX;
/// Lines with a value of their own.
const LINES: usize = 60_000;

/// A server with lines that each make a series, and with lines of garbage.
fn hostile_server() -> ServerProcess {
    let server = server_with(&[
        ("TIMBERYARD_LIMITS_QUERY_MEMORY_BYTES_MAX", &QUERY_BYTES_MAX.to_string()),
        ("TIMBERYARD_LIMITS_QUERY_TIMEOUT_SECONDS", "60"),
    ]);
    let start = now() - 600 * SECOND;
    for first in (0..LINES).step_by(10_000) {
        let values: Vec<Value> = (first..first + 10_000)
            .map(|number| {
                json!([
                    (start + number as i64).to_string(),
                    format!("id=n{number} size={number} {}", "x".repeat(60))
                ])
            })
            .collect();
        push(&server, "h", &values);
    }
    let garbage = [
        "[".repeat(50_000),
        "{\"a\":".repeat(20_000),
        "\"".repeat(50_001),
        "=".repeat(100_000),
        "a=\"".repeat(30_000),
        "<_>".repeat(30_000),
        (0..20_000).map(|number| format!("k{number}={number} ")).collect(),
        format!(
            "{{{}}}",
            (0..9_000).map(|number| format!("\"k{number}\":{number}")).collect::<Vec<_>>().join(",")
        ),
        "\u{0}\u{7f}\u{85}\u{2028}\u{feff}".repeat(5_000),
    ];
    let values: Vec<Value> = garbage
        .iter()
        .enumerate()
        .map(|(number, line)| json!([(start + number as i64).to_string(), line]))
        .collect();
    push(&server, "garbage", &values);
    server
}

fn push(server: &ServerProcess, job: &str, values: &[Value]) {
    let body = json!({ "streams": [{ "stream": { "job": job }, "values": values }] });
    server.post("/loki/api/v1/push").json(&body).send().expect_status(204);
}

/// A number of `/proc/PID/status`, in bytes.
fn memory(server: &ServerProcess, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("Linux");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") << 10
}

fn ask(server: &ServerProcess, path: &str, parameters: &[(&str, &str)]) -> Answer {
    let body: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
    server.post(path).header("Content-Type", "application/x-www-form-urlencoded").body(body.join("&")).send()
}

/// Path, query, further parameters, status, and words of the answer.
type Case<'a> = (&'a str, String, Vec<(&'a str, String)>, u16, &'a str);

fn cases() -> Vec<Case<'static>> {
    const RANGE: &str = "/loki/api/v1/query_range";
    const INSTANT: &str = "/loki/api/v1/query";
    let ten_years_ago = (now() - 87_660 * HOUR).to_string();
    let nested = |open: &str, middle: &str, close: &str| {
        format!("{}{middle}{}", open.repeat(10_000), close.repeat(10_000))
    };
    let ors: Vec<String> = (0..2_000).map(|number| format!("\"or {number}\"")).collect();
    let filters: String = (0..9_000).map(|number| format!(" | x=\"{number}\"")).collect();
    let lines = vec![("limit", "5000".to_owned())];
    vec![
        // Expressions.
        (RANGE, format!(r#"{{job="h"}} |~ "{}""#, "(a|b)*c?".repeat(1280)), vec![], 200, "success"),
        (
            RANGE,
            format!(r#"{{job="h"}} |~ "{}""#, "((((x{1,99}){1,99}){1,99}){1,99})".repeat(300)),
            vec![],
            400,
            "limit",
        ),
        (RANGE, format!(r#"{{job="h"}} |~ "{}""#, nested("(", "x", ")")), vec![], 400, "nest"),
        (RANGE, format!(r#"{{job="h"}} |= {}"#, ors.join(" or ")), vec![], 200, "success"),
        (RANGE, format!(r#"{{job="h"}} |= {}"#, ors.join(" or ").repeat(10)), vec![], 400, "131072"),
        (RANGE, format!(r#"{{job="h"}}{filters}"#), vec![], 200, "success"),
        // Depth.
        (RANGE, nested("(", r#"rate({job="h"}[1m])"#, ")"), vec![], 400, "256"),
        (RANGE, format!(r#"{{job="h"}} | {}"#, nested("(", r#"x="y""#, ")")), vec![], 400, "256"),
        (RANGE, nested("sum(", r#"rate({job="h"}[1m])"#, ")"), vec![], 400, "256"),
        (RANGE, format!("{}1", "1 + ".repeat(10_000)), vec![], 400, "256"),
        // Series, points, samples.
        (
            INSTANT,
            r#"count_over_time({job="h"} | logfmt [1h])"#.to_owned(),
            vec![],
            400,
            "maximum number of series (500)",
        ),
        (
            INSTANT,
            r#"sum by (id) (count_over_time({job="h"} | logfmt [1h])) * 2"#.to_owned(),
            vec![],
            400,
            "maximum number of series (500)",
        ),
        (
            RANGE,
            r#"max(sum by (id) (sum_over_time({job="h"} | logfmt | unwrap size [30m])))"#.to_owned(),
            vec![("step", "1s".to_owned()), ("since", "3h".to_owned())],
            400,
            "bytes of memory",
        ),
        (
            RANGE,
            r#"rate({job="h"}[1s])"#.to_owned(),
            vec![("start", ten_years_ago.clone()), ("step", "1s".to_owned())],
            400,
            "exceeded maximum resolution of 11,000 points",
        ),
        (
            RANGE,
            r#"sum(rate({job="h"}[10y]))"#.to_owned(),
            vec![("start", ten_years_ago), ("step", "9h".to_owned())],
            200,
            "success",
        ),
        (
            RANGE,
            r#"quantile_over_time(0.99, {job="h"} | logfmt | unwrap size [1h]) by (job)"#.to_owned(),
            vec![("step", "1s".to_owned()), ("since", "1h".to_owned())],
            200,
            "success",
        ),
        // Templates.
        (
            RANGE,
            r#"{job="h"} |= "id=n5999" | line_format "{{ range 1000000000 }}x{{ end }}""#.to_owned(),
            vec![],
            200,
            "steps",
        ),
        (
            RANGE,
            r#"{job="h"} |= "id=n5999" | line_format `{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`"#
                .to_owned(),
            vec![],
            200,
            "depth",
        ),
        (
            RANGE,
            r#"{job="h"} | line_format "{{ repeat 900000 \"x\" }}""#.to_owned(),
            lines.clone(),
            400,
            "bytes of memory",
        ),
        (
            RANGE,
            r#"{job="h"} | line_format "{{ repeat 90000000 \"x\" }}""#.to_owned(),
            vec![],
            200,
            "TemplateFormatErr",
        ),
        // Garbage.
        (RANGE, r#"{job="garbage"} | json | logfmt"#.to_owned(), vec![], 200, "success"),
        ("/loki/api/v1/detected_fields", r#"{job="garbage"}"#.to_owned(), vec![], 200, "fields"),
        ("/loki/api/v1/patterns", r#"{job=~"garbage|h"}"#.to_owned(), vec![], 200, "success"),
        (
            "/timberyard/api/v1/explain",
            format!("sum({})", vec![r#"rate({job="h"}[1m])"#; 100].join(" + ")),
            vec![],
            200,
            "atMost",
        ),
    ]
}

/// Tells the others that it is over, when dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn hostile_queries_keep_to_their_limits_while_others_go_on() {
    let server = hostile_server();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also when a case fails, or the others would go on for ever.
        let over = Over(&done);
        // Somebody else's queries, all the while.
        let others = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            let mut answered = 0;
            while !done.load(Ordering::Relaxed) {
                let started = Instant::now();
                let parameters = [("query", r#"{job="h"} |= "id=n59999 ""#), ("limit", "5")];
                let answer = ask(&server, "/loki/api/v1/query_range", &parameters).expect_status(200);
                assert!(answer.text().contains("id=n59999 "), "{}", answer.text());
                slowest = slowest.max(started.elapsed());
                answered += 1;
            }
            (answered, slowest)
        });
        for (path, query, more, status, words) in cases() {
            let name: String = query.chars().take(80).collect();
            let (before, started) = (memory(&server, "VmRSS"), Instant::now());
            let parameters: Vec<(&str, &str)> = [("query", query.as_str())]
                .into_iter()
                .chain(more.iter().map(|(name, value)| (*name, value.as_str())))
                .collect();
            let answer = ask(&server, path, &parameters);
            let text = answer.text();
            let shown: String = text.chars().take(500).collect();
            assert_eq!(answer.status, status, "{name}: {shown}");
            assert!(text.contains(words), "{name}: {shown}");
            assert!(text.len() < 64 << 20, "{name}: {} bytes", text.len());
            assert!(started.elapsed() < Duration::from_secs(60), "{name}: {:?}", started.elapsed());
            let growth = memory(&server, "VmRSS").saturating_sub(before);
            assert!(growth < GROWTH_BYTES_MAX, "{name}: {growth} bytes more");
        }
        drop(over);
        let (answered, slowest) = others.join().expect("others are answered");
        assert!(answered > 0 && slowest < Duration::from_secs(30), "{answered} answers, slowest {slowest:?}");
    });
    let peak = memory(&server, "VmHWM");
    assert!(peak < 300 << 20, "the server held {peak} bytes at most");
}

#[test]
fn a_query_ends_soon_after_its_client_has_left() {
    let server = hostile_server();
    let running = || {
        let metrics = server.get("/metrics").send().expect_status(200).text();
        let line =
            metrics.lines().find(|line| line.starts_with("timberyard_queries_running ")).map(str::to_owned);
        line.and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok()).expect("a gauge")
    };
    // Every line goes through a long template, so that the query takes seconds.
    let template = r#"{{ range 20000 }}{{ upper "a" }}{{ end }}"#;
    let query = format!("count_over_time({{job=\"h\"}} | line_format `{template}` |= `B` [1h])");
    let path = format!("/loki/api/v1/query?query={}", percent_encode(&query));
    let mut client = std::net::TcpStream::connect(server.address()).expect("connects");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    std::io::Write::write_all(&mut client, request.as_bytes()).expect("writable");
    timberyard_testkit::eventually::eventually("the query runs", || (running() > 0).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(running(), 1, "it takes longer than this");
    drop(client);
    let left = Instant::now();
    timberyard_testkit::eventually::eventually("the query ends", || (running() == 0).then_some(()));
    assert!(left.elapsed() < Duration::from_secs(10), "it ran on for {:?}", left.elapsed());
}
