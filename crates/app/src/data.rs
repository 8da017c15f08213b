//! `timberyard verify`, `snapshot` and `restore`: data directories, and copies of them.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use timberyard_store::{StoreOptions, verify};

use crate::cli::SnapshotArguments;
use crate::client::{Client, Endpoint};
use crate::data_directory;
use crate::demoted_labels_file::DemotedLabelsFile;
use crate::failure::Failure;
use crate::key_file::DirectoryKeyFile;
use crate::search_file::DirectorySearchFile;
use crate::store_slot;

/// Reads everything in a data directory; fails when anything is damaged.
pub(crate) fn run_verify(directory: &Path) -> Result<(), Failure> {
    data_directory::require(directory)?;
    let report = verify(directory).map_err(|error| Failure::new(error.to_string()))?;
    let mut errors = io::stderr().lock();
    for damage in &report.damage {
        // When standard error is closed the exit code still tells.
        let _ = writeln!(errors, "{}: {}", damage.file.display(), damage.place);
    }
    writeln!(
        io::stdout(),
        "{} segments, {} row groups, {} rows, {} log records, {} bytes read",
        report.segments,
        report.groups,
        report.rows,
        report.log_records,
        report.bytes
    )
    .map_err(|error| Failure::output(&error))?;
    match report.damage.len() {
        0 => Ok(()),
        1 => Err(Failure::new(format!("{} is damaged in 1 place", directory.display()))),
        places => Err(Failure::new(format!("{} is damaged in {places} places", directory.display()))),
    }
}

/// Copies the data directory of a stopped server, or has the running one make the copy.
pub(crate) fn run_snapshot(arguments: &SnapshotArguments) -> Result<(), Failure> {
    let target = &arguments.dir;
    if fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(format!("{} is not empty: give another folder", target.display())));
    }
    match arguments.data_dir.as_deref() {
        Some(directory) => snapshot_stopped(directory, arguments),
        None => snapshot_running(arguments),
    }
}

/// The server makes the copy beside its data; it is then moved to where it was asked for.
fn snapshot_running(arguments: &SnapshotArguments) -> Result<(), Failure> {
    let client = Client::new(Endpoint::from_process(&arguments.client)?)?;
    let url = client.endpoint().url("http", "/snapshot");
    let answer = client
        .post("/snapshot", &[], &[])
        .map_err(|error| Failure::new(format!("{url}: {error}; for a stopped server give --data-dir")))?;
    if !answer.is_success() {
        return Err(Failure::new(format!("{url}: {}", answer.problem())));
    }
    let said: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::new(format!("{url}: the answer is not JSON: {error}")))?;
    let Some(made) = said["path"].as_str().map(Path::new) else {
        return Err(Failure::new(format!("{url}: the answer names no path")));
    };
    let target = &arguments.dir;
    move_tree(made, target).map_err(|error| {
        Failure::new(format!(
            "the snapshot is in {} on the server's machine; cannot move it to {}: {error}",
            made.display(),
            target.display()
        ))
    })?;
    writeln!(io::stdout(), "snapshot of {} in {}", client.endpoint().authority, target.display())
        .map_err(|error| Failure::output(&error))
}

/// Moves a folder; copies it when the target is on another volume.
fn move_tree(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_tree(from, to)?;
            fs::remove_dir_all(from)
        }
        renamed => renamed,
    }
}

fn snapshot_stopped(directory: &Path, arguments: &SnapshotArguments) -> Result<(), Failure> {
    data_directory::require(directory)?;
    let options = StoreOptions { disk_reserve_bytes: 0, ..StoreOptions::default() };
    let store = store_slot::open(directory, options)
        .map_err(|error| Failure::new(format!("cannot open {}: {error}", directory.display())))?;
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::new(format!("cannot make a snapshot in {}: {error}", arguments.dir.display()))
    };
    store.snapshot(&arguments.dir).map_err(|error| cannot(&error))?;
    DemotedLabelsFile::new(directory).copy_to(&arguments.dir).map_err(|error| cannot(&error))?;
    DirectoryKeyFile::new(directory).copy_to(&arguments.dir).map_err(|error| cannot(&error))?;
    DirectorySearchFile::new(directory).copy_to(&arguments.dir).map_err(|error| cannot(&error))?;
    writeln!(io::stdout(), "snapshot of {} in {}", directory.display(), arguments.dir.display())
        .map_err(|error| Failure::output(&error))
}

/// Copies a snapshot into a new data directory, and checks the copy.
pub(crate) fn run_restore(snapshot: &Path, directory: &Path) -> Result<(), Failure> {
    data_directory::require(snapshot)?;
    if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(format!(
            "{} is not empty: give another --data-dir, or move it away",
            directory.display()
        )));
    }
    copy_tree(snapshot, directory)
        .map_err(|error| Failure::new(format!("cannot restore into {}: {error}", directory.display())))?;
    run_verify(directory)
}

/// Copies files and folders, and syncs each. The snapshot's files are not shared: a store may write into its own.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            fs::File::open(&target)?.sync_all()?;
        }
    }
    fs::File::open(to)?.sync_all()
}
