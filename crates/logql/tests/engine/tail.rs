//! Live tails.

use timberyard_logql::{TailFilter, syntax};
use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::{QueryLimits, RecordLimits};
use timberyard_model::{BatchBuilder, TenantId};

use crate::run::{labels, second, shown};

#[test]
fn a_tail_shows_what_passes_oldest_first() {
    let limits = RecordLimits::default();
    let mut batch = BatchBuilder::new(TenantId::default(), second(100), EqualEntries::Keep, &limits);
    for (seconds, stream, line) in [
        (20, "app=a", "level=error two"),
        (10, "app=a", "level=error one"),
        (5, "app=b", "level=error no"),
        (6, "app=a", "fine"),
    ] {
        let stream = batch.stream(&labels(stream));
        batch.push(stream, second(seconds), line.as_bytes(), &[("k", b"v")]).expect("fits");
    }
    let query = r#"{app="a"} |= "error" | logfmt | level="error" | drop k"#;
    let expression = syntax::parse(query, &QueryLimits::default()).expect("parses");
    let filter = TailFilter::new(&expression).expect("a log query");
    let streams = timberyard_logql::QueryValue::Streams(filter.process(&batch.finish()));
    let prefix = r#"{app="a", level="error"}"#;
    assert_eq!(
        shown(&streams),
        [format!("{prefix} 10 level=error one"), format!("{prefix} 20 level=error two")]
    );
}

#[test]
fn a_metric_query_cannot_be_tailed() {
    let expression = syntax::parse(r#"rate({app="a"}[1m])"#, &QueryLimits::default()).expect("parses");
    assert!(TailFilter::new(&expression).is_err());
}
