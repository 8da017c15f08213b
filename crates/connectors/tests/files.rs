//! Files of logs: what a sink wrote, people and the source read.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use timberyard_connectors::files::{FileCompression, FilesSettings, FilesSink, FilesSource};
use timberyard_connectors::{ByteSize, Seconds};
use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::RecordLimits;
use timberyard_model::scan::{Direction, LogSource, ScanRequest, SeriesRequest};
use timberyard_model::sink::Sink;
use timberyard_model::{
    BatchBuilder, Cancellation, IngestRecord, Labels, LogBatch, TenantId, TimeRange, Timestamp,
};

fn settings(dir: &Path) -> FilesSettings {
    FilesSettings { dir: dir.to_owned(), ..FilesSettings::default() }
}

/// Rows of sessions, each a session's name, a time and a line.
fn batch(rows: &[(&str, i64, &str)]) -> LogBatch {
    let now = Timestamp::from_nanos(1_000);
    let limits = RecordLimits::default();
    let mut batch = BatchBuilder::new(TenantId::default(), now, EqualEntries::Keep, &limits);
    let stream = batch.stream(&Labels::from_pairs([("service_name", "shop"), ("level", "INFO")]));
    for (session, nanos, line) in rows {
        let metadata: &[(&str, &[u8])] = &[("session_id", session.as_bytes())];
        batch.push(stream, Timestamp::from_nanos(*nanos), line.as_bytes(), metadata).expect("within limits");
    }
    batch.finish()
}

async fn write(sink: &FilesSink, rows: &[(&str, i64, &str)]) {
    sink.write(IngestRecord::from(batch(rows))).await.expect("written");
}

/// The lines of a scan in its order, rows of a block sorted by time.
fn read(source: &FilesSource, direction: Direction, range: TimeRange) -> Vec<String> {
    let request = ScanRequest { direction, ..ScanRequest::all(TenantId::default(), range) };
    let mut scan = source.scan(&request).expect("scan starts");
    let mut lines = Vec::new();
    while let Some(block) = scan.next_block().expect("readable") {
        let mut rows: Vec<_> = block.rows.iter().collect();
        rows.sort_by_key(|row| row.timestamp());
        if direction == Direction::Backward {
            rows.reverse();
        }
        lines.extend(rows.into_iter().map(|row| String::from_utf8_lossy(row.line()).into_owned()));
    }
    lines
}

/// Looks until it is so, for 20 seconds at most.
async fn until(is_so: impl Fn() -> bool, found: impl Fn() -> String) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{}", found());
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn each_session_has_a_file_and_none_leaves_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = FilesSink::start("archive", settings(&folder.path().join("logs"))).expect("started");
    write(&sink, &[("s-1", 1, "one"), ("../../escape", 2, "two"), ("s-1", 3, "three"), ("", 4, "four")])
        .await;
    assert_eq!(names(folder.path()), ["logs"]);
    let tenant = folder.path().join("logs/default");
    assert_eq!(names(&tenant), ["%2e.%2f..%2fescape.ndjson", "_no_session.ndjson", "s-1.ndjson"]);
    let text = fs::read_to_string(tenant.join("s-1.ndjson")).expect("text");
    let messages: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(messages.iter().map(|entry| &entry["message"]).collect::<Vec<_>>(), ["one", "three"]);
    assert_eq!(messages[0]["session_id"], "s-1");
}

#[tokio::test]
async fn what_was_written_is_read_in_both_directions_and_by_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = FilesSink::start("archive", settings(folder.path())).expect("started");
    write(&sink, &[("a", 5, "five"), ("b", 1, "one"), ("a", 3, "three")]).await;
    write(&sink, &[("b", 4, "four"), ("a", 2, "two")]).await;
    let source = FilesSource::new(folder.path());
    assert_eq!(read(&source, Direction::Forward, TimeRange::ALL), ["one", "two", "three", "four", "five"]);
    assert_eq!(read(&source, Direction::Backward, TimeRange::ALL), ["five", "four", "three", "two", "one"]);
    let some = TimeRange::new(Timestamp::from_nanos(2), Timestamp::from_nanos(4));
    assert_eq!(read(&source, Direction::Forward, some), ["two", "three"]);
    let request = SeriesRequest {
        tenant: TenantId::default(),
        range: TimeRange::ALL,
        selectors: Vec::new(),
        memory_bytes_max: 1 << 20,
        cancellation: Cancellation::default(),
    };
    assert_eq!(source.series(&request).expect("series").len(), 1);
    assert_eq!(source.volumes(&request).expect("volumes")[0].rows, 5);
    let other = SeriesRequest { tenant: TenantId::new("other").expect("a name"), ..request };
    assert!(source.series(&other).expect("series").is_empty());
}

