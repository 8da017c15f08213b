//! Waits until something changes: in folders (inotify), on a wake-up from another thread, or until a time.
//!
//! Where the system cannot tell of changes (no inotify, too many watches), folders are looked through in turns instead.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify;

/// The most events that are told one by one; of more, everything is looked at.
const EVENTS_MAX: usize = 4096;

/// What has changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Files that were written to.
    pub(crate) written: HashSet<PathBuf>,
    /// Whether files came, went, or were renamed.
    pub(crate) names: bool,
    /// Whether changes were missed.
    pub(crate) missed: bool,
}

/// Watches folders.
pub(crate) struct Watch {
    inotify: Option<OwnedFd>,
    wake: Arc<OwnedFd>,
    folders: HashMap<PathBuf, i32>,
    paths: HashMap<i32, PathBuf>,
    /// Whether every folder is watched.
    complete: bool,
}

/// Wakes a watch that waits.
#[derive(Clone)]
pub(crate) struct Waker(Arc<OwnedFd>);

impl Waker {
    pub(crate) fn wake(&self) {
        // It fails only when it is awake already.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

impl Watch {
    pub(crate) fn new() -> std::io::Result<Self> {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let inotify = inotify::init(flags)
            .inspect_err(|error| tracing::warn!(%error, "no inotify: files are looked at in turns"))
            .ok();
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let complete = inotify.is_some();
        Ok(Self { inotify, wake, folders: HashMap::new(), paths: HashMap::new(), complete })
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.wake))
    }

    /// Whether all folders tell of their changes.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Watches just these folders from now on. Returns whether one is new: what happened in it before is not told.
    pub(crate) fn watch(&mut self, folders: &HashSet<PathBuf>) -> bool {
        let Some(inotify) = &self.inotify else { return false };
        let gone: Vec<PathBuf> =
            self.folders.keys().filter(|path| !folders.contains(*path)).cloned().collect();
        for path in gone {
            if let Some(number) = self.folders.remove(&path) {
                self.paths.remove(&number);
                // A folder that was removed takes its watch with it.
                let _ = inotify::remove_watch(inotify, number);
            }
        }
        use inotify::WatchFlags as Flags;
        let flags = Flags::CREATE
            | Flags::DELETE
            | Flags::MODIFY
            | Flags::MOVED_FROM
            | Flags::MOVED_TO
            | Flags::DELETE_SELF
            | Flags::MOVE_SELF;
        let (mut new, mut complete) = (false, true);
        for path in folders {
            if self.folders.contains_key(path) {
                continue;
            }
            match inotify::add_watch(inotify, path, flags) {
                Ok(number) => {
                    self.folders.insert(path.clone(), number);
                    self.paths.insert(number, path.clone());
                    new = true;
                }
                Err(error) => {
                    tracing::debug!(folder = %path.display(), %error, "folder cannot be watched");
                    complete = false;
                }
            }
        }
        self.complete = complete;
        new
    }

    /// Waits for changes, at most so long.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Changes {
        let mut changes = Changes::default();
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let wake = PollFd::new(&*self.wake, PollFlags::IN);
        let outcome = match &self.inotify {
            Some(inotify) => poll(&mut [wake, PollFd::new(inotify, PollFlags::IN)], Some(&timeout)),
            None => poll(&mut [wake], Some(&timeout)),
        };
        if outcome.is_err() {
            // Interrupted: the next turn looks again.
            return changes;
        }
        // Nothing to be read is no wake-up.
        let _ = rustix::io::read(&*self.wake, &mut [0u8; 8]);
        self.read(&mut changes);
        changes
    }

    fn read(&mut self, changes: &mut Changes) {
        use inotify::ReadFlags as Flags;
        let Some(inotify) = &self.inotify else { return };
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(inotify.as_fd(), &mut buffer);
        let mut gone = Vec::new();
        for _ in 0..EVENTS_MAX {
            let Ok(event) = reader.next() else { break };
            let flags = event.events();
            if flags.contains(Flags::QUEUE_OVERFLOW) {
                changes.missed = true;
                continue;
            }
            if flags.intersects(Flags::IGNORED | Flags::DELETE_SELF | Flags::MOVE_SELF) {
                gone.push(event.wd());
                changes.names = true;
                continue;
            }
            if !flags.contains(Flags::MODIFY) {
                changes.names = true;
            }
            let folder: Option<&Path> = self.paths.get(&event.wd()).map(PathBuf::as_path);
            if let (Some(folder), Some(name)) = (folder, event.file_name()) {
                changes.written.insert(folder.join(OsStr::from_bytes(name.to_bytes())));
            }
        }
        for number in gone {
            if let Some(path) = self.paths.remove(&number) {
                self.folders.remove(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_a_folder_and_wake_ups_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut watch = Watch::new().expect("made");
        assert!(watch.watch(&HashSet::from([folder.path().to_owned()])));
        assert!(!watch.watch(&HashSet::from([folder.path().to_owned()])));
        let path = folder.path().join("a.log");
        std::fs::write(&path, "x").expect("written");
        let changes = watch.wait(Duration::from_secs(10));
        assert!(changes.names && changes.written.contains(&path), "{changes:?}");
        watch.waker().wake();
        let begun = std::time::Instant::now();
        watch.wait(Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
