//! Queries that look at fields of lines, over the store, which answers from columns what it can: each answer beside that
//! of the naive engine, and beside that of the same store when it is not asked for fields. With
//! `TIMBERYARD_TORTURE` set there are many more.

use fastrand::Rng;
use timberyard_logql::{Engine, QueryRequest};
use timberyard_model::limits::QueryLimits;
use timberyard_model::scan::Direction;
use timberyard_model::{TenantId, Timestamp};
use timberyard_testkit::memory_source::Entry;
use timberyard_testkit::naive_logql;
use timberyard_testkit::random_logql::same;
use timberyard_testkit::stored_source::StoredSource;

use crate::run::{labels, range_request, shown_entry};
use crate::watched_source::Watched;

const STORES: u64 = 40;
const QUERIES: usize = 100;
/// With `TIMBERYARD_TORTURE` set.
const STORES_OF_TORTURE: u64 = 4_000;

/// Lines with `$` for each value.
const SHAPES: [&str; 44] = [
    r#"{"status":$,"level":"$","msg":"$"}"#,
    r#"{"status":$,"level":"$","dur":"$"}"#,
    r#"{"status":"$","dur":$,"nested":{"a":"$","b":$}}"#,
    r#"{ "level" : "$" , "status" : $ , "status" : $ }"#,
    r#"{"level":"$","level":"$","status":$}"#,
    r#"{"a":{"b":$},"a_b":"$","status":$}"#,
    r#"{"list":[$,"$"],"status":$,"nested":{"list":["$"]}}"#,
    r#"{"sta\u0074us":$,"level":"$"}"#,
    r#"{"app":"$","status":$,"level":"$"}"#,
    r#"{"trace":"$","level":"$","dur":$}"#,
    r#"{"a b":"$","x.y":$,"":$,"level":"$"}"#,
    r#"{"status":$,"level":"$""#,
    r#"{"status":$,"level":"$"} trailing $"#,
    "{\"status\":$,\"level\":\"$\"}\r",
    "\t{\"status\":$,\n\"level\":\"$\"} ",
    r#"[{"status":$}]"#,
    r#""status":$"#,
    r#"{"status":$,"nested":$}"#,
    r#"{"status":-$,"level":"x$"}"#,
    r#"{"level":"\$","status":$}"#,
    r#"{"status":{"level":"$"},"status_level":"$"}"#,
    r#"{"__error__":"$","status":$}"#,
    r#"{"level_extracted":"$","app_extracted":"$","status":$}"#,
    r#"{"k8s":"$","1st":$,"status":$}"#,
    "{}",
    "",
    "plain text with $ and $",
    r#"level=$ status=$ msg="$""#,
    r#"ts=$ level=$ dur=$ status=$ trace=$"#,
    "level=$ dur=$ status=$ x=$(y) z=[$]",
    r#"took $ level="$" status=$"#,
    "status=$ status=$ level=$",
    "app=$ level=$ status=$",
    "level= status=$ dur",
    "a.b=$ k8s=$ level=$ 1st=$",
    r#"level=$ "$" status=$"#,
    r#"k="$" status=$ trailing$"#,
    "$=$ level=x",
    r#"level="$" status="$" level=$"#,
    r#"level=$"$" status=$"#,
    "level=$ status=$\r",
    "level=$ \nstatus=$",
    r#"msg="open $ status=$"#,
    "status=$ é=$ level=\u{fffd}$",
];

const TAME: [&str; 14] =
    ["200", "404", "500", "1.0", "1e3", "-5", "0", "error", "info", "a", "warn", "12", "1.5", "true"];

const WILD: [&str; 38] = [
    "",
    "null",
    "false",
    "007",
    "18446744073709551616",
    "b c",
    r#"q\"z"#,
    r#"x"y"#,
    r"\u00e9",
    r"\ud83d",
    r"\ud83d\ude00",
    r"\n",
    r"tail\",
    r"\\",
    r"\q",
    "é",
    "{",
    "}",
    "[1]",
    "a=b",
    "=",
    "12ms",
    "1.5s",
    "3KB",
    "10.0.0.1",
    "  ",
    "\u{fffd}",
    r#"","status":1,"x":""#,
    "1,\"level\":\"z\"",
    "1 level=z",
    r#"" level=z "#,
    "-",
    "nul",
    "+1",
    ".5",
    "NaN",
    "\n",
    "\0",
];

const STREAMS: [&str; 4] =
    ["app=a service_name=s", "app=b service_name=s", "app=b level=stream service_name=s", "service_name=t"];

