//! Plans of queries.

use timberyard_logql::explain::{PlannedScan, explain};
use timberyard_model::limits::QueryLimits;

use crate::run::{range_request, request, second, source};

fn plan(query: &str) -> Vec<PlannedScan> {
    let logs = source(&["10 app=a | one", "20 app=a env=x | two", "30 app=b | three"]);
    let asked = if query.starts_with('{') { request(query) } else { range_request(query, 100, 200, 10) };
    let explanation = explain(&logs, &asked, &QueryLimits::default()).expect(query);
    assert_eq!(explanation.is_metric, !query.starts_with('{'));
    assert_eq!(explanation.query, query);
    explanation.scans
}

#[test]
fn a_plan_says_what_the_store_does_and_what_is_left() {
    let scans = plan(r#"{app="a"} |= "x" | json | level="error" |~ "y" | line_format "{{.z}}" |= "w""#);
    let [scan] = scans.as_slice() else { panic!("not one scan") };
    assert_eq!(scan.selector, r#"{app="a"}"#);
    assert_eq!(scan.pushed, [r#"|= "x""#, r#"|~ "y""#]);
    assert_eq!(scan.stages, ["| json", r#"| level="error""#, r#"| line_format "{{.z}}""#, r#"|= "w""#]);
    assert_eq!((scan.estimate.streams, scan.estimate.memory_rows), (2, 2));
    assert_eq!((scan.range.start, scan.range.end), (second(0), second(1000)));
}

#[test]
fn every_range_aggregation_is_a_scan() {
    let scans = plan(r#"(sum(rate({app="a"}[5m])) / sum(count_over_time({app="b"}[5m])))"#);
    let parts: Vec<&str> = scans.iter().map(|scan| scan.part.as_str()).collect();
    assert_eq!(parts, [r#"rate({app="a"}[5m])"#, r#"count_over_time({app="b"}[5m])"#]);
    assert!(!scans.iter().any(|scan| scan.columns.line), "lines are only counted");
    assert_eq!(scans.iter().map(|scan| scan.estimate.streams).collect::<Vec<_>>(), [2, 1]);
    assert!(plan("vector(1.000000)").is_empty());
}
