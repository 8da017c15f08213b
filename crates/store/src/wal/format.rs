//! The bytes of log files: headers and records, encoded and checked.

use xxhash_rust::xxh3::Xxh3;

use crate::codec::{Reader, checksum, put_u32, put_u64};

pub(super) const HEADER_BYTES: usize = 64;
pub(super) const RECORD_HEADER_BYTES: usize = 32;
/// Records start at multiples of this.
pub(super) const ALIGNMENT: usize = 8;

const MAGIC: &[u8; 8] = b"TMBRLOG\n";
const VERSION: u32 = 1;

/// What a log file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) number: u64,
    pub(super) salt: u64,
    pub(super) first_sequence: u64,
}

/// What stands at the start of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderState {
    Valid(FileHeader),
    /// Nothing was ever written there.
    Blank,
    /// A header of another version of this format.
    Version(u32),
    Damaged,
}

impl FileHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        put_u32(&mut out, VERSION);
        put_u32(&mut out, 0);
        put_u64(&mut out, self.number);
        put_u64(&mut out, self.salt);
        put_u64(&mut out, self.first_sequence);
        out.resize(HEADER_BYTES - 8, 0);
        let sum = checksum(&out);
        put_u64(&mut out, sum);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> HeaderState {
        let Some(bytes) = bytes.get(..HEADER_BYTES) else {
            return if bytes.is_empty() { HeaderState::Blank } else { HeaderState::Damaged };
        };
        if bytes.iter().all(|byte| *byte == 0) {
            return HeaderState::Blank;
        }
        let (body, sum) = bytes.split_at(HEADER_BYTES - 8);
        if Reader::new(sum).u64() != Ok(checksum(body)) {
            return HeaderState::Damaged;
        }
        let mut reader = Reader::new(body);
        if reader.take(MAGIC.len()) != Ok(MAGIC) {
            return HeaderState::Damaged;
        }
        let (Ok(version), Ok(_), Ok(number), Ok(salt), Ok(first_sequence)) =
            (reader.u32(), reader.u32(), reader.u64(), reader.u64(), reader.u64())
        else {
            return HeaderState::Damaged;
        };
        if version != VERSION {
            return HeaderState::Version(version);
        }
        HeaderState::Valid(Self { number, salt, first_sequence })
    }
}

/// A record whose checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) sequence: u64,
    pub(super) group: u64,
    pub(super) payload: &'a [u8],
    /// Where the next record starts, from this one's start.
    pub(super) size: usize,
}

/// Bytes that a record with a payload of this length takes.
pub(super) fn record_size(payload: usize) -> usize {
    (RECORD_HEADER_BYTES + payload).next_multiple_of(ALIGNMENT)
}

pub(super) fn put_record(out: &mut Vec<u8>, salt: u64, sequence: u64, group: u64, payload: &[u8]) {
    let start = out.len();
    put_u64(out, 0);
    put_u64(out, sequence);
    put_u64(out, group);
    // The queue refuses payloads that do not fit 32 bits.
    put_u32(out, payload.len() as u32);
    put_u32(out, 0);
    let mut hasher = Xxh3::with_seed(salt);
    hasher.update(&out[start + 8..]);
    hasher.update(payload);
    out[start..start + 8].copy_from_slice(&hasher.digest().to_le_bytes());
    out.extend_from_slice(payload);
    out.resize(start + record_size(payload.len()), 0);
}

/// The record at the start of `bytes`, if one with a sequence in `sequences` is there.
pub(super) fn record_at(bytes: &[u8], salt: u64, sequences: std::ops::Range<u64>) -> Option<Record<'_>> {
    let (header, rest) = bytes.split_at_checked(RECORD_HEADER_BYTES)?;
    let mut reader = Reader::new(header);
    let sum = reader.u64().ok()?;
    let sequence = reader.u64().ok()?;
    // The cheap test first: most places that are tried hold no record.
    if !sequences.contains(&sequence) {
        return None;
    }
    let group = reader.u64().ok()?;
    let length = reader.u32().ok()? as usize;
    let payload = rest.get(..length)?;
    let mut hasher = Xxh3::with_seed(salt);
    hasher.update(&header[8..]);
    hasher.update(payload);
    (hasher.digest() == sum).then_some(Record { sequence, group, payload, size: record_size(length) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_any_flipped_bit_is_noticed() {
        let header = FileHeader { number: 7, salt: 0xfeed, first_sequence: 99 };
        let bytes = header.encode();
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(FileHeader::decode(&bytes), HeaderState::Valid(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileHeader::decode(&flipped), HeaderState::Damaged, "bit {bit}");
        }
        assert_eq!(FileHeader::decode(&[0; 100]), HeaderState::Blank);
        assert_eq!(FileHeader::decode(&bytes[..63]), HeaderState::Damaged);
    }

    #[test]
    fn a_record_comes_back_only_under_its_salt_and_whole() {
        let mut bytes = Vec::new();
        put_record(&mut bytes, 5, 10, 9, b"payload");
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        let record = record_at(&bytes, 5, 10..11).expect("valid");
        assert_eq!(record, Record { sequence: 10, group: 9, payload: b"payload", size: bytes.len() });
        assert_eq!(record_at(&bytes, 6, 10..11), None);
        assert_eq!(record_at(&bytes, 5, 11..20), None);
        for bit in 0..(RECORD_HEADER_BYTES + 7) * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(record_at(&flipped, 5, 0..u64::MAX), None, "bit {bit}");
        }
        for length in 0..RECORD_HEADER_BYTES + 7 {
            assert_eq!(record_at(&bytes[..length], 5, 10..11), None);
        }
    }
}
