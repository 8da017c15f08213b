//! Which files there are: those that patterns name, and those that they were rotated to.
//!
//! `app.log.1`, `app.log-20261121.gz` are what became of `app.log`: their names begin with its name, then `.` or `-`. They are looked
//! at, so that nothing is lost of a file that was rotated twice between two looks, or while the agent was away.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use crate::settings::{SettingsError, TargetSettings};

/// The most files that are followed.
pub(crate) const FILES_MAX: usize = 20_000;
/// The deepest folder below the fixed part of a pattern.
const DEPTH_MAX: usize = 32;

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    pub(crate) target: usize,
    /// The path whose rotated form this is; its own where it is none.
    pub(crate) base: PathBuf,
    /// Whether a pattern names it.
    pub(crate) named: bool,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) bytes: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub(crate) modified: i64,
}

impl Candidate {
    /// Whether it is what became of another one.
    pub(crate) fn is_rotated(&self) -> bool {
        self.base != self.path
    }
}

/// Looks for the files of one target.
pub(crate) struct Finder {
    target: usize,
    root: PathBuf,
    depth: usize,
    pattern: GlobMatcher,
    exclude: GlobSet,
}

/// What a look found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<Candidate>,
    /// Folders that were looked into.
    pub(crate) folders: Vec<PathBuf>,
    /// Whether there were more files than are followed.
    pub(crate) too_many: bool,
}

impl Finder {
    pub(crate) fn new(target: usize, settings: &TargetSettings) -> Result<Self, SettingsError> {
        let refuse = |key: &str, error: &dyn std::fmt::Display| SettingsError::Value {
            key: format!("targets[{target}].{key}"),
            reason: error.to_string(),
        };
        let absolute = |text: &str| {
            std::path::absolute(text)
                .map(|path| path.to_string_lossy().into_owned())
                .unwrap_or_else(|_| text.to_owned())
        };
        let glob = |key: &str, text: &str| {
            GlobBuilder::new(text).literal_separator(true).build().map_err(|error| refuse(key, &error))
        };
        let text = absolute(&settings.path);
        let pattern = glob("path", &text)?.compile_matcher();
        let mut exclude = GlobSetBuilder::new();
        for text in &settings.exclude {
            // A bare name is meant wherever it stands.
            let text = if text.contains('/') { absolute(text) } else { format!("**/{text}") };
            exclude.add(glob("exclude", &text)?);
        }
        let exclude = exclude.build().map_err(|error| refuse("exclude", &error))?;
        let components: Vec<Component<'_>> = Path::new(&text).components().collect();
        let is_plain = |component: &&Component<'_>| {
            !component.as_os_str().to_string_lossy().contains(['*', '?', '[', '{'])
        };
        let fixed = components.iter().take_while(is_plain).count().min(components.len().saturating_sub(1));
        let root: PathBuf = components.iter().take(fixed).collect();
        let depth = if text.contains("**") { DEPTH_MAX } else { components.len() - fixed };
        Ok(Self { target, root, depth, pattern, exclude })
    }

    /// Looks through the folders.
    pub(crate) fn find(&self, found: &mut Found) {
        self.walk(&self.root, self.depth, found);
    }

    fn walk(&self, folder: &Path, depth: usize, found: &mut Found) {
        if depth == 0 {
            return;
        }
        // A folder that is not there, or may not be read, holds nothing now.
        let Ok(entries) = fs::read_dir(folder) else { return };
        found.folders.push(folder.to_owned());
        let mut files: BTreeMap<String, (PathBuf, fs::Metadata, bool)> = BTreeMap::new();
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                self.walk(&path, depth - 1, found);
                continue;
            }
            if self.exclude.is_match(&path) {
                continue;
            }
            let named = self.pattern.is_match(&path);
            // Following a link is a look of its own, so only for what is named.
            let metadata = if named { fs::metadata(&path) } else { entry.metadata() };
            let Ok(metadata) = metadata else { continue };
            if let (true, Some(name)) = (metadata.is_file(), path.file_name()) {
                files.insert(name.to_string_lossy().into_owned(), (path, metadata, named));
            }
        }
        for (name, (path, metadata, named)) in &files {
            let base = shorter_names(name).find_map(|shorter| {
                let (path, _, named) = files.get(shorter)?;
                named.then_some(path)
            });
            // What a fixed path was rotated to, while the next file is not there yet.
            let base = base.cloned().or_else(|| {
                shorter_names(name)
                    .map(|shorter| folder.join(shorter))
                    .find(|path| self.pattern.is_match(path))
            });
            if !named && base.is_none() {
                continue;
            }
            if found.files.len() == FILES_MAX {
                found.too_many = true;
                return;
            }
            let modified =
                metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
            found.files.push(Candidate {
                path: path.clone(),
                target: self.target,
                base: base.unwrap_or_else(|| path.clone()),
                named: *named,
                device: metadata.dev(),
                inode: metadata.ino(),
                bytes: metadata.len(),
                modified,
            });
        }
    }
}

/// The names that a name may have been rotated from, the shortest first.
fn shorter_names(name: &str) -> impl Iterator<Item = &str> {
    let ends = name.char_indices().skip(1).filter(|(_, character)| matches!(character, '.' | '-'));
    ends.filter_map(|(end, _)| name.get(..end)).filter(|shorter| shorter.contains('.') || shorter.len() > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str, exclude: &[&str]) -> Vec<(String, bool, String)> {
        let exclude: Vec<String> = exclude.iter().map(|text| format!("{text:?}")).collect();
        let text = format!("{{path: {path:?}, exclude: [{}]}}", exclude.join(","));
        let settings: TargetSettings = serde_saphyr::from_str(&text).expect("valid");
        let mut found = Found::default();
        Finder::new(0, &settings).expect("valid").find(&mut found);
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        let mut files: Vec<_> =
            found.files.iter().map(|file| (name(&file.path), file.named, name(&file.base))).collect();
        files.sort();
        files
    }

    #[test]
    fn patterns_name_files_and_what_they_were_rotated_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("deep/er")).expect("made");
        for name in ["a.log", "a.log.1", "a.log-2.gz", "b.txt", "deep/c.log", "deep/er/d.log", "skip.log"] {
            fs::write(at(name), "x").expect("written");
        }
        let text = |name: &str| at(name).to_string_lossy().into_owned();
        let is = |name: &str, named: bool, base: &str| (name.to_owned(), named, base.to_owned());
        assert_eq!(
            find(&text("*.log"), &["skip.*"]),
            [is("a.log", true, "a.log"), is("a.log-2.gz", false, "a.log"), is("a.log.1", false, "a.log")]
        );
        assert_eq!(find(&text("**/*.log"), &["skip.*", "a.*"]).len(), 2);
        assert_eq!(find(&text("*/c.log"), &[]), [is("c.log", true, "c.log")]);
        fs::remove_file(at("a.log")).expect("removed");
        assert_eq!(find(&text("a.log"), &[]).len(), 2, "rotated, and the next one is not there yet");
        assert_eq!(find(&text("b.txt"), &[]), [is("b.txt", true, "b.txt")]);
        assert!(find("/nowhere/*.log", &[]).is_empty());
    }
}
