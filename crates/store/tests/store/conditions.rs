//! A language of conditions for these tests, and what becomes of deletions whose condition nobody understands.
//!
//! `NAME=VALUE` accepts rows with that pair in their metadata, and with `+TEXT` behind it only those whose line has
//! the text. Everything else is not understood.

use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::row_condition::{ConditionLanguage, RowPredicate, RowView};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::LogSource;
use timberyard_model::{Labels, LogBatch, RowCondition, RowSelector, TenantId, TimeRange, Timestamp};
use timberyard_store::{CancelError, DeleteError, DeletionRequest, Interpreters, Store};

use crate::batches::{NOW, every_stream, lines};
use crate::harness::{PlainRow, append, decoder, small_options};

/// Reads that language.
#[derive(Clone, Copy)]
pub(crate) struct Pairs;

struct Pair {
    name: String,
    value: String,
    text: String,
}

impl Pair {
    fn read(condition: &str) -> Option<Self> {
        let (name, value) = condition.split_once('=')?;
        let (value, text) = value.split_once('+').unwrap_or((value, ""));
        Some(Self { name: name.into(), value: value.into(), text: text.into() })
    }

    fn is_in(&self, line: &[u8]) -> bool {
        let text = self.text.as_bytes();
        text.is_empty() || line.windows(text.len()).any(|part| part == text)
    }

    fn is(&self, name: &str, value: &[u8]) -> bool {
        name == self.name && value == self.value.as_bytes()
    }
}

impl ConditionLanguage for Pairs {
    fn read(&self, text: &str, _: Timestamp) -> Result<Arc<dyn RowPredicate>, String> {
        Pair::read(text).map(|pair| Arc::new(pair) as _).ok_or_else(|| format!("{text} is no pair"))
    }
}

impl RowPredicate for Pair {
    fn accepts(&self, row: &dyn RowView) -> bool {
        let mut has_pair = false;
        row.for_each_metadata(&mut |name, value| has_pair |= self.is(name, value));
        has_pair && self.is_in(row.line())
    }
}

/// A condition in that language.
pub(crate) fn condition(text: &str) -> RowCondition {
    RowCondition::read(&Pairs, text, Timestamp::from_nanos(NOW))
}

/// Whether the condition accepts the row, told without the store's view of rows.
pub(crate) fn meets(condition: &RowCondition, row: &PlainRow) -> bool {
    let pair = Pair::read(condition.text()).expect("a pair");
    pair.is_in(&row.line) && row.metadata.iter().any(|(name, value)| pair.is(name, value))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(NOW + seconds * 1_000_000_000)
}

fn batch(users: &[&str]) -> Arc<LogBatch> {
    let mut rows = RowsBuilder::default();
    let stream = rows.stream(&Labels::from_pairs([("service_name", "api")]));
    for user in users {
        let line = format!("line of {user}");
        rows.push(stream, at(0), line.as_bytes(), [("user", user.as_bytes())]).expect("fits");
    }
    Arc::new(LogBatch {
        tenant: TenantId::default(),
        received_at: at(0),
        equal_entries: EqualEntries::Merge,
        rows: rows.finish(),
        unique_keys: Vec::new(),
        origins: Vec::new(),
    })
}

fn request(text: &str) -> DeletionRequest {
    DeletionRequest {
        tenant: TenantId::default(),
        selector: RowSelector {
            matchers: Vec::new(),
            range: TimeRange::ALL,
            line_filters: Vec::new(),
            condition: Some(condition(text)),
        },
        text: text.to_owned(),
    }
}

#[test]
fn rows_that_meet_a_condition_are_gone_in_the_head_in_segments_and_after_compaction() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || Store::open(directory.path(), small_options(), decoder()).expect("opens");
    let mut store = open();
    append(&store, &batch(&["ann", "bob"])).expect("appended");
    store.delete(request("user=ann"), at(1)).expect("deleted");
    append(&store, &batch(&["ann"])).expect("appended");
    for round in ["in the head", "replayed", "flushed", "carried out"] {
        match round {
            "replayed" => {
                drop(store);
                store = open();
            }
            "flushed" => store.flush().expect("flushed"),
            "carried out" => {
                let report = store.maintain(at(400)).expect("maintained");
                assert_eq!((report.deletions_carried_out, report.segments_rewritten), (1, 1));
            }
            _ => {}
        }
        assert_eq!(lines(&store), ["line of ann", "line of bob"], "{round}");
        assert_eq!(store.series(&every_stream()).expect("listed").len(), 1, "{round}");
        let volumes = store.volumes(&every_stream()).expect("counted");
        assert_eq!(volumes.iter().map(|volume| volume.rows).sum::<u64>(), 2, "{round}");
    }
    assert_eq!(store.statistics().rows, 2);
}

#[test]
fn a_deletion_that_is_no_longer_understood_hides_nothing_waits_and_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = |interpreters: Interpreters| {
        Store::open(directory.path(), small_options(), interpreters).expect("opens")
    };
    let tenant = TenantId::default();
    let store = open(decoder());
    append(&store, &batch(&["ann", "bob"])).expect("appended");
    store.flush().expect("flushed");
    let first = store.delete(request("user=ann"), at(1)).expect("deleted");
    let second = store.delete(request("user=bob"), at(1)).expect("deleted");
    assert_eq!(lines(&store), [""; 0]);
    drop(store);

    let decode = decoder().decode;
    let store = open(Interpreters::of_records(move |payload| decode(payload)));
    assert_eq!(lines(&store), ["line of ann", "line of bob"]);
    assert_eq!(store.maintain(at(400)).expect("maintained").deletions_carried_out, 0);
    let listed = store.deletions(&tenant);
    let reasons = listed.iter().map(|deletion| deletion.problem.as_deref());
    assert_eq!(reasons.collect::<Vec<_>>(), [Some("nothing here reads conditions"); 2]);
    assert!(listed.iter().all(|deletion| !deletion.is_carried_out));
    let refused = store.cancel_deletion(&tenant, second, false, at(400)).expect_err("some rows may be gone");
    assert!(matches!(refused, CancelError::Late(..)), "{refused}");
    store.cancel_deletion(&tenant, second, true, at(400)).expect("called off");
    drop(store);

    let store = open(decoder());
    assert_eq!(lines(&store), ["line of bob"], "understood again");
    assert_eq!(store.maintain(at(400)).expect("maintained").deletions_carried_out, 1);
    let listed = store.deletions(&tenant);
    assert_eq!(
        listed.iter().map(|deletion| (deletion.id, deletion.is_carried_out)).collect::<Vec<_>>(),
        [(first, true)]
    );
    assert_eq!(store.statistics().rows, 1);
}

#[test]
fn a_deletion_that_is_not_understood_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path(), small_options(), decoder()).expect("opens");
    let refused = store.delete(request("everything"), at(1)).expect_err("no pair");
    assert!(
        matches!(&refused, DeleteError::NotUnderstood(reason) if reason == "everything is no pair"),
        "{refused}"
    );
    let long = DeletionRequest { text: String::new(), ..request(&format!("user={}", "x".repeat(4096))) };
    let refused = store.delete(long, at(1)).expect_err("too long");
    assert_eq!(refused.to_string(), "the text of a deletion is 4101 bytes, limit is 4096");
}
