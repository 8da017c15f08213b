//! Writes the end of a log again, so that it is on disk before anything builds on it.
//!
//! Bytes whose sync failed are read as if they were there, and need not survive: on Linux their pages count as clean from then
//! on. A process whose sync fails writes no more. So these bytes can only be the last group of the newest file with records, of
//! which nobody was told that it is stored.

use std::ops::Range;

use super::format::{FileHeader, HEADER_BYTES, HeaderState, record_at};
use super::reader::list;
use crate::disk::{Disk, read_all};
use crate::error::StoreError;
use crate::paths::Paths;

/// Makes the last group durable, unless its records are up to `covered` and so in segments. Reads one file.
pub(crate) fn rewrite_last_group(disk: &dyn Disk, paths: &Paths, covered: u64) -> Result<(), StoreError> {
    let newest = list(disk, paths)?.into_iter().rev().find_map(|(number, file)| match file.header {
        HeaderState::Valid(header) if header.number == number => Some((file.path, header)),
        _ => None,
    });
    let Some((path, header)) = newest else { return Ok(()) };
    let rewrite = || {
        let bytes = read_all(disk, &path)?;
        let Some(group) = last_group(&bytes, header, covered) else { return Ok(()) };
        let file = disk.open_for_writing(&path)?;
        file.write_at(bytes.get(group.clone()).unwrap_or_default(), group.start as u64)?;
        file.sync()
    };
    rewrite().map_err(|error| StoreError::io(&path, error))
}

/// Where the last group of a file is, with the file's header if it is the only one.
fn last_group(bytes: &[u8], header: FileHeader, covered: u64) -> Option<Range<usize>> {
    let mut end = HEADER_BYTES;
    let mut last: Option<(u64, usize)> = None;
    let mut sequence = header.first_sequence;
    while let Some(record) =
        bytes.get(end..).and_then(|rest| record_at(rest, header.salt, sequence..sequence + 1))
    {
        last = match last {
            Some((group, start)) if group == record.group => Some((group, start)),
            _ => Some((record.group, end)),
        };
        end += record.size;
        sequence += 1;
    }
    let (_, start) = last.filter(|_| sequence > covered + 1)?;
    Some(if start == HEADER_BYTES { 0..end } else { start..end })
}

#[cfg(test)]
mod tests {
    use super::super::format::put_record;
    use super::*;

    #[test]
    fn the_last_group_is_all_its_records_and_no_others() {
        let header = FileHeader { number: 3, salt: 5, first_sequence: 10 };
        let mut bytes = header.encode();
        put_record(&mut bytes, 5, 10, 10, b"first");
        put_record(&mut bytes, 5, 11, 10, b"of two");
        let end = bytes.len();
        assert_eq!(last_group(&bytes, header, 9), Some(0..end), "the header was not synced before");
        put_record(&mut bytes, 5, 12, 12, b"second");
        put_record(&mut bytes, 5, 13, 12, b"of two");
        assert_eq!(last_group(&bytes, header, 9), Some(end..bytes.len()));
        let whole = bytes.len();
        put_record(&mut bytes, 6, 14, 14, b"of an earlier use of the file");
        assert_eq!(last_group(&bytes, header, 12), Some(end..whole));
        assert_eq!(last_group(&bytes, header, 13), None, "it is in segments");
        assert_eq!(last_group(&header.encode(), header, 9), None);
    }
}
