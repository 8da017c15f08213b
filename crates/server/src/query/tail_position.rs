//! How far a tail has come: what its cursor is made of, and what is left out when another connection goes on.

use std::cmp::Ordering;
use std::collections::HashMap;

use timberyard_logql::Streams;
use timberyard_model::Timestamp;
use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_wire::tail_cursor::{StreamPosition, TAIL_CURSOR_STREAMS_MAX, TailCursor};

/// A stream that is this far behind the newest one is no longer named: going on reads back this far at most.
const LAG_NANOS_MAX: i64 = 600 * NANOS_PER_SECOND;

/// The last line shown of each stream, and a time for all other streams.
#[derive(Clone, Debug)]
pub(super) struct TailPosition {
    floor: Timestamp,
    newest: Timestamp,
    streams: HashMap<u64, (Timestamp, u32)>,
}

impl TailPosition {
    /// A tail that shows lines from `floor` on.
    pub(super) fn new(floor: Timestamp) -> Self {
        Self { floor, newest: Timestamp::MIN, streams: HashMap::new() }
    }

    /// What a client has seen that hands back this cursor.
    pub(super) fn of(cursor: &TailCursor) -> Self {
        let streams =
            cursor.streams.iter().map(|position| (position.stream, (position.timestamp, position.lines)));
        let newest = cursor.streams.iter().map(|position| position.timestamp).max();
        Self { floor: cursor.floor, newest: newest.unwrap_or(Timestamp::MIN), streams: streams.collect() }
    }

    /// The cursor for the client.
    pub(super) fn cursor(&self, query: u64) -> TailCursor {
        let position = |(stream, (timestamp, lines)): (&u64, &(Timestamp, u32))| StreamPosition {
            stream: *stream,
            timestamp: *timestamp,
            lines: *lines,
        };
        TailCursor { query, floor: self.floor, streams: self.streams.iter().map(position).collect() }
    }

    /// From when on there may be lines that were not shown.
    pub(super) fn start(&self) -> Timestamp {
        self.streams.values().map(|(time, _)| *time).fold(self.floor, Timestamp::min)
    }

    /// Sets from when on lines of unknown streams are shown.
    pub(super) fn set_floor(&mut self, floor: Timestamp) {
        self.floor = floor;
    }

    /// Takes note of lines that were shown.
    pub(super) fn note(&mut self, streams: &Streams) {
        for stream in &streams.streams {
            let hash = stream.stream.stable_hash();
            for entry in &stream.entries {
                self.note_line(hash, entry.timestamp);
            }
        }
        self.forget_laggards();
    }

    fn note_line(&mut self, stream: u64, time: Timestamp) {
        self.newest = self.newest.max(time);
        let last = self.streams.entry(stream).or_insert((time, 0));
        match time.cmp(&last.0) {
            // Late: it is older than what counts as shown.
            Ordering::Less => {}
            Ordering::Equal => last.1 = last.1.saturating_add(1),
            Ordering::Greater => *last = (time, 1),
        }
    }

    fn forget_laggards(&mut self) {
        let oldest = self.newest.saturating_add_nanos(-LAG_NANOS_MAX);
        let mut floor = self.floor;
        self.streams.retain(|_, (time, _)| {
            let stays = *time >= oldest;
            if !stays {
                floor = floor.max(time.saturating_add_nanos(1));
            }
            stays
        });
        while self.streams.len() > TAIL_CURSOR_STREAMS_MAX {
            let Some((stream, time)) =
                self.streams.iter().map(|(stream, (time, _))| (*stream, *time)).min_by_key(|(_, time)| *time)
            else {
                break;
            };
            self.streams.remove(&stream);
            floor = floor.max(time.saturating_add_nanos(1));
        }
        self.floor = floor;
    }
}

/// Leaves out of pages of the past, which come in the order of time and storing, what was shown.
pub(super) struct ShownLines {
    position: TailPosition,
}

impl ShownLines {
    /// Lines up to this position were shown.
    pub(super) fn new(position: TailPosition) -> Self {
        Self { position }
    }

    /// Leaves out what was shown of the next page.
    pub(super) fn leave_out(&mut self, page: &mut Streams) {
        for stream in &mut page.streams {
            let last = self.position.streams.get_mut(&stream.stream.stable_hash());
            match last {
                Some((time, lines)) => stream.entries.retain(|entry| match entry.timestamp.cmp(time) {
                    Ordering::Less => false,
                    Ordering::Equal if *lines > 0 => {
                        *lines -= 1;
                        false
                    }
                    Ordering::Equal | Ordering::Greater => true,
                }),
                None => stream.entries.retain(|entry| entry.timestamp >= self.position.floor),
            }
        }
        page.streams.retain(|stream| !stream.entries.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use timberyard_logql::result::{Entry, StreamResult};
    use timberyard_model::Labels;
    use timberyard_model::scan::Direction;

    use super::*;

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    /// Lines of the given times, stream by stream.
    fn lines(streams: &[(&str, &[i64])]) -> Streams {
        let entry = |nanos: &i64| Entry {
            timestamp: at(*nanos),
            line: Box::default(),
            metadata: Labels::default(),
            parsed: Labels::default(),
        };
        let streams = streams.iter().map(|(app, times)| StreamResult {
            stream: Labels::from_pairs([("app", *app)]),
            entries: times.iter().map(entry).collect(),
        });
        Streams { direction: Direction::Forward, streams: streams.collect() }
    }

    fn times(streams: &Streams) -> Vec<Vec<i64>> {
        let times =
            |stream: &StreamResult| stream.entries.iter().map(|entry| entry.timestamp.as_nanos()).collect();
        streams.streams.iter().map(times).collect()
    }

    #[test]
    fn each_stream_goes_on_behind_its_own_last_line() {
        let mut position = TailPosition::new(at(5));
        position.note(&lines(&[("fast", &[10, 11, 12, 12]), ("slow", &[2, 3])]));
        position.note(&lines(&[("fast", &[11, 13, 13])]));
        assert_eq!(position.start(), at(3));
        let mut shown = ShownLines::new(TailPosition::of(&position.cursor(1)));
        let mut first = lines(&[("fast", &[10, 12, 13]), ("slow", &[2, 3, 4]), ("new", &[4, 5])]);
        shown.leave_out(&mut first);
        assert_eq!(times(&first), [vec![4], vec![5]]);
        let mut second = lines(&[("fast", &[13, 13, 14]), ("slow", &[5])]);
        shown.leave_out(&mut second);
        assert_eq!(times(&second), [vec![13, 14], vec![5]]);
    }

    #[test]
    fn streams_far_behind_are_not_waited_for() {
        let mut position = TailPosition::new(at(0));
        position.note(&lines(&[("idle", &[5])]));
        position.note(&lines(&[("busy", &[2 * LAG_NANOS_MAX])]));
        assert_eq!((position.start(), position.cursor(1).streams.len()), (at(6), 1));
        let many: Vec<String> = (0..400).map(|number| number.to_string()).collect();
        for name in &many {
            position.note(&lines(&[(name, &[2 * LAG_NANOS_MAX])]));
        }
        assert_eq!(position.cursor(1).streams.len(), TAIL_CURSOR_STREAMS_MAX);
    }
}
