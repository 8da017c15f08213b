//! Writes a Loki push body: streams as a snappy block of protobuf, lines byte for byte.
//!
//! The other direction of `loki_push_proto`; what our own clients send. The messages are Loki's
//! `logproto.PushRequest`, `StreamAdapter` and `EntryAdapter` (pkg/push/push.proto).

use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{Labels, Timestamp};

use crate::label_text;
use crate::protobuf::{write_bytes, write_number};

/// The content type of a body.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// Entries of one stream on their way into a body.
#[derive(Clone, Debug)]
pub struct PushEncoder {
    /// The fields of the `StreamAdapter`: labels, then entries.
    stream: Vec<u8>,
    /// Room for the entry and its parts, kept from one entry to the next.
    entry: Vec<u8>,
    part: Vec<u8>,
}

impl PushEncoder {
    /// A body for the stream with these labels.
    pub fn new(labels: &Labels) -> Self {
        let mut stream = Vec::new();
        write_bytes(&mut stream, 1, label_text::write(labels.iter()).as_bytes());
        Self { stream, entry: Vec::new(), part: Vec::new() }
    }

    /// Adds an entry.
    pub fn push(&mut self, timestamp: Timestamp, line: &[u8]) {
        self.push_with(timestamp, line, None);
    }

    /// Adds an entry with structured metadata.
    pub fn push_with<'m>(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: impl IntoIterator<Item = (&'m str, &'m [u8])>,
    ) {
        let nanos = timestamp.as_nanos();
        self.part.clear();
        // A protobuf int64 or int32 that is negative is its two's complement in 64 bits; nanos are never negative.
        write_number(&mut self.part, 1, nanos.div_euclid(NANOS_PER_SECOND) as u64);
        write_number(&mut self.part, 2, nanos.rem_euclid(NANOS_PER_SECOND) as u64);
        self.entry.clear();
        write_bytes(&mut self.entry, 1, &self.part);
        write_bytes(&mut self.entry, 2, line);
        for (name, value) in metadata {
            self.part.clear();
            write_bytes(&mut self.part, 1, name.as_bytes());
            write_bytes(&mut self.part, 2, value);
            write_bytes(&mut self.entry, 3, &self.part);
        }
        write_bytes(&mut self.stream, 2, &self.entry);
    }

    /// Bytes before compression.
    pub fn bytes(&self) -> usize {
        self.stream.len()
    }

    /// The body, ready to be sent; `None` when it is over 4 GiB, which snappy cannot hold.
    pub fn finish(&self) -> Option<Vec<u8>> {
        body(std::slice::from_ref(self))
    }
}

/// The body of several streams, ready to be sent; `None` when it is over 4 GiB.
pub fn body(streams: &[PushEncoder]) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(streams.iter().map(|stream| stream.bytes() + 16).sum());
    streams.iter().for_each(|stream| write_bytes(&mut message, 1, &stream.stream));
    snap::raw::Encoder::new().compress_vec(&message).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::DecodeContext;
    use crate::loki_push_proto;
    use crate::test_context::{RECEIVED_AT, TestContext, rows_of};

    #[test]
    fn what_is_encoded_is_decoded_byte_for_byte() {
        let labels = Labels::from_pairs([("app", "a\"b\\c\n"), ("service_name", "é")]);
        let mut encoder = PushEncoder::new(&labels);
        let lines: [&[u8]; 3] = [b"", b"caf\xe9\0\r", "é".as_bytes()];
        for (nanos, line) in (RECEIVED_AT.as_nanos()..).zip(lines) {
            encoder.push(Timestamp::from_nanos(nanos), line);
        }
        encoder.push(Timestamp::from_nanos(-1), b"before 1970");
        let body = encoder.finish().expect("small");
        let owned = TestContext::new();
        let context = DecodeContext { detect_level: false, ..owned.context() };
        let rows = rows_of(&loki_push_proto::decode(&body, &context).expect("valid").batch);
        assert_eq!(
            rows,
            [
                format!("1793534400000000000 {labels} "),
                format!(r"1793534400000000001 {labels} caf\xe9\x00\r"),
                format!(r"1793534400000000002 {labels} \xc3\xa9"),
                format!("-1 {labels} before 1970"),
            ]
        );
    }
}
