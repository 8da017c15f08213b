//! The real engine of ClickHouse behind HTTP, as the tests start it (`make deps`), and Timberyard's tables in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use timberyard_testkit::parts::clickhouse::ClickHouse;

use crate::process::{PATIENCE, cpu_seconds_of};

/// A running engine.
pub(crate) struct Warehouse {
    clickhouse: ClickHouse,
    binary: PathBuf,
    folder: PathBuf,
}

impl Warehouse {
    /// Starts it. `binary` is what makes tables; settings for that are written to `folder`.
    pub(crate) fn start(binary: &Path, folder: &Path) -> Self {
        let clickhouse = ClickHouse::start();
        Self { clickhouse, binary: binary.to_owned(), folder: folder.to_owned() }
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        self.clickhouse.url()
    }

    /// CPU seconds of its process so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, String> {
        cpu_seconds_of(self.clickhouse.id())
    }

    /// Makes Timberyard's tables in a database.
    pub(crate) fn make_tables(&self, database: &str) -> Result<(), String> {
        let file = self.folder.join(format!("{database}.tables.yaml"));
        let url = self.url();
        let text = format!("sinks: {{warehouse: {{clickhouse: {{url: '{url}', database: {database}}}}}}}\n");
        std::fs::write(&file, text).map_err(|e| e.to_string())?;
        let made = Command::new(&self.binary)
            .args(["migrate", "up", "--config"])
            .arg(&file)
            .output()
            .map_err(|e| format!("{}: {e}", self.binary.display()))?;
        if made.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&made.stderr).into_owned()) }
    }

    /// Waits until so many rows are in a database.
    pub(crate) fn wait_for_rows(&self, database: &str, rows: usize) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let there = self.clickhouse.query(&format!("SELECT count() FROM {database}.logs"));
            match there.parse::<usize>() {
                Ok(there) if there >= rows => return Ok(()),
                _ if begun.elapsed() > PATIENCE => {
                    return Err(format!("{there} of {rows} rows arrived in {database}"));
                }
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Merges the parts of each day, so that what is measured next does not depend on what was merged so far.
    pub(crate) fn merge_parts(&self, database: &str) {
        self.clickhouse.query(&format!("OPTIMIZE TABLE {database}.logs FINAL"));
        self.clickhouse.query(&format!("OPTIMIZE TABLE {database}.logs_streams FINAL"));
    }

    /// Compares what a database holds with what was sent.
    pub(crate) fn check(&self, database: &str, rows: usize, line_bytes: usize) -> Result<(), String> {
        let asked = format!("SELECT count(), sum(length(line)) FROM {database}.logs FINAL");
        let (found, sent) = (self.clickhouse.query(&asked), format!("{rows}\t{line_bytes}"));
        if found == sent { Ok(()) } else { Err(format!("{database} holds {found}, sent was {sent}")) }
    }
}
