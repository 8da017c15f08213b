//! Loki's push body as protobuf, written by hand from `push.proto`, so that the server's decoder is not
//! tested against itself.

/// One log line of a push.
#[derive(Clone, Debug)]
pub struct PushEntry<'a> {
    /// Nanoseconds since 1970.
    pub timestamp_ns: i64,
    /// The line; a well-behaved client sends UTF-8.
    pub line: &'a [u8],
    /// Structured metadata.
    pub metadata: &'a [(&'a str, &'a str)],
}

/// The bytes of a `PushRequest`: streams with their labels as text, such as `{job="app"}`.
pub fn push_request(streams: &[(&str, Vec<PushEntry<'_>>)]) -> Vec<u8> {
    let mut request = Vec::new();
    for (labels, entries) in streams {
        let mut stream = Vec::new();
        bytes_field(&mut stream, 1, labels.as_bytes());
        for entry in entries {
            bytes_field(&mut stream, 2, &entry_message(entry));
        }
        bytes_field(&mut request, 1, &stream);
    }
    request
}

/// The same as clients send it: one snappy block.
pub fn snappy_push_request(streams: &[(&str, Vec<PushEntry<'_>>)]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&push_request(streams)).expect("snappy takes any bytes")
}

fn entry_message(entry: &PushEntry<'_>) -> Vec<u8> {
    let mut time = Vec::new();
    number_field(&mut time, 1, entry.timestamp_ns.div_euclid(1_000_000_000) as u64);
    number_field(&mut time, 2, entry.timestamp_ns.rem_euclid(1_000_000_000) as u64);
    let mut message = Vec::new();
    bytes_field(&mut message, 1, &time);
    bytes_field(&mut message, 2, entry.line);
    for (name, value) in entry.metadata {
        let mut pair = Vec::new();
        bytes_field(&mut pair, 1, name.as_bytes());
        bytes_field(&mut pair, 2, value.as_bytes());
        bytes_field(&mut message, 3, &pair);
    }
    message
}

/// A length-delimited field (wire type 2).
pub fn bytes_field(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A number field (wire type 0).
pub fn number_field(out: &mut Vec<u8>, field: u64, number: u64) {
    varint(out, field << 3);
    varint(out, number);
}

/// A base-128 number, the lowest group first.
pub fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_written_as_the_protocol_says() {
        let entry = PushEntry { timestamp_ns: 1_000_000_300, line: b"hi", metadata: &[("a", "b")] };
        let expected = [
            0x0a, 0x1e, // streams, 30 bytes
            0x0a, 0x07, b'{', b'a', b'=', b'"', b'b', b'"', b'}', // labels
            0x12, 0x13, // an entry, 19 bytes
            0x0a, 0x05, 0x08, 0x01, 0x10, 0xac, 0x02, // 1 s and 300 ns
            0x12, 0x02, b'h', b'i', // the line
            0x1a, 0x06, 0x0a, 0x01, b'a', 0x12, 0x01, b'b', // metadata
        ];
        assert_eq!(push_request(&[(r#"{a="b"}"#, vec![entry])]), expected);
    }
}
