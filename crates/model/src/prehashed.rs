//! Maps by keys that are hashes already.

use std::hash::{BuildHasherDefault, Hasher};

/// For keys that are good hashes already, or, as labels, hash as one number.
pub type Prehashed = BuildHasherDefault<Identity>;

/// The key itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        // Only u64 keys are ever hashed.
        debug_assert!(false);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
