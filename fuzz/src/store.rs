//! The store's files: a data directory with some bytes of one file replaced is verified, which reads every log, manifest and
//! segment to its end, and finds damage or none.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, mpsc};

use timberyard_logql::LogqlConditions;
use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::RecordLimits;
use timberyard_model::{BatchBuilder, IngestRecord, Labels, TenantId, Timestamp};
use timberyard_store::{Interpreters, Store, StoreOptions, verify};
use timberyard_wire::log_record;

/// The newest committed data directory, relative to this crate.
const FIXTURE: &str = "../crates/store/tests/fixtures/formats-8";

struct Directory {
    folder: tempfile::TempDir,
    files: Vec<(PathBuf, Vec<u8>)>,
}

static DIRECTORY: LazyLock<Directory> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut files = Vec::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE), folder.path());
    append_to_log(folder.path());
    list(folder.path(), &mut files);
    files.sort();
    Directory { folder, files }
});

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a fixture") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => fs::copy(&path, &target).map(drop).expect("copied"),
        }
    }
}

/// Some rows that no segment has: they stay in the log.
fn append_to_log(folder: &Path) {
    let decode = Arc::new(|payload: &[u8]| log_record::decode(payload).map_err(|error| error.to_string()));
    let interpreters = Interpreters { decode, conditions: Arc::new(LogqlConditions) };
    let store = Store::open(folder, StoreOptions::default(), interpreters).expect("opened");
    let now = Timestamp::from_nanos(1_795_168_800_000_000_000);
    let limits = RecordLimits::default();
    let mut batch = BatchBuilder::new(TenantId::default(), now, EqualEntries::Keep, &limits);
    let stream = batch.stream(&Labels::from_pairs([("service_name", "shop")]));
    for number in 0..20 {
        batch.push(stream, now, format!("order {number} paid").as_bytes(), &[]).expect("within limits");
    }
    let record = IngestRecord::from(batch.finish());
    let payload = log_record::encode(&record);
    let (done, stored) = mpsc::channel();
    store.append(record.batch, payload, move |result| done.send(result.is_ok()).expect("waited for"));
    assert!(stored.recv().expect("an answer"));
}

fn list(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => list(&path, files),
            false => files.push((path.clone(), fs::read(&path).expect("a file"))),
        }
    }
}

/// One byte says which file, four where, the rest what stands there instead.
pub fn damage(input: &[u8]) {
    let [file, a, b, c, d, replacement @ ..] = input else { return };
    let Directory { folder, files } = &*DIRECTORY;
    let (path, intact) = &files[usize::from(*file) % files.len()];
    let mut bytes = intact.clone();
    let at = u32::from_le_bytes([*a, *b, *c, *d]) as usize % (bytes.len() + 1);
    let end = (at + replacement.len()).min(bytes.len());
    bytes.splice(at..end, replacement.iter().copied());
    fs::write(path, &bytes).expect("written");
    // Damage is an error of the report or of the call; neither is a panic.
    let _ = verify(folder.path());
    fs::write(path, intact).expect("written");
}
