//! Pages of log queries: every line once, whatever happens to the store between two pages.

use timberyard_logql::{LinePosition, Page, QueryExtras, QueryRequest, QueryValue};
use timberyard_model::scan::Direction;
use timberyard_testkit::memory_source::MemorySource;

use crate::run::{labels, request, run, second};

/// Lines `0`, `1`, … of three streams, many of one time.
fn logs(block_rows: usize) -> MemorySource {
    let source = MemorySource::default().with_block_rows(block_rows);
    for number in 0..40 {
        let stream = labels(["app=a", "app=b", "app=b env=x"][number % 3]);
        let line = number.to_string();
        source.push(&stream, second(10 + number as i64 / 13), line.as_bytes(), &[]);
    }
    source
}

fn page(query: &str, direction: Direction, limit: usize, after: Option<LinePosition>) -> QueryRequest {
    let extras = QueryExtras { page: Some(Page { after }), ..QueryExtras::default() };
    QueryRequest { direction, limit, extras, ..request(query) }
}

/// The lines of all pages, and how many pages there were. The store's blocks are of another size for each page.
fn read_all(query: &str, direction: Direction, limit: usize) -> (Vec<usize>, usize) {
    let (mut lines, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let source = logs(1 + pages % 7);
        let answer = run(&source, &page(query, direction, limit, after)).expect("a page");
        pages += 1;
        let QueryValue::Streams(streams) = answer.value else { panic!("not streams") };
        assert!(streams.len() <= limit);
        let mut entries: Vec<_> = streams.streams.iter().flat_map(|stream| &stream.entries).collect();
        entries.sort_by_key(|entry| entry.timestamp);
        if direction == Direction::Backward {
            entries.reverse();
        }
        let number = |line: &[u8]| String::from_utf8_lossy(line).parse::<usize>().expect("a number");
        lines.extend(entries.iter().map(|entry| number(&entry.line)));
        match answer.last {
            Some(last) => after = Some(last),
            None => return (lines, pages),
        }
    }
}

#[test]
fn every_line_is_in_one_page_in_the_order_of_time() {
    for (query, expected) in [
        (r#"{app=~".+"}"#, (0..40).collect::<Vec<usize>>()),
        (r#"{app="b"} |~ "[02468]$""#, (0..40).filter(|number| number % 3 > 0 && number % 2 == 0).collect()),
    ] {
        for direction in [Direction::Forward, Direction::Backward] {
            for limit in [1, 2, 3, 5, 13, 39, 40, 41, 10_000] {
                let (lines, pages) = read_all(query, direction, limit);
                assert_eq!(pages, expected.len() / limit + 1, "{query} {limit}");
                let time = |line: &usize| line / 13;
                let in_order = match direction {
                    Direction::Forward => lines.is_sorted_by_key(time),
                    Direction::Backward => lines.is_sorted_by_key(|line| std::cmp::Reverse(time(line))),
                };
                assert!(in_order, "{query} {limit}: {lines:?}");
                let mut sorted = lines;
                sorted.sort_unstable();
                assert_eq!(sorted, expected, "{query} {direction:?} {limit}");
            }
        }
    }
}

#[test]
fn lines_of_a_stream_and_time_come_in_the_order_in_which_they_were_stored() {
    let source = MemorySource::default();
    for number in 0..20 {
        source.push(&labels("app=a"), second(5), number.to_string().as_bytes(), &[]);
    }
    for (direction, first) in [(Direction::Forward, "0 1 2 3"), (Direction::Backward, "19 18 17 16")] {
        let mut after = None;
        let mut shown = Vec::new();
        for _ in 0..2 {
            let answer = run(&source, &page(r#"{app="a"}"#, direction, 2, after)).expect("a page");
            let QueryValue::Streams(streams) = answer.value else { panic!("not streams") };
            let lines = streams.streams.iter().flat_map(|stream| &stream.entries);
            shown.extend(lines.map(|entry| String::from_utf8_lossy(&entry.line).into_owned()));
            after = answer.last;
            // What comes later behind the page changes nothing.
            source.push(&labels("app=b"), second(5), b"other", &[]);
        }
        assert_eq!(shown.join(" "), first);
        assert_eq!(after.map(|after| after.lines), Some(4));
    }
}

#[test]
fn a_page_has_no_interval() {
    let with_interval = QueryRequest { interval_ns: 5, ..page(r#"{app="a"}"#, Direction::Forward, 5, None) };
    let error = run(&logs(3), &with_interval).expect_err("refused");
    assert_eq!(error.to_string(), "a cursor cannot be combined with an interval");
}
