//! Retention by age, by bytes and by stream: what is hidden, what is taken out of the files, and the preview of both.

use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::matcher::LabelMatcher;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::LogSource;
use timberyard_model::{Labels, LogBatch, TenantId, Timestamp};
use timberyard_store::disk::Disk;
use timberyard_store::retention::{Freed, FreedBy, RetentionPreview, preview_on};
use timberyard_store::{Retention, Store, StoreOptions, StreamRetention};

use crate::batches::{DAY, NOW, SECOND, batch_of, every_stream, lines};
use crate::harness::{ROOT, append, everything, open, small_options};
use crate::simulated_disk::SimulatedDisk;

const HOUR: i64 = 3_600_000_000_000;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_nanos(NOW + hours * HOUR)
}

fn rule(env: &str, priority: i64, hours: u64) -> StreamRetention {
    StreamRetention {
        matchers: vec![LabelMatcher::equal("env", env)],
        text: format!("{{env=\"{env}\"}}").into(),
        priority,
        age_seconds_max: Some(hours * 3600),
    }
}

fn options(age_hours: Option<u64>, streams: Vec<StreamRetention>) -> StoreOptions {
    let retention =
        Retention { age_seconds_max: age_hours.map(|hours| hours * 3600), bytes_max: None, streams };
    StoreOptions { retention, ..small_options() }
}

/// One row for each environment, every three hours of a day.
fn fill(store: &Store) {
    for hour in (0..24).step_by(3) {
        let mut rows = RowsBuilder::default();
        for env in ["dev", "prod"] {
            let stream = rows.stream(&Labels::from_pairs([("service_name", "api"), ("env", env)]));
            rows.push(stream, at(hour), format!("{env} {hour}").as_bytes(), []).expect("fits");
        }
        let batch = LogBatch {
            tenant: TenantId::default(),
            received_at: at(hour),
            equal_entries: EqualEntries::Merge,
            rows: rows.finish(),
            unique_keys: Vec::new(),
            origins: Vec::new(),
        };
        append(store, &Arc::new(batch)).expect("appended");
    }
}

fn count(store: &Store, env: &str) -> usize {
    let rows = everything(store, &TenantId::default());
    rows.iter().filter(|row| row.labels.get("env") == Some(env)).count()
}

fn freed(preview: &RetentionPreview) -> Vec<(FreedBy, u64, u64, u64)> {
    let of = |freed: &Freed| {
        assert!(freed.rows == 0 || freed.file_bytes > 0, "{freed:?}");
        (freed.by.clone(), freed.segments_dropped, freed.segments_rewritten, freed.rows)
    };
    preview.freed.iter().map(of).collect()
}

#[test]
fn streams_are_hidden_by_their_own_rule_and_leave_the_files_by_the_day() {
    let disk = SimulatedDisk::new(5);
    let rules = options(Some(72), vec![rule("dev", 1, 12)]);
    let store = open(&disk, rules.clone()).expect("opens");
    fill(&store);
    store.flush().expect("flushed");
    let dev = || FreedBy::Streams("{env=\"dev\"}".into());
    for (now, dev_left, prod_left, preview, rewritten) in [
        (20, 5, 8, vec![], 0),
        (26, 3, 8, vec![], 0),
        (40, 0, 8, vec![(dev(), 0, 1, 8)], 1),
        (41, 0, 8, vec![], 0),
        (80, 0, 5, vec![], 0),
        (100, 0, 0, vec![(FreedBy::Age, 1, 0, 8)], 0),
    ] {
        assert_eq!(freed(&store.preview_retention(at(now)).expect("previewed")), preview, "{now}");
        let outside: Arc<dyn Disk> = Arc::new(disk.clone());
        let offline = preview_on(&outside, ROOT.as_ref(), &rules, at(now)).expect("previewed");
        assert_eq!(freed(&offline), preview, "{now}, offline");
        let report = store.maintain(at(now)).expect("maintained");
        assert_eq!(report.segments_rewritten, rewritten, "{now}");
        assert_eq!((count(&store, "dev"), count(&store, "prod")), (dev_left, prod_left), "{now}");
    }
    assert_eq!(store.statistics().rows, 0);
}

