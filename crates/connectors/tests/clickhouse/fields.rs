//! Fields of lines: ClickHouse leaves out lines that cannot have what is asked for, and no others.

use timberyard_logql::QueryRequest;
use timberyard_model::batch::EqualEntries;
use timberyard_testkit::memory_source::Entry;
use timberyard_testkit::random_logql::{compare, labels, range_request};

use crate::fixture::{batch, line, tenant};
use crate::own_tables::SHARED;

const LINES: [&[u8]; 14] = [
    br#"{"status":"503","user":"a b"}"#,
    br#"{"status":503,"user":"c"}"#,
    br#"{"status":"5\u00303"}"#,
    br#"{"status":"50","other":"503"}"#,
    br#"{"a":{"status":"503"},"user":"a\u0020b"}"#,
    br#"{"status":null,"x":[503]}"#,
    br#"{"status":"503"#,
    b"{\"status\":\"503\",\"user\":\"a\xffb\"}",
    b"{\"status\":\"\xff503\",\"user\":\"a\"}",
    b"status=503 user=\"a b\"",
    b"status=\"5\\u00303\" user=\"a\\u0020b\"",
    b"status=50 user=503",
    b"status=5\xff03 user=x",
    b"no fields at all",
];

const QUERIES: [&str; 12] = [
    r#"{env=~".+"} | json | status="503""#,
    r#"{env=~".+"} | json | status="503" or status="50""#,
    r#"{env=~".+"} | json | status=~"50[0-9]""#,
    r#"{env=~".+"} | json | status=~"(?i)5.*" | user="a b""#,
    r#"{env=~".+"} | json | status!="503""#,
    r#"{env=~".+"} | json | status=503"#,
    r#"{env=~".+"} | json | a_status="503""#,
    r#"{env=~".+"} | json code="status" | code="503""#,
    r#"{env=~".+"} | logfmt | status="503""#,
    r#"{env=~".+"} | logfmt | user="a b" | status="503""#,
    r#"sum by (status) (count_over_time({env=~".+"} | json | status="503" [100s]))"#,
    r#"sum(count_over_time({env=~".+"} | logfmt | status=~"503|50" [100s]))"#,
];

#[test]
fn lines_whose_fields_pass_are_found_however_they_are_written() {
    let tenant = tenant();
    let mut entries: Vec<Entry> =
        (1..).zip(LINES).map(|(number, text)| line(&tenant, number * 1_000_000_000, text)).collect();
    // Whoever has the label elsewhere is found by that.
    let elsewhere = |nanos: i64| line(&tenant, nanos * 1_000_000_000, br#"{"status":"200"}"#);
    entries.push(Entry { labels: labels("env=prod status=503"), ..elsewhere(20) });
    entries.push(Entry { metadata: vec![("status".to_owned(), b"503".to_vec())], ..elsewhere(21) });
    SHARED.write(batch(&tenant, &entries, EqualEntries::Keep)).expect("stored");
    for query in QUERIES {
        let request = QueryRequest { tenant: tenant.clone(), ..range_request(query, 0, 100, 10) };
        match compare(&SHARED.source, &entries, &request) {
            Ok(answered) => assert!(answered, "{query} has no answer"),
            Err(difference) => panic!("{difference}"),
        }
    }
}