/// What one line may hold in the place of each `$`: the values of a slot are mostly alike.
fn values(rng: &mut Rng, slots: usize) -> Vec<Vec<&'static str>> {
    let value = |rng: &mut Rng, wild: bool| match wild && rng.bool() {
        true => WILD[rng.usize(..WILD.len())],
        false => TAME[rng.usize(..TAME.len())],
    };
    let slot = |rng: &mut Rng| {
        let wild = rng.u8(..6) == 0;
        (0..rng.usize(1..6)).map(|_| value(rng, wild)).collect()
    };
    (0..slots).map(|_| slot(rng)).collect()
}

fn entries(rng: &mut Rng, family: usize) -> Vec<Entry> {
    let of_family = match family {
        0 => &SHAPES[..27],
        1 => &SHAPES[26..],
        _ => &SHAPES[..],
    };
    let shapes: Vec<(&str, Vec<Vec<&str>>)> = (0..rng.usize(1..5))
        .map(|_| {
            let shape = of_family[rng.usize(..of_family.len())];
            let values = values(rng, shape.matches('$').count());
            (shape, values)
        })
        .collect();
    let names = [None, None, Some("level"), Some("trace"), Some("status"), Some("__error__")];
    let metadata_name = names[rng.usize(..names.len())];
    let streams = rng.usize(1..=STREAMS.len());
    let metadata_of = |rng: &mut Rng| -> Vec<(String, Vec<u8>)> {
        let name = metadata_name.filter(|_| rng.bool());
        name.map(|name| (name.to_owned(), TAME[rng.usize(..TAME.len())].as_bytes().to_vec()))
            .into_iter()
            .collect()
    };
    (0..rng.usize(1..160))
        .map(|row| {
            let (shape, values) = &shapes[rng.usize(..shapes.len())];
            let mut line = Vec::new();
            for (place, literal) in shape.split('$').enumerate() {
                if let Some(slot) = place.checked_sub(1) {
                    let known = &values[slot];
                    match rng.u8(..160) {
                        0 => line.push(0xff),
                        1 => line.extend_from_slice(rng.u32(..).to_string().as_bytes()),
                        _ => line.extend_from_slice(known[rng.usize(..known.len())].as_bytes()),
                    }
                }
                line.extend_from_slice(literal.as_bytes());
            }
            if rng.u8(..250) == 0 {
                line.truncate(rng.usize(..=line.len()));
            }
            Entry {
                tenant: TenantId::default(),
                labels: labels(STREAMS[rng.usize(..streams)]),
                timestamp: Timestamp::from_nanos(row as i64 * 700_000_000 + 1),
                line,
                metadata: metadata_of(rng),
                merges: false,
            }
        })
        .collect()
}

