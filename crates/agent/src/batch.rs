//! Lines on their way into a request, and the bytes of their logs that they were read from.

use std::collections::BTreeMap;

use timberyard_model::origin::{BATCH_ORIGINS_MAX, OriginName, OriginRange};
use timberyard_model::{Labels, Timestamp};
use timberyard_wire::loki_push_encode::{self, PushEncoder};

/// A line that is to be sent.
pub(crate) struct Line<'a> {
    pub(crate) log: u64,
    pub(crate) labels: &'a Labels,
    pub(crate) time: Timestamp,
    pub(crate) text: &'a [u8],
    /// Of a line over the limit: which part.
    pub(crate) part: Option<u32>,
    /// The bytes of the log that it stands for.
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Lines that are sent together.
#[derive(Default)]
pub(crate) struct Batch {
    streams: Vec<(u64, Labels, PushEncoder)>,
    ranges: BTreeMap<u64, Range>,
    bytes: usize,
    /// Whether one line is all that it takes.
    single: bool,
}

#[derive(Clone, Copy)]
struct Range {
    from: u64,
    to: u64,
    lines: u64,
}

/// A request that is ready.
#[derive(Clone, Debug)]
pub(crate) struct Shipment {
    pub(crate) origins: Vec<OriginRange>,
    pub(crate) body: Vec<u8>,
    pub(crate) lines: u64,
}

impl Batch {
    /// Bytes of lines, and what each takes besides.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether lines of this log may be added.
    pub(crate) fn has_place(&self, log: u64) -> bool {
        self.ranges.len() < BATCH_ORIGINS_MAX || self.ranges.contains_key(&log)
    }

    /// Takes one line only from now on, and forgets the others; or as many as come.
    pub(crate) fn set_single(&mut self, single: bool) {
        self.single = single;
    }

    /// Whether one line is all that it takes.
    pub(crate) fn is_single(&self) -> bool {
        self.single
    }

    pub(crate) fn push(&mut self, line: &Line<'_>) {
        if self.single && !self.ranges.is_empty() {
            return;
        }
        let place =
            self.streams.iter().rposition(|(log, labels, _)| *log == line.log && labels == line.labels);
        let place = place.unwrap_or_else(|| {
            self.streams.push((line.log, line.labels.clone(), PushEncoder::new(line.labels)));
            self.streams.len() - 1
        });
        if let Some((_, _, encoder)) = self.streams.get_mut(place) {
            let part = line.part.map(|part| part.to_string());
            let metadata = part.as_ref().map(|part| ("line_part", part.as_bytes()));
            encoder.push_with(line.time, line.text, metadata);
        }
        self.bytes += line.text.len() + 16;
        let range = self.ranges.entry(line.log).or_insert(Range { from: line.from, to: line.to, lines: 0 });
        range.to = line.to;
        range.lines += 1;
    }

    /// Takes everything of a log out.
    pub(crate) fn remove(&mut self, log: u64) {
        self.streams.retain(|(other, _, _)| *other != log);
        self.ranges.remove(&log);
        self.bytes = self.streams.iter().map(|(_, _, encoder)| encoder.bytes()).sum();
    }

    /// The logs in it.
    pub(crate) fn logs(&self) -> impl Iterator<Item = u64> {
        self.ranges.keys().copied()
    }

    /// The request; the batch is empty afterwards. `None` when it is over 4 GiB, which limits prevent.
    pub(crate) fn ship(&mut self, name: impl Fn(u64) -> Option<OriginName>) -> Option<Shipment> {
        let empty = Self { single: self.single, ..Self::default() };
        let Self { streams, ranges, .. } = std::mem::replace(self, empty);
        let lines = ranges.values().map(|range| range.lines).sum();
        let encoders: Vec<PushEncoder> = streams.into_iter().map(|(_, _, encoder)| encoder).collect();
        let origin = |(log, range): (u64, Range)| {
            Some(OriginRange { name: name(log)?, from: range.from, to: range.to })
        };
        let origins = ranges.into_iter().filter_map(origin).collect();
        Some(Shipment { origins, body: loki_push_encode::body(&encoders)?, lines })
    }
}
