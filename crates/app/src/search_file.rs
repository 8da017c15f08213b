//! The searches that people saved: `saved-searches` in the data directory. docs/format/saved-searches.md draws it.

use std::io;
use std::path::{Path, PathBuf};

use timberyard_server::ui::saved_searches::SavedSearchFile;

use crate::whole_file;

/// Its name in the data directory.
const NAME: &str = "saved-searches";

/// The file of one data directory.
#[derive(Clone, Debug)]
pub(crate) struct DirectorySearchFile(PathBuf);

impl DirectorySearchFile {
    /// The file in this data directory; it need not be there.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self(data_dir.join(NAME))
    }

    /// Copies it beside a copy of the store.
    pub(crate) fn copy_to(&self, data_dir: &Path) -> io::Result<()> {
        whole_file::copy(&self.0, &data_dir.join(NAME))
    }
}

impl SavedSearchFile for DirectorySearchFile {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        whole_file::read(&self.0)
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        whole_file::replace(&self.0, bytes)
    }
}
