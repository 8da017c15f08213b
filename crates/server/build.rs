//! Makes a table of the built page's files (`ui/dist/page`), for `src/ui.rs` to include. Where the page was not built, the table is empty.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let built = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?)
        .join("../../ui/dist");
    // The folder is always there, so that a page that is built later counts.
    println!("cargo:rerun-if-changed={}", built.display());
    let mut files = Vec::new();
    find_files(&built.join("page"), &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        if is_compressed(file) {
            continue;
        }
        let name = file.strip_prefix(built.join("page")).map_err(io::Error::other)?;
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "    PageFile {{ path: {:?}, etag: {:?}, plain: include_bytes!({:?}), gzip: {}, brotli: {} }},",
            name,
            format!("\"{:016x}\"", digest(&fs::read(file)?)),
            file.canonicalize()?,
            beside(file, "gz")?,
            beside(file, "br")?,
        );
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    fs::write(out.join("page_files.rs"), table)
}

fn find_files(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => find_files(&entry.path(), files)?,
            false => files.push(entry.path()),
        }
    }
    Ok(())
}

fn is_compressed(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "gz" || extension == "br")
}

/// The same file in another encoding, as an expression.
fn beside(file: &Path, extension: &str) -> io::Result<String> {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    let compressed = PathBuf::from(name);
    match compressed.exists() {
        true => Ok(format!("Some(include_bytes!({:?}))", compressed.canonicalize()?)),
        false => Ok("None".to_owned()),
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
