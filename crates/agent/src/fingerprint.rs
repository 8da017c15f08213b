//! What a file is known by when its name and inode say nothing: a hash of its first bytes.

use xxhash_rust::xxh3::xxh3_64;

/// The most bytes that are hashed.
pub(crate) const FINGERPRINT_BYTES_MAX: usize = 1024;

/// A hash of the first bytes of a log; it grows with a log that is shorter than [`FINGERPRINT_BYTES_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) bytes: u16,
    pub(crate) hash: u64,
}

impl Fingerprint {
    /// Of a beginning, all of it up to the limit.
    pub(crate) fn of(head: &[u8]) -> Self {
        let head = head.get(..FINGERPRINT_BYTES_MAX).unwrap_or(head);
        Self { bytes: head.len() as u16, hash: xxh3_64(head) }
    }

    /// Whether something that begins so may be this log.
    pub(crate) fn matches(&self, head: &[u8]) -> bool {
        self.bytes > 0 && head.get(..usize::from(self.bytes)).is_some_and(|head| xxh3_64(head) == self.hash)
    }

    /// Whether it stands for as many bytes as one can.
    pub(crate) fn is_full(&self) -> bool {
        usize::from(self.bytes) == FINGERPRINT_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_known_again_when_the_rest_has_grown() {
        let short = Fingerprint::of(b"first line\n");
        assert!(short.matches(b"first line\nsecond"));
        assert!(!short.matches(b"first") && !short.matches(b"other line\nsecond"));
        assert!(!Fingerprint::default().matches(b"anything"));
        let long = vec![b'x'; 5000];
        assert!(Fingerprint::of(&long).is_full() && !short.is_full());
        assert!(Fingerprint::of(&long).matches(&long));
    }
}
