//! Messages of syslog out of a stream (RFC 6587), and packets: a batch from what has come.
//!
//! A message that begins with a digit says its length first (`17 <14>…`, octet counting); any other ends at a line
//! feed or, as some send it, a zero. Both kinds may come over one connection. A message over the limit of lines is cut
//! there; it is never held whole.

use timberyard_model::LogBatch;

use crate::context::{DecodeContext, Decoded, Rejections};
use crate::record_batch::RecordBatch;
use crate::syslog;

/// The most digits of a length.
const LENGTH_DIGITS_MAX: usize = 10;

/// What a stream has left over between two reads.
#[derive(Clone, Debug, Default)]
pub struct SyslogStream {
    buffered: Vec<u8>,
    /// Bytes of the message that was cut which are still to come.
    skipping: Skipping,
    /// The key that the last message with one had.
    key: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Skipping {
    #[default]
    Nothing,
    Bytes(usize),
    ToLineFeed,
}

/// The messages that were taken apart so far, as a batch to be.
struct Messages<'c> {
    batch: RecordBatch,
    rejected: Rejections,
    key: Option<String>,
    number: u64,
    context: &'c DecodeContext<'c>,
}

impl Messages<'_> {
    fn take(&mut self, message: &[u8]) {
        if message.is_empty() {
            return;
        }
        let number = self.number;
        if let Err(reason) = syslog::push(message, self.context, &mut self.batch, &mut self.key) {
            self.rejected.add(number, || reason);
        }
        self.number += 1;
    }
}

fn messages<'c>(context: &'c DecodeContext<'c>) -> Messages<'c> {
    let batch = RecordBatch::new(context.tenant, context);
    Messages { batch, rejected: Rejections::default(), key: None, number: 0, context }
}

/// Each packet is a message.
pub fn decode_packets<'p>(packets: impl Iterator<Item = &'p [u8]>, context: &DecodeContext<'_>) -> Decoded {
    let mut messages = messages(context);
    let line_bytes_max = context.limits.record.line_bytes_max;
    for packet in packets {
        messages.take(packet.get(..line_bytes_max).unwrap_or(packet));
    }
    Decoded { batch: messages.batch.finish(), rejected: messages.rejected }
}

impl SyslogStream {
    /// Takes what was read; gives the messages that have ended.
    pub fn read(&mut self, bytes: &[u8], context: &DecodeContext<'_>) -> Decoded {
        self.buffered.extend_from_slice(bytes);
        let mut messages = messages(context);
        let buffered = std::mem::take(&mut self.buffered);
        let mut rest = buffered.as_slice();
        while let Some(after) = self.step(rest, &mut messages) {
            rest = after;
        }
        self.buffered = rest.to_vec();
        self.key = messages.key.take().or(self.key.take());
        Decoded { batch: messages.batch.finish(), rejected: messages.rejected }
    }

    /// The key that came with a message since this was asked last, if one did.
    pub fn take_key(&mut self) -> Option<String> {
        self.key.take()
    }

    /// The stream has ended: what is left is a message.
    pub fn finish(&mut self, context: &DecodeContext<'_>) -> LogBatch {
        let mut messages = messages(context);
        if self.skipping == Skipping::Nothing {
            messages.take(&self.buffered);
        }
        *self = Self { key: messages.key.take(), ..Self::default() };
        messages.batch.finish()
    }

