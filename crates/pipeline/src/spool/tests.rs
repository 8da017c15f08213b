//! A spool in a folder, and what it is filled with in tests.

use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::RecordLimits;
use timberyard_model::{BatchBuilder, Labels, TenantId, Timestamp};

use super::*;

/// A codec that keeps the lines of a batch, and nothing else.
pub(crate) struct Texts;

impl BatchCodec for Texts {
    fn encode(&self, batch: &LogBatch) -> Vec<u8> {
        let lines: Vec<&[u8]> = batch.rows.iter().map(|row| row.line()).collect();
        lines.join(&b'\n')
    }

    fn decode(&self, bytes: &[u8]) -> Result<LogBatch, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        Ok(lines(&text.split('\n').collect::<Vec<_>>()))
    }
}

/// A batch of lines.
pub(crate) fn lines(lines: &[&str]) -> LogBatch {
    let (now, limits) = (Timestamp::from_nanos(1), RecordLimits::default());
    let mut batch = BatchBuilder::new(TenantId::default(), now, EqualEntries::Keep, &limits);
    let stream = batch.stream(&Labels::from_pairs([("app", "api")]));
    for line in lines {
        batch.push(stream, now, line.as_bytes(), &[]).expect("within limits");
    }
    batch.finish()
}

fn take(spool: &Spool) -> Option<Vec<u8>> {
    let record = spool.oldest().expect("readable")?;
    spool.delivered(&record).expect("moved on");
    Some(record.payload)
}

#[test]
fn records_come_out_as_they_went_in_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    assert!(spool.is_empty() && spool.oldest().expect("readable").is_none());
    for number in 0..10u8 {
        spool.append(&[number; 9], 7, number % 2 == 0).expect("room");
    }
    assert_eq!(spool.oldest().expect("readable").expect("first").at_seconds, 7);
    for number in 0..4u8 {
        assert_eq!(take(&spool), Some(vec![number; 9]));
    }
    drop(spool);
    let spool = Spool::open(folder.path(), 1 << 20).expect("opened again");
    for number in 4..10u8 {
        assert_eq!(take(&spool), Some(vec![number; 9]));
    }
    assert!(spool.is_empty());
    spool.append(b"more", 8, true).expect("room");
    assert_eq!(take(&spool), Some(b"more".to_vec()));
}

#[test]
fn files_that_were_delivered_are_removed_and_a_full_spool_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::open(folder.path(), 3 * FILE_BYTES_MAX).expect("opened");
    let record = vec![1; 1 << 20];
    let mut taken = 0;
    let full = loop {
        match spool.append(&record, 0, false) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SpoolError::Full { .. }), "{full}");
    assert_eq!(numbers_in(folder.path()).expect("read").len(), 3);
    for _ in 0..20 {
        take(&spool).expect("is there");
    }
    assert_eq!(numbers_in(folder.path()).expect("read"), [2, 3]);
    spool.append(&record, 0, false).expect("has room again");
    for _ in 20..=taken {
        take(&spool).expect("is there");
    }
    assert!(spool.is_empty());
    assert!(spool.held_bytes() < FILE_BYTES_MAX);
}

#[test]
fn what_was_half_written_is_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    spool.append(b"whole", 0, true).expect("room");
    drop(spool);
    let path = path_of(folder.path(), 1);
    let mut bytes = fs::read(&path).expect("read");
    let half = frame::framed(b"half of this is missing", 0);
    bytes.extend_from_slice(&half[..half.len() / 2]);
    fs::write(&path, bytes).expect("written");
    let spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    spool.append(b"after", 0, false).expect("room");
    assert_eq!(take(&spool), Some(b"whole".to_vec()));
    assert_eq!(take(&spool), Some(b"after".to_vec()));
    assert_eq!(take(&spool), None);
}

#[test]
fn what_may_not_be_on_the_disk_hides_nothing_that_was_promised_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    spool.append(b"its sync failed", 0, false).expect("room");
    drop(spool);
    let spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    spool.append(b"promised", 0, true).expect("room");
    drop(spool);
    let path = path_of(folder.path(), 1);
    let zeros = vec![0; fs::read(&path).expect("read").len()];
    fs::write(&path, zeros).expect("written");
    let spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    assert!(spool.oldest().is_err(), "it is told");
    assert_eq!(take(&spool), Some(b"promised".to_vec()));
}

#[test]
fn after_a_failed_sync_nothing_is_promised_until_it_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    spool.append(b"before", 0, true).expect("room");
    spool.state().has_failed_sync = true;
    let refused = spool.append(b"after", 0, true).expect_err("not promised").to_string();
    assert!(refused.contains("restart to write again"), "{refused}");
    assert_eq!(take(&spool), Some(b"before".to_vec()), "what is there goes on");
    drop(spool);
    Spool::open(folder.path(), 1 << 20).expect("opened").append(b"after", 0, true).expect("room");
}

#[test]
fn a_file_that_cannot_be_read_now_is_not_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    spool.append(b"kept", 0, true).expect("room");
    let (path, aside) = (path_of(folder.path(), 1), folder.path().join("aside"));
    fs::rename(&path, &aside).expect("moved away");
    assert!(spool.oldest().is_err() && spool.oldest().is_err());
    fs::rename(&aside, &path).expect("moved back");
    assert_eq!(take(&spool), Some(b"kept".to_vec()));
}

#[test]
fn what_comes_after_a_cut_of_power_is_not_taken_for_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    spool.append(b"delivered, and never on the disk", 0, false).expect("room");
    take(&spool).expect("is there");
    drop(spool);
    File::options().write(true).open(path_of(folder.path(), 1)).expect("opened").set_len(0).expect("cut");
    let spool = Spool::open(folder.path(), 1 << 20).expect("opened again");
    assert!(spool.is_empty());
    spool.append(b"new", 0, false).expect("room");
    assert_eq!(take(&spool), Some(b"new".to_vec()));
}

#[test]
fn a_damaged_record_is_told_once_and_the_next_file_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::open(folder.path(), 4 * FILE_BYTES_MAX).expect("opened");
    let big = vec![3; FILE_BYTES_MAX as usize];
    spool.append(&big, 0, false).expect("room");
    spool.append(b"in the second file", 0, false).expect("room");
    let path = path_of(folder.path(), 1);
    let mut bytes = fs::read(&path).expect("read");
    bytes[100] ^= 1;
    fs::write(&path, bytes).expect("written");
    let error = spool.oldest().expect_err("damaged").to_string();
    assert!(error.contains("000000000001.spool is damaged at byte 0"), "{error}");
    assert_eq!(take(&spool), Some(b"in the second file".to_vec()));
}
