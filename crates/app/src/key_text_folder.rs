//! Where keys that are rotated by interval are handed over: a folder with one file a key, which holds its newest text.
//!
//! A text is written beside its place and synced before its key is good, and renamed to its place as soon as it is: whoever
//! reads the file finds a key that is good, whenever the server stops. A file is readable by the server's user only, unless
//! an operator has given the one before it another mode, which is kept.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use timberyard_server::auth::{KeyError, Secret};

/// The folder of a server (`auth.rotated_keys_dir`).
#[derive(Clone, Debug)]
pub(crate) struct KeyTextFolder(PathBuf);

impl KeyTextFolder {
    /// A folder that need not be there yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where the text of a key lies. Names of keys that are rotated by interval are names of files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// No key's name begins with a dot.
    fn beside(&self, name: &str) -> PathBuf {
        self.0.join(format!(".{name}.next"))
    }

    /// Writes a text beside its place, where there is a folder for it.
    pub(crate) fn prepare_in(texts: Option<&Self>, name: &str, text: &Secret) -> Result<(), KeyError> {
        let texts = texts.ok_or(KeyError::NoPlaceForTexts)?;
        texts.prepare(name, text).map_err(|error| texts.failed(name, &error))
    }

    /// Puts what was prepared in its place, where there is a folder for it.
    pub(crate) fn publish_in(texts: Option<&Self>, name: &str) -> Result<(), KeyError> {
        let texts = texts.ok_or(KeyError::NoPlaceForTexts)?;
        texts.publish(name).map_err(|error| texts.failed(name, &error))
    }

    fn failed(&self, name: &str, error: &io::Error) -> KeyError {
        KeyError::File(format!("{}: {error}", self.path(name).display()))
    }

    /// Writes a text beside its place.
    pub(crate) fn prepare(&self, name: &str, text: &Secret) -> io::Result<()> {
        if !self.0.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        }
        let mode = fs::metadata(self.path(name)).map_or(0o600, |file| file.permissions().mode() & 0o777);
        let beside = self.beside(name);
        // What a crash has left there may have another mode.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.reveal().as_bytes())?;
        file.sync_all()?;
        File::open(&self.0)?.sync_all()
    }

    /// Puts what was prepared in its place.
    pub(crate) fn publish(&self, name: &str) -> io::Result<()> {
        fs::rename(self.beside(name), self.path(name))?;
        File::open(&self.0)?.sync_all()
    }

    /// What was prepared and not published.
    pub(crate) fn prepared(&self, name: &str) -> Option<Secret> {
        fs::read_to_string(self.beside(name)).ok().map(|text| Secret::new(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_its_place_as_a_whole_and_keeps_the_mode_that_an_operator_gave_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let texts = KeyTextFolder::new(&folder.path().join("rotated"));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        texts.prepare("web", &Secret::new("first")).expect("written");
        assert!(!texts.path("web").exists());
        assert_eq!(texts.prepared("web").expect("prepared").reveal(), "first");
        texts.publish("web").expect("renamed");
        assert!(texts.prepared("web").is_none());
        assert_eq!((mode(&texts.path("web")), mode(&texts.0)), (0o600, 0o700));
        fs::set_permissions(texts.path("web"), fs::Permissions::from_mode(0o640)).expect("changed");
        texts.prepare("web", &Secret::new("never published")).expect("written");
        texts.prepare("web", &Secret::new("second")).expect("written over");
        texts.publish("web").expect("renamed");
        assert_eq!(fs::read_to_string(texts.path("web")).expect("read"), "second");
        assert_eq!(mode(&texts.path("web")), 0o640);
    }
}
