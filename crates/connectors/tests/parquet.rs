//! Parquet files, read by ClickHouse's engine.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use timberyard_connectors::parquet::{ParquetSettings, ParquetSink};
use timberyard_connectors::{ByteSize, Password, Seconds};
use timberyard_model::batch::{EqualEntries, LogBatch};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::sink::Sink;
use timberyard_model::{IngestRecord, Labels, TenantId, Timestamp};
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::parts::clickhouse::ClickHouse;
use timberyard_testkit::parts::s3::{ACCESS_KEY, S3};
use tokio::runtime::Runtime;

/// It reads files for all tests, and ends with its standard input.
static READER: LazyLock<ClickHouse> = LazyLock::new(ClickHouse::start);
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// 14:13:20 of 2026-09-21.
const TIME: i64 = 1_790_000_000_000_000_000;
const HOUR: i64 = 3_600_000_000_000;

fn settings(folder: &Path) -> ParquetSettings {
    ParquetSettings {
        folder: Some(folder.to_owned()),
        file_seconds_max: Seconds(1),
        ..ParquetSettings::default()
    }
}

fn start(settings: ParquetSettings, staging: &Path) -> ParquetSink {
    let _runtime = RUNTIME.enter();
    ParquetSink::start("lake", settings, staging).expect("a sink")
}

fn write(sink: &ParquetSink, batch: &Arc<LogBatch>) {
    let record = IngestRecord { batch: Arc::clone(batch), received: None };
    RUNTIME.block_on(sink.write(record)).expect("staged");
}

type Row<'r> = (i64, &'r [u8], &'r [(&'r str, &'r [u8])]);

fn batch(tenant: &str, received: i64, rows: &[Row<'_>]) -> Arc<LogBatch> {
    let mut builder = RowsBuilder::default();
    let labels = Labels::from_pairs([("service_name", "shop"), ("level", "warn"), ("env", "prod")]);
    for (nanos, line, metadata) in rows {
        let stream = builder.stream(&labels);
        builder.push(stream, Timestamp::from_nanos(*nanos), line, metadata.iter().copied()).expect("fits");
    }
    Arc::new(LogBatch {
        tenant: TenantId::new(tenant).expect("a tenant"),
        received_at: Timestamp::from_nanos(received),
        equal_entries: EqualEntries::Keep,
        rows: builder.finish(),
        unique_keys: Vec::new(),
        origins: Vec::new(),
    })
}

/// Asks about all files of a folder, by what is in the files and not by their names.
fn ask(folder: &Path, selected: &str) -> String {
    let files = format!("file('{}/**/*.parquet', Parquet)", folder.display());
    READER.query(&format!("SELECT {selected} FROM {files} SETTINGS use_hive_partitioning = 0"))
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    if !folder.exists() {
        return found;
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).expect("inside").display().to_string()),
            }
        }
    }
    found.sort();
    found
}

fn rows_are(folder: &Path, expected: usize) {
    let is_parquet = |name: &String| name.ends_with(".parquet");
    eventually("all rows to be in files", || {
        let is_any = files(folder).iter().any(is_parquet);
        (is_any && ask(folder, "count()") == expected.to_string()).then_some(())
    });
}

#[test]
fn rows_are_read_by_other_programs_as_they_were_sent() {
    let (folder, staging) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let sink = start(settings(folder.path()), staging.path());
    let metadata: [(&str, &[u8]); 3] = [("trace", b"t1"), ("raw", b"\xff\x00"), ("k", b"\xc3\xa9")];
    write(&sink, &batch("it's", 1, &[(TIME + 1, b"paid", &metadata), (TIME, b"no \xfe text", &[])]));
    rows_are(folder.path(), 2);
    let columns =
        READER.query(&format!("DESCRIBE file('{}/**/*.parquet', Parquet)", folder.path().display()));
    let columns: Vec<Vec<&str>> =
        columns.lines().map(|line| line.split('\t').take(2).collect::<Vec<_>>()).collect();
    let expected = [
        ["time", r"DateTime64(9, \'UTC\')"],
        ["tenant", "String"],
        ["service", "String"],
        ["level", "String"],
        ["line", "String"],
        ["line_bytes", "Nullable(String)"],
        ["labels", "Map(String, String)"],
        ["metadata", "Map(String, String)"],
        ["metadata_bytes", "Map(String, String)"],
    ];
    for column in expected {
        assert!(columns.iter().any(|found| *found == column), "{column:?}: {columns:?}");
    }
    let selected = "toUnixTimestamp64Nano(time), tenant, service, level, line, hex(line_bytes), labels, metadata, \
                    hex(metadata_bytes['raw'])";
    let mut rows: Vec<String> = ask(folder.path(), selected).lines().map(str::to_owned).collect();
    rows.sort();
    let labels = r"{'env':'prod','level':'warn','service_name':'shop'}";
    let replaced = '\u{fffd}';
    assert_eq!(
        rows,
        [
            format!("{TIME}\tit\\'s\tshop\twarn\tno {replaced} text\t6E6F20FE2074657874\t{labels}\t{{}}\t"),
            format!(
                "{}\tit\\'s\tshop\twarn\tpaid\t\\N\t{labels}\t{{'trace':'t1','raw':'{replaced}\\0','k':'é'}}\tFF00",
                TIME + 1
            ),
        ]
    );
    let partitions = ask(folder.path(), "DISTINCT _path");
    assert!(partitions.contains("tenant=it%27s/date=2026-09-21/hour=14/part-"), "{partitions}");
}