    /// Takes one message and gives what follows it; `None` when more must come.
    fn step<'b>(&mut self, rest: &'b [u8], messages: &mut Messages<'_>) -> Option<&'b [u8]> {
        if rest.is_empty() {
            return None;
        }
        let line_bytes_max = messages.context.limits.record.line_bytes_max;
        match self.skipping {
            Skipping::Nothing => {}
            Skipping::Bytes(left) => {
                let now = left.min(rest.len());
                self.skipping = if now == left { Skipping::Nothing } else { Skipping::Bytes(left - now) };
                return rest.get(now..);
            }
            Skipping::ToLineFeed => {
                let end = memchr::memchr2(b'\n', 0, rest);
                if end.is_some() {
                    self.skipping = Skipping::Nothing;
                }
                return rest.get(end.map_or(rest.len(), |end| end + 1)..);
            }
        }
        if let Some((length, after)) = counted(rest)? {
            let (cut, beyond) = (length.min(line_bytes_max), length.saturating_sub(line_bytes_max));
            messages.take(after.get(..cut)?);
            if beyond > 0 {
                self.skipping = Skipping::Bytes(beyond);
            }
            return after.get(cut..);
        }
        match memchr::memchr2(b'\n', 0, rest) {
            Some(end) => {
                messages.take(rest.get(..end.min(line_bytes_max))?);
                rest.get(end + 1..)
            }
            None if rest.len() >= line_bytes_max => {
                messages.take(rest.get(..line_bytes_max)?);
                self.skipping = Skipping::ToLineFeed;
                rest.get(line_bytes_max..)
            }
            None => None,
        }
    }
}

/// The length that a message begins with and what follows it; `Some(None)` when it begins with none, `None` when that is not
/// known yet.
fn counted(rest: &[u8]) -> Option<Option<(usize, &[u8])>> {
    let digits = rest.iter().take(LENGTH_DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || rest.first() == Some(&b'0') {
        return Some(None);
    }
    match rest.get(digits) {
        None => None,
        Some(b' ') => {
            let length = std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()?;
            Some(Some((length, rest.get(digits + 1..)?)))
        }
        Some(_) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::TestContext;

    /// The lines of a stream that comes in pieces of a size.
    fn lines(stream: &[u8], piece: usize, line_bytes_max: usize) -> Vec<String> {
        let mut test = TestContext::new();
        test.limits.record.line_bytes_max = line_bytes_max;
        let context = test.context();
        let mut reader = SyslogStream::default();
        let mut lines = Vec::new();
        let mut add = |batch: LogBatch| {
            lines.extend(batch.rows.iter().map(|row| String::from_utf8_lossy(row.line()).into_owned()));
        };
        for piece in stream.chunks(piece) {
            add(reader.read(piece, &context).batch);
        }
        add(reader.finish(&context));
        lines
    }

    #[test]
    fn both_framings_are_read_however_the_stream_is_cut() {
        let stream = b"<14>one\n8 <14>two\n<14>three\r\n8 <14>a\nbc<14>four\0\n7 <14>end<14>last";
        for piece in 1..stream.len() {
            let expected = ["one", "two", "three", "a\nbc", "four", "end", "last"];
            assert_eq!(lines(stream, piece, 100), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn a_long_message_is_cut_and_the_next_one_is_whole() {
        let stream = b"<14>aaaaaaaaaaaaaaaaaaaaaaaa\n20 <14>bbbbbbbbbbbbbbbb<14>c\n";
        for piece in 1..stream.len() {
            assert_eq!(lines(stream, piece, 10), ["aaaaaa", "bbbbbb", "c"], "pieces of {piece}");
        }
    }

    #[test]
    fn a_key_is_handed_over_and_not_kept() {
        let test = TestContext::new();
        let mut reader = SyslogStream::default();
        let stream =
            b"<14>1 - h shop - - [timberyard@32473 key=\"a.b\"][x@1 y=\"z\"] one\n<14>1 - h shop - - - two\n";
        let decoded = reader.read(stream, &test.context());
        assert_eq!(reader.take_key().as_deref(), Some("a.b"));
        assert_eq!(reader.take_key(), None);
        let names: Vec<_> = decoded.batch.rows.iter().flat_map(|row| row.metadata()).collect();
        assert!(names.iter().any(|(name, value)| *name == "x_1_y" && *value == b"z"), "{names:?}");
        assert!(!names.iter().any(|(_, value)| *value == b"a.b"), "{names:?}");
    }

    #[test]
    fn packets_are_messages() {
        let test = TestContext::new();
        let packets: [&[u8]; 3] = [b"<14>one", b"<14>two\nlines\n", b""];
        let decoded = decode_packets(packets.into_iter(), &test.context());
        let lines: Vec<_> = decoded.batch.rows.iter().map(|row| row.line().to_vec()).collect();
        assert_eq!(lines, [&b"one"[..], b"two\nlines"]);
    }
}
