//! One log: what it is known by, the file that it lies in now, and how far it was read.

use std::io;
use std::path::PathBuf;

use timberyard_model::{Labels, Timestamp};

use crate::batch::{Batch, Line};
use crate::checkpoint::SavedLog;
use crate::content::Content;
use crate::fingerprint::Fingerprint;
use crate::lines::{RawLine, Unfinished};
use crate::metrics::AgentMetrics;
use crate::multiline::Group;
use crate::pods;
use crate::reading::{Origin, Reading};

/// After how long labels that are not all known are asked for again.
const ASKED_AGAIN_NANOS: i64 = pods::AGAIN_AFTER.as_nanos() as i64;

/// A log that is followed, or was.
pub(crate) struct Log {
    pub(crate) id: u64,
    pub(crate) target: usize,
    /// The path that it was first known by, without what rotation added.
    pub(crate) base: PathBuf,
    pub(crate) path: PathBuf,
    /// Where the file lies, when the path is a link.
    pub(crate) place: Option<PathBuf>,
    /// Both are 0 when no file is known that it lies in.
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) fingerprint: Fingerprint,
    /// The fingerprint that is in the positions file, with its id.
    pub(crate) written_down: Option<Fingerprint>,
    /// Bytes that the server has.
    pub(crate) stored: u64,
    /// Bytes that are in batches.
    pub(crate) emitted: u64,
    /// Bytes that were read.
    pub(crate) next: u64,
    /// Bytes of whole lines that were read.
    split: u64,
    /// The file, while it is read.
    pub(crate) content: Option<Content>,
    /// Bytes of the compressed file of which all was read.
    pub(crate) packed_done: Option<u64>,
    /// Whether there may be something to read.
    pub(crate) dirty: bool,
    /// Whether it is no longer written to by its own name.
    pub(crate) rotated: bool,
    pub(crate) seen_nanos: i64,
    /// When something was read last.
    pub(crate) read_nanos: i64,
    unfinished: Unfinished,
    /// A line whose parts a runtime writes one by one.
    parts: Vec<u8>,
    parts_origin: Origin,
    group: Group,
    group_end: u64,
    group_origin: Origin,
    last_nanos: i64,
    labels: Vec<KnownLabels>,
    /// When they are asked for again, in nanoseconds since 1970.
    labels_until: i64,
}

/// Labels that were made up before, of at most [`KNOWN_LABELS_MAX`] streams of a log.
struct KnownLabels {
    stream: Option<&'static str>,
    own: Vec<(String, String)>,
    labels: Labels,
}

const KNOWN_LABELS_MAX: usize = 64;

/// What one read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// There may be more.
    More,
    /// That was all for now.
    End,
    /// The file holds another text than this log's.
    Replaced,
}

impl Log {
    pub(crate) fn of(saved: &SavedLog, target: usize) -> Self {
        Self {
            id: saved.id,
            target,
            base: saved.base.clone(),
            path: saved.path.clone(),
            place: None,
            device: saved.device,
            inode: saved.inode,
            fingerprint: saved.fingerprint(),
            written_down: None,
            stored: saved.stored,
            emitted: saved.stored,
            next: saved.stored,
            split: saved.stored,
            content: None,
            packed_done: None,
            dirty: false,
            rotated: saved.base != saved.path,
            seen_nanos: saved.seen_nanos,
            read_nanos: saved.seen_nanos,
            unfinished: Unfinished::default(),
            parts: Vec::new(),
            parts_origin: Origin::default(),
            group: Group::default(),
            group_end: 0,
            group_origin: Origin::default(),
            last_nanos: 0,
            labels: Vec::new(),
            labels_until: i64::MAX,
        }
    }

    pub(crate) fn saved(&self) -> SavedLog {
        SavedLog {
            id: self.id,
            base: self.base.clone(),
            path: self.path.clone(),
            device: self.device,
            inode: self.inode,
            head_bytes: self.fingerprint.bytes,
            head_hash: self.fingerprint.hash,
            stored: self.stored,
            seen_nanos: self.seen_nanos,
        }
    }

    /// Whether something that begins so may be this log, as far as anything is known of it.
    pub(crate) fn begins_like(&mut self, head: &[u8]) -> bool {
        let matches = self.fingerprint.matches(head);
        if !matches || self.fingerprint.is_full() {
            return matches;
        }
        // Little was read of it, and others may begin so: there may be more in its file.
        let own = self.content.as_mut().and_then(|content| content.head().ok()).unwrap_or_default();
        own.iter().zip(head).all(|(own, other)| own == other)
    }

