//! What a path must be so that a server's data can lie there.

use std::fs;
use std::path::Path;

use crate::failure::Failure;

/// Fails unless a folder is there.
pub(crate) fn require(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(not_a_folder(path)),
        Err(error) => Err(Failure::new(format!("cannot read the folder {}: {error}", path.display()))),
    }
}

/// Fails when anything but a folder is there. One that is missing is made when it is needed.
pub(crate) fn require_place_for(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(not_a_folder(path)),
        _ => Ok(()),
    }
}

fn not_a_folder(path: &Path) -> Failure {
    Failure::new(format!("{} is a file; data lies in a folder", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_no_place_for_data_and_a_missing_folder_may_become_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, missing) = (folder.path().join("file"), folder.path().join("missing"));
        fs::write(&file, "").expect("written");
        assert!(require(folder.path()).is_ok() && require_place_for(folder.path()).is_ok());
        assert!(require_place_for(&missing).is_ok());
        for (refused, reason) in [
            (require(&missing), "missing: No such file or directory"),
            (require(&file), "file is a file; data lies in a folder"),
            (require_place_for(&file), "file is a file; data lies in a folder"),
        ] {
            let said = refused.expect_err("refused").to_string();
            assert!(said.contains(reason), "{said}");
        }
    }
}
