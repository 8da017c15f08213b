//! What pipelines make of lines: a query, a line, and the labels and line that are left.

use proptest::prelude::*;
use timberyard_model::limits::QueryLimits;
use timberyard_model::{Labels, Timestamp};

use super::{Pipeline, Verdict, WorkingRow};
use crate::syntax::ast::Expression;
use crate::syntax::parse;

const NOW: Timestamp = Timestamp::from_nanos(1_793_494_923_456_000_000);

/// The outcome of `{app="x"} <stages>` on a line of the stream `{app="x"}` with metadata `trace="t"`:
/// labels without those two, then the line if it changed; `dropped`, or an error.
fn outcome(stages: &str, line: &[u8]) -> String {
    let query = format!("{{app=\"x\"}} {stages}");
    let logs = match parse(&query, &QueryLimits::default()) {
        Ok(Expression::Logs(logs)) => logs,
        Ok(Expression::Metric(_)) => return "a metric query".to_owned(),
        Err(error) => return error.to_string(),
    };
    let pipeline = match Pipeline::new(&logs.stages) {
        Ok(pipeline) => pipeline,
        Err(error) => return error.to_string(),
    };
    let stream = Labels::from_pairs([("app", "x")]);
    let mut row = WorkingRow::new(&stream);
    row.set_now(NOW);
    row.reset(NOW, line, &stream, [("trace", &b"t"[..])]);
    if pipeline.process(&mut row) == Verdict::Drop {
        return "dropped".to_owned();
    }
    let labels = row.labels();
    let shown: Vec<String> = labels
        .iter()
        .filter(|pair| !matches!(pair, ("app", "x") | ("trace", "t")))
        .map(|(name, value)| format!("{name}={value}"))
        .chain(
            ["app", "trace"]
                .iter()
                .filter(|name| labels.get(name).is_none())
                .map(|name| format!("no {name}")),
        )
        .collect();
    let mut text = shown.join(" ");
    if row.line() != line {
        text.push_str(&format!(" -> {}", String::from_utf8_lossy(row.line())));
    }
    text
}

fn check(cases: &[(&str, &str, &str)]) {
    for (stages, line, expected) in cases {
        assert_eq!(outcome(stages, line.as_bytes()), *expected, "{stages} on {line}");
    }
}

