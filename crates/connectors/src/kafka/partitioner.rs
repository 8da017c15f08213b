//! log-go's partitions: the 32-bit FNV-1a of the service, modulo their number.
//!
//! librdkafka's own `fnv1a` takes the hash as signed and drops the sign, as another client does, so it is not used.

use rdkafka::producer::Partitioner as CustomPartitioner;

/// The 32-bit FNV-1a of some bytes.
pub fn fnv1a(bytes: &[u8]) -> u32 {
    const OFFSET: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(PRIME))
}

/// Asked by the producer for the partition of each message.
pub(super) struct Fnv1aPartitioner;

impl CustomPartitioner for Fnv1aPartitioner {
    fn partition(
        &self,
        _topic: &str,
        key: Option<&[u8]>,
        partitions: i32,
        _is_available: impl Fn(i32) -> bool,
    ) -> i32 {
        let count = u32::try_from(partitions).unwrap_or_default().max(1);
        i32::try_from(fnv1a(key.unwrap_or_default()) % count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_published_vectors() {
        for (text, expected) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)] {
            assert_eq!(fnv1a(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_hash_above_the_signed_ones_keeps_its_value() {
        // 0xe40c292c modulo 4 is 0; its absolute value as a signed number, 0x1bf3d6d4, modulo 3 is another than ours.
        let partition = |count| Fnv1aPartitioner.partition("t", Some(b"a"), count, |_| true);
        assert_eq!(partition(4), 0);
        assert_eq!(partition(3), i32::try_from(0xe40c_292c_u32 % 3).expect("small"));
    }
}
