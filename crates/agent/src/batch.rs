//! Lines on their way into a request, and the bytes of their logs that they were read from.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_model::origin::{BATCH_ORIGINS_MAX, OriginName, OriginRange};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::{Labels, Timestamp};

use crate::metrics::AgentMetrics;
use crate::steps::Steps;
use crate::streams::Streams;

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
    /// Structured metadata of its own.
    pub(crate) metadata: &'a [(String, Vec<u8>)],
    /// What is done to it before it is sent.
    pub(crate) steps: Option<&'a Arc<Steps>>,
}

/// Lines that are sent together.
#[derive(Default)]
pub(crate) struct Batch {
    streams: Streams,
    /// Lines that steps are still to be applied to, by log.
    drafts: BTreeMap<u64, Draft>,
    ranges: BTreeMap<u64, Range>,
    bytes: usize,
    /// Whether one line is all that it takes.
    single: bool,
}

struct Draft {
    steps: Arc<Steps>,
    rows: RowsBuilder,
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
    /// Lines that were read for it.
    pub(crate) lines: u64,
    /// Lines that are in it.
    pub(crate) rows: u64,
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
        if self.single && !self.ranges.is_empty() && !self.goes_on(line) {
            return;
        }
        let part = line.part.map(|part| part.to_string());
        let own = line.metadata.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let metadata = own.chain(part.as_ref().map(|part| ("line_part", part.as_bytes())));
        match line.steps {
            None => {
                let encoder = self.streams.encoder(line.log, line.labels);
                encoder.push_with(line.time, line.text, metadata);
            }
            Some(steps) => {
                let none = || Draft { steps: Arc::clone(steps), rows: RowsBuilder::default() };
                let rows = &mut self.drafts.entry(line.log).or_insert_with(none).rows;
                let stream = rows.stream(line.labels);
                let pushed = rows.push(stream, line.time, line.text, metadata);
                pushed.expect("requests are limited to a few MiB, rows to 4 GiB");
            }
        }
        let own = line.metadata.iter().map(|(name, value)| name.len() + value.len());
        self.bytes += line.text.len() + own.sum::<usize>() + 16;
        self.range(line.log, line.from, line.to).lines += 1;
    }

    /// Takes in bytes of a log of which nothing is to be sent.
    pub(crate) fn pass(&mut self, log: u64, from: u64, to: u64) {
        if !self.single || self.ranges.is_empty() {
            self.range(log, from, to);
        }
    }

    fn range(&mut self, log: u64, from: u64, to: u64) -> &mut Range {
        let range = self.ranges.entry(log).or_insert(Range { from, to, lines: 0 });
        range.to = to;
        range
    }

    /// Whether a line is the next part of the one that is there.
    fn goes_on(&self, line: &Line<'_>) -> bool {
        self.ranges.get(&line.log).is_some_and(|range| range.from == line.from && range.to == line.from)
    }

    /// Takes everything of a log out.
    pub(crate) fn remove(&mut self, log: u64) {
        self.streams.remove(log);
        self.drafts.remove(&log);
        self.ranges.remove(&log);
        let drafted = self.drafts.values().map(|draft| draft.rows.bytes());
        self.bytes = self.streams.bytes() + drafted.sum::<usize>();
    }

    /// Lines that were read for it.
    pub(crate) fn lines(&self) -> u64 {
        self.ranges.values().map(|range| range.lines).sum()
    }

    /// The logs in it.
    pub(crate) fn logs(&self) -> impl Iterator<Item = u64> {
        self.ranges.keys().copied()
    }

    /// The request, after its steps; the batch is empty afterwards. `None` when it is over 4 GiB.
    pub(crate) fn ship(
        &mut self,
        name: impl Fn(u64) -> Option<OriginName>,
        metrics: &AgentMetrics,
    ) -> Option<Shipment> {
        let lines = self.lines();
        let empty = Self { single: self.single, ..Self::default() };
        let Self { mut streams, drafts, ranges, .. } = std::mem::replace(self, empty);
        let drafted: u64 = drafts.values().map(|draft| draft.rows.len() as u64).sum();
        let mut left = 0;
        for (log, Draft { steps, rows }) in drafts {
            steps.apply(rows.finish(), &mut |row, time| {
                left += 1;
                streams.encoder(log, row.labels()).push_with(time, row.line(), row.metadata());
            });
        }
        metrics.lines_dropped.add(drafted.saturating_sub(left));
        let origin = |(log, range): (u64, Range)| {
            Some(OriginRange { name: name(log)?, from: range.from, to: range.to })
        };
        let origins = ranges.into_iter().filter_map(origin).collect();
        let body = streams.into_body()?;
        Some(Shipment { origins, body, lines, rows: lines.saturating_sub(drafted) + left })
    }
}