    /// Reads on from a place: what was read behind it is forgotten.
    pub(crate) fn go_to(&mut self, place: u64) {
        (self.emitted, self.next, self.split) = (place, place, place);
        self.unfinished.clear();
        self.parts.clear();
        self.group.take();
        self.packed_done = None;
        self.dirty = true;
    }

    /// The file is no longer this log's. What waits for its end is sent as it is, when its lines are whole.
    pub(crate) fn lose(&mut self, reading: &Reading, batch: &mut Batch, now: i64) {
        self.end_group(reading, batch, now);
        self.go_to(self.emitted);
        self.content = None;
        (self.device, self.inode, self.dirty) = (0, 0, false);
    }

    /// Whether everything that was read is stored and nothing waits for its end.
    pub(crate) fn is_settled(&self) -> bool {
        self.stored == self.next
    }

    /// Whether a group waits for its next line.
    pub(crate) fn has_group(&self) -> bool {
        self.group.len() > 0
    }

    /// Reads up to a buffer full.
    pub(crate) fn read(
        &mut self,
        reading: &Reading,
        buffer: &mut [u8],
        batch: &mut Batch,
        metrics: &AgentMetrics,
        now: i64,
    ) -> io::Result<ReadOutcome> {
        let Some(content) = &mut self.content else { return Ok(ReadOutcome::End) };
        let bytes = content.read_at(buffer, self.next)?;
        if !content.is_packed() {
            // Looked at after reading, so that what was read is known to be this log's.
            let (_, _, length, _) = content.identity()?;
            if length < self.next {
                return Ok(ReadOutcome::Replaced);
            }
        }
        if bytes > 0 && !(content.is_packed() && self.fingerprint.is_full()) {
            let head = content.head()?;
            if !self.fingerprint.matches(&head) {
                return Ok(ReadOutcome::Replaced);
            }
            if !self.fingerprint.is_full() {
                let read = usize::try_from(self.next).unwrap_or(usize::MAX).saturating_add(bytes);
                self.fingerprint = Fingerprint::of(head.get(..read).unwrap_or(&head));
            }
        }
        if bytes == 0 {
            self.dirty = false;
            return Ok(ReadOutcome::End);
        }
        self.next += bytes as u64;
        self.read_nanos = now;
        metrics.bytes_read.add(bytes as u64);
        let mut unfinished = std::mem::take(&mut self.unfinished);
        let chunk = buffer.get(..bytes).unwrap_or_default();
        unfinished.feed(chunk, reading.encoding, reading.line_bytes_max, |line| {
            self.line(line, reading, batch, metrics, now);
        });
        self.unfinished = unfinished;
        Ok(ReadOutcome::More)
    }

    /// The file has ended for good: what waits for its end is complete.
    pub(crate) fn finish(&mut self, reading: &Reading, batch: &mut Batch, metrics: &AgentMetrics, now: i64) {
        let mut unfinished = std::mem::take(&mut self.unfinished);
        unfinished.finish(|line| self.line(line, reading, batch, metrics, now));
        self.end_parts(reading, batch, self.split, now);
        self.end_group(reading, batch, now);
    }

    /// Sends a group that has waited long enough.
    pub(crate) fn end_due_group(&mut self, reading: &Reading, batch: &mut Batch, now: i64) {
        if reading.joining.as_ref().is_some_and(|joining| self.group.is_due(joining, now)) {
            self.end_group(reading, batch, now);
        }
    }

