//! Metric queries.

use timberyard_testkit::memory_source::MemorySource;

use crate::run::{check_error, check_instant, check_range, source};

fn logs() -> MemorySource {
    source(&[
        "10 app=a env=x | one",
        "20 app=a env=x | three",
        "60 app=a env=x | two",
        "61 app=a env=x | x",
        "20 app=b env=y | bb",
        "50 app=b env=y | b",
        "120 app=b env=y | error b",
    ])
}

/// Samples `v` of one series: 1, 7, 4, then 10; of another 5.
fn values() -> MemorySource {
    source(&[
        "10 app=a | v=1",
        "20 app=a | v=7",
        "30 app=a | v=4",
        "40 app=a | other=7",
        "70 app=a | v=10",
        "15 app=b | v=5",
    ])
}

#[test]
fn a_window_is_open_at_its_start_and_closed_at_its_end() {
    check_range(
        &logs(),
        r#"count_over_time({app="a"}[60s])"#,
        (60, 120, 10),
        &[r#"{app="a", env="x"} 60:3 70:3 80:2 90:2 100:2 110:2 120:1"#],
    );
    check_instant(&logs(), r#"count_over_time({app="a"}[60s])"#, 60, &[r#"{app="a", env="x"} 3"#]);
    check_instant(&logs(), r#"count_over_time({app="a"}[50s])"#, 60, &[r#"{app="a", env="x"} 2"#]);
}

#[test]
fn steps_are_multiples_of_the_step_width() {
    check_range(
        &logs(),
        r#"count_over_time({app="b"}[60s])"#,
        (35, 95, 30),
        &[r#"{app="b", env="y"} 30:1 60:2 90:1 120:1"#],
    );
}

#[test]
fn windows_may_leave_gaps_between_them() {
    check_range(
        &logs(),
        r#"count_over_time({app=~".+"}[5s])"#,
        (20, 120, 20),
        &[r#"{app="a", env="x"} 20:1 60:1"#, r#"{app="b", env="y"} 20:1 120:1"#],
    );
}

#[test]
fn an_offset_moves_the_window_back_and_a_negative_one_ahead() {
    check_range(
        &logs(),
        r#"count_over_time({app="b"}[30s] offset 60s)"#,
        (60, 120, 30),
        &[r#"{app="b", env="y"} 90:1 120:1"#],
    );
    check_instant(
        &logs(),
        r#"count_over_time({app="b"}[30s] offset -60s)"#,
        60,
        &[r#"{app="b", env="y"} 1"#],
    );
}

#[test]
fn rates_and_bytes() {
    check_instant(&logs(), r#"rate({app="a"}[1m])"#, 60, &[r#"{app="a", env="x"} 0.05"#]);
    check_instant(&logs(), r#"bytes_over_time({app="a"}[1m])"#, 60, &[r#"{app="a", env="x"} 11"#]);
    check_instant(&logs(), r#"bytes_rate({app="b"}[100s])"#, 120, &[r#"{app="b", env="y"} 0.08"#]);
    check_instant(&logs(), r#"bytes_over_time({app="a"} |= "o" [1m])"#, 60, &[r#"{app="a", env="x"} 6"#]);
}

#[test]
fn functions_of_samples() {
    for (function, expected) in [
        ("sum_over_time", "12"),
        ("avg_over_time", "4"),
        ("min_over_time", "1"),
        ("max_over_time", "7"),
        ("first_over_time", "1"),
        ("last_over_time", "4"),
        ("stdvar_over_time", "6"),
        ("rate", "0.2"),
    ] {
        let query = format!(r#"{function}({{app="a"}} | logfmt | unwrap v [1m])"#);
        check_instant(&values(), &query, 60, &[&format!(r#"{{app="a"}} {expected}"#)]);
    }
    let quantile = |wanted: &str| {
        let query =
            format!(r#"quantile_over_time({wanted}, {{app=~".+"}} | logfmt | unwrap v [1m]) by (app)"#);
        let source = values();
        let request = crate::run::range_request(&query, 60, 60, 0);
        crate::run::shown(&crate::run::run(&source, &request).expect("an answer").value)
    };
    assert_eq!(quantile("0.5"), [r#"{app="a"} 4"#, r#"{app="b"} 5"#]);
    assert_eq!(quantile("0.75"), [r#"{app="a"} 5.5"#, r#"{app="b"} 5"#]);
}

#[test]
fn samples_slide_through_windows() {
    check_range(
        &values(),
        r#"max_over_time({app="a"} | logfmt | unwrap v [20s])"#,
        (20, 90, 10),
        &[r#"{app="a"} 20:7 30:7 40:4 70:10 80:10"#],
    );
    check_range(
        &values(),
        r#"last_over_time({app="a"} | logfmt | unwrap v [20s])"#,
        (20, 90, 10),
        &[r#"{app="a"} 20:7 30:4 40:4 70:10 80:10"#],
    );
}

#[test]
fn a_label_that_is_no_number_fails_the_query_unless_it_is_filtered() {
    let source = source(&["10 app=a | v=1", "20 app=a | v=many"]);
    check_error(&source, r#"sum_over_time({app="a"} | logfmt | unwrap v [100s])"#, "SampleExtractionErr");
    check_error(&source, r#"sum(sum_over_time({app="a"} | logfmt | unwrap v [100s]))"#, "pipeline error");
    let filtered = r#"sum_over_time({app="a"} | logfmt | unwrap v | __error__="" [100s])"#;
    check_instant(&source, filtered, 100, &[r#"{app="a"} 1"#]);
}

#[test]
fn metadata_makes_series_unless_it_is_aggregated_away() {
    let source = source(&[
        "10 app=a | x | level=info trace=1",
        "20 app=a | x | level=info trace=2",
        "30 app=a | x | level=warn trace=2",
        "40 app=a | x",
    ]);
    check_instant(
        &source,
        r#"count_over_time({app="a"}[1m])"#,
        60,
        &[
            r#"{app="a"} 1"#,
            r#"{app="a", level="info", trace="1"} 1"#,
            r#"{app="a", level="info", trace="2"} 1"#,
            r#"{app="a", level="warn", trace="2"} 1"#,
        ],
    );
    check_instant(
        &source,
        r#"sum by (level) (count_over_time({app="a"}[1m]))"#,
        60,
        &["{} 1", r#"{level="info"} 2"#, r#"{level="warn"} 1"#],
    );
    check_instant(&source, r#"sum by (app) (count_over_time({app="a"}[1m]))"#, 60, &[r#"{app="a"} 4"#]);
    check_instant(&source, r#"sum(count_over_time({app="a"}[1m]))"#, 60, &["{} 4"]);
    check_instant(
        &source,
        r#"sum without (trace) (count_over_time({app="a"} | level!="" [1m]))"#,
        60,
        &[r#"{app="a", level="info"} 2"#, r#"{app="a", level="warn"} 1"#],
    );
}

#[test]
fn absence_is_a_value() {
    check_range(
        &logs(),
        r#"absent_over_time({app="b", env!="x"}[30s])"#,
        (30, 150, 30),
        &[r#"{app="b"} 90:1 150:1"#],
    );
    check_instant(&logs(), r#"absent_over_time({app="c"}[30s])"#, 60, &[r#"{app="c"} 1"#]);
    check_instant(&logs(), r#"absent_over_time({app="a"}[30s])"#, 60, &[]);
}

#[test]
fn aggregations_over_series() {
    let query = |operation: &str| format!(r#"{operation} (count_over_time({{app=~".+"}}[1m]))"#);
    for (operation, expected) in [
        ("sum", ["{} 5"].as_slice()),
        ("sum by (env)", &[r#"{env="x"} 3"#, r#"{env="y"} 2"#]),
        ("sum without (env)", &[r#"{app="a"} 3"#, r#"{app="b"} 2"#]),
        ("avg", &["{} 2.5"]),
        ("min", &["{} 2"]),
        ("max", &["{} 3"]),
        ("count", &["{} 2"]),
        ("stdvar", &["{} 0.25"]),
        ("stddev", &["{} 0.5"]),
        ("sort", &[r#"{app="b", env="y"} 2"#, r#"{app="a", env="x"} 3"#]),
        ("sort_desc", &[r#"{app="a", env="x"} 3"#, r#"{app="b", env="y"} 2"#]),
    ] {
        check_instant(&logs(), &query(operation), 60, expected);
    }
    let topk = r#"topk(1, count_over_time({app=~".+"}[1m]))"#;
    check_range(&logs(), topk, (60, 120, 60), &[r#"{app="a", env="x"} 60:3 120:1"#]);
    let bottomk = r#"bottomk(1, count_over_time({app=~".+"}[1m]))"#;
    check_instant(&logs(), bottomk, 60, &[r#"{app="b", env="y"} 2"#]);
}

#[test]
fn numbers_and_series_in_arithmetic() {
    check_range(&logs(), "1 + 2 * 3", (0, 60, 30), &["{} 0:7 30:7 60:7"]);
    check_instant(&logs(), "2 ^ 3", 60, &["8"]);
    check_instant(&logs(), "vector(5) / 2", 60, &["{} 2.5"]);
    check_instant(&logs(), r#"10 - sum(count_over_time({app="a"}[1m]))"#, 60, &["{} 7"]);
    check_instant(&logs(), r#"count_over_time({app=~".+"}[1m]) > 2"#, 60, &[r#"{app="a", env="x"} 3"#]);
    check_instant(
        &logs(),
        r#"count_over_time({app=~".+"}[1m]) > bool 2"#,
        60,
        &[r#"{app="a", env="x"} 1"#, r#"{app="b", env="y"} 0"#],
    );
    check_range(
        &logs(),
        r#"sum(count_over_time({app="a"}[30s])) or vector(0)"#,
        (30, 120, 30),
        &["{} 30:2 60:1 90:1 120:0"],
    );
    let share = r#"count_over_time({app="a"} |= "t" [1m]) / count_over_time({app="a"}[1m])"#;
    check_instant(&logs(), share, 60, &[r#"{app="a", env="x"} 0.6666666666666666"#]);
}

#[test]
fn series_that_do_not_fit_together_are_an_error() {
    let source = source(&["90 app=a env=x | 1", "90 app=b env=x | 1"]);
    let query = r#"sum by (env) (rate({env="x"}[1m])) / on (env) rate({env="x"}[1m])"#;
    check_error(&source, query, "found duplicate series on the right hand-side");
}

#[test]
fn labels_are_made_from_labels() {
    let query = r#"label_replace(count_over_time({app="a"}[1m]), "svc", "$1-x", "app", "(.*)")"#;
    check_instant(&logs(), query, 60, &[r#"{app="a", env="x", svc="a-x"} 3"#]);
}

#[test]
fn nothing_in_a_window_is_no_series() {
    check_range(&logs(), r#"count_over_time({app="c"}[1m])"#, (0, 120, 60), &[]);
    check_instant(&logs(), r#"sum(count_over_time({app="c"}[1m]))"#, 60, &[]);
    check_range(&logs(), "vector(1)", (60, 0, 30), &[]);
}
