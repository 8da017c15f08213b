//! Opening a data directory: what is listed, what a crash left over, and the replay of the log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::core::{Core, lock};
use crate::disk::{Disk, LockHolder, LockOutcome, create_directories};
use crate::error::StoreError;
use crate::head::{CutChoice, split};
use crate::interpreters::{DecodeRecord, Interpreters};
use crate::manifest::Manifest;
use crate::options::StoreOptions;
use crate::paths::{Paths, day_name, segment_number};
use crate::segment::Segment;
use crate::segment_set::SegmentSet;
use crate::wal::{LogFiles, LogRecord, LogWriter, SealedFile, read_log, rewrite_last_group};

/// The lock of a data directory; let go of when dropped.
pub(crate) type DirectoryLock = Box<dyn std::any::Any + Send + Sync>;

/// A store that is as it was before it was stopped.
pub(crate) struct Recovered {
    pub(crate) core: Arc<Core>,
    pub(crate) writer: LogWriter,
    pub(crate) lock: DirectoryLock,
}

/// Takes the directory's lock, removes left-overs, and replays the log.
pub(crate) fn recover(
    disk: Arc<dyn Disk>,
    paths: Paths,
    options: StoreOptions,
    interpreters: &Interpreters,
) -> Result<Recovered, StoreError> {
    let root = paths.root();
    create_directories(&*disk, root).map_err(|error| StoreError::io(root, error))?;
    let lock_path = paths.lock();
    let lock = match disk.lock(&lock_path).map_err(|error| StoreError::io(&lock_path, error))? {
        LockOutcome::Taken(lock) => lock,
        LockOutcome::Held(LockHolder { process }) => {
            return Err(StoreError::InUse { directory: root.to_owned(), holder: process });
        }
    };
    let mut manifest = load_or_begin(&*disk, &paths)?;
    read_conditions(&mut manifest, interpreters);
    remove_left_overs(&*disk, &paths, &manifest)?;
    let segments = manifest.segments.values().cloned();
    let segments = segments.map(|summary| Arc::new(Segment::new(summary, &paths, Arc::clone(&disk))));
    let set = SegmentSet::of(segments);
    let log_files = Arc::new(LogFiles::new(Arc::clone(&disk), options.log_bytes_max));
    // Several files must fit the limit, or there is never one to release.
    let segment_bytes = options.log_segment_bytes.min(options.log_bytes_max / 8).max(4096);
    let core = Core::new(Arc::clone(&disk), paths.clone(), options, manifest, set, Arc::clone(&log_files));
    let (next_number, next_sequence) = replay(&core, &interpreters.decode)?;
    let writer = LogWriter::new(disk, paths, log_files, segment_bytes, next_number, next_sequence);
    Ok(Recovered { core: Arc::new(core), writer, lock })
}

fn load_or_begin(disk: &dyn Disk, paths: &Paths) -> Result<Manifest, StoreError> {
    if let Some(manifest) = Manifest::load(disk, paths)? {
        sync_names(disk, paths)?;
        return Ok(manifest);
    }
    // The manifest is the first thing that is ever written here: without it the rest has lost its meaning.
    for directory in [paths.log_directory(), paths.tenants_directory()] {
        if disk.is_directory(&directory) {
            let place = format!("it is missing, but {} is there", directory.display());
            return Err(StoreError::corrupt(&paths.manifest(), place));
        }
    }
    let manifest = Manifest { next_segment_id: 1, ..Manifest::default() };
    match manifest.replace(disk, paths) {
        Ok(_) => Ok(manifest),
        Err(
            crate::manifest::ReplaceError::Unchanged(error) | crate::manifest::ReplaceError::Unknown(error),
        ) => Err(error),
    }
}

/// Makes the names of the manifest and of the log's files durable, in which whoever wrote them may have failed: what the
/// manifest no longer needs must not go before that, nor a part of what the log holds into segments.
fn sync_names(disk: &dyn Disk, paths: &Paths) -> Result<(), StoreError> {
    for directory in [paths.root(), &paths.log_directory()] {
        if disk.is_directory(directory) {
            disk.sync_directory(directory).map_err(|error| StoreError::io(directory, error))?;
        }
    }
    Ok(())
}

/// Has the conditions of deletions read. One that is not understood waits until a program comes that does.
fn read_conditions(manifest: &mut Manifest, interpreters: &Interpreters) {
    for tombstone in &mut manifest.deletions {
        let Some(read) = tombstone.with_condition_read(&*interpreters.conditions) else { continue };
        if let Some(reason) = read.problem()
            && read.carried_out_at.is_none()
        {
            let (id, tenant) = (read.id, &read.tenant);
            tracing::error!(%id, %tenant, query = &*read.text, reason, "deletion is not understood: it hides nothing and waits");
        }
        *tombstone = Arc::new(read);
    }
}