    fn line(
        &mut self,
        line: RawLine<'_>,
        reading: &Reading,
        batch: &mut Batch,
        metrics: &AgentMetrics,
        now: i64,
    ) {
        metrics.lines_read.add(1);
        if line.part.is_some() {
            metrics.lines_cut.add(1);
        }
        let before = self.split;
        self.split += line.taken;
        let text = reading.encoding.decode(line.bytes);
        let content = reading.format.read(&text);
        // The first line of a buffer tells it from others.
        if content.passed_over || reading.spooled && before == 0 {
            self.end_group(reading, batch, now);
            batch.pass(self.id, self.emitted, self.split);
            self.emitted = self.split;
            return;
        }
        let origin = Origin { nanos: content.nanos, stream: content.stream, fields: content.fields };
        // What the other stream wrote meanwhile is no part of it.
        if self.parts_origin.stream != origin.stream {
            self.end_parts(reading, batch, before, now);
        }
        if self.group_origin.stream != origin.stream {
            self.end_group(reading, batch, now);
        }
        self.parts_origin = origin.clone();
        if content.partial && self.parts.len() + content.text.len() <= reading.line_bytes_max {
            self.parts.extend_from_slice(&content.text);
            return;
        }
        let whole;
        let text: &[u8] = if self.parts.is_empty() {
            &content.text
        } else {
            self.parts.extend_from_slice(&content.text);
            whole = std::mem::take(&mut self.parts);
            &whole
        };
        match &reading.joining {
            Some(joining) if line.part.is_none() => {
                if self.group.ends_before(text, joining, reading.line_bytes_max) {
                    self.end_group(reading, batch, now);
                }
                if !self.has_group() {
                    self.group_origin = origin;
                }
                self.group.push(text, now);
                self.group_end = self.split;
            }
            _ => {
                self.end_group(reading, batch, now);
                self.emit_whole(reading, batch, text, line.part, &origin, now);
            }
        }
    }

    fn end_group(&mut self, reading: &Reading, batch: &mut Batch, now: i64) {
        if let Some(text) = self.group.take() {
            let origin = std::mem::take(&mut self.group_origin);
            self.emit(reading, batch, &text, None, &origin, self.group_end, now);
        }
    }

    /// Sends the parts of a line of which no more come.
    fn end_parts(&mut self, reading: &Reading, batch: &mut Batch, to: u64, now: i64) {
        if !self.parts.is_empty() {
            self.end_group(reading, batch, now);
            let text = std::mem::take(&mut self.parts);
            let origin = std::mem::take(&mut self.parts_origin);
            self.emit(reading, batch, &text, None, &origin, to, now);
        }
    }

    /// Sends a line; one over the limit, as only the journal has them, in parts.
    fn emit_whole(
        &mut self,
        reading: &Reading,
        batch: &mut Batch,
        text: &[u8],
        part: Option<u32>,
        origin: &Origin,
        now: i64,
    ) {
        if text.len() <= reading.part_bytes_max {
            return self.emit(reading, batch, text, part, origin, self.split, now);
        }
        let parts = text.len().div_ceil(reading.part_bytes_max);
        for (number, text) in text.chunks(reading.part_bytes_max).enumerate() {
            let to = if number + 1 == parts { self.split } else { self.emitted };
            self.emit(reading, batch, text, Some(number as u32 + 1), origin, to, now);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what is known of a line, in one place")]
    fn emit(
        &mut self,
        reading: &Reading,
        batch: &mut Batch,
        text: &[u8],
        part: Option<u32>,
        origin: &Origin,
        to: u64,
        now: i64,
    ) {
        // Times of reading never repeat within a log, so that its lines stay in their order.
        let nanos = origin.nanos.unwrap_or_else(|| {
            self.last_nanos = now.max(self.last_nanos.saturating_add(1));
            self.last_nanos
        });
        if now >= self.labels_until {
            self.labels.clear();
            self.labels_until = i64::MAX;
        }
        let is_it = |known: &KnownLabels| known.stream == origin.stream && known.own == origin.labels();
        let place = self.labels.iter().rposition(is_it).unwrap_or_else(|| {
            if self.labels.len() == KNOWN_LABELS_MAX {
                self.labels.clear();
            }
            let (labels, may_grow) = reading.labels_of(&self.base, origin);
            if may_grow {
                self.labels_until = now.saturating_add(ASKED_AGAIN_NANOS);
            }
            self.labels.push(KnownLabels { stream: origin.stream, own: origin.labels().to_vec(), labels });
            self.labels.len() - 1
        });
        let Some(KnownLabels { labels, .. }) = self.labels.get(place) else { return };
        let time = Timestamp::from_nanos(nanos);
        let steps = reading.steps.as_ref();
        let metadata = origin.fields.as_ref().map_or(&[][..], |fields| &fields.metadata);
        batch.push(&Line { log: self.id, labels, time, text, part, from: self.emitted, to, steps, metadata });
        self.emitted = to;
    }
}
