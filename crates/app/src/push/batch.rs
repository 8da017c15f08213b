//! Lines that are sent in one request, each with its number in the file and its own nanosecond.

use timberyard_model::{Labels, Timestamp};
use timberyard_wire::loki_push_encode::PushEncoder;

/// Lines on their way into a request.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    labels: Labels,
    /// The time of the next line.
    next: Timestamp,
    text: Vec<u8>,
    lines: Vec<BatchLine>,
}

#[derive(Clone, Copy, Debug)]
struct BatchLine {
    number: u64,
    timestamp: Timestamp,
    start: usize,
    end: usize,
}

impl Batch {
    /// An empty batch whose first line has the time `start`.
    pub(super) fn new(labels: Labels, start: Timestamp) -> Self {
        Self { labels, next: start, text: Vec::new(), lines: Vec::new() }
    }

    /// Adds a line of the file.
    pub(super) fn push(&mut self, number: u64, line: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(line);
        self.lines.push(BatchLine { number, timestamp: self.next, start, end: self.text.len() });
        self.skip();
    }

    /// Leaves one nanosecond to a line that is not sent.
    pub(super) fn skip(&mut self) {
        self.next = self.next.saturating_add_nanos(1);
    }

    /// Bytes of the lines.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Lines in the batch.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The number of the first line in its file.
    pub(super) fn first_number(&self) -> u64 {
        self.lines.first().map_or(0, |line| line.number)
    }

    /// The batch, leaving an empty one whose times go on.
    pub(super) fn take(&mut self) -> Self {
        let empty = Self::new(self.labels.clone(), self.next);
        std::mem::replace(self, empty)
    }

    /// Its two halves; times stay with their lines.
    pub(super) fn halves(&self) -> [Self; 2] {
        let (first, second) = self.lines.split_at(self.lines.len() / 2);
        [self.part(first), self.part(second)]
    }

    fn part(&self, lines: &[BatchLine]) -> Self {
        Self { labels: self.labels.clone(), next: self.next, text: self.text.clone(), lines: lines.to_vec() }
    }

    /// The request body; the same bytes whenever it is asked for.
    pub(super) fn body(&self) -> Option<Vec<u8>> {
        let mut encoder = PushEncoder::new(&self.labels);
        for line in &self.lines {
            encoder.push(line.timestamp, self.text.get(line.start..line.end).unwrap_or_default());
        }
        encoder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_from_batch_to_batch_and_past_lines_left_out() {
        let mut batch = Batch::new(Labels::default(), Timestamp::from_nanos(7));
        batch.push(1, b"one");
        batch.skip();
        batch.push(3, b"three");
        let first = batch.take();
        assert_eq!((first.len(), first.bytes(), first.first_number()), (2, 8, 1));
        assert!(batch.is_empty());
        batch.push(4, b"four");
        let times: Vec<i64> =
            first.lines.iter().chain(&batch.lines).map(|line| line.timestamp.as_nanos()).collect();
        assert_eq!(times, [7, 9, 10]);
    }

    #[test]
    fn a_body_is_the_same_whenever_it_is_made() {
        let mut batch = Batch::new(Labels::from_pairs([("a", "b")]), Timestamp::from_nanos(7));
        batch.push(1, b"one\xff");
        batch.push(2, b"");
        assert_eq!(batch.body(), batch.body());
        let [first, second] = batch.halves();
        assert_eq!((first.first_number(), second.first_number()), (1, 2));
        assert_ne!(first.body(), second.body());
    }
}
