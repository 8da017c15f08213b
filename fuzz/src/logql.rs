//! LogQL: queries of any text, and a query's stages over any line.

use timberyard_logql::syntax::parse;
use timberyard_logql::{Engine, QueryExtras, QueryRequest};
use timberyard_model::limits::QueryLimits;
use timberyard_model::scan::Direction;
use timberyard_model::{Cancellation, Labels, TenantId, Timestamp};
use timberyard_testkit::memory_source::MemorySource;

/// What the stages run over where no line is given.
const LINE: &[u8] = b"level=info msg=\"a b\" {\"a\":{\"b\":[1,2]}} 1.2.3.4";

/// What parses is printed, and what of that parses again is printed as before.
pub fn parse_and_print(input: &[u8]) {
    let limits = QueryLimits::default();
    let Ok(expression) = parse(&String::from_utf8_lossy(input), &limits) else { return };
    let printed = expression.to_string();
    // Literals such as NaN have no text of their own, and printing adds parentheses.
    if let Ok(again) = parse(&printed, &limits) {
        assert_eq!(again.to_string(), printed);
    }
}

/// The text up to the first line feed is a query's stages, what follows a line: the query may fail over that one line, and
/// does not panic.
pub fn run_stages(input: &[u8]) {
    let (stages, line) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, LINE),
    };
    let text = format!("{{app=\"a\"}} {}", String::from_utf8_lossy(stages));
    let Ok(expression) = parse(&text, &QueryLimits::default()) else { return };
    let source = MemorySource::default();
    source.push(&Labels::from_pairs([("app", "a")]), Timestamp::from_nanos(1), line, &[("k", b"v")]);
    let request = QueryRequest {
        tenant: TenantId::default(),
        expression,
        start: Timestamp::from_nanos(0),
        end: Timestamp::from_nanos(2),
        step_ns: 1,
        interval_ns: 0,
        limit: 10,
        direction: Direction::Backward,
        extras: QueryExtras::default(),
        now: Timestamp::from_nanos(1),
        cancellation: Cancellation::default(),
    };
    // A query may be refused, or fail on a line.
    let _ = Engine::new(QueryLimits::default()).run(&source, &request);
}
