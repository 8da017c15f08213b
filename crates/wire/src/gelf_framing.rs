//! Messages of GELF out of packets and out of a stream.
//!
//! A packet holds a message, compressed by gzip or zlib or not at all, or one part of at most 128. Parts wait for the others
//! for five seconds; how many messages and bytes may wait is bounded, and the oldest go first. In a stream a zero ends each
//! message. A message over the limit is refused; it is never held whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use timberyard_model::Timestamp;
use timberyard_model::time::NANOS_PER_SECOND;

use crate::compression::{Compression, inflate};
use crate::error::DecodeError;

/// What every part of a message begins with.
const PART_MAGIC: [u8; 2] = [0x1e, 0x0f];
/// Bytes before the data of a part: magic, id, number, count.
const PART_HEADER_BYTES: usize = 12;
/// The most parts of a message.
const PARTS_MAX: u8 = 128;
/// How long parts wait for the others.
const WAIT_NANOS_MAX: i64 = 5 * NANOS_PER_SECOND;
/// The most messages and bytes of parts that wait.
const WAITING_MAX: usize = 4096;
const WAITING_BYTES_MAX: usize = 16 << 20;
/// The longest message, inflated.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Puts the parts of messages together.
#[derive(Debug)]
pub struct GelfPackets {
    waiting: HashMap<(Option<IpAddr>, [u8; 8]), Parts>,
    bytes: usize,
    /// Messages of which not all parts came.
    lost: u64,
    /// When it was last seen who waits for too long.
    looked_at: Timestamp,
}

impl Default for GelfPackets {
    fn default() -> Self {
        Self { waiting: HashMap::new(), bytes: 0, lost: 0, looked_at: Timestamp::MIN }
    }
}

#[derive(Debug)]
struct Parts {
    since: Timestamp,
    bytes: usize,
    missing: u8,
    parts: Vec<Option<Box<[u8]>>>,
}

impl GelfPackets {
    /// Takes a packet; gives the message that is whole with it, if one is.
    ///
    /// # Errors
    /// The packet, or the message it completes, is not what it should be.
    pub fn take<'p>(
        &mut self,
        packet: &'p [u8],
        peer: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Option<Cow<'p, [u8]>>, DecodeError> {
        let Some(part) = packet.strip_prefix(&PART_MAGIC) else {
            return inflated(packet).map(Some);
        };
        let Some((id, [number, count, data @ ..])) = part.split_first_chunk::<8>() else {
            let reason =
                format!("part of a message is {} bytes, a header takes {PART_HEADER_BYTES}", packet.len());
            return Err(DecodeError::malformed(reason));
        };
        if *count == 0 || *count > PARTS_MAX || number >= count {
            return Err(DecodeError::malformed(format!("part {number} of {count}, limit is {PARTS_MAX}")));
        }
        self.forget(now, data.len());
        let key = (peer, *id);
        let parts = self.waiting.entry(key).or_insert_with(|| Parts {
            since: now,
            bytes: 0,
            missing: *count,
            parts: vec![None; usize::from(*count)],
        });
        let Some(place) = parts.parts.get_mut(usize::from(*number)) else {
            return Err(DecodeError::malformed(format!(
                "part {number} of a message of {}",
                parts.parts.len()
            )));
        };
        if place.is_some() {
            return Ok(None);
        }
        *place = Some(data.into());
        parts.missing -= 1;
        parts.bytes += data.len();
        self.bytes += data.len();
        if parts.missing > 0 {
            return Ok(None);
        }
        let Some(whole) = self.waiting.remove(&key) else { return Ok(None) };
        self.bytes -= whole.bytes;
        let message = whole.parts.into_iter().flatten().collect::<Vec<_>>().concat();
        Ok(Some(Cow::Owned(inflated(&message)?.into_owned())))
    }

    /// Messages of which not all parts came, since the start.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Makes room: what has waited for too long goes, then the oldest.
    fn forget(&mut self, now: Timestamp, bytes: usize) {
        let is_full = |packets: &Self| {
            packets.waiting.len() >= WAITING_MAX || packets.bytes + bytes > WAITING_BYTES_MAX
        };
        let oldest = |packets: &Self| {
            let oldest = packets.waiting.iter().min_by_key(|(_, parts)| parts.since);
            oldest.map(|(key, parts)| (*key, parts.since))
        };
        // Looking for the oldest costs a walk: once a second, or when there must be room.
        if !is_full(self) && now.as_nanos().saturating_sub(self.looked_at.as_nanos()) < NANOS_PER_SECOND {
            return;
        }
        self.looked_at = now;
        while let Some((key, since)) = oldest(self) {
            if !is_full(self) && now.as_nanos().saturating_sub(since.as_nanos()) <= WAIT_NANOS_MAX {
                return;
            }
            if let Some(parts) = self.waiting.remove(&key) {
                self.bytes -= parts.bytes;
                self.lost += 1;
            }
        }
    }
}

fn inflated(message: &[u8]) -> Result<Cow<'_, [u8]>, DecodeError> {
    let compression = match message {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        // The method of zlib, and a window of any size.
        [first, ..] if first & 0x0f == 8 && first >> 4 <= 7 && *first != b'\n' => Compression::Deflate,
        _ => Compression::Identity,
    };
    inflate(message, compression, MESSAGE_BYTES_MAX)
}

/// What a stream has left over between two reads.
#[derive(Debug, Default)]
pub struct GelfStream {
    buffered: Vec<u8>,
    is_skipping: bool,
}