#[tokio::test]
async fn full_files_are_compressed_and_still_read() {
    for (compression, suffix) in
        [(FileCompression::Gzip, ".gz"), (FileCompression::Zstd, ".zst"), (FileCompression::None, "")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let settings =
            FilesSettings { compression, file_bytes_max: ByteSize(4096), ..settings(folder.path()) };
        let sink = FilesSink::start("archive", settings).expect("started");
        for number in 0..40 {
            write(&sink, &[("s", number, &format!("line {number}"))]).await;
        }
        let source = FilesSource::new(folder.path());
        let expected: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
        assert_eq!(read(&source, Direction::Forward, TimeRange::ALL), expected, "while they are compressed");
        let tenant = folder.path().join("default");
        let is_packed = |name: &String| *name == "s.ndjson" || name.ends_with(suffix);
        until(|| names(&tenant).iter().all(is_packed), || format!("{:?}", names(&tenant))).await;
        for number in 1..=2 {
            assert!(
                names(&tenant).contains(&format!("s.ndjson.{number:06}{suffix}")),
                "{:?}",
                names(&tenant)
            );
        }
        for _ in 0..2 {
            assert_eq!(read(&source, Direction::Forward, TimeRange::ALL), expected);
        }
        let last = TimeRange::new(Timestamp::from_nanos(39), Timestamp::MAX);
        assert_eq!(read(&source, Direction::Forward, last), ["line 39"]);
    }
}

#[tokio::test]
async fn half_a_line_of_a_killed_process_is_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = FilesSink::start("archive", settings(folder.path())).expect("started");
    write(&sink, &[("s", 1, "whole")]).await;
    drop(sink);
    let path = folder.path().join("default/s.ndjson");
    let mut text = fs::read(&path).expect("read");
    text.extend_from_slice(br#"{"level":"INFO","mess"#);
    fs::write(&path, text).expect("written");
    let source = FilesSource::new(folder.path());
    assert_eq!(read(&source, Direction::Forward, TimeRange::ALL), ["whole"]);
    let sink = FilesSink::start("archive", settings(folder.path())).expect("started again");
    write(&sink, &[("s", 2, "after")]).await;
    assert_eq!(read(&source, Direction::Forward, TimeRange::ALL), ["whole", "after"]);
}

#[tokio::test]
async fn what_is_kept_no_longer_is_taken_away_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = FilesSettings { kept_seconds: Seconds(3600), ..settings(folder.path()) };
    let sink = FilesSink::start("archive", settings.clone()).expect("started");
    write(&sink, &[("old", 1, "old"), ("new", 2, "new")]).await;
    drop(sink);
    let old = fs::File::options().write(true).open(folder.path().join("default/old.ndjson")).expect("a file");
    old.set_modified(SystemTime::now() - Duration::from_secs(7200)).expect("dated");
    let _sink = FilesSink::start("archive", settings).expect("started again");
    let tenant = folder.path().join("default");
    until(|| names(&tenant) == ["new.ndjson"], || format!("{:?}", names(&tenant))).await;
}

#[tokio::test]
async fn a_batch_that_fails_half_way_is_in_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = FilesSink::start("archive", settings(folder.path())).expect("started");
    write(&sink, &[("a", 1, "first")]).await;
    // A folder where the second session's file should be.
    fs::create_dir(folder.path().join("default/b.ndjson")).expect("made");
    let record = IngestRecord::from(batch(&[("a", 2, "second"), ("b", 3, "third")]));
    assert!(sink.write(record).await.is_err());
    fs::remove_dir(folder.path().join("default/b.ndjson")).expect("removed");
    let source = FilesSource::new(folder.path());
    assert_eq!(read(&source, Direction::Forward, TimeRange::ALL), ["first"]);
}