/// Removes segment files that the manifest does not list: a crash came before they were, or after they
/// no longer were.
fn remove_left_overs(disk: &dyn Disk, paths: &Paths, manifest: &Manifest) -> Result<(), StoreError> {
    // Days are named once, not once a segment: there may be a hundred thousand of those.
    let mut days: BTreeMap<i32, String> = BTreeMap::new();
    for summary in manifest.segments.values() {
        days.entry(summary.day).or_insert_with(|| day_name(summary.day));
    }
    let is_listed = |tenant: &str, day: &str, file: &str| {
        let summary = segment_number(file).and_then(|id| manifest.segments.get(&id));
        summary.is_some_and(|summary| {
            summary.tenant.as_str() == tenant && days.get(&summary.day).is_some_and(|name| name == day)
        })
    };
    let tenants = paths.tenants_directory();
    if !disk.is_directory(&tenants) {
        return Ok(());
    }
    let list = |directory: &PathBuf| disk.list(directory).map_err(|error| StoreError::io(directory, error));
    for tenant in list(&tenants)?.into_iter().filter(|entry| entry.is_directory) {
        let tenant_path = tenants.join(&tenant.name);
        for day in list(&tenant_path)?.into_iter().filter(|entry| entry.is_directory) {
            let day_path = tenant_path.join(&day.name);
            let mut empty = true;
            for file in list(&day_path)? {
                let ours = file.name.ends_with(".seg") || file.name.ends_with(".new");
                if ours && !file.is_directory && !is_listed(&tenant.name, &day.name, &file.name) {
                    let path = day_path.join(&file.name);
                    disk.remove(&path).map_err(|error| StoreError::io(&path, error))?;
                } else {
                    empty = false;
                }
            }
            if empty {
                disk.remove_directory(&day_path).map_err(|error| StoreError::io(&day_path, error))?;
            }
        }
    }
    Ok(())
}

/// Puts every row of the log that is not in a segment into the heads, within their memory limit. Returns
/// the number and the sequence with which the log goes on.
fn replay(core: &Core, decode: &DecodeRecord) -> Result<(u64, u64), StoreError> {
    let covered = lock(&core.manifest).covered;
    rewrite_last_group(&*core.disk, &core.paths, covered)?;
    let mut visit = |record: LogRecord<'_>| {
        let batch = match decode(record.payload) {
            Ok(batch) => Arc::new(batch),
            Err(reason) => return set_aside(core, &record, &reason),
        };
        let bytes = {
            let manifest = lock(&core.manifest);
            let wanted = |family: &str| !manifest.covers(&batch.tenant, family, record.sequence);
            let parts = split(&batch, record.sequence, &wanted);
            let mut state = core.state();
            state.insert(&batch, record.sequence, parts);
            state.heads.bytes()
        };
        if bytes >= core.options.head_bytes_max {
            match core.cut(CutChoice::LargestDownTo(core.options.head_bytes_max / 2)) {
                // What is there can be read, even from a full volume.
                Err(error) if error.is_full() => tracing::warn!(%error, "replay has no room for segments"),
                outcome => drop(outcome?),
            }
        }
        Ok(())
    };
    let contents = read_log(&*core.disk, &core.paths, covered, &mut visit)?;
    for damage in &contents.damage {
        tracing::error!(path = %damage.file.display(), place = damage.place, "log is damaged");
    }
    core.counters.damaged_log_records.fetch_add(contents.lost_records, Ordering::Relaxed);
    // Should the end of the log be lost: what comes now is not to be taken for what a deletion hides.
    let deleted = core.state().deletions.iter().map(|tombstone| tombstone.sequence).max().unwrap_or_default();
    let next_sequence = contents.next_sequence.max(deleted.saturating_add(1));
    core.state().applied = next_sequence - 1;
    core.log_files.adopt(contents.files.into_iter().map(|file| SealedFile {
        path: file.path,
        bytes: file.bytes,
        end_sequence: file.end_sequence,
    }));
    let covered = lock(&core.manifest).covered;
    core.log_files.release(covered, usize::MAX)?;
    Ok((contents.next_number, next_sequence))
}

/// A record that is intact but means nothing to the application is kept for whoever can read it: the
/// log will be overwritten.
fn set_aside(core: &Core, record: &LogRecord<'_>, reason: &str) -> Result<(), StoreError> {
    let path = core.paths.undecodable(record.sequence);
    let directory = core.paths.undecodable_directory();
    let save = || {
        create_directories(&*core.disk, &directory)?;
        let file = core.disk.create(&path)?;
        file.write_at(record.payload, 0)?;
        file.sync()?;
        core.disk.sync_directory(&directory)
    };
    save().map_err(|error| StoreError::io(&path, error))?;
    tracing::error!(
        file = %record.file.display(), offset = record.offset, sequence = record.sequence,
        reason, kept = %path.display(), "log record cannot be decoded"
    );
    core.counters.damaged_log_records.fetch_add(1, Ordering::Relaxed);
    Ok(())
}
