//! Memory for what is read and decompressed, kept for the next block: to get megabytes from the system and to give them
//! back for each block costs as much as to decompress it.
//!
//! What is kept is bounded for the whole process: [`KEPT_BYTES_MAX`] in at most [`KEPT_MAX`] buffers.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::rows::arena_capacity;

/// Smaller buffers are as cheap from the allocator.
const LARGE_BYTES: usize = 64 << 10;
/// How many large buffers are kept.
const KEPT_MAX: usize = 24;
/// How much they may take together.
const KEPT_BYTES_MAX: usize = 12 << 20;

static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Bytes whose memory is kept when they are let go of.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    /// An empty one with room for so many bytes.
    pub fn with_room(len: usize) -> Self {
        let mut bytes = taken(len);
        bytes.clear();
        bytes.reserve(len);
        Self { bytes }
    }

    /// So many bytes, whatever they are, for someone who writes all of them.
    pub fn of_len(len: usize) -> Self {
        let mut bytes = taken(len);
        if bytes.capacity() < len {
            // In few sizes, so that what is kept of one body fits the next.
            bytes.reserve_exact(arena_capacity(len) - bytes.len());
        }
        bytes.resize(len, 0);
        Self { bytes }
    }

    /// The bytes, whose memory is kept only if they come back as a buffer.
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

fn kept() -> MutexGuard<'static, Vec<Vec<u8>>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A kept buffer with room for so many bytes and whatever is in it; an empty one when there is none.
fn taken(len: usize) -> Vec<u8> {
    if len < LARGE_BYTES {
        return Vec::new();
    }
    let mut kept = kept();
    let fits = kept.iter().enumerate().filter(|(_, bytes)| bytes.capacity() >= len);
    let place = fits.min_by_key(|(_, bytes)| bytes.capacity()).map(|(place, _)| place);
    place.map(|place| kept.swap_remove(place)).unwrap_or_default()
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if !(LARGE_BYTES..=KEPT_BYTES_MAX).contains(&bytes.capacity()) {
            return;
        }
        let mut kept = kept();
        kept.push(bytes);
        // The smallest goes first: another of its size costs least.
        while kept.len() > KEPT_MAX || kept.iter().map(Vec::capacity).sum::<usize>() > KEPT_BYTES_MAX {
            let Some(place) = (0..kept.len()).min_by_key(|place| kept[*place].capacity()) else { break };
            kept.swap_remove(place);
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_within_its_bounds() {
        let buffers: Vec<Buffer> = (1..60).map(|i| Buffer::of_len(i * LARGE_BYTES)).collect();
        drop(buffers);
        drop(Buffer::of_len(2 * KEPT_BYTES_MAX));
        let kept = kept();
        assert!(kept.len() <= KEPT_MAX);
        assert!(kept.iter().map(Vec::capacity).sum::<usize>() <= KEPT_BYTES_MAX);
    }

    #[test]
    fn a_buffer_has_the_length_that_was_asked_for_whatever_it_held_before() {
        for len in [0, 1, LARGE_BYTES, 5 * LARGE_BYTES, 3 * LARGE_BYTES, LARGE_BYTES + 1] {
            let mut buffer = Buffer::of_len(len);
            assert_eq!(buffer.len(), len);
            buffer.bytes_mut().fill(7);
            let empty = Buffer::with_room(len);
            assert!(empty.is_empty() && empty.bytes.capacity() >= len);
        }
    }
}
