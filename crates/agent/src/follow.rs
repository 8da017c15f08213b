//! Which log lies in which file: found again after renaming, copying and truncating, compressing, and reuse of inodes.
//!
//! A file is known by device and inode as long as it begins as its log does. A file that is not known is a log of its own, unless it is
//! what another one was rotated to: then it may hold a log that has lost its file, and the rest of it is read there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::batch::Batch;
use crate::checkpoint::SavedLog;
use crate::content::Content;
use crate::discover::{Candidate, Finder, Found};
use crate::fingerprint::{FINGERPRINT_BYTES_MAX, Fingerprint};
use crate::log_file::Log;
use crate::metrics::AgentMetrics;
use crate::reading::Reading;
use crate::settings::Start;

const SECOND: i64 = 1_000_000_000;
/// How long a rotated file is left alone since it was written last: it may be the copy of another one that is not complete.
const BEING_COPIED: i64 = SECOND;
/// How long a file that was removed or rotated is kept open after its last byte.
const QUIET: i64 = 5 * SECOND;
/// How far the clock of a file system may be behind: it ticks every few milliseconds only.
const CLOCKS_APART: i64 = 2 * SECOND;
/// How long logs are remembered whose files are gone: 7 days, and this many.
const REMEMBERED: i64 = 7 * 86_400 * SECOND;
const REMEMBERED_MAX: usize = 10_000;

/// Device, inode, bytes, and time of the last change.
type FileKey = (u64, u64, u64, i64);

/// All logs.
pub(crate) struct Follow {
    pub(crate) logs: BTreeMap<u64, Log>,
    finders: Vec<Finder>,
    pub(crate) readings: Vec<Reading>,
    starts: Vec<Start>,
    /// Files in which there is nothing to be read.
    nothing_in: HashSet<FileKey>,
    /// Files that were empty.
    empty: HashSet<PathBuf>,
    paths: HashMap<PathBuf, u64>,
    pub(crate) folders: HashSet<PathBuf>,
    /// Rotated files that were last written before are not read, unless a pattern names them.
    since: i64,
    /// Everything that was written last before is known or left alone; only a look moves it.
    pub(crate) seen_until: i64,
    /// The oldest file that the look put off.
    put_off: Option<i64>,
    first_look: bool,
    /// When to look again, since something was not complete.
    pub(crate) look_again_at: Option<i64>,
}

impl Follow {
    /// `since` is when the agent looked last, or now when it never did.
    pub(crate) fn new(
        finders: Vec<Finder>,
        readings: Vec<Reading>,
        starts: Vec<Start>,
        saved: &[SavedLog],
        since: i64,
    ) -> Self {
        let first_look = saved.is_empty();
        let logs = saved.iter().map(|saved| (saved.id, Log::of(saved, 0))).collect();
        Self {
            logs,
            finders,
            readings,
            starts,
            nothing_in: HashSet::new(),
            empty: HashSet::new(),
            paths: HashMap::new(),
            folders: HashSet::new(),
            since: since.saturating_sub(CLOCKS_APART),
            seen_until: since,
            put_off: None,
            first_look,
            look_again_at: None,
        }
    }

    /// Whether a path was empty at the last look.
    pub(crate) fn was_empty(&self, path: &Path) -> bool {
        self.empty.contains(path)
    }

    /// The log that lies in a path now.
    pub(crate) fn at_path(&mut self, path: &Path) -> Option<&mut Log> {
        self.logs.get_mut(self.paths.get(path)?)
    }

