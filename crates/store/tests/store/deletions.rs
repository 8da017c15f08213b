//! What a user sees of deletions.

use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::matcher::{LabelMatcher, LineFilter, LinePattern};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::LogSource;
use timberyard_model::{Labels, LogBatch, RowSelector, TenantId, TimeRange, Timestamp};
use timberyard_store::{CancelError, DeleteError, DeletionId, DeletionRequest, Store};

use crate::batches::{NOW, SECOND, every_stream, lines};
use crate::harness::{append, open, small_options};
use crate::simulated_disk::SimulatedDisk;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(NOW + seconds * SECOND)
}

fn batch(app: &str, lines: &[&str]) -> Arc<LogBatch> {
    let mut rows = RowsBuilder::default();
    let stream = rows.stream(&Labels::from_pairs([("service_name", app)]));
    for line in lines {
        rows.push(stream, at(0), line.as_bytes(), []).expect("fits");
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

fn request(app: &str, contains: &[&str]) -> DeletionRequest {
    let filter = |text: &&str| LineFilter {
        negated: false,
        any_of: vec![LinePattern::Literal(text.as_bytes().into())],
    };
    DeletionRequest {
        tenant: TenantId::default(),
        selector: RowSelector {
            matchers: vec![LabelMatcher::equal("service_name", app)],
            range: TimeRange::new(at(-10), at(10)),
            line_filters: contains.iter().map(filter).collect(),
            condition: None,
        },
        text: "as it was asked".to_owned(),
    }
}

fn streams(store: &Store) -> Vec<Labels> {
    store.series(&every_stream()).expect("listed")
}

#[test]
fn deleted_lines_are_gone_at_once_and_those_sent_again_are_seen() {
    let disk = SimulatedDisk::new(1);
    let mut store = open(&disk, small_options()).expect("opens");
    append(&store, &batch("api", &["password=1", "fine"])).expect("appended");
    append(&store, &batch("web", &["password=1"])).expect("appended");
    let id = store.delete(request("api", &["password"]), at(1)).expect("deleted");
    assert_eq!(lines(&store), ["fine", "password=1"], "in the head");
    append(&store, &batch("api", &["password=1"])).expect("appended");
    assert_eq!(lines(&store), ["fine", "password=1", "password=1"]);
    for round in ["replayed", "flushed", "compacted", "carried out"] {
        match round {
            "replayed" => {
                drop(store);
                store = open(&disk, small_options()).expect("opens again");
            }
            "flushed" => store.flush().expect("flushed"),
            "compacted" => drop(store.maintain(at(2)).expect("maintained")),
            _ => assert_eq!(store.maintain(at(400)).expect("maintained").deletions_carried_out, 1),
        }
        assert_eq!(lines(&store), ["fine", "password=1", "password=1"], "{round}");
        let listed = store.deletions(&TenantId::default());
        assert_eq!(listed.len(), 1, "{round}");
        assert_eq!((listed[0].id, &*listed[0].text), (id, "as it was asked"));
        assert_eq!(listed[0].is_carried_out, round == "carried out", "{round}");
    }
    assert_eq!(store.statistics().rows, 3);
    let other = TenantId::new("other").expect("valid");
    assert_eq!(store.deletions(&other), []);
}

#[test]
fn a_stream_without_filters_disappears_from_series_too() {
    let disk = SimulatedDisk::new(2);
    let store = open(&disk, small_options()).expect("opens");
    append(&store, &batch("api", &["a", "b"])).expect("appended");
    append(&store, &batch("web", &["c"])).expect("appended");
    let web = [Labels::from_pairs([("service_name", "web")])];
    store.delete(request("api", &[]), at(1)).expect("deleted");
    assert_eq!(streams(&store), web);
    store.flush().expect("flushed");
    assert_eq!(streams(&store), web);
    let report = store.maintain(at(400)).expect("maintained");
    assert_eq!((report.deletions_carried_out, report.segments_rewritten), (1, 1));
    assert_eq!(streams(&store), web);
    assert_eq!(store.statistics().rows, 1);
}

#[test]
fn a_deletion_is_called_off_in_time_only() {
    let disk = SimulatedDisk::new(3);
    let store = open(&disk, small_options()).expect("opens");
    let tenant = TenantId::default();
    append(&store, &batch("api", &["a", "b"])).expect("appended");
    let id = store.delete(request("api", &["a"]), at(1)).expect("deleted");
    assert_eq!(lines(&store), ["b"]);
    let other = TenantId::new("other").expect("valid");
    let refused = store.cancel_deletion(&other, id, false, at(2)).expect_err("another tenant");
    assert!(matches!(refused, CancelError::NotFound(_)), "{refused}");
    store.cancel_deletion(&tenant, id, false, at(2)).expect("called off");
    assert_eq!(lines(&store), ["a", "b"]);
    assert_eq!(store.deletions(&tenant), []);

    let late = store.delete(request("api", &["a"]), at(1)).expect("deleted");
    let refused = store.cancel_deletion(&tenant, late, false, at(302)).expect_err("too late");
    assert_eq!(
        refused.to_string(),
        format!("deletion {late} is more than 300 seconds old and may be under way")
    );
    store.cancel_deletion(&tenant, late, true, at(302)).expect("forced");
    assert_eq!(lines(&store), ["a", "b"]);

    let done = store.delete(request("api", &["a"]), at(1)).expect("deleted");
    store.maintain(at(302)).expect("maintained");
    let refused = store.cancel_deletion(&tenant, done, true, at(303)).expect_err("done");
    assert!(matches!(refused, CancelError::CarriedOut(_)), "{refused}");
    assert_eq!(lines(&store), ["b"]);
    assert!("zzz".parse::<DeletionId>().is_err());
}

#[test]
fn a_deletion_waits_while_a_damaged_segment_may_hold_rows_of_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || Store::open(directory.path(), small_options(), crate::harness::decoder()).expect("opens");
    let store = open();
    append(&store, &batch("api", &["a", "b"])).expect("appended");
    store.flush().expect("flushed");
    let path = directory.path().join("tenants/default/2026-11-20/00000001.seg");
    let whole = std::fs::read(&path).expect("a segment");
    store.delete(request("api", &["a"]), at(1)).expect("deleted");
    let mut damaged = whole.clone();
    damaged[9] ^= 0xff;
    std::fs::write(&path, &damaged).expect("written");
    assert_eq!(store.maintain(at(400)).expect("maintained").deletions_carried_out, 0);
    assert_eq!(store.statistics().deletions_pending, 1);
    drop(store);
    std::fs::write(&path, &whole).expect("written");
    let store = open();
    assert_eq!(lines(&store), ["b"], "what was damaged is still hidden");
    assert_eq!(store.maintain(at(400)).expect("maintained").deletions_carried_out, 1);
    assert_eq!(lines(&store), ["b"]);
}

#[test]
fn a_snapshot_has_the_deletions_of_its_moment() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = |name: &str| {
        let path = directory.path().join(name);
        Store::open(&path, small_options(), crate::harness::decoder()).expect("opens")
    };
    let store = open("data");
    append(&store, &batch("api", &["a", "b"])).expect("appended");
    store.flush().expect("flushed");
    append(&store, &batch("api", &["a again"])).expect("appended");
    store.delete(request("api", &["a"]), at(1)).expect("deleted");
    store.snapshot(&directory.path().join("copy")).expect("copied");
    append(&store, &batch("api", &["a third time"])).expect("appended");
    assert_eq!(lines(&store), ["a third time", "b"]);
    let copy = open("copy");
    assert_eq!(lines(&copy), ["b"]);
    append(&copy, &batch("api", &["a after all"])).expect("appended");
    assert_eq!(lines(&copy), ["a after all", "b"]);
}

#[test]
fn too_many_or_too_long_deletions_are_refused() {
    let disk = SimulatedDisk::new(4);
    let store = open(&disk, small_options()).expect("opens");
    let long = DeletionRequest { text: "x".repeat(5000), ..request("api", &[]) };
    let refused = store.delete(long, at(1)).expect_err("too long");
    assert_eq!(refused.to_string(), "the text of a deletion is 5000 bytes, limit is 4096");
    for _ in 0..1000 {
        store.delete(request("api", &[]), at(1)).expect("deleted");
    }
    let refused = store.delete(request("api", &[]), at(1)).expect_err("too many");
    assert!(matches!(refused, DeleteError::TooMany), "{refused}");
    store.maintain(at(400)).expect("maintained");
    store.delete(request("api", &[]), at(401)).expect("there is room again");
    assert_eq!(store.deletions(&TenantId::default()).len(), 1001);
}
