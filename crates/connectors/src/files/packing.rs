//! Compresses full files, beside whoever writes and reads: the packed file takes the place of the plain one when it is whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::folder::files_in;
use super::name::{FileKind, Packing};
use super::settings::FileCompression;

/// Packs all full files of a folder that are not packed yet. What fails is tried again by the next call.
pub(super) fn pack_all(folder: &Path, compression: FileCompression) -> io::Result<()> {
    let packing = match compression {
        FileCompression::None => return Ok(()),
        FileCompression::Gzip => Packing::Gzip,
        FileCompression::Zstd => Packing::Zstd,
    };
    for file in files_in(folder)? {
        if !matches!(file.kind, FileKind::Full(_, Packing::Plain)) {
            continue;
        }
        match pack(&file.path, packing) {
            // It was too old, and taken away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            packed => packed?,
        }
    }
    Ok(())
}

fn pack(path: &Path, packing: Packing) -> io::Result<()> {
    let mut target = path.as_os_str().to_owned();
    target.push(packing.suffix());
    let target = PathBuf::from(target);
    // Of a name that is no file of ours, until it is whole.
    let half = target.with_extension("part");
    let mut from = File::open(path)?;
    let modified = from.metadata()?.modified()?;
    let to = File::create(&half)?;
    let to = match packing {
        Packing::Zstd => {
            let mut encoder = zstd::Encoder::new(to, 0)?;
            io::copy(&mut from, &mut encoder)?;
            encoder.finish()?
        }
        Packing::Gzip | Packing::Plain => {
            let mut encoder = flate2::write::GzEncoder::new(to, flate2::Compression::default());
            io::copy(&mut from, &mut encoder)?;
            encoder.finish()?
        }
    };
    // Its age is that of its last line.
    to.set_modified(modified)?;
    to.sync_all()?;
    fs::rename(&half, &target)?;
    fs::remove_file(path)
}