    /// Looks through all folders. Returns whether logs were added, which must be written down before anything of them is sent.
    pub(crate) fn look(&mut self, batch: &mut Batch, metrics: &AgentMetrics, now: i64) -> bool {
        let mut found = Found::default();
        self.finders.iter().for_each(|finder| finder.find(&mut found));
        if found.too_many {
            tracing::error!(limit = crate::discover::FILES_MAX, "there are more files than are followed");
        }
        self.folders = found.folders.into_iter().collect();
        self.look_again_at = None;
        self.put_off = None;
        let mut seen = HashSet::new();
        self.empty =
            found.files.iter().filter(|file| file.bytes == 0).map(|file| file.path.clone()).collect();
        found.files.retain(|file| file.bytes > 0 && seen.insert((file.device, file.inode)));
        let here: HashSet<FileKey> = found.files.iter().map(key_of).collect();
        self.nothing_in.retain(|known| here.contains(known));
        let by_inode: HashMap<(u64, u64), u64> = self
            .logs
            .values()
            .filter(|log| log.inode != 0)
            .map(|log| ((log.device, log.inode), log.id))
            .collect();
        let mut unknown = Vec::new();
        for file in found.files {
            let known = by_inode.get(&(file.device, file.inode)).copied();
            match known.filter(|id| self.is_still(*id, &file, batch, metrics, now)) {
                Some(id) => self.see(id, &file, now),
                None => unknown.push(file),
            }
        }
        self.close_what_is_gone(&seen, batch, metrics, now);
        let mut added = false;
        // What others were rotated to comes first: it is the older text.
        unknown.sort_by_key(|file| (!file.is_rotated(), file.modified));
        for file in unknown {
            added |= self.identify(&file, now);
        }
        self.seen_until = self.since.max(self.put_off.map_or(now, |modified| modified.min(now)));
        self.first_look = false;
        self.forget(now);
        let here = || self.logs.values().filter(|log| log.inode != 0);
        // The system tells of changes where a file lies, not where a link to it does.
        let places = here().map(|log| (log.place.clone().unwrap_or_else(|| log.path.clone()), log.id));
        self.paths = places.collect();
        let linked = here().filter_map(|log| log.place.as_ref()?.parent().map(Path::to_owned));
        self.folders.extend(linked);
        metrics.files.set(self.paths.len() as u64);
        added
    }

    /// Whether the file still holds the log; if not, the log has lost it.
    fn is_still(
        &mut self,
        id: u64,
        file: &Candidate,
        batch: &mut Batch,
        metrics: &AgentMetrics,
        now: i64,
    ) -> bool {
        let Some(log) = self.logs.get_mut(&id) else { return false };
        let Some(reading) = self.readings.get(file.target) else { return false };
        log.target = file.target;
        let packed = crate::content::Packing::of(&file.path) != crate::content::Packing::Plain;
        let mut still = packed || file.bytes >= log.next;
        if still && log.content.is_none() {
            let head = Content::open(&file.path).and_then(|mut content| content.head());
            still = head.is_ok_and(|head| log.fingerprint.matches(&head));
        }
        if !still {
            if log.content.is_some() {
                metrics.truncations.add(1);
            }
            log.lose(reading, batch, now);
        }
        still
    }

    /// Notes that the log's file is there, and opens it when there is something to read.
    fn see(&mut self, id: u64, file: &Candidate, now: i64) {
        let Some(log) = self.logs.get_mut(&id) else { return };
        log.seen_nanos = now;
        if log.path != file.path || log.content.is_none() {
            log.path.clone_from(&file.path);
            log.place = place_of(&file.path);
        }
        log.rotated = file.is_rotated();
        let more = match &log.packed_done {
            Some(bytes) => *bytes != file.bytes,
            None => {
                crate::content::Packing::of(&file.path) != crate::content::Packing::Plain
                    || file.bytes > log.next
            }
        };
        if log.content.is_none() && (more || !log.rotated) {
            log.content = open(&file.path, (file.device, file.inode));
            let next = log.emitted;
            log.go_to(next);
        }
        log.dirty |= more;
    }

    /// Closes files that were removed, or rotated and are quiet.
    fn close_what_is_gone(
        &mut self,
        seen: &HashSet<(u64, u64)>,
        batch: &mut Batch,
        metrics: &AgentMetrics,
        now: i64,
    ) {
        for log in self.logs.values_mut().filter(|log| log.inode != 0) {
            let here = seen.contains(&(log.device, log.inode));
            if !here && log.content.is_none() {
                (log.device, log.inode) = (0, 0);
                continue;
            }
            if (here && !log.rotated) || log.content.is_none() {
                continue;
            }
            if !here {
                // It is read to its end, though it has no name any more.
                log.dirty = true;
            }
            let Some(reading) = self.readings.get(log.target) else { continue };
            let quiet = now.saturating_sub(log.read_nanos) >= QUIET;
            if !quiet || log.dirty && here {
                self.look_again_at = Some(now + QUIET);
                continue;
            }
            log.finish(reading, batch, metrics, now);
            if log.is_settled() {
                log.content = None;
                if !here {
                    (log.device, log.inode) = (0, 0);
                }
            } else {
                self.look_again_at = Some(now + SECOND);
            }
        }
    }

