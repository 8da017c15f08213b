//! Templates of lines over the store, which says them of the shapes it keeps lines in: each answer beside that of the same store
//! when it is not asked to. With `TIMBERYARD_TORTURE` set there are many more.

use fastrand::Rng;
use timberyard_logql::QueryRequest;
use timberyard_logql::patterns::patterns;
use timberyard_model::limits::QueryLimits;
use timberyard_model::scan::Direction;
use timberyard_model::{TenantId, Timestamp};
use timberyard_testkit::memory_source::Entry;
use timberyard_testkit::stored_source::StoredSource;

use crate::run::{labels, range_request, shown_entry};
use crate::watched_source::Watched;

const STORES: u64 = 40;
/// With `TIMBERYARD_TORTURE` set.
const STORES_OF_TORTURE: u64 = 4_000;

/// Lines with `$` for each value.
const SHAPES: [&str; 18] = [
    r#"{"level":"$","msg":"$","took":$,"id":"$"}"#,
    r#"{"ts":"$","n":$,"path":"$"}"#,
    "ts=$ level=$ took=$ path=$",
    "$ GET $ took $ms",
    "10.0.0.$:$: $",
    "7:$:7 <$> $:$ x$y$",
    "a$:9 $:9 9:$",
    r#"msg="$" id=$"#,
    "$",
    "$$$",
    "always the same",
    "",
    "<b>$</b> `$`",
    "[$] ($) {$} $",
    "$ = \"$\"",
    "é$é \u{fffd}$ $",
    "\u{1}$\u{2}$<$>$",
    "user $ of $ left, $",
];

/// What stands in slots, by the form that a column of such values has.
fn value(rng: &mut Rng, kind: usize) -> Vec<u8> {
    let words =
        ["info", "GET", "a b", "x=1", "refused: no route", "é", "", "<", "a:1", "1:2:b", "\\\"q\\\"", "--"];
    match kind {
        0 => rng.u32(..).to_string().into_bytes(),
        1 => format!("{:016x}", rng.u64(..) & rng.u64(..) | 0xa0a0_a0a0_a0a0_a0a0).into_bytes(),
        2 => words[rng.usize(..words.len())].as_bytes().to_vec(),
        3 => format!("/api/v{}/items/{}", rng.u8(..3), rng.u32(..)).into_bytes(),
        4 => format!("10:{:02}:{:02}.{}", rng.u8(..60), rng.u8(..60), rng.u16(..)).into_bytes(),
        5 => format!("{}{}", words[rng.usize(..words.len())], rng.u16(..)).into_bytes(),
        6 => (0..rng.usize(..12)).map(|_| b"ab1: /\xff"[rng.usize(..7)]).collect(),
        7 => "word ".repeat(rng.usize(..3) * 60).into_bytes(),
        _ => (0..rng.usize(1..9)).map(|_| rng.alphabetic() as u8).collect(),
    }
}

fn entries(rng: &mut Rng) -> Vec<Entry> {
    let shapes: Vec<(&str, Vec<usize>)> = (0..rng.usize(1..4))
        .map(|_| {
            let shape = SHAPES[rng.usize(..SHAPES.len())];
            (shape, shape.split('$').map(|_| rng.usize(..9)).collect())
        })
        .collect();
    let rows = rng.usize(1..400);
    let entry = |row: usize| {
        let (shape, kinds) = &shapes[rng.usize(..shapes.len())];
        let mut line = Vec::new();
        for (place, literal) in shape.split('$').enumerate() {
            if place > 0 {
                let kind = if rng.u8(..40) == 0 { rng.usize(..9) } else { kinds[place - 1] };
                line.extend(value(rng, kind));
            }
            line.extend_from_slice(literal.as_bytes());
        }
        let level = [None, Some("info"), Some("warn"), Some("")][rng.usize(..4)];
        let level = level.map(|level| ("detected_level".to_owned(), level.as_bytes().to_vec()));
        Entry {
            tenant: TenantId::default(),
            labels: labels(["app=a service_name=s", "app=b service_name=s"][rng.usize(..2)]),
            timestamp: Timestamp::from_nanos(row as i64 * 300_000_000 + 1),
            line,
            metadata: level.into_iter().collect(),
            merges: false,
        }
    };
    (0..rows).map(entry).collect()
}

#[test]
fn templates_said_by_the_store_are_those_of_whole_lines() {
    let torture = std::env::var_os("TIMBERYARD_TORTURE").is_some();
    let (mut by_shape, mut by_line) = (0, 0);
    for seed in 0..if torture { STORES_OF_TORTURE } else { STORES } {
        let mut rng = Rng::with_seed(seed);
        let entries = entries(&mut rng);
        let source = StoredSource::new(&entries, rng.usize(20_000..200_000)).expect("a store");
        for query in [
            r#"{service_name="s"}"#,
            r#"{app="a"} |= "a""#,
            r#"{service_name="s"} | detected_level="info""#,
            r#"{service_name="s"} | drop detected_level | app="b" != "1""#,
            r#"{service_name="s"} | logfmt | line_format "{{.level}} {{.msg}}""#,
        ] {
            let request = QueryRequest {
                direction: if rng.bool() { Direction::Forward } else { Direction::Backward },
                step_ns: 10_000_000_000,
                ..range_request(query, 0, 100, 1)
            };
            let limits = QueryLimits::default();
            let watched = Watched::new(&source, false);
            let actual = patterns(&watched, &request, &limits);
            let expected = patterns(&Watched::new(&source, true), &request, &limits);
            assert!(
                actual == expected && actual.is_ok(),
                "seed {seed}: {query}\nby shape {actual:?}\nby line  {expected:?}\n{}",
                entries.iter().map(shown_entry).collect::<String>()
            );
            let (fields, lines) = watched.rows();
            by_shape += fields;
            by_line += lines;
        }
    }
    assert!(by_shape > 2 * by_line, "{by_shape} rows came with templates, {by_line} with lines");
}
