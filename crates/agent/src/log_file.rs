//! One log: what it is known by, the file that it lies in now, and how far it was read.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use timberyard_model::{Labels, Timestamp};

use crate::batch::{Batch, Line};
use crate::checkpoint::SavedLog;
use crate::content::Content;
use crate::fingerprint::Fingerprint;
use crate::format::Format;
use crate::kubernetes;
use crate::lines::{RawLine, Unfinished};
use crate::metrics::AgentMetrics;
use crate::multiline::{Group, Joining};
use crate::settings::{AgentSettings, Encoding, SettingsError};
use crate::steps::Steps;

/// How the lines of one target are read.
pub(crate) struct Reading {
    pub(crate) format: Format,
    pub(crate) encoding: Encoding,
    pub(crate) joining: Option<Joining>,
    pub(crate) line_bytes_max: usize,
    labels: BTreeMap<String, String>,
    path_label: String,
    kubernetes: bool,
    steps: Option<Arc<Steps>>,
}

impl Reading {
    /// How a target's lines are read, by its number.
    pub(crate) fn new(settings: &AgentSettings, number: usize) -> Result<Self, SettingsError> {
        let key = |name: &str| format!("targets[{number}]{name}");
        let refuse = |reason: String| SettingsError::Value { key: key(""), reason };
        let target = settings.targets.get(number).ok_or_else(|| refuse("is not there".to_owned()))?;
        let joining = target.multiline.as_ref().map(Joining::new).transpose();
        let joining = joining.map_err(|reason| SettingsError::Value { key: key(".multiline"), reason })?;
        let labels = settings.labels.clone().into_iter().chain(target.labels.clone()).collect();
        let path_label = target.path_label.clone();
        let steps = target.steps.iter().chain(&settings.steps).cloned().collect();
        let steps = Steps::new(steps, target.time.as_ref()).map_err(refuse)?;
        Ok(Self {
            kubernetes: target.kubernetes,
            steps,
            format: target.format,
            encoding: target.encoding,
            joining,
            line_bytes_max: settings.line_bytes_max,
            labels,
            path_label,
        })
    }

    fn labels_of(&self, log: &Log, stream: Option<&str>) -> Labels {
        let mut labels = self.labels.clone();
        if !self.path_label.is_empty() {
            labels.insert(self.path_label.clone(), log.base.to_string_lossy().into_owned());
        }
        if self.kubernetes
            && let Some(pod) = kubernetes::labels(&log.base)
        {
            labels.extend(pod.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        if let Some(stream) = stream {
            labels.insert("stream".to_owned(), stream.to_owned());
        }
        Labels::from_pairs(labels)
    }
}

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
    labels: Vec<(Option<&'static str>, Labels)>,
}

/// What a runtime has written beside a line.
#[derive(Clone, Copy, Debug, Default)]
struct Origin {
    nanos: Option<i64>,
    stream: Option<&'static str>,
}

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
        let origin = Origin { nanos: content.nanos, stream: content.stream };
        // What the other stream wrote meanwhile is no part of it.
        if self.parts_origin.stream != origin.stream {
            self.end_parts(reading, batch, before, now);
        }
        if self.group_origin.stream != origin.stream {
            self.end_group(reading, batch, now);
        }
        self.parts_origin = origin;
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
                self.emit(reading, batch, text, line.part, origin, self.split, now);
            }
        }
    }

    fn end_group(&mut self, reading: &Reading, batch: &mut Batch, now: i64) {
        if let Some(text) = self.group.take() {
            self.emit(reading, batch, &text, None, self.group_origin, self.group_end, now);
        }
    }

    /// Sends the parts of a line of which no more come.
    fn end_parts(&mut self, reading: &Reading, batch: &mut Batch, to: u64, now: i64) {
        if !self.parts.is_empty() {
            self.end_group(reading, batch, now);
            let text = std::mem::take(&mut self.parts);
            self.emit(reading, batch, &text, None, self.parts_origin, to, now);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what is known of a line, in one place")]
    fn emit(
        &mut self,
        reading: &Reading,
        batch: &mut Batch,
        text: &[u8],
        part: Option<u32>,
        origin: Origin,
        to: u64,
        now: i64,
    ) {
        // Times of reading never repeat within a log, so that its lines stay in their order.
        let nanos = origin.nanos.unwrap_or_else(|| {
            self.last_nanos = now.max(self.last_nanos.saturating_add(1));
            self.last_nanos
        });
        let known = self.labels.iter().position(|(known, _)| *known == origin.stream);
        let place = known.unwrap_or_else(|| {
            let labels = reading.labels_of(self, origin.stream);
            self.labels.push((origin.stream, labels));
            self.labels.len() - 1
        });
        let Some((_, labels)) = self.labels.get(place) else { return };
        let time = Timestamp::from_nanos(nanos);
        let steps = reading.steps.as_ref();
        batch.push(&Line { log: self.id, labels, time, text, part, from: self.emitted, to, steps });
        self.emitted = to;
    }
}
