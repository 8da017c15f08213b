//! Templates of the lines of a query.

use timberyard_logql::patterns::patterns;
use timberyard_logql::{QueryError, QueryRequest, QueryValue};
use timberyard_model::limits::QueryLimits;

use crate::run::{request, run, second, source};

#[test]
fn every_line_of_the_range_is_counted_once_in_a_template_that_it_passes() {
    let names = ["ann", "bob", "cem", "dan", "eve", "fay", "gus", "hal", "ida", "jan"];
    let mut rows: Vec<String> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        rows.push(format!("{} app=a | user {name} left at 10:20:{index}", 10 + index));
        rows.push(format!("{} app=b | took={index}ms level=info | detected_level=info", 10 + index));
    }
    rows.push("900 app=a | <b>not a capture</b>".to_owned());
    rows.push("2000 app=a | outside".to_owned());
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let source = source(&rows);
    let all = r#"{app=~".+"}"#;
    let asked = QueryRequest { step_ns: 15_000_000_000, ..request(all) };
    let found = patterns(&source, &asked, &QueryLimits::default()).expect("templates");
    let shown: Vec<String> = found
        .iter()
        .map(|series| {
            let samples: Vec<String> = series
                .samples
                .iter()
                .map(|(time, lines)| format!("{}:{lines}", time.as_nanos() / 1_000_000_000))
                .collect();
            format!("{} [{}] {}", series.pattern, series.level, samples.join(" "))
        })
        .collect();
    let expected = [
        "took=<_> level=info [info] 0:5 15:5",
        "user <_> left at <_> [unknown] 0:5 15:5",
        "<_> a <_>/<_> [unknown] 900:1",
    ];
    assert_eq!(shown, expected);
    for series in &found {
        let lines: u64 = series.samples.iter().map(|(_, lines)| lines).sum();
        let query = format!("{all} |> {:?}", series.pattern);
        let QueryValue::Streams(streams) = run(&source, &request(&query)).expect("lines").value else {
            panic!("not lines")
        };
        assert_eq!(streams.len() as u64, lines, "{query}");
    }
    let counted: u64 = found.iter().flat_map(|series| &series.samples).map(|(_, lines)| lines).sum();
    assert_eq!(counted, 21);
}

#[test]
fn the_lines_are_those_that_the_query_makes() {
    let source = source(&["10 app=a | x=1 y=2", "20 app=a | x=2 y=2", "30 app=a | x=1 y=3"]);
    let asked = request(r#"{app="a"} | logfmt | x="1" | line_format "y is {{.y}}""#);
    let found = patterns(&source, &asked, &QueryLimits::default()).expect("templates");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].pattern.as_str(), found[0].samples.len()), ("y is <_>", 2));
    let nothing = QueryRequest { start: second(5), end: second(5), ..asked };
    assert_eq!(patterns(&source, &nothing, &QueryLimits::default()), Ok(Vec::new()));
}

#[test]
fn a_metric_query_has_no_templates() {
    let asked = request(r#"rate({app="a"}[1m])"#);
    let outcome = patterns(&source(&[]), &asked, &QueryLimits::default());
    assert!(matches!(outcome, Err(QueryError::Invalid(_))), "{outcome:?}");
}
