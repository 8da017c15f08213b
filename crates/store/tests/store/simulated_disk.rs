//! A disk that keeps nothing it was not told to sync, tears what it was writing, fails, and fills up.
//!
//! Everything follows from a seed. A crash keeps any part, by sectors, of what was written to a file
//! since its last sync, and any number of the first changes to a directory since its.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use timberyard_store::disk::{DirectoryEntry, Disk, DiskFile, LockHolder, LockOutcome};

const SECTOR: usize = 512;

/// Numbers that only look random.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// From this change on the machine is off.
    PowerFailsAt(u64),
    /// This change fails with an input/output error; what a failed sync covered is lost.
    FailsAt(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(u64),
    Directory,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, Node),
    Remove(String),
    Rename(String, String, Node),
}

#[derive(Default)]
struct Directory {
    durable: BTreeMap<String, Node>,
    visible: BTreeMap<String, Node>,
    pending: Vec<NameChange>,
}

#[derive(Default)]
struct Contents {
    durable: Vec<u8>,
    visible: Vec<u8>,
    /// Where something was written since the last sync.
    pending: Vec<(usize, Vec<u8>)>,
}

struct State {
    files: HashMap<u64, Contents>,
    directories: BTreeMap<PathBuf, Directory>,
    next_file: u64,
    changes: u64,
    fault: Option<Fault>,
    off: bool,
    capacity: u64,
    random: Random,
    locked: bool,
}

/// The disk. Clones share it.
#[derive(Clone)]
pub(crate) struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

struct SimulatedFile {
    disk: SimulatedDisk,
    file: u64,
}

struct Unlock(SimulatedDisk);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

impl SimulatedDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            files: HashMap::new(),
            directories: BTreeMap::from([(PathBuf::from("/"), Directory::default())]),
            next_file: 1,
            changes: 0,
            fault: None,
            off: false,
            capacity: u64::MAX,
            random: Random::new(seed),
            locked: false,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.state().used()
    }

    /// Changes made so far.
    pub(crate) fn changes(&self) -> u64 {
        self.state().changes
    }

    /// The power comes back: what was not synced is there in part.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        let state = &mut *state;
        (state.off, state.fault, state.locked) = (false, None, false);
        let random = &mut state.random;
        for contents in state.files.values_mut() {
            let keep_percent = [0, 50, 100, 90][random.below(4)];
            for (offset, bytes) in std::mem::take(&mut contents.pending) {
                let mut start = offset;
                let end = offset + bytes.len();
                while start < end {
                    let sector_end = ((start / SECTOR + 1) * SECTOR).min(end);
                    if random.chance(keep_percent) {
                        if contents.durable.len() < sector_end {
                            contents.durable.resize(sector_end, 0);
                        }
                        contents.durable[start..sector_end]
                            .copy_from_slice(&bytes[start - offset..sector_end - offset]);
                    }
                    start = sector_end;
                }
            }
            contents.visible.clone_from(&contents.durable);
        }
        for directory in state.directories.values_mut() {
            let kept = random.below(directory.pending.len() + 1);
            for change in std::mem::take(&mut directory.pending).into_iter().take(kept) {
                apply(&mut directory.durable, change);
            }
            directory.visible.clone_from(&directory.durable);
        }
        // A directory is empty when it is removed; it is back where that was not kept.
        let named: Vec<PathBuf> = state
            .directories
            .iter()
            .flat_map(|(path, directory)| {
                let named = directory.durable.iter().filter(|(_, node)| **node == Node::Directory);
                named.map(|(name, _)| path.join(name))
            })
            .collect();
        for path in named {
            state.directories.entry(path).or_default();
        }
        let lost: HashSet<PathBuf> =
            state.directories.keys().filter(|path| !state.reachable(path)).cloned().collect();
        state.directories.retain(|path, _| !lost.contains(path));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply(names: &mut BTreeMap<String, Node>, change: NameChange) {
    match change {
        NameChange::Set(name, node) => {
            names.insert(name, node);
        }
        NameChange::Remove(name) => {
            names.remove(&name);
        }
        NameChange::Rename(from, to, node) => {
            names.remove(&from);
            names.insert(to, node);
        }
    }
}

fn split(path: &Path) -> io::Result<(PathBuf, String)> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok((parent.to_owned(), name.to_owned()))
}

fn power_is_off() -> io::Error {
    io::Error::other("power is off")
}

impl State {
    fn reachable(&self, path: &Path) -> bool {
        let Ok((parent, name)) = split(path) else { return true };
        let named = self.directories.get(&parent).and_then(|parent| parent.durable.get(&name));
        named == Some(&Node::Directory) && self.reachable(&parent)
    }

    fn alive(&self) -> io::Result<()> {
        if self.off { Err(power_is_off()) } else { Ok(()) }
    }

