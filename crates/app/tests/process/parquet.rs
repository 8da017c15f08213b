//! Copies of logs in Parquet files, by a server that is killed again and again.

use timberyard_testkit::eventually::eventually;
use timberyard_testkit::parts::clickhouse::ClickHouse;
use timberyard_testkit::server_process::ServerProcess;

use crate::start::configured;
use crate::terminal::timberyard;

/// Rows that the sink has staged since the server's start.
fn staged(server: &ServerProcess) -> usize {
    let metrics = server.get("/metrics").send().expect_status(200).text();
    let line =
        metrics.lines().find(|line| line.starts_with("timberyard_sink_rows_written_total{sink=\"lake\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_server_that_is_killed_while_it_exports_has_every_row_in_a_file_once() {
    let (reader, lake) = (ClickHouse::start(), tempfile::tempdir().expect("a folder"));
    let config = format!(
        "sinks: {{lake: {{parquet: {{folder: {}, file_seconds_max: 1, file_bytes_max: 64KiB}}}}}}\n",
        lake.path().display()
    );
    let (settings, file) = configured(&config);
    let mut server = settings.start();
    let mut sent = 0;
    for round in 0..6 {
        let before = sent;
        for _ in 0..20 {
            let entries: Vec<_> = (0..50)
                .map(|number| serde_json::json!({ "source": "shop", "message": format!("line {}", sent + number) }))
                .collect();
            sent += entries.len();
            server.post("/v1/logs").json(&entries.into()).send().expect_status(202);
        }
        if round < 5 {
            // Rows on their way to the disk are nobody's yet; files are being made of what is there.
            eventually("the rows to be staged", || (staged(&server) >= sent - before).then_some(()));
            server.kill();
            server.start_again();
        }
    }
    let found = |selected: &str| {
        let files = format!("file('{}/**/*.parquet', Parquet)", lake.path().display());
        reader.query(&format!("SELECT {selected} FROM {files}"))
    };
    eventually("all rows to be in files", || (found("uniqExact(line)") == sent.to_string()).then_some(()));
    assert_eq!(found("count()"), sent.to_string());
    let config = file.path().to_str().expect("text");
    let checked = timberyard(&["config", "check", "--connect", "--config", config]).succeeded().text();
    assert!(
        checked.contains(&format!("sink `lake`: {} can be written to", lake.path().display())),
        "{checked}"
    );
}
