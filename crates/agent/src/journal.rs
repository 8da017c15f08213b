//! The journal of this machine: `journalctl` follows it, a [`Spool`] keeps what was not sent.
//!
//! Where to go on after a restart is the cursor of the last entry in the spool, or of the last one of a file that was full: it is written
//! down before such a file can be removed. An entry that was not written whole comes again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use timberyard_wire::journal_record::JournalRecord;

use crate::format::{Content, Fields};
use crate::settings::{JournalSettings, Start};
use crate::spool::{Spool, full_files, newest};

/// The longest entry; of a longer one nothing is kept.
pub(crate) const ENTRY_BYTES_MAX: u64 = 8 << 20;
/// How long a `journalctl` that has ended is left alone.
const AFTER_END: Duration = Duration::from_secs(2);

/// The process that follows the journal, so that it can be ended.
pub(crate) type Following = Arc<Mutex<Option<Child>>>;

/// Reads the journal into a spool until the agent stops.
pub(crate) struct JournalReader {
    settings: JournalSettings,
    start: Start,
    spool: Spool,
    cursor_file: PathBuf,
    cursor: Option<String>,
}

impl JournalReader {
    /// Goes on where the files of a spool end.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(
        settings: &JournalSettings,
        start: Start,
        folder: &Path,
        name: &str,
        bytes_max: u64,
    ) -> io::Result<Self> {
        let cursor_file = folder.join(format!("{name}.cursor"));
        let mut files = full_files(folder, name).unwrap_or_default();
        files.push(newest(folder, name));
        let last = files.iter().rev().find_map(|path| last_cursor(&fs::read(path).ok()?));
        if let Some(cursor) = &last {
            // What is there becomes a full file now, which may be removed.
            save(&cursor_file, cursor)?;
        }
        let cursor = last.or_else(|| fs::read_to_string(&cursor_file).ok());
        let spool = Spool::open(folder, name, bytes_max)?;
        Ok(Self { settings: settings.clone(), start, spool, cursor_file, cursor })
    }

    /// Reads until the agent stops; begins again where it was when `journalctl` ends.
    pub(crate) fn run(mut self, following: &Following, stopping: &AtomicBool) {
        while !stopping.load(Ordering::Relaxed) {
            let ended = self.follow(following, stopping);
            if stopping.load(Ordering::Relaxed) {
                return;
            }
            let problem = ended.err().map(|error| error.to_string()).unwrap_or_default();
            tracing::warn!(
                command = self.settings.command,
                problem,
                "following the journal has ended: it begins again"
            );
            std::thread::sleep(AFTER_END);
        }
    }

    fn follow(&mut self, following: &Following, stopping: &AtomicBool) -> io::Result<()> {
        let mut command = Command::new(&self.settings.command);
        command.args(["--output=json", "--all", "--follow"]);
        match &self.cursor {
            Some(cursor) => command.arg("--lines=all").arg(format!("--after-cursor={cursor}")),
            None if self.start == Start::End => command.arg("--lines=0"),
            None => command.arg("--lines=all"),
        };
        let mut child =
            command.args(&self.settings.matches).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let Some(out) = child.stdout.take() else { return Ok(()) };
        *following.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let read = self.read(BufReader::new(out), stopping);
        end(following);
        read
    }

    fn read(&mut self, mut entries: impl BufRead, stopping: &AtomicBool) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let bytes = entries.by_ref().take(ENTRY_BYTES_MAX).read_until(b'\n', &mut line)?;
            if bytes == 0 {
                return Ok(());
            }
            if !line.ends_with(b"\n") {
                tracing::error!(
                    bytes,
                    limit = ENTRY_BYTES_MAX,
                    "an entry of the journal breaks off or is over the limit: it is left out"
                );
                entries.skip_until(b'\n')?;
                continue;
            }
            // What is no entry has no place in the journal either.
            let Some(cursor) = cursor_of(&line) else { continue };
            if self.spool.is_full() {
                if let Some(cursor) = &self.cursor {
                    save(&self.cursor_file, cursor)?;
                }
                self.spool.rotate()?;
            }
            if !self.spool.append(&line, stopping) {
                return Ok(());
            }
            self.cursor = Some(cursor);
        }
    }
}

/// Replaces a cursor file: a reader finds the old cursor or the new one.
fn save(file: &Path, cursor: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, cursor)?;
    fs::rename(new, file)
}

/// Ends the process, if there is one.
pub(crate) fn end(following: &Following) {
    let child = following.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut child) = child {
        // One that has ended already is what is wanted.
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[derive(Deserialize)]
struct Cursor {
    #[serde(rename = "__CURSOR")]
    cursor: String,
}

fn cursor_of(line: &[u8]) -> Option<String> {
    serde_json::from_slice::<Cursor>(line).ok().map(|entry| entry.cursor)
}

/// The cursor of the last entry that is whole.
fn last_cursor(text: &[u8]) -> Option<String> {
    text.rsplit(|byte| *byte == b'\n').find_map(cursor_of)
}

/// What an entry says; one that is not whole is passed over, since it came again.
pub(crate) fn content(line: &[u8]) -> Content<'static> {
    let Ok(entry) = serde_json::from_slice::<BTreeMap<String, Value>>(line) else {
        return Content::passed_over();
    };
    let fields: Vec<(Vec<u8>, Vec<u8>)> =
        entry.into_iter().filter_map(|(name, value)| Some((name.into_bytes(), bytes_of(value)?))).collect();
    let Ok(record) = JournalRecord::of(&fields) else { return Content::passed_over() };
    let service = record.service.map(|service| ("service_name", service));
    let labels = record.labels.into_iter().chain(service);
    let own = Fields {
        labels: labels.map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
        metadata: record.metadata.into_iter().map(|(name, value)| (name, value.to_vec())).collect(),
    };
    Content {
        text: Cow::Owned(record.line.to_vec()),
        nanos: record.timestamp.map(timberyard_model::Timestamp::as_nanos),
        fields: Some(Arc::new(own)),
        ..Content::default()
    }
}

/// The bytes of a field: text, or an array of numbers where it is none; of several values the first.
fn bytes_of(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.into_bytes()),
        Value::Array(values) => match values.first() {
            Some(Value::Number(_)) => values.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect(),
            _ => values.into_iter().next().and_then(bytes_of),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_say_who_spoke_and_when() {
        let line = br#"{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1793534300123456","_HOSTNAME":"web-1","PRIORITY":"3","SYSLOG_IDENTIFIER":"nginx","_SYSTEMD_UNIT":"nginx.service","_PID":"17","MESSAGE":[104,105,255]}"#;
        let content = content(line);
        assert_eq!((&*content.text, content.nanos), (&b"hi\xff"[..], Some(1_793_534_300_123_456_000)));
        let fields = content.fields.expect("some");
        let labels: Vec<&str> = fields.labels.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(labels, ["web-1", "error", "nginx.service", "nginx"]);
        assert_eq!(fields.metadata, [("pid".to_owned(), b"17".to_vec())]);
    }

    #[test]
    fn the_last_whole_entry_says_where_to_go_on() {
        let text = b"first line\n{\"__CURSOR\":\"a\"}\n{\"__CURSOR\":\"b\"}\n{\"__CURSOR\":\"c";
        assert_eq!(last_cursor(text).as_deref(), Some("b"));
        assert_eq!(last_cursor(b"first line\n"), None);
        assert!(super::content(b"{\"MESSAGE\":\"half").passed_over);
    }
}