    /// Counts a change, and fails if it is the one that fails.
    fn change(&mut self) -> io::Result<()> {
        self.alive()?;
        self.changes += 1;
        match self.fault {
            Some(Fault::PowerFailsAt(change)) if self.changes >= change => {
                self.off = true;
                Err(power_is_off())
            }
            Some(Fault::FailsAt(change)) if self.changes == change => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    }

    fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directories.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name(&mut self, path: &Path, change: NameChange) -> io::Result<()> {
        let (parent, _) = split(path)?;
        let directory = self.directory(&parent)?;
        apply(&mut directory.visible, change.clone());
        directory.pending.push(change);
        Ok(())
    }

    fn file(&mut self, path: &Path) -> io::Result<u64> {
        let (parent, name) = split(path)?;
        match self.directory(&parent)?.visible.get(&name) {
            Some(Node::File(file)) => Ok(*file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn used(&self) -> u64 {
        let names = self.directories.values().flat_map(|directory| directory.visible.values());
        let files: HashSet<u64> = names
            .filter_map(|node| match node {
                Node::File(file) => Some(*file),
                Node::Directory => None,
            })
            .collect();
        files.iter().filter_map(|file| self.files.get(file)).map(|file| file.visible.len() as u64).sum()
    }

    fn grow(&mut self, file: u64, length: usize) -> io::Result<()> {
        let before = self.files.get(&file).map_or(0, |contents| contents.visible.len());
        if length > before && self.used() + (length - before) as u64 > self.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.change()?;
        let (_, name) = split(path)?;
        let file = state.next_file;
        state.next_file += 1;
        state.files.insert(file, Contents::default());
        state.name(path, NameChange::Set(name, Node::File(file)))?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.alive()?;
        let file = state.file(path)?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn open_for_writing(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let file = state.file(from)?;
        let ((from_parent, from_name), (to_parent, to_name)) = (split(from)?, split(to)?);
        assert_eq!(from_parent, to_parent, "the store renames within a directory only");
        state.name(to, NameChange::Rename(from_name, to_name, Node::File(file)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        state.file(path)?;
        let (_, name) = split(path)?;
        state.name(path, NameChange::Remove(name))
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        if !state.directory(path)?.visible.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (_, name) = split(path)?;
        state.name(path, NameChange::Remove(name))?;
        state.directories.remove(path);
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let file = state.file(from)?;
        let (_, name) = split(to)?;
        state.name(to, NameChange::Set(name, Node::File(file)))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        if state.directories.contains_key(path) {
            return Ok(());
        }
        let (_, name) = split(path)?;
        state.name(path, NameChange::Set(name, Node::Directory))?;
        state.directories.insert(path.to_owned(), Directory::default());
        Ok(())
    }

    fn is_directory(&self, path: &Path) -> bool {
        self.state().directories.contains_key(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut state = self.state();
        state.alive()?;
        let names = &state.directory(path)?.visible;
        let entry = |(name, node): (&String, &Node)| DirectoryEntry {
            name: name.clone(),
            is_directory: *node == Node::Directory,
        };
        Ok(names.iter().map(entry).collect())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.change();
        let directory = state.directory(path)?;
        if outcome.is_ok() {
            directory.durable.clone_from(&directory.visible);
            directory.pending.clear();
        }
        outcome
    }

    fn sync_volume(&self, _path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.change();
        let failed_here = outcome.is_err() && !state.off;
        for contents in state.files.values_mut() {
            if outcome.is_ok() {
                contents.durable.clone_from(&contents.visible);
            }
            // As after a failed sync of one file: nobody tries again what was not written.
            if outcome.is_ok() || failed_here {
                contents.pending.clear();
            }
        }
        if outcome.is_ok() {
            for directory in state.directories.values_mut() {
                directory.durable.clone_from(&directory.visible);
                directory.pending.clear();
            }
        }
        outcome
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.state();
        state.alive()?;
        Ok(state.capacity.saturating_sub(state.used()))
    }

    fn lock(&self, _path: &Path) -> io::Result<LockOutcome> {
        let mut state = self.state();
        state.alive()?;
        if state.locked {
            return Ok(LockOutcome::Held(LockHolder { process: None }));
        }
        state.locked = true;
        Ok(LockOutcome::Taken(Box::new(Unlock(self.clone())) as Box<dyn Any + Send + Sync>))
    }

    fn lock_holder(&self, _path: &Path) -> io::Result<Option<LockHolder>> {
        Ok(self.state().locked.then_some(LockHolder { process: None }))
    }

    fn random(&self) -> u64 {
        self.state().random.next()
    }
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        state.alive()?;
        let contents = state.files.get(&self.file).ok_or(io::ErrorKind::NotFound)?;
        let bytes = contents.visible.get(offset as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change()?;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        state.grow(self.file, end)?;
        let contents = state.files.get_mut(&self.file).ok_or(io::ErrorKind::NotFound)?;
        if contents.visible.len() < end {
            contents.visible.resize(end, 0);
        }
        contents.visible[start..end].copy_from_slice(bytes);
        contents.pending.push((start, bytes.to_vec()));
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change()?;
        state.grow(self.file, bytes as usize)?;
        let contents = state.files.get_mut(&self.file).ok_or(io::ErrorKind::NotFound)?;
        let length = contents.visible.len().max(bytes as usize);
        let zeros = vec![0; length - contents.visible.len()];
        contents.pending.push((contents.visible.len(), zeros));
        contents.visible.resize(length, 0);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.alive()?;
        Ok(state.files.get(&self.file).ok_or(io::ErrorKind::NotFound)?.visible.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.change();
        let failed_here = outcome.is_err() && !state.off;
        let contents = state.files.get_mut(&self.file).ok_or(io::ErrorKind::NotFound)?;
        match &outcome {
            Ok(()) => {
                contents.durable.clone_from(&contents.visible);
                contents.pending.clear();
            }
            // As on Linux: the pages are clean afterwards, and a second sync would say all is well.
            Err(_) if failed_here => contents.pending.clear(),
            Err(_) => {}
        }
        outcome
    }
}