    /// Finds out what lies in a file that is not known. Returns whether it is a log of its own.
    fn identify(&mut self, file: &Candidate, now: i64) -> bool {
        let key = key_of(file);
        if self.nothing_in.contains(&key) {
            return false;
        }
        let put_off = |follow: &mut Self| {
            follow.put_off = Some(follow.put_off.map_or(file.modified, |other| other.min(file.modified)));
            false
        };
        let later = |follow: &mut Self| {
            follow.look_again_at = Some(now + SECOND / 2);
            put_off(follow)
        };
        // One that was renamed since the folder was read is met again under its new name.
        let Some(mut content) = open(&file.path, (file.device, file.inode)) else { return put_off(self) };
        let Ok(head) = content.head() else { return put_off(self) };
        if head.is_empty() {
            return if content.is_packed() { later(self) } else { false };
        }
        if file.is_rotated() || content.is_packed() {
            let fresh = now.saturating_sub(file.modified) < BEING_COPIED;
            let matching = self
                .logs
                .values_mut()
                .filter(|log| log.base == file.base || log.path == file.base)
                .filter_map(|log| log.begins_like(&head).then_some(log))
                .max_by_key(|log| (log.fingerprint.bytes, log.inode == 0, log.seen_nanos))
                .map(|log| log.id);
            if let Some(log) = matching.and_then(|id| self.logs.get_mut(&id)) {
                if log.inode != 0 {
                    // Its own file is still there, so this is a copy; it is needed when that one is cut to nothing.
                    return put_off(self);
                }
                if fresh {
                    return later(self);
                }
                if !content.is_packed() && file.bytes <= log.emitted {
                    self.nothing_in.insert(key);
                    return false;
                }
                let place = log.emitted;
                log.go_to(place);
                (log.device, log.inode) = (file.device, file.inode);
                log.path.clone_from(&file.path);
                (log.content, log.rotated, log.seen_nanos, log.read_nanos) = (Some(content), true, now, now);
                log.target = file.target;
                return false;
            }
            if fresh && (head.len() < FINGERPRINT_BYTES_MAX || content.is_packed()) {
                return later(self);
            }
            if !file.named && file.modified < self.since {
                self.nothing_in.insert(key);
                return false;
            }
        }
        self.add(file, content, &head, now);
        true
    }

    fn add(&mut self, file: &Candidate, content: Content, head: &[u8], now: i64) {
        let from_end = self.first_look && self.starts.get(file.target) == Some(&Start::End);
        let stored = if from_end && !content.is_packed() { file.bytes } else { 0 };
        let fingerprint = Fingerprint::of(head);
        let saved = SavedLog {
            id: fastrand::u64(1..),
            base: file.base.clone(),
            path: file.path.clone(),
            device: file.device,
            inode: file.inode,
            head_bytes: fingerprint.bytes,
            head_hash: fingerprint.hash,
            stored,
            seen_nanos: now,
        };
        let mut log = Log::of(&saved, file.target);
        log.content = Some(content);
        log.place = place_of(&file.path);
        log.rotated = file.is_rotated();
        log.dirty = true;
        self.logs.insert(log.id, log);
    }

    fn forget(&mut self, now: i64) {
        let gone = |log: &Log| log.inode == 0 && log.is_settled();
        self.logs.retain(|_, log| !gone(log) || now.saturating_sub(log.seen_nanos) < REMEMBERED);
        let mut old: Vec<(i64, u64)> =
            self.logs.values().filter(|log| gone(log)).map(|log| (log.seen_nanos, log.id)).collect();
        if old.len() > REMEMBERED_MAX {
            old.sort_unstable();
            let surplus = old.len() - REMEMBERED_MAX;
            old.iter().take(surplus).for_each(|(_, id)| drop(self.logs.remove(id)));
        }
    }
}

/// What is known of a file while it is not changed.
fn key_of(file: &Candidate) -> FileKey {
    (file.device, file.inode, file.bytes, file.modified)
}

/// Where a file lies that a link names.
fn place_of(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok().filter(|place| place != path)
}

/// Opens a path, if it is still this file.
fn open(path: &Path, (device, inode): (u64, u64)) -> Option<Content> {
    let content = Content::open(path).inspect_err(|error| {
        tracing::warn!(file = %path.display(), %error, "file cannot be read");
    });
    let content = content.ok()?;
    let identity = content.identity().ok()?;
    ((identity.0, identity.1) == (device, inode)).then_some(content)
}
