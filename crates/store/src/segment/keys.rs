//! Unique keys of a segment: a filter that answers most questions, sorted pages that answer the rest.
//!
//! In memory are the filter and one entry a page, about 12 bits for a key as long as a UUID; a page is read only when the
//! filter says the key may be there.

use timberyard_model::batch::UniqueKey;
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};
use xxhash_rust::xxh3::xxh3_64;

use crate::codec::{Malformed, Reader, checksum, put_bytes, put_u64, put_varint};

/// A page is cut once it has this many bytes.
const PAGE_BYTES: usize = 4096;

/// The hash by which keys are sorted and filtered. Part of the format.
pub(crate) fn key_hash(key: &str) -> u64 {
    xxh3_64(key.as_bytes())
}

/// Collects the keys of one segment.
#[derive(Default)]
pub(super) struct KeysBuilder {
    keys: Vec<(u64, Box<str>)>,
}

impl KeysBuilder {
    pub(super) fn push(&mut self, key: &UniqueKey) {
        self.push_text(&key.key);
    }

    pub(super) fn push_text(&mut self, key: &str) {
        self.keys.push((key_hash(key), key.into()));
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key index and the pages that follow it.
    pub(super) fn encode(mut self) -> (Vec<u8>, Vec<u8>) {
        self.keys.sort_unstable();
        self.keys.dedup();
        let mut pages = Vec::new();
        let mut entries = Vec::new();
        let mut start = 0;
        let mut first_hash = 0;
        let mut last_hash = None;
        let mut count = 0u64;
        let mut close = |pages: &[u8], start: usize, first_hash: u64| {
            if let Some(page) = pages.get(start..).filter(|page| !page.is_empty()) {
                put_u64(&mut entries, first_hash);
                put_varint(&mut entries, page.len() as u64);
                put_u64(&mut entries, checksum(page));
                count += 1;
            }
        };
        for (hash, key) in &self.keys {
            // Equal hashes stay together, so that one page answers.
            if pages.len() - start >= PAGE_BYTES && last_hash != Some(*hash) {
                close(&pages, start, first_hash);
                start = pages.len();
            }
            if pages.len() == start {
                first_hash = *hash;
            }
            put_u64(&mut pages, *hash);
            put_bytes(&mut pages, key.as_bytes());
            last_hash = Some(*hash);
        }
        close(&pages, start, first_hash);
        let mut index = Vec::new();
        put_varint(&mut index, self.keys.len() as u64);
        put_bytes(&mut index, &self.filter());
        put_varint(&mut index, count);
        index.extend_from_slice(&entries);
        (index, pages)
    }

    /// Empty when no filter can be built: then every key may be there.
    fn filter(&self) -> Vec<u8> {
        let mut hashes: Vec<u64> = self.keys.iter().map(|(hash, _)| *hash).collect();
        hashes.dedup();
        let Ok(filter) = BinaryFuse8::try_from(&hashes) else { return Vec::new() };
        let mut out = vec![0; BinaryFuse8::DESCRIPTOR_LEN];
        filter.dma_copy_descriptor_to(&mut out);
        out.extend_from_slice(filter.dma_fingerprints());
        out
    }
}

/// What is in memory of a segment's keys.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    filter: Vec<u8>,
    pages: Vec<KeyPage>,
}

/// One page of keys in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyPage {
    first_hash: u64,
    /// From the first page.
    pub(super) offset: u64,
    pub(super) length: u32,
    checksum: u64,
}

impl KeyIndex {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.varint()?;
        let filter = reader.bytes()?.to_vec();
        if !filter.is_empty() {
            check_filter(&filter)?;
        }
        let count = reader.count()?;
        let mut pages = Vec::with_capacity(count);
        let mut offset = 0u64;
        for _ in 0..count {
            let first_hash = reader.u64()?;
            let length = reader.varint_u32()?;
            pages.push(KeyPage { first_hash, offset, length, checksum: reader.u64()? });
            offset += u64::from(length);
        }
        reader.end()?;
        Ok(Self { filter, pages })
    }

    /// The page that may hold a key of this hash.
    pub(super) fn page_of(&self, hash: u64) -> Option<KeyPage> {
        if let Some((descriptor, fingerprints)) = self.filter.split_at_checked(BinaryFuse8::DESCRIPTOR_LEN)
            && !BinaryFuse8Ref::from_dma(descriptor, fingerprints).contains(&hash)
        {
            return None;
        }
        let after = self.pages.partition_point(|page| page.first_hash <= hash);
        self.pages.get(after.checked_sub(1)?).copied()
    }

    pub(super) fn pages(&self) -> &[KeyPage] {
        &self.pages
    }
}

/// Looking something up must stay inside the fingerprints whatever the descriptor says.
fn check_filter(filter: &[u8]) -> Result<(), Malformed> {
    let broken = Malformed("key filter does not hold");
    let (descriptor, fingerprints) = filter.split_at_checked(BinaryFuse8::DESCRIPTOR_LEN).ok_or(broken)?;
    let mut reader = Reader::new(descriptor);
    reader.u64()?;
    let (length, mask, count_length) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let holds = length.is_power_of_two()
        && mask == length - 1
        && count_length % length == 0
        && u64::from(count_length) + 2 * u64::from(length) <= fingerprints.len() as u64
        && fingerprints.len() as u64 <= u64::from(u32::MAX);
    if holds { Ok(()) } else { Err(broken) }
}

impl KeyPage {
    /// The keys of the page, after its checksum was compared.
    pub(super) fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Vec<(u64, &'a str)>, Malformed> {
        if bytes.len() != self.length as usize || checksum(bytes) != self.checksum {
            return Err(Malformed("checksum of a page of keys does not hold"));
        }
        let mut reader = Reader::new(bytes);
        let mut keys = Vec::new();
        while !reader.is_empty() {
            keys.push((reader.u64()?, reader.text()?));
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(count: usize) -> (KeyIndex, Vec<u8>) {
        let mut builder = KeysBuilder::default();
        for number in 0..count {
            builder.push_text(&format!("event-{number}"));
        }
        let (index, pages) = builder.encode();
        (KeyIndex::decode(&index).expect("decodes"), pages)
    }

    fn contains(index: &KeyIndex, pages: &[u8], key: &str) -> bool {
        let hash = key_hash(key);
        let Some(page) = index.page_of(hash) else { return false };
        let bytes = &pages[page.offset as usize..][..page.length as usize];
        page.decode(bytes).expect("holds").contains(&(hash, key))
    }

    #[test]
    fn every_key_is_found_and_no_other() {
        for count in [1, 2, 3, 10, 1000, 20_000] {
            let (index, pages) = built(count);
            for number in 0..count {
                assert!(contains(&index, &pages, &format!("event-{number}")), "{number} of {count}");
            }
            let mut asked = 0;
            for number in 0..2000 {
                let other = format!("other-{number}");
                assert!(!contains(&index, &pages, &other));
                asked += usize::from(index.page_of(key_hash(&other)).is_some());
            }
            assert!(asked < 60, "the filter lets {asked} of 2000 through");
        }
    }

    #[test]
    fn a_filter_that_points_outside_is_refused() {
        let mut builder = KeysBuilder::default();
        builder.push_text("one");
        let (index, _) = builder.encode();
        for place in 0..index.len() {
            let mut broken = index.clone();
            broken[place] ^= 0x40;
            if let Ok(index) = KeyIndex::decode(&broken) {
                // Wrong answers are the checksum's business, staying inside is this one's.
                for number in 0..100u64 {
                    index.page_of(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                }
            }
        }
    }
}
