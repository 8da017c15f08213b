//! Damage at many places of every kind of file: it is named, it costs what is in its file at most, and the rest is served.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_store::{Store, verify};

use crate::batches::{DAY, NOW, batch_of, files, lines, open_real};
use crate::harness::{append, decoder, small_options};

/// Rows of a segment, and rows that only the log has.
const ROWS: i64 = 40;
const DAYS: i64 = 3;

/// A store that was killed: a segment a day, rows in the log, a manifest.
fn killed_store(directory: &Path) -> BTreeSet<String> {
    let store = open_real(directory);
    let mut all = BTreeSet::new();
    for day in 0..DAYS {
        let texts: Vec<String> = (0..ROWS).map(|row| format!("day {day} row {row} {}", row * 7919)).collect();
        let rows: Vec<(&str, i64, &str)> =
            texts.iter().zip(0..).map(|(text, row)| ("api", NOW + day * DAY + row, text.as_str())).collect();
        append(&store, &Arc::new(batch_of(&rows, EqualEntries::Keep))).expect("appended");
        store.flush().expect("flushed");
        all.extend(texts);
    }
    for row in 0..ROWS {
        let text = format!("log row {row} {}", row * 7919);
        let batch = batch_of(&[("api", NOW + row, &text)], EqualEntries::Keep);
        append(&store, &Arc::new(batch)).expect("appended");
        all.insert(text);
    }
    all
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// What damage at one place came to.
struct Outcome {
    lost: usize,
    is_named: bool,
}

fn damage(original: &Path, file: &Path, at: usize, mask: u8, all: &BTreeSet<String>) -> Outcome {
    let folder = tempfile::tempdir().expect("a directory");
    copy(original, folder.path());
    let damaged = folder.path().join(file.strip_prefix(original).expect("below it"));
    let mut bytes = fs::read(&damaged).expect("read");
    bytes[at] ^= mask;
    fs::write(&damaged, &bytes).expect("written");
    let place = format!("{} byte {at} mask {mask:#x}", file.display());
    let report = verify(folder.path()).expect("verified");
    assert!(report.damage.iter().all(|damage| damage.file == damaged), "{place}: {:?}", report.damage);
    let is_named = !report.damage.is_empty();
    let is_manifest = damaged.ends_with("manifest");
    match Store::open(folder.path(), small_options(), decoder()) {
        Ok(store) => {
            let found: BTreeSet<String> = lines(&store).into_iter().collect();
            let invented: Vec<_> = found.difference(all).collect();
            assert!(invented.is_empty(), "{place}: {invented:?}");
            let lost: Vec<_> = all.difference(&found).collect();
            // Damage in the last record of a log looks like a write that a crash cut off, which was never acknowledged.
            let last = format!("log row {} ", ROWS - 1);
            let is_like_cut_off = lost.len() == 1 && lost.iter().all(|line| line.starts_with(&last));
            let may_be_unnamed = lost.is_empty() || is_like_cut_off;
            assert!(may_be_unnamed || is_named, "{place}: {lost:?} are gone, and verify names nothing");
            assert!(!is_manifest || !is_named, "{place}: what a manifest says is not guessed");
            // What is lost lay in the file: the rows of one day, or rows that only the log had.
            let places: BTreeSet<&str> =
                lost.iter().map(|line| line.split(" row").next().unwrap_or("")).collect();
            assert!(places.len() <= 1, "{place}: {lost:?}");
            let is_log = damaged.extension().is_some_and(|extension| extension == "wal");
            assert!(lost.is_empty() || is_log == places.contains("log"), "{place}: {lost:?}");
            let after = batch_of(&[("api", NOW, "after")], EqualEntries::Keep);
            append(&store, &Arc::new(after)).expect("writing goes on");
            Outcome { lost: lost.len(), is_named }
        }
        Err(error) => {
            assert!(is_manifest && error.to_string().contains("manifest"), "{place}: {error}");
            Outcome { lost: 0, is_named }
        }
    }
}

#[test]
fn damage_anywhere_in_any_kind_of_file_is_named_and_costs_no_other_file() {
    let places = if std::env::var_os("TIMBERYARD_TORTURE").is_some() { 1000 } else { 25 };
    let folder = tempfile::tempdir().expect("a directory");
    let all = killed_store(folder.path());
    let kinds: [(&str, Vec<PathBuf>); 3] = [
        ("manifest", vec![folder.path().join("manifest")]),
        ("segment", files(folder.path(), "seg")),
        ("log", files(folder.path(), "wal")),
    ];
    let mut random = fastrand::Rng::with_seed(6);
    for (kind, paths) in kinds {
        assert!(!paths.is_empty(), "there is a {kind}");
        let (mut tried, mut named, mut lost_most) = (0, 0, 0);
        for path in &paths {
            let bytes = fs::read(path).expect("read");
            // Before the room that a log keeps ahead of itself.
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            for _ in 0..places {
                let at = random.usize(..used);
                let outcome = damage(folder.path(), path, at, random.u8(1..), &all);
                tried += 1;
                named += usize::from(outcome.is_named);
                lost_most = lost_most.max(outcome.lost);
            }
        }
        println!(
            "figure: damage at {tried} places of files of the kind {kind}: {named} named by verify, the others cost nothing \
             (or the last record of a log); at most {lost_most} rows lost by one"
        );
        // Of the log's records those count that are in no segment.
        let named_least = if kind == "log" { tried / 10 } else { tried * 8 / 10 };
        assert!(named >= named_least, "{kind}: only {named} of {tried} are named");
    }
}