fn query(rng: &mut Rng, family: usize) -> String {
    let unlikely = rng.u8(..5) == 0;
    let mut pick = |from: &[&'static str]| from[rng.usize(..from.len())];
    let selector = pick(&[r#"{service_name=~".+"}"#, r#"{app="b"}"#, r#"{service_name="s", app=~"a|b"}"#]);
    let mut logs = selector.to_owned();
    let mut add = |stage: &str| {
        logs.push(' ');
        logs.push_str(stage);
    };
    add(pick(&["", "", "", r#"|= "0""#, r#"!= "info""#, r#"|~ "le.el""#, r#"| level="warn""#]));
    let json = [
        "| json",
        "| json",
        "| json",
        r#"| json a="nested.a", status="status""#,
        r#"| json level="level", status="list[0]""#,
        r#"| json status="nested", level="[\"a b\"]""#,
    ];
    let logfmt = [
        "| logfmt",
        "| logfmt",
        "| logfmt --strict",
        "| logfmt --keep-empty",
        r#"| logfmt s="status", level"#,
        r#"| logfmt status="level", level="status""#,
    ];
    let other = [
        r#"| logfmt level_extracted="level""#,
        "| json | logfmt",
        "| logfmt | decolorize",
        r#"| json | line_format "{{.level}}""#,
        "| json",
        "| logfmt",
    ];
    let likely = [&json, &logfmt, &other][family];
    let parsers = if unlikely { &other } else { likely };
    add(pick(parsers));
    let filters: &[&'static str] = &[
        "",
        "",
        r#"| status = "500""#,
        "| status >= 400",
        "| status < 300 or status > 499",
        r#"| level = "error""#,
        r#"| level != "info""#,
        r#"| level =~ "err.*|a""#,
        r#"| level !~ "w.+""#,
        r#"| level = """#,
        "| dur > 1s",
        "| dur > 10 or dur < 3",
        "| dur >= 1KB",
        r#"| status >= 200 and level = "error""#,
        r#"| (status = "200" or level = "a")"#,
        r#"| a_b = "x" or a_b != """#,
        r#"| app = "a""#,
        r#"| trace != """#,
        "| s >= 100",
        r#"| nested_b != "1""#,
        r#"| _1st != """#,
        r#"| k8s != "0""#,
        r#"| status_level != "a""#,
        r#"| level_extracted != """#,
        r#"| level = ip("10.0.0.0/8")"#,
        r#"| __error__ = """#,
        "| drop __error__, __error_details__",
        "| drop level",
        r#"| drop status="500""#,
        "| keep status, level",
        "| label_format level=status",
        "| label_format other=app",
        r#"|= "1""#,
    ];
    for _ in 0..3 {
        add(pick(filters));
    }
    add(pick(&["", "", "", r#"| __error__ = """#, "| drop __error__, __error_details__"]));
    let window = pick(&["[20s]", "[100s]"]);
    let by = pick(&[
        "by (status)",
        "by (level, app)",
        "by (app)",
        "by ()",
        "by (status, a_b, level)",
        "by (__error__)",
        "by (level_extracted)",
        "without (msg, trace)",
    ]);
    let entries =
        pick(&["count_over_time", "rate", "count_over_time", "bytes_over_time", "absent_over_time"]);
    let samples = pick(&["quantile_over_time(0.9, ", "max_over_time(", "avg_over_time(", "first_over_time("]);
    let unwrap = pick(&["status", "duration(dur)", "dur", "bytes(dur)", "level", "s", "app"]);
    let filtered = pick(&["", "", r#"| __error__ = """#, r#"| status != "200""#]);
    match pick(&["sum", "sum", "sum", "plain", "unwrap", "unwrap", "topk", "logs"]) {
        "sum" => format!("sum {by} ({entries}({logs} {window}))"),
        "plain" => format!("{entries}({logs} {window})"),
        "unwrap" => format!("{samples}{logs} | unwrap {unwrap} {filtered} {window}) {by}"),
        // Of rates, which are not whole, the last bit would decide.
        "topk" => format!("topk(2, sum {by} (count_over_time({logs} {window})))"),
        _ => logs,
    }
}

fn holds(line: &[u8], needle: &[u8]) -> bool {
    line.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn fields_from_columns_are_those_of_whole_lines() {
    let torture = std::env::var_os("TIMBERYARD_TORTURE").is_some();
    let stores = if torture { STORES_OF_TORTURE } else { STORES };
    let engine = Engine::new(QueryLimits { series_max: usize::MAX, ..QueryLimits::default() });
    let (mut answered, mut with_fields, mut with_lines) = (0, 0, 0);
    for seed in 0..stores {
        let mut rng = Rng::with_seed(seed);
        let family = rng.usize(..3);
        let entries = entries(&mut rng, family);
        let source = StoredSource::new(&entries, rng.usize(500..8000)).expect("a store");
        // The naive engine reads plain numbers only, and takes a member of that name for an error.
        let has_error_member = entries.iter().any(|entry| holds(&entry.line, b"__error__"));
        for _ in 0..QUERIES {
            let query = query(&mut rng, family);
            let step = [0, 20, 33][rng.usize(..3)];
            let request = QueryRequest {
                limit: 1000,
                direction: if rng.bool() { Direction::Forward } else { Direction::Backward },
                ..range_request(&query, 0, 120, if query.starts_with('{') { 1 } else { step })
            };
            let watched = Watched::new(&source, false);
            let actual = engine.run(&watched, &request);
            let declined = engine.run(&Watched::new(&source, true), &request);
            let expected = naive_logql::answer(&entries, &request);
            let is_known_to_naive =
                !has_error_member && !["unwrap d", "unwrap b"].iter().any(|unwrap| query.contains(unwrap));
            let is_right = match (&actual, &declined, &expected) {
                (Ok(actual), Ok(declined), expected) => {
                    answered += 1;
                    let is_expected = expected.as_ref().is_ok_and(|expected| same(&actual.value, expected));
                    same(&actual.value, &declined.value) && (is_expected || !is_known_to_naive)
                }
                (Err(actual), Err(declined), expected) => {
                    actual == declined && (expected.is_err() || !is_known_to_naive)
                }
                _ => false,
            };
            assert!(
                is_right,
                "seed {seed}: {query}\nstore    {actual:?}\ndeclined {declined:?}\nnaive    {expected:?}\n{}",
                entries.iter().map(shown_entry).collect::<String>()
            );
            let (fields, lines) = watched.rows();
            with_fields += fields;
            with_lines += lines;
        }
    }
    let queries = stores as usize * QUERIES;
    assert!(answered > queries / 2, "only {answered} of {queries} queries have an answer");
    assert!(with_fields > with_lines / 2, "only {with_fields} rows had fields, {with_lines} had lines");
}