#[test]
fn rows_of_each_hour_and_tenant_lie_in_files_of_their_own() {
    let (folder, staging) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let sink = start(settings(folder.path()), staging.path());
    for (number, tenant) in ["a", "b", "a"].into_iter().enumerate() {
        let number = number as i64;
        write(
            &sink,
            &batch(
                tenant,
                number,
                &[(TIME, b"x", &[]), (TIME + HOUR, b"y", &[]), (TIME + 24 * HOUR, b"z", &[])],
            ),
        );
    }
    rows_are(folder.path(), 9);
    let mut folders: Vec<String> = files(folder.path())
        .iter()
        .map(|file| file.rsplit_once('/').expect("a folder").0.to_owned())
        .collect();
    folders.dedup();
    assert_eq!(
        folders,
        [
            "tenant=a/date=2026-09-21/hour=14",
            "tenant=a/date=2026-09-21/hour=15",
            "tenant=a/date=2026-09-22/hour=14",
            "tenant=b/date=2026-09-21/hour=14",
            "tenant=b/date=2026-09-21/hour=15",
            "tenant=b/date=2026-09-22/hour=14",
        ]
    );
    let counted = READER.query(&format!(
        "SELECT tenant, date, hour, count() FROM file('{}/**/*.parquet', Parquet) GROUP BY ALL ORDER BY ALL \
         SETTINGS use_hive_partitioning = 1",
        folder.path().display()
    ));
    assert!(counted.starts_with("a\t2026-09-21\t14\t2\n"), "{counted}");
}

#[test]
fn a_file_is_made_when_there_are_bytes_enough_for_it() {
    let (folder, staging) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let much = ParquetSettings {
        file_bytes_max: ByteSize(64 << 10),
        file_seconds_max: Seconds(86_400),
        ..settings(folder.path())
    };
    let sink = start(much, staging.path());
    let line = vec![b'x'; 10_000];
    for number in 0..14 {
        write(&sink, &batch("a", number, &[(TIME, &line, &[])]));
    }
    // Seven are 64 KiB and more; what is less waits for its time.
    rows_are(folder.path(), 14);
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn what_was_staged_or_begun_before_a_kill_is_exported_once() {
    let (folder, staging) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let nowhere = folder.path().join("file");
    std::fs::write(&nowhere, b"").expect("a file where a folder should be");
    let sink = start(settings(&nowhere), staging.path());
    let staged = batch("a", 0, &[(TIME, b"x", &[]), (TIME + HOUR, b"y", &[]), (TIME + 2 * HOUR, b"z", &[])]);
    write(&sink, &staged);
    // It was written down what is exported, and nothing could be.
    eventually("an export that fails", || {
        sink.figures().is_some_and(|figures| figures.retries > 0).then_some(())
    });
    drop(sink);
    // What somebody finds who comes after a kill with all files written and that not written down.
    let copy = tempfile::tempdir().expect("a folder");
    for name in files(staging.path()) {
        std::fs::copy(staging.path().join(&name), copy.path().join(&name)).expect("copied");
    }
    let there = folder.path().join("there");
    let sink = start(settings(&there), staging.path());
    // Whoever did not hear that they are staged hands them over again.
    write(&sink, &staged);
    write(&sink, &batch("a", 3, &[(TIME, b"new", &[])]));
    rows_are(&there, 4);
    drop(sink);
    let sink = start(settings(&there), copy.path());
    write(&sink, &staged);
    write(&sink, &batch("a", 4, &[(TIME, b"newer", &[])]));
    eventually("the new row", || (ask(&there, "countIf(line = 'newer')") == "1").then_some(()));
    assert_eq!(ask(&there, "count(), uniqExact(line)"), "5\t5");
    assert!(files(&there).iter().all(|name| name.ends_with(".parquet")), "nothing half written is left");
}

#[test]
fn a_bucket_that_is_away_gets_everything_later() {
    let staging = tempfile::tempdir().expect("a folder");
    let mut store = S3::start("logs");
    let settings = ParquetSettings {
        url: Some("s3://logs/lake".to_owned()),
        endpoint: Some(store.url()),
        region: Some("us-east-1".to_owned()),
        access_key_id: Some(ACCESS_KEY.to_owned()),
        secret_access_key: Password::new(ACCESS_KEY),
        file_seconds_max: Seconds(1),
        ..ParquetSettings::default()
    };
    let checked = RUNTIME.block_on(ParquetSink::connect_check(&settings)).expect("there");
    assert_eq!(checked, "s3://logs/lake can be written to");
    let sink = start(settings.clone(), staging.path());
    store.kill();
    write(&sink, &batch("it's", 1, &[(TIME, b"one", &[]), (TIME + HOUR, b"two", &[])]));
    eventually("an export that fails", || {
        sink.figures().is_some_and(|figures| figures.retries > 0).then_some(())
    });
    store.start_again("logs");
    let sql = format!(
        "SELECT count(), min(_path) FROM s3('{}/logs/lake/**/*.parquet', '{ACCESS_KEY}', '{ACCESS_KEY}', 'Parquet')",
        store.url()
    );
    eventually("both files", || {
        sink.figures().is_some_and(|figures| figures.rows_written == 2).then_some(())
    });
    let found = READER.query(&sql);
    assert!(found.starts_with("2\tlogs/lake/tenant=it%27s/date=2026-09-21/hour=14/part-"), "{found}");
    let wrong = ParquetSettings { url: Some("s3://absent/x".to_owned()), ..settings };
    let refused = RUNTIME.block_on(ParquetSink::connect_check(&wrong)).expect_err("there is no such bucket");
    assert!(refused.contains("s3://absent/x"), "{refused}");
}