/// Messages that have ended, and how many were over the limit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The messages.
    pub messages: Vec<Vec<u8>>,
    /// Messages over [`MESSAGE_BYTES_MAX`], which are skipped.
    pub too_long: u64,
}

impl GelfStream {
    /// Takes what was read; gives the messages that have ended.
    pub fn read(&mut self, bytes: &[u8]) -> Ended {
        let mut ended = Ended::default();
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(0, rest) {
            let (message, after) = rest.split_at(end);
            self.add(message, &mut ended);
            rest = after.get(1..).unwrap_or_default();
            let message = std::mem::take(&mut self.buffered);
            if !std::mem::take(&mut self.is_skipping) && !message.trim_ascii().is_empty() {
                ended.messages.push(message);
            }
        }
        self.add(rest, &mut ended);
        ended
    }

    /// The stream has ended: what is left is a message.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        let message = std::mem::take(&mut self.buffered);
        (!std::mem::take(&mut self.is_skipping) && !message.trim_ascii().is_empty()).then_some(message)
    }

    fn add(&mut self, bytes: &[u8], ended: &mut Ended) {
        if self.is_skipping {
            return;
        }
        if self.buffered.len() + bytes.len() > MESSAGE_BYTES_MAX {
            self.buffered = Vec::new();
            self.is_skipping = true;
            ended.too_long += 1;
        } else {
            self.buffered.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression as Level;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000);

    fn part(id: u8, number: u8, count: u8, data: &[u8]) -> Vec<u8> {
        [&PART_MAGIC[..], &[id; 8], &[number, count], data].concat()
    }

    fn take(packets: &mut GelfPackets, packet: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        packets.take(packet, None, now).expect("good").map(Cow::into_owned)
    }

    #[test]
    fn packets_are_plain_or_compressed() {
        let text = br#"{"short_message":"hello"}"#;
        let mut gzip = GzEncoder::new(Vec::new(), Level::default());
        gzip.write_all(text).expect("written");
        let mut zlib = ZlibEncoder::new(Vec::new(), Level::default());
        zlib.write_all(text).expect("written");
        let mut packets = GelfPackets::default();
        for packet in [text.to_vec(), gzip.finish().expect("whole"), zlib.finish().expect("whole")] {
            assert_eq!(take(&mut packets, &packet, NOW).as_deref(), Some(&text[..]));
        }
        assert!(packets.take(&[0x1f, 0x8b, 0], None, NOW).is_err());
    }

    #[test]
    fn parts_come_in_any_order_and_twice() {
        let mut packets = GelfPackets::default();
        for packet in [part(7, 2, 3, b"c}"), part(7, 0, 3, b"{a"), part(7, 0, 3, b"{a"), part(8, 0, 2, b"x")]
        {
            assert_eq!(take(&mut packets, &packet, NOW), None);
        }
        assert_eq!(take(&mut packets, &part(7, 1, 3, b"b"), NOW).as_deref(), Some(&b"{abc}"[..]));
        assert_eq!((packets.waiting.len(), packets.bytes), (1, 1));
    }

    #[test]
    fn parts_that_are_alone_for_too_long_are_given_up() {
        let mut packets = GelfPackets::default();
        take(&mut packets, &part(1, 0, 2, &[b'a'; 16]), NOW);
        let later = NOW.saturating_add_nanos(WAIT_NANOS_MAX + 1);
        assert_eq!(take(&mut packets, &part(1, 1, 2, b"b"), later), None, "the first part is gone");
        assert_eq!(packets.lost(), 1);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut packets = GelfPackets::default();
        for number in 0..6000u64 {
            let id = number.to_le_bytes();
            let packet = [&PART_MAGIC[..], &id, &[0, 2], &[b'x'; 4000]].concat();
            packets.take(&packet, None, NOW).expect("good");
        }
        assert!(packets.waiting.len() <= WAITING_MAX && packets.bytes <= WAITING_BYTES_MAX);
        assert!(packets.lost() > 1000);
    }

    #[test]
    fn parts_that_cannot_be_are_refused() {
        let mut packets = GelfPackets::default();
        for packet in [
            &part(1, 0, 0, b"")[..],
            &part(1, 3, 3, b""),
            &part(1, 0, 129, b""),
            &PART_MAGIC,
            &[0x1e, 0x0f, 1],
        ] {
            assert!(packets.take(packet, None, NOW).is_err(), "{packet:?}");
        }
        take(&mut packets, &part(1, 0, 2, b"a"), NOW);
        assert!(packets.take(&part(1, 2, 3, b""), None, NOW).is_err(), "another count than before");
    }

    #[test]
    fn streams_are_cut_at_zeros_however_they_come() {
        let stream = b"{one}\0\0{two}\n\0{three}";
        for size in 1..stream.len() {
            let mut reader = GelfStream::default();
            let mut messages: Vec<Vec<u8>> = Vec::new();
            for piece in stream.chunks(size) {
                messages.extend(reader.read(piece).messages);
            }
            messages.extend(reader.finish());
            assert_eq!(messages, [&b"{one}"[..], b"{two}\n", b"{three}"], "pieces of {size}");
        }
    }

    #[test]
    fn a_message_over_the_limit_is_skipped() {
        let mut reader = GelfStream::default();
        let long = vec![b'x'; MESSAGE_BYTES_MAX];
        assert_eq!(reader.read(&long), Ended::default());
        assert_eq!(reader.read(b"xx").too_long, 1);
        assert_eq!(reader.read(b"x\0{a}\0").messages, [b"{a}".to_vec()]);
    }
}
