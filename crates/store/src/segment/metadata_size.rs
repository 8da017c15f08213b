//! How much structured metadata the streams of a group have: pairs, and bytes of distinct texts.
//!
//! That is what Loki's chunks hold of it: names and values once each, and two references a pair.

use std::collections::HashSet;

use timberyard_model::prehashed::Prehashed;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Adds up the texts of a group's streams as rows come.
#[derive(Default)]
pub(super) struct MetadataSizes {
    /// Of stream and text.
    seen: HashSet<u64, Prehashed>,
    /// Of each stream the shape of its last row, and the levels it had.
    streams: Vec<(Option<u32>, u16)>,
}

impl MetadataSizes {
    /// The bytes of texts that a row adds to those of its stream. Rows of one `shape` have the same names; a row's
    /// `level`, if it is numbered, is its value of that name.
    pub(super) fn add<'m>(
        &mut self,
        stream: u32,
        shape: u32,
        level: u8,
        metadata: impl Iterator<Item = (&'m str, &'m [u8])>,
    ) -> u64 {
        let place = stream as usize;
        if place >= self.streams.len() {
            self.streams.resize(place + 1, (None, 0));
        }
        let Some((last_shape, levels)) = self.streams.get_mut(place) else { return 0 };
        let same_names = *last_shape == Some(shape);
        let same_level = level > 0 && *levels >> level & 1 == 1;
        *last_shape = Some(shape);
        *levels |= 1 << level;
        let mut bytes = 0;
        let mut text = |text: &[u8]| {
            if self.seen.insert(xxh3_64_with_seed(text, u64::from(stream))) {
                bytes += text.len() as u64;
            }
        };
        for (name, value) in metadata {
            if !same_names {
                text(name.as_bytes());
            }
            if !(same_level && name == timberyard_model::level::DETECTED_LEVEL) {
                text(value);
            }
        }
        bytes
    }

    /// Says that shapes are numbered anew.
    pub(super) fn forget_shapes(&mut self) {
        self.streams.iter_mut().for_each(|(shape, _)| *shape = None);
    }
}
