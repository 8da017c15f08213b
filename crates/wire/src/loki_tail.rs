//! Frames of Loki's tail: `{"streams":[…],"dropped_entries":[…]}`, one WebSocket text message each.

use timberyard_model::Timestamp;

use crate::json_text::{write_integer, write_key, write_string};
use crate::loki_query_json::{LabelEncoding, StreamsWriter, write_labels};

/// A frame that is being written.
#[derive(Debug)]
pub struct TailFrame {
    streams: StreamsWriter,
    encoding: LabelEncoding,
}

/// Lines that a slow reader missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissedEntries {
    /// How many.
    pub count: u64,
    /// When they were found missing.
    pub noticed_at: Timestamp,
}

/// The most entries of `dropped_entries` in one frame; `dropped_total` counts them all.
pub const DROPPED_ENTRIES_MAX: u64 = 100;

impl TailFrame {
    /// Begins a frame.
    pub fn new(encoding: LabelEncoding) -> Self {
        Self { streams: StreamsWriter::new(br#"{"streams":"#.to_vec(), encoding), encoding }
    }

    /// Where streams and lines go.
    pub fn streams(&mut self) -> &mut StreamsWriter {
        &mut self.streams
    }

    /// The whole frame. Loki lists the missed lines one by one with their labels; here it is known how many
    /// there were and not which, so each is listed without labels, and `dropped_total` has the number. `cursor` is for
    /// clients that asked for one.
    pub fn finish(self, missed: Option<MissedEntries>, cursor: Option<&str>) -> Vec<u8> {
        let encoding = self.encoding;
        let mut out = self.streams.finish();
        if let Some(MissedEntries { count: count @ 1.., noticed_at }) = missed {
            out.push(b',');
            write_key(&mut out, "dropped_entries");
            out.push(b'[');
            for i in 0..count.min(DROPPED_ENTRIES_MAX) {
                out.extend_from_slice(if i == 0 { br#"{"timestamp":""# } else { br#",{"timestamp":""# });
                write_integer(&mut out, noticed_at.as_nanos());
                out.extend_from_slice(br#"","labels":"#);
                write_labels(&mut out, []);
                out.push(b'}');
            }
            out.extend_from_slice(br#"],"dropped_total":"#);
            write_integer(&mut out, i64::try_from(count).unwrap_or(i64::MAX));
        }
        if let Some(cursor) = cursor {
            out.push(b',');
            write_key(&mut out, "cursor");
            write_string(&mut out, cursor.as_bytes());
        }
        if encoding == LabelEncoding::Categorized {
            out.extend_from_slice(br#","encodingFlags":["categorize-labels"]"#);
        }
        out.push(b'}');
        out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NONE: [(&str, &[u8]); 0] = [];

    fn json(frame: &[u8]) -> Value {
        serde_json::from_slice(frame).expect("valid JSON")
    }

    #[test]
    fn a_frame_has_streams_and_what_was_missed() {
        let mut frame = TailFrame::new(LabelEncoding::Merged);
        frame.streams().stream([("app", "api")]);
        frame.streams().entry(Timestamp::from_nanos(5), b"line", NONE, NONE);
        let missed = MissedEntries { count: 2, noticed_at: Timestamp::from_nanos(7) };
        let dropped = json!({"timestamp": "7", "labels": {}});
        assert_eq!(
            json(&frame.finish(Some(missed), None)),
            json!({
                "streams": [{"stream": {"app": "api"}, "values": [["5", "line"]]}],
                "dropped_entries": [dropped, dropped],
                "dropped_total": 2,
            })
        );
        let none = MissedEntries { count: 0, ..missed };
        assert_eq!(
            json(&TailFrame::new(LabelEncoding::Merged).finish(Some(none), None)),
            json!({"streams": []})
        );
        let many = MissedEntries { count: 1_000_000, ..missed };
        let many = json(&TailFrame::new(LabelEncoding::Merged).finish(Some(many), None));
        assert_eq!(many["dropped_entries"].as_array().map(Vec::len), Some(100));
        assert_eq!(many["dropped_total"], 1_000_000);
        let categorized = json(&TailFrame::new(LabelEncoding::Categorized).finish(None, Some("next")));
        assert_eq!(
            categorized,
            json!({"streams": [], "cursor": "next", "encodingFlags": ["categorize-labels"]})
        );
    }
}