#[test]
fn line_filters_look_for_bytes_expressions_patterns_and_addresses() {
    check(&[
        (r#"|= "a" != "b" |~ "c+" !~ "d""#, "a ccc", ""),
        (r#"|= "a" or "b""#, "b", ""),
        (r#"|= "a" or "b""#, "c", "dropped"),
        (r#"!= "a" or "b""#, "b", "dropped"),
        (r#"|> "<_> done""#, "all done", ""),
        (r#"!> "<_> done""#, "all done", "dropped"),
        (r#"|= ip("10.0.0.0/8")"#, "from 10.1.2.3 to", ""),
        (r#"!= ip("10.0.0.0/8")"#, "from 10.1.2.3 to", "dropped"),
        (
            r#"|~ ip("10.0.0.0/8")"#,
            "",
            r#"parse error : stage '|~ ip("10.0.0.0/8")' : ip: invalid operation"#,
        ),
        (r#"|= ip("ten")"#, "", r#"parse error : stage '|= ip("ten")' : ip: invalid pattern: "ten""#),
        (
            r#"|> "<a>""#,
            "",
            r#"parse error : stage '|> "<a>"' : named captures are not allowed: found '<a>'"#,
        ),
    ]);
    assert_eq!(outcome(r#"|= "ok""#, b"\xff ok \xfe"), "");
}

#[test]
fn json_members_become_labels() {
    check(&[
        ("| json", r#"{"a":1,"b":{"c":{"d":"x"}},"e":[1],"n":null,"t":true}"#, "a=1 b_c_d=x t=true"),
        ("| json", r#"{"dup":"first","dup":"second"}"#, "dup=first"),
        (
            "| json",
            r#"{"app":"line","trace":"line","a":{"b":1},"a_b":2}"#,
            "a_b=1 app_extracted=line trace_extracted=line",
        ),
        ("| json", r#"{"with-dash":1,"1digit":2,"ü":3,"":4,"o":{"":5}}"#, "_=3 _1digit=2 o=5 with_dash=1"),
        (
            "| json",
            r#"{"big":123456789012345678901,"f":1.50,"e":1e10}"#,
            "big=123456789012345678901 e=1e10 f=1.50",
        ),
        ("| json", r#"{"s":"","q":"a\"b\u00e9"}"#, "q=a\"bé s="),
        ("| json", r#"{"a":1} trailing"#, "a=1"),
        ("| json", r#"{"a":1,"b""#, "__error__=JSONParserErr __error_details__=Malformed JSON error a=1"),
        (
            "| json",
            "not json",
            "__error__=JSONParserErr __error_details__=Value looks like object, but can't find closing '}' symbol",
        ),
        ("| json | json", r#"{"a":1}"#, "a=1"),
    ]);
}

#[test]
fn deeply_nested_json_is_an_error_and_not_an_overflow() {
    let deep = "{\"a\":".repeat(20_000) + "1" + &"}".repeat(20_000);
    assert_eq!(
        outcome("| json", deep.as_bytes()),
        "__error__=JSONParserErr __error_details__=objects nest deeper than 128"
    );
    let array = "[".repeat(50_000) + &"]".repeat(50_000);
    assert_eq!(outcome("| json x=\"[0]\" | x!=\"\" | drop x", array.as_bytes()), "");
}

#[test]
fn json_paths_pick_single_values() {
    let line = r#"{"a":1,"b":{"c":"x","d":{"e":2}},"l":[1,"two",{"f":"g"}],"k y":3,"t":null}"#;
    check(&[
        (r#"| json a, c="b.c""#, line, "a=1 c=x"),
        (r#"| json x="l[1]", y="l[2].f", z="l[9]""#, line, "x=two y=g z="),
        (r#"| json o="b.d", l="l", k="[\"k y\"]", t="t""#, line, r#"k=3 l=[1,"two",{"f":"g"}] o={"e":2} t="#),
        (r#"| json app="a", trace="b.c""#, line, "app_extracted=1 trace_extracted=x"),
        (r#"| json x="[1]""#, "[1,2]", "x=2"),
        (r#"| json x="b""#, r#"{"a":1}{"b":2}"#, "x=2"),
        (r#"| json x="a""#, "plain", "__error__=JSONParserErr"),
        (
            r#"| json x="a""#,
            r#"{"a":nope}"#,
            "__error__=JSONParserErr __error_details__=Unknown value type x=",
        ),
        (
            r#"| json x="a-b""#,
            "",
            "parse error : stage '| json x=\"a-b\"' : cannot parse expression [a-b]: unexpected char -",
        ),
    ]);
}

#[test]
fn logfmt_pairs_become_labels() {
    check(&[
        ("| logfmt", r#"a=1 b="x y" c= flag d.e=2 app=line"#, "a=1 app_extracted=line b=x y d_e=2"),
        ("| logfmt --keep-empty", "a=1 c= flag", "a=1 c= flag="),
        ("| logfmt", "a=1 =x b=2 c\"d e=3", "a=1 b=2 e=3"),
        (
            "| logfmt --strict",
            "a=1 =x b=2",
            "__error__=LogfmtParserErr __error_details__=logfmt syntax error at pos 5 : unexpected '=' a=1",
        ),
        (r#"| logfmt x="a", b, y="none""#, "a=1 b=2 c=3 a=4", "b=2 x=4 y="),
        (r#"| logfmt app="a""#, "a=1", "app_extracted=1"),
        (
            r#"| logfmt --strict x="a""#,
            "a=1 b=\"",
            "__error__=LogfmtParserErr __error_details__=logfmt syntax error at pos 8 : unterminated quoted value x=1",
        ),
    ]);
    assert_eq!(outcome("| logfmt", b"a=\xff\xfe b=1"), "a=   b=1");
}

#[test]
fn patterns_expressions_and_packed_lines_become_labels() {
    check(&[
        (r#"| pattern "<ip> <_> <app>""#, "1.1.1.1 - web", "app_extracted=web ip=1.1.1.1"),
        (r#"| regexp "(?P<m>\\w+) (?P<p>/\\S*)?(?P<q>!)?""#, "GET /x", "m=GET p=/x q="),
        (r#"| regexp "(?P<m>\\d+)""#, "none", ""),
        (
            "| unpack",
            r#"{"pod":"p","app":"y","n":1,"_entry":"the \"line\""}"#,
            "app_extracted=y pod=p -> the \"line\"",
        ),
        ("| unpack", r#"{"pod":"p"}"#, ""),
        (
            "| unpack",
            "text",
            "__error__=JSONParserErr __error_details__=expecting json object(6), but it is not",
        ),
    ]);
}

#[test]
fn label_filters_compare_text_numbers_durations_sizes_and_addresses() {
    let line = "status=500 took=1.5s size=5KB ip=10.0.0.7 word=abc";
    let kept = "ip=10.0.0.7 size=5KB status=500 took=1.5s word=abc";
    for (filter, is_kept) in [
        ("status >= 500", true),
        ("status < 500", false),
        ("took > 1s", true),
        ("took = 1500ms", true),
        ("size <= 4KiB", false),
        ("size > 4KiB", true),
        ("ip = ip(\"10.0.0.0/24\")", true),
        ("ip != ip(\"10.0.0.0/24\")", false),
        ("missing > 1", false),
        ("missing = \"\"", true),
        ("missing != ip(\"10.0.0.0/24\")", false),
        ("word =~ \"a.c\"", true),
        ("word =~ \"b\"", false),
        ("word !~ \"b\"", true),
        ("status = 500 and word = \"x\"", false),
        ("status = 500 or word = \"x\"", true),
        ("app = \"x\", trace = \"t\"", true),
    ] {
        let expected = if is_kept { kept } else { "dropped" };
        assert_eq!(outcome(&format!("| logfmt | {filter}"), line.as_bytes()), expected, "{filter}");
    }
    check(&[
        (
            "| logfmt | w > 5",
            "w=abc",
            "__error__=LabelFilterErr __error_details__=strconv.ParseFloat: parsing \"abc\": invalid syntax w=abc",
        ),
        (
            "| logfmt | w > 5s",
            "w=5",
            "__error__=LabelFilterErr __error_details__=time: missing unit in duration \"5\" w=5",
        ),
        (
            "| logfmt | w > 5MB",
            "w=5x",
            "__error__=LabelFilterErr __error_details__=unhandled size name: x w=5x",
        ),
        ("| json | __error__=\"\"", "text", "dropped"),
        ("| json | __error__=\"JSONParserErr\" | a > 5", "text", "dropped"),
    ]);
}

#[test]
fn labels_are_dropped_and_kept_by_name_and_by_value() {
    check(&[
        ("| logfmt | drop a, app", "a=1 b=2", "b=2 no app"),
        ("| logfmt | drop a=\"2\", b=~\"2|3\"", "a=1 b=2", "a=1"),
        ("| logfmt | keep a, trace", "a=1 b=2", "a=1 no app"),
        ("| logfmt | keep a=\"2\", b", "a=1 b=2", "b=2 no app no trace"),
        ("| json | drop __error__, __error_details__", "text", ""),
        (
            "| json | keep app",
            "text",
            "__error__=JSONParserErr __error_details__=Value looks like object, but can't find closing '}' symbol no trace",
        ),
        ("| logfmt | drop a | logfmt", "a=1 b=2", "b=2"),
    ]);
}

#[test]
fn escape_sequences_are_taken_out() {
    check(&[
        ("| decolorize", "\u{1b}[31mred\u{1b}[0m \u{1b}[1;32mgreen\u{1b}[m", " -> red green"),
        ("| decolorize", "\u{9b}4mline\u{9b}24m é", " -> line é"),
        ("| decolorize", "\u{1b}]0;title\u{7}text", " -> text"),
        ("| decolorize", "plain é", ""),
    ]);
}

#[test]
fn lines_and_labels_are_formatted() {
    check(&[
        ("| logfmt | line_format \"{{.a}}-{{.nope}}-{{.app}}\"", "a=1", "a=1 -> 1--x"),
        (
            "| json | line_format \"{{.__error__}}|\"",
            "text",
            "__error__=JSONParserErr __error_details__=Value looks like object, but can't find closing '}' symbol -> JSONParserErr|",
        ),
        (
            "| json | line_format \"{{.__error__}}\"",
            "text",
            "__error__=JSONParserErr __error_details__=Value looks like object, but can't find closing '}' symbol -> ",
        ),
        ("| line_format \"{{__line__}}!\" |= \"a!\"", "a", " -> a!"),
        ("| line_format \"{{ now | unixEpochMillis }}\"", "a", " -> 1793494923456"),
        ("| line_format \"{{ __timestamp__ | unixEpoch }}\"", "a", " -> 1793494923"),
        (
            "| line_format \"{{ div 1 0 }}\"",
            "a",
            "__error__=TemplateFormatErr __error_details__=template: line:1:3: executing \"line\" at <div 1 0>: error calling div: runtime error: integer divide by zero",
        ),
        (
            "| line_format \"{{.a\"",
            "",
            "parse error : stage '| line_format \"{{.a\"' : invalid line template: template: line:1: unclosed action",
        ),
        ("| logfmt | label_format c=a, d=\"{{.b}}{{.a}}\"", "a=1 b=2", "b=2 c=1 d=2"),
        ("| logfmt | label_format x=\"{{.a}}\", a=\"9\", y=\"{{.a}}\"", "a=1", "a=9 x=1 y=1"),
        ("| label_format app2=app, t=trace", "", "app2=x t=t no app no trace"),
        ("| label_format x=nope", "", ""),
        (
            "| label_format x=\"1\", x=\"2\"",
            "",
            "parse error : stage '| label_format x=\"1\",x=\"2\"' : multiple label name 'x' not allowed in a single format operation",
        ),
        (
            "| label_format __error__=\"1\"",
            "",
            "parse error : stage '| label_format __error__=\"1\"' : __error__ cannot be formatted",
        ),
        ("| label_format a=\"1\" | logfmt", "a=2 b=3", "a=1 b=3"),
    ]);
}

#[test]
fn a_line_with_very_many_keys_keeps_the_first_of_each() {
    let members: Vec<String> = (0..30_000).map(|index| format!("\"k{}\":{index}", index % 20_000)).collect();
    let line = format!("{{{}}}", members.join(","));
    assert_eq!(outcome("| json | keep app, trace, k7, k19999, k20000", line.as_bytes()), "k19999=19999 k7=7");
}

/// Every kind of stage, to be run over anything.
const STAGES: [&str; 14] = [
    r#"!~ "[^b]c$" !> "<_>a<_>" != ip("1.2.3.4/8")"#,
    "| json",
    "| json | json | logfmt",
    r#"| json x="a.b[0].c", y="[1]", z="a""#,
    "| logfmt",
    "| logfmt --strict --keep-empty",
    r#"| logfmt --strict x="a", b"#,
    "| unpack | json",
    r#"| pattern "<a> <_>=<b>""#,
    r#"| regexp "(?P<a>[^ ]+)(?P<b>.)?""#,
    r#"| json | a > 1 or b = 5s or c < 1KB or d = ip("::1") or e =~ "x.*""#,
    "| json | decolorize | line_format \"{{.a}}{{ fromJson __line__ }}{{ . }}\"",
    r#"| logfmt | label_format a=b, c="{{ .a | urldecode | substr 1 2 }}{{ .b | b64dec | title }}""#,
    r#"| json | drop a, b="1" | keep c, d!="2""#,
];

/// Runs all stages over one line; nothing may panic.
fn fuzz_stages(line: &[u8]) {
    for stages in STAGES {
        let shown = outcome(stages, line);
        assert!(!shown.starts_with("parse error"), "{shown}");
    }
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\\",
        "\\u",
        "d83d",
        "\"a\"",
        "\"a\":",
        "\"_entry\":",
        "1",
        "-2.5e3",
        "true",
        "null",
        " ",
        "=",
        "a=",
        "b=\"",
        "\u{1b}[3",
        "1m",
        "\u{9b}",
        "é",
        "🚀",
        "1.2.3.4",
        "::1",
        "<",
        "%zz",
        "\n",
    ]);
    let piece = prop_oneof![4 => pieces.prop_map(|piece| piece.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 1..4)];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_line_makes_a_stage_panic(line in line()) {
        fuzz_stages(&line);
    }
}
