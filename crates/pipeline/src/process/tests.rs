//! Steps as they are written, on single rows and on whole batches.

use std::sync::Arc;

use proptest::prelude::*;
use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::RecordLimits;
use timberyard_model::matcher::LabelMatcher;
use timberyard_model::{BatchBuilder, Labels, LogBatch, RowRef, Surface, TenantId, Timestamp};

use super::chain::Processed;
use super::description::RuleDescription;
use super::redaction_rules;
use super::rules::{ProcessingError, Rules};

/// Selectors of one matcher, such as `{app="api"}`: what a whole one says is LogQL's business.
fn selector(text: &str) -> Result<Vec<LabelMatcher>, String> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let pair = inner.and_then(|inner| inner.split_once('='));
    let (name, value) = pair.ok_or_else(|| format!("`{text}` is no selector"))?;
    Ok(vec![LabelMatcher::equal(name, value.trim_matches('"'))])
}

fn rules(json: &str) -> Result<Rules, ProcessingError> {
    let descriptions: Vec<RuleDescription> = serde_json::from_str(json).expect("a description");
    Rules::new(&descriptions, &["tail".to_owned(), "store".to_owned()], &selector)
}

fn steps(json: &str) -> Rules {
    rules(&format!(r#"[{{"steps": [{json}]}}]"#)).expect("valid")
}

fn builder(limits: &RecordLimits) -> BatchBuilder {
    BatchBuilder::new(TenantId::default(), Timestamp::from_nanos(9), EqualEntries::Keep, limits)
}

/// A batch of lines in the stream `{app="api"}`, each with the structured metadata `k="v"`.
fn batch(lines: &[&[u8]]) -> LogBatch {
    let mut batch = builder(&RecordLimits::default());
    let stream = batch.stream(&Labels::from_pairs([("app", "api"), ("service_name", "api")]));
    for (number, line) in lines.iter().enumerate() {
        let time = Timestamp::from_nanos(number as i64);
        batch.push(stream, time, line, &[("k", b"v")]).expect("within limits");
    }
    batch.finish()
}

fn apply(rules: &Rules, batch: &LogBatch) -> Option<Processed> {
    rules.apply(batch, Some(Surface::Loki), &RecordLimits::default()).expect("fits")
}

fn shown(row: RowRef<'_>) -> String {
    let metadata = row.metadata().map(|(name, value)| format!(" {name}={}", String::from_utf8_lossy(value)));
    format!("{} {}{}", row.labels(), String::from_utf8_lossy(row.line()), metadata.collect::<String>())
}

/// What becomes of one line: `=` when it stays as it is.
fn one(json: &str, line: &str) -> String {
    match apply(&steps(json), &batch(&[line.as_bytes()])) {
        None => "=".to_owned(),
        Some(processed) => processed.batch.rows.iter().map(shown).collect(),
    }
}

#[test]
fn fields_are_parsed_into_structured_metadata() {
    let stream = r#"{app="api", service_name="api"}"#;
    for (parse, line, expected) in [
        (
            r#""format": "json""#,
            r#"{"a":{"b":1,"c.d":"x\ny"},"t":true,"n":null,"l":[1],"f":1.5,"k":"w"}"#,
            " a_b=1 a_c_d=x\ny t=true f=1.5",
        ),
        (r#""format": "json", "fields": ["a_b"], "prefix": "j_""#, r#"{"a":{"b":"x"},"t":1}"#, " j_a_b=x"),
        (r#""format": "json", "line": "msg""#, r#"{"msg":"hello"}"#, "hello k=v msg=hello"),
        (r#""format": "logfmt""#, r#"at=info msg="a \"b\"" alone 9x=1 end"#, r#" at=info msg=a "b" _9x=1"#),
        (r#""format": "logfmt""#, r#"q="never closed"#, " q=never closed"),
        (
            r#""format": "regexp", "expression": "(?P<verb>\\w+) /(?P<path>\\S*)""#,
            "GET /x HTTP",
            " verb=GET path=x",
        ),
        (
            r#""format": "pattern", "expression": "<ip> - [<_>] \"<verb> <path>\"""#,
            r#"1.2 - [now] "GET /""#,
            " ip=1.2 verb=GET path=/",
        ),
        (r#""format": "logfmt", "from": "k""#, "a=b", "="),
    ] {
        let expected = match expected {
            "=" => "=".to_owned(),
            line if line.starts_with("hello") => format!("{stream} {line}"),
            fields => format!("{stream} {line} k=v{fields}"),
        };
        assert_eq!(one(&format!(r#"{{"parse": {{{parse}}}}}"#), line), expected, "{parse}");
    }
}

#[test]
fn texts_that_are_not_what_they_should_be_stay_and_are_counted() {
    for (parse, line) in [
        (r#""format": "json""#, "no JSON"),
        (r#""format": "json""#, "[1]"),
        (r#""format": "json""#, "7"),
        (r#""format": "json""#, "null"),
        (r#""format": "logfmt""#, "words only"),
        (r#""format": "regexp", "expression": "(?P<a>x)""#, "y"),
        (r#""format": "pattern", "expression": "[<a>]""#, "y"),
    ] {
        let rules = steps(&format!(r#"{{"name": "p", "parse": {{{parse}}}}}"#));
        assert!(apply(&rules, &batch(&[line.as_bytes()])).is_none(), "{parse} {line}");
        assert_eq!(rules.counters()["p"].rows_failed.get(), 1, "{parse} {line}");
    }
}

#[test]
fn fields_without_room_are_left_out() {
    let limits = RecordLimits { metadata_pairs_max: 2, metadata_bytes_max: 20, ..RecordLimits::default() };
    let rules = steps(r#"{"name": "p", "parse": {"format": "logfmt"}}"#);
    for (line, fields) in [("a=1 b=2", " a=1"), ("a=01234567890123456789 b=2", " b=2")] {
        let processed =
            rules.apply(&batch(&[line.as_bytes()]), None, &limits).expect("fits").expect("changed");
        assert!(shown(processed.batch.rows.get(0)).ends_with(&format!("{line} k=v{fields}")));
    }
    assert_eq!(rules.counters()["p"].rows_failed.get(), 2);
}

#[test]
fn labels_are_changed_in_prometheus_words() {
    for (relabel, expected) in [
        (
            r#""source_labels": ["app"], "target_label": "env", "replacement": "of-$1""#,
            r#"{app="api", env="of-api", service_name="api"}"#,
        ),
        (
            r#""source_labels": ["app", "k"], "separator": "/", "regex": "(?P<a>.*)/(.*)", "target_label": "x", "replacement": "$2.${a}""#,
            r#"{app="api", service_name="api", x="v.api"}"#,
        ),
        (
            r#""source_labels": ["k"], "target_label": "k", "action": "uppercase""#,
            r#"{app="api", k="V", service_name="api"} line"#,
        ),
        (r#""source_labels": ["app"], "regex": "web", "target_label": "env""#, "="),
        (
            r#""source_labels": ["app"], "regex": "api", "target_label": "app", "replacement": """#,
            r#"{service_name="api"}"#,
        ),
        (r#""regex": "app", "action": "labeldrop""#, r#"{service_name="api"}"#),
        (r#""regex": "app|service_name", "action": "labeldrop""#, r#"{service_name="api"}"#),
        (r#""regex": "app", "action": "labelkeep""#, "="),
        (
            r#""regex": "a(.*)", "replacement": "b$1", "action": "labelmap""#,
            r#"{app="api", bpp="api", service_name="api"}"#,
        ),
        (
            r#""source_labels": ["app"], "modulus": 1, "target_label": "shard", "action": "hashmod""#,
            r#"{app="api", service_name="api", shard="0"}"#,
        ),
        (r#""source_labels": ["app"], "regex": "web", "action": "keep""#, ""),
        (r#""source_labels": ["app"], "regex": "web", "action": "drop""#, "="),
        (r#""source_labels": ["app"], "target_label": "service_name", "action": "dropequal""#, ""),
        (r#""source_labels": ["app"], "target_label": "service_name", "action": "keepequal""#, "="),
    ] {
        let found = one(&format!(r#"{{"relabel": {{{relabel}}}}}"#), "line");
        let expected = match expected {
            whole if whole.ends_with("line") => whole.to_owned(),
            labels if labels.starts_with('{') => format!("{labels} line k=v"),
            other => other.to_owned(),
        };
        assert_eq!(found, expected, "{relabel}");
    }
}

#[test]
fn labels_over_a_limit_stay_as_they_were() {
    let rules = steps(
        r#"{"name": "r", "relabel": {"source_labels": ["app"], "target_label": "x", "replacement": "toolong"}}"#,
    );
    let limits = RecordLimits { label_value_bytes_max: 6, ..RecordLimits::default() };
    assert!(rules.apply(&batch(&[b"a", b"b"]), None, &limits).expect("fits").is_none());
    assert_eq!(rules.counters()["r"].rows_failed.get(), 2);
}

#[test]
fn secrets_are_replaced_wherever_they_are() {
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln-bmF0dXJl";
    for (rule, text, expected) in [
        ("card", "paid with 4111 1111 1111 1111, thanks", "paid with <card>, thanks"),
        ("card", "5500-0000-0000-0004 378282246310005", "<card> <card>"),
        ("card", "4111111111111112 1732187611000000000 2024-11-21 12:00:00 4111", "="),
        ("card", "id a4111111111111111 order 41111111111111112222", "="),
        ("card", "1 4111111111111111 2", "1 <card> 2"),
        (
            "email",
            r#"{"to":"ada.l+x@mail.example.org.","n":"\nbob@b.io"}"#,
            r#"{"to":"<email>.","n":"\n<email>"}"#,
        ),
        ("email", "user@localhost @x.org a@1.2.3.4 git@", "="),
        (
            "bearer",
            "Authorization: Bearer abc.DEF-123=, basic dXNlcjpwYXNz",
            "Authorization: Bearer <bearer>, basic <bearer>",
        ),
        ("jwt", &format!("token {token};"), "token <jwt>;"),
        ("aws_key", "key AKIAIOSFODNN7EXAMPLE of", "key <aws_key> of"),
        (
            "aws_secret",
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "aws_secret_access_key = <aws_secret>",
        ),
        ("github_token", "ghp_0123456789abcdefghijABCDEFGHIJ012345", "<github_token>"),
        ("slack_token", "xoxb-123456789012-abcDEF", "<slack_token>"),
        (
            "private_key",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----<private_key>-----END RSA PRIVATE KEY-----",
        ),
        ("url_password", "to postgres://app:s3cret@db:5432/x", "to postgres://app:<url_password>@db:5432/x"),
        (
            "password",
            r#"password=hunter2&x=1 {"api_key":"a b","pwd" : "c"} {\"secret\":\"d\"}"#,
            r#"password=<password>&x=1 {"api_key":"<password>","pwd" : "<password>"} {\"secret\":\"<password>\"}"#,
        ),
    ] {
        let found = one(&format!(r#"{{"redact": {{"rules": ["{rule}"], "in": ["line"]}}}}"#), text);
        let expected = match expected {
            "=" => "=".to_owned(),
            line => format!(r#"{{app="api", service_name="api"}} {line} k=v"#),
        };
        assert_eq!(found, expected, "{rule}: {text}");
    }
}

#[test]
fn expressions_of_ones_own_redact_lines_metadata_and_labels() {
    let everywhere = r#"{"redact": {"patterns": [{"name": "x", "regex": "v|ap"}]}}"#;
    assert_eq!(one(everywhere, "a v"), r#"{app="<x>i", service_name="<x>i"} a <x> k=<x>"#);
    let group = r#"{"redact": {"patterns": [{"name": "x", "regex": "id=(?P<secret>\\d+)", "mark": "-"}], "in": ["line"]}}"#;
    assert_eq!(one(group, "id=12 id=3"), r#"{app="api", service_name="api"} id=- id=- k=v"#);
    for (regex, named) in [("x*", "the empty text"), ("<", "its own mark"), ("(", "error parsing regexp")] {
        let json = format!(
            r#"[{{"steps": [{{"redact": {{"patterns": [{{"name": "x", "regex": "{regex}"}}]}}}}]}}]"#
        );
        let refused = rules(&json).err().expect("refused").to_string();
        assert!(
            refused.starts_with("rule 1, step 1 (redact): patterns.x: regex") && refused.contains(named),
            "{refused}"
        );
    }
}

#[test]
fn steps_come_one_after_the_other_and_conditions_see_what_was_made() {
    let json = r#"
        {"parse": {"format": "logfmt"}},
        {"relabel": {"source_labels": ["team"], "target_label": "team"}, "when": {"fields": {"team": ".+"}}},
        {"drop": {"stream": "{team=\"b\"}"}},
        {"drop": {"line": "noise", "not_line": "keep", "fields": {"absent": ""}}}"#;
    let lines: [&[u8]; 5] = [b"team=a", b"team=b", b"noise", b"keep noise", b"plain"];
    let rules = steps(json);
    let processed = apply(&rules, &batch(&lines)).expect("changed");
    let left: Vec<String> = processed.batch.rows.iter().map(shown).collect();
    assert_eq!(
        left,
        [
            r#"{app="api", service_name="api", team="a"} team=a k=v"#,
            r#"{app="api", service_name="api"} keep noise k=v"#,
            r#"{app="api", service_name="api"} plain k=v"#,
        ]
    );
    assert_eq!(processed.rows_dropped, 2);
    let counters = rules.counters();
    assert_eq!((counters["1/3/drop"].rows_dropped.get(), counters["1/4/drop"].rows_dropped.get()), (1, 1));
    assert_eq!((counters["1/1/parse"].rows_changed.get(), counters["1/1/parse"].rows_failed.get()), (2, 3));
}

#[test]
fn rules_are_for_their_tenants_and_sources() {
    let json = r#"[
        {"tenants": ["acme"], "steps": [{"drop": {"line": "a"}}]},
        {"sources": ["syslog"], "steps": [{"drop": {"line": "b"}}]}]"#;
    let rules = rules(json).expect("valid");
    let mut batch = batch(&[b"a", b"b"]);
    let left = |batch: &LogBatch, surface| {
        let processed = rules.apply(batch, Some(surface), &RecordLimits::default()).expect("fits");
        processed.map_or(2, |processed| processed.batch.rows.len())
    };
    assert_eq!((left(&batch, Surface::Loki), left(&batch, Surface::Syslog)), (2, 1));
    batch.tenant = TenantId::new("acme").expect("valid");
    assert_eq!((left(&batch, Surface::Loki), left(&batch, Surface::Syslog)), (1, 0));
}

#[test]
fn rows_go_where_they_are_routed_with_their_keys() {
    let rules =
        steps(r#"{"route": {"to": ["tail"]}, "when": {"line": "debug"}}, {"drop": {"line": "gone"}}"#);
    let limits = RecordLimits::default();
    let mut sent = builder(&limits);
    let stream = sent.stream(&Labels::from_pairs([("app", "api")]));
    for line in ["gone", "debug", "info"] {
        sent.push(stream, Timestamp::from_nanos(1), line.as_bytes(), &[]).expect("within limits");
        sent.unique_key(line);
    }
    let Processed { batch, routes, rows_dropped } = apply(&rules, &sent.finish()).expect("changed");
    let batch = Arc::new(batch);
    assert_eq!((rows_dropped, batch.rows.len(), routes.missing(1)), (1, 2, 1));
    let part = |number| routes.part(&batch, number).expect("something");
    assert_eq!(part(0).rows.len(), 2);
    let stored = part(1);
    assert_eq!((stored.rows.len(), stored.rows.get(0).line()), (1, &b"info"[..]));
    assert_eq!((stored.unique_keys[0].row, &*stored.unique_keys[0].key), (0, "info"));
    assert_eq!(batch.unique_keys.len(), 2);
}

#[test]
fn steps_that_keep_their_names_go_on_counting() {
    let json = r#"{"name": "health", "drop": {"line": "health"}}"#;
    let first = steps(json);
    apply(&first, &batch(&[b"health"]));
    let second = steps(json).counting_on(&first.counters());
    apply(&second, &batch(&[b"health"]));
    assert_eq!(second.counters()["health"].rows_dropped.get(), 2);
}

#[test]
fn one_in_so_many_is_kept_and_what_belongs_together_stays_together() {
    let lines: Vec<String> = (0..4000).map(|number| format!("trace={} n={number}", number / 4)).collect();
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let sent = batch(&lines);
    let kept = |json: &str| {
        let processed = apply(&steps(json), &sent).expect("changed");
        processed.batch.rows.iter().map(|row| row.line().to_vec()).collect::<Vec<_>>()
    };
    let by_row = kept(r#"{"sample": {"keep_one_in": 10}}"#);
    assert!((300..500).contains(&by_row.len()), "{}", by_row.len());
    assert_eq!(by_row, kept(r#"{"sample": {"keep_one_in": 10}}"#), "the same ones again");
    let by_trace =
        kept(r#"{"parse": {"format": "logfmt"}}, {"sample": {"keep_one_in": 10, "by": ["trace"]}}"#);
    assert!((200..600).contains(&by_trace.len()), "{}", by_trace.len());
    for lines in by_trace.chunks(4) {
        let trace = |line: &Vec<u8>| line.split(|byte| *byte == b' ').next().map(<[u8]>::to_vec);
        assert!(lines.len() == 4 && lines.iter().all(|line| trace(line) == trace(&lines[0])));
    }
}

fn secrets() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,12}",
        "[0-9 -]{1,24}",
        Just("4111 1111 1111 1111".to_owned()),
        Just("ada@example.org".to_owned()),
        Just("Bearer abcdefgh".to_owned()),
        Just("password=\"x y\" token:z".to_owned()),
        Just("eyJhbGciOi.eyJzdWIiOi.sig".to_owned()),
        Just("https://u:p@host".to_owned()),
        "\\PC{0,6}",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn after_a_rule_nothing_is_left_that_it_would_find(text in secrets()) {
        for rule in redaction_rules() {
            let rules = steps(&format!(r#"{{"redact": {{"rules": ["{rule}"]}}}}"#));
            if let Some(once) = apply(&rules, &batch(&[text.as_bytes()])) {
                let again = apply(&rules, &once.batch);
                prop_assert!(again.is_none(), "{}: {} then {:?}", rule, shown(once.batch.rows.get(0)), again);
            }
        }
    }

    #[test]
    fn any_bytes_are_parsed_without_harm(line in proptest::collection::vec(any::<u8>(), 0..64)) {
        for parse in [r#""json""#, r#""logfmt""#, r#""pattern", "expression": "<a> <b>=<c>""#] {
            let rules = steps(&format!(r#"{{"parse": {{"format": {parse}}}}}"#));
            let processed = apply(&rules, &batch(&[&line]));
            prop_assert!(processed.is_none_or(|processed| processed.batch.rows.get(0).line() == line));
        }
    }
}
