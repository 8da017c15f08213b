//! Remembers over restarts which labels were demoted to structured metadata.
//!
//! A text file in the data directory, one `TENANT LABEL` a line, appended and synced before the first batch without the
//! label is stored. Neither part can hold a space. A line that a crash left half written is passed over.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use timberyard_model::TenantId;
use timberyard_model::labels::is_label_name;

use crate::whole_file;

/// Its name in the data directory.
const NAME: &str = "demoted-labels";

/// The file of one data directory.
#[derive(Clone, Debug)]
pub(crate) struct DemotedLabelsFile(PathBuf);

impl DemotedLabelsFile {
    /// The file in this data directory; it need not be there.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self(data_dir.join(NAME))
    }

    /// What it holds; nothing when it is not there.
    pub(crate) fn read(&self) -> io::Result<Vec<(TenantId, Box<str>)>> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let entry = |line: &str| {
            let (tenant, name) = line.split_once(' ')?;
            Some((TenantId::new(tenant).ok()?, is_label_name(name).then(|| name.into())?))
        };
        Ok(text.lines().filter_map(entry).collect())
    }

    /// Adds a label, durably.
    pub(crate) fn add(&self, tenant: &TenantId, name: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        file.write_all(format!("{tenant} {name}\n").as_bytes())?;
        file.sync_all()?;
        self.0.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// Copies it beside a copy of the store.
    pub(crate) fn copy_to(&self, data_dir: &Path) -> io::Result<()> {
        whole_file::copy(&self.0, &data_dir.join(NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_read_again_and_half_a_line_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = DemotedLabelsFile::new(folder.path());
        assert_eq!(file.read().expect("absent is empty"), []);
        file.add(&TenantId::default(), "user_id").expect("written");
        file.add(&TenantId::default(), "pod").expect("written");
        std::fs::write(&file.0, [&std::fs::read(&file.0).expect("there")[..], b"defau"].concat())
            .expect("written");
        let names: Vec<_> = file.read().expect("read").into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["user_id".into(), "pod".into()]);
    }
}