#[test]
fn a_rule_may_keep_streams_longer_than_the_rest() {
    let disk = SimulatedDisk::new(6);
    let store = open(&disk, options(Some(12), vec![rule("prod", 1, 480)])).expect("opens");
    fill(&store);
    store.maintain(at(26)).expect("maintained");
    assert_eq!((count(&store, "dev"), count(&store, "prod")), (3, 8), "in the head");
    store.flush().expect("flushed");
    let preview = store.preview_retention(at(48)).expect("previewed");
    assert_eq!(freed(&preview), [(FreedBy::Age, 0, 1, 8)]);
    store.maintain(at(48)).expect("maintained");
    assert_eq!((count(&store, "dev"), count(&store, "prod")), (0, 8));
    assert_eq!(store.statistics().rows, 8);
}

#[test]
fn segments_past_a_limit_of_bytes_are_previewed_as_such() {
    let disk = SimulatedDisk::new(7);
    let mut options = options(None, Vec::new());
    let store = open(&disk, options.clone()).expect("opens");
    fill(&store);
    store.close().expect("closed");
    drop(store);
    options.retention.bytes_max = Some(1);
    let store = open(&disk, options).expect("opens");
    let preview = store.preview_retention(at(24)).expect("previewed");
    assert_eq!(freed(&preview), [(FreedBy::AllBytes, 1, 0, 16)]);
    assert_eq!(preview.freed[0].file_bytes, store.statistics().segment_bytes);
    assert_eq!(store.maintain(at(24)).expect("maintained").segments_expired, 1);
}
#[test]
fn retention_by_age_hides_rows_and_drops_whole_days() {
    let disk = SimulatedDisk::new(2);
    let retention = Retention { age_seconds_max: Some(2 * 86_400), ..Retention::default() };
    let other = TenantId::new("other").expect("valid");
    let tenant_retention = [(other.clone(), Retention::default())].into();
    let options = StoreOptions { retention, tenant_retention, ..small_options() };
    let store = open(&disk, options).expect("opens");
    let days = ["day 0", "day 1", "day 2", "day 3"];
    let rows: Vec<_> = days.iter().zip(0..).map(|(line, day)| ("api", NOW + day * DAY, *line)).collect();
    let mut batch = batch_of(&rows, EqualEntries::Keep);
    append(&store, &Arc::new(batch.clone())).expect("appended");
    batch.tenant = other.clone();
    append(&store, &Arc::new(batch)).expect("appended");
    assert_eq!(lines(&store).len(), 4, "nothing is hidden before maintenance");
    store.flush().expect("flushed");
    let used = disk.used_bytes();
    let report = store.maintain(Timestamp::from_nanos(NOW + 3 * DAY + SECOND)).expect("maintained");
    assert_eq!(report.segments_expired, 2);
    assert_eq!(lines(&store), ["day 2", "day 3"]);
    assert_eq!(everything(&store, &other).len(), 4, "a tenant with its own retention");
    assert!(disk.used_bytes() < used);
    assert_eq!(store.volumes(&every_stream()).expect("counted")[0].rows, 2);
}

#[test]
fn retention_by_bytes_drops_the_oldest_first() {
    let disk = SimulatedDisk::new(2);
    let mut options = small_options();
    let store = open(&disk, options.clone()).expect("opens");
    for day in 0..6 {
        let line = format!("day {day}");
        let batch = batch_of(&[("api", NOW + day * DAY, &line)], EqualEntries::Keep);
        append(&store, &Arc::new(batch)).expect("appended");
    }
    store.close().expect("closed");
    let bytes = store.statistics().segment_bytes;
    drop(store);
    options.retention.bytes_max = Some(bytes / 2);
    let store = open(&disk, options).expect("opens");
    let report = store.maintain(Timestamp::from_nanos(NOW)).expect("maintained");
    assert_eq!(report.segments_expired, 3);
    assert_eq!(lines(&store), ["day 3", "day 4", "day 5"]);
    drop(store);
    let store = open(&disk, small_options()).expect("opens");
    assert_eq!(lines(&store), ["day 3", "day 4", "day 5"]);
}
