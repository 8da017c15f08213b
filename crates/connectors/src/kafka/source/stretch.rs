//! Some messages of one partition, one behind the other, on their way to the sinks together.

use std::time::Instant;

use rdkafka::message::OwnedMessage;
use timberyard_model::batch::{EqualEntries, UniqueKey};
use timberyard_model::origin::{OriginName, OriginRange};
use timberyard_model::rows::{RowsBuilder, RowsFull};
use timberyard_model::{LogBatch, TenantId};
use xxhash_rust::xxh3::xxh3_64;

/// What a message without rows is counted as, in bytes: the partition's stretch is bounded by them too.
const MESSAGE_BYTES: usize = 64;
/// A topic's name above that goes into origins as a hash.
const TOPIC_BYTES_MAX: usize = 120;

/// A partition, with what tells its offsets apart from those of another topic that had its name before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic: Box<str>,
    pub(super) partition: i32,
    /// Drawn when the group read the partition for the first time, and kept with its offsets.
    pub(super) epoch: Box<str>,
}

/// The rows of one message.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) offset: i64,
    pub(super) batch: LogBatch,
}

/// Messages whose rows can stand in one batch.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) tenant: TenantId,
    pub(super) equal_entries: EqualEntries,
    pub(super) is_ours: bool,
    /// By their offsets, ascending.
    pub(super) pieces: Vec<Piece>,
}

/// A message that cannot be taken, and why.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) message: OwnedMessage,
    pub(super) reason: String,
}

/// Messages of one partition.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) groups: Vec<Group>,
    pub(super) letters: Vec<Letter>,
    /// The offset behind the last message.
    pub(super) end: i64,
    pub(super) bytes: usize,
    pub(super) rows: usize,
    pub(super) since: Instant,
}

impl Stretch {
    pub(super) fn new(now: Instant) -> Self {
        Self { groups: Vec::new(), letters: Vec::new(), end: 0, bytes: 0, rows: 0, since: now }
    }

    /// Notes that a message was read, whatever it holds.
    pub(super) fn pass(&mut self, offset: i64) {
        self.end = offset + 1;
        self.bytes += MESSAGE_BYTES;
    }

    pub(super) fn push(&mut self, offset: i64, batch: LogBatch, is_ours: bool) {
        self.rows += batch.rows.len();
        self.bytes += batch.rows.bytes();
        let fits = |group: &&mut Group| {
            group.tenant == batch.tenant
                && group.equal_entries == batch.equal_entries
                && group.is_ours == is_ours
        };
        if let Some(group) = self.groups.iter_mut().find(fits) {
            group.pieces.push(Piece { offset, batch });
            return;
        }
        let (tenant, equal_entries) = (batch.tenant.clone(), batch.equal_entries);
        self.groups.push(Group { tenant, equal_entries, is_ours, pieces: vec![Piece { offset, batch }] });
    }

    pub(super) fn refuse(&mut self, message: OwnedMessage, reason: String) {
        use rdkafka::message::Message;
        self.bytes += message.payload().map_or(0, <[u8]>::len);
        self.letters.push(Letter { message, reason });
    }
}

impl Group {
    /// The batch of some of its pieces, which says what it was read from, so that nothing of it is stored twice.
    pub(super) fn batch(&self, place: &Place, pieces: &[Piece]) -> Result<LogBatch, RowsFull> {
        let origins = self.origins(place, pieces);
        if let [piece] = pieces {
            return Ok(LogBatch { origins, ..piece.batch.clone() });
        }
        let mut rows = RowsBuilder::default();
        rows.reserve_bytes(pieces.iter().map(|piece| piece.batch.rows.arena().len()).sum());
        let mut unique_keys = Vec::new();
        for piece in pieces {
            let first_row = rows.len() as u32;
            let keys = piece.batch.unique_keys.iter();
            unique_keys.extend(
                keys.map(|UniqueKey { row, key }| UniqueKey { row: first_row + row, key: key.clone() }),
            );
            let streams: Vec<u32> =
                piece.batch.rows.streams().iter().map(|labels| rows.stream(labels)).collect();
            for row in piece.batch.rows.iter() {
                let Some(stream) = streams.get(row.stream_index()) else { continue };
                rows.push(*stream, row.timestamp(), row.line(), row.metadata())?;
            }
        }
        Ok(LogBatch {
            tenant: self.tenant.clone(),
            received_at: pieces.iter().map(|piece| piece.batch.received_at).max().unwrap_or_default(),
            equal_entries: self.equal_entries,
            rows: rows.finish(),
            unique_keys,
            origins,
        })
    }

    /// Each kind of group of a partition is an origin of its own, since their messages lie between one another.
    fn origins(&self, place: &Place, pieces: &[Piece]) -> Vec<OriginRange> {
        let topic = match &*place.topic {
            topic if topic.len() <= TOPIC_BYTES_MAX => topic.to_owned(),
            topic => format!("{:016x}", xxh3_64(topic.as_bytes())),
        };
        let kind = match (self.equal_entries, self.is_ours) {
            (EqualEntries::Merge, true) => "mo",
            (EqualEntries::Merge, false) => "mf",
            (EqualEntries::Keep, true) => "ko",
            (EqualEntries::Keep, false) => "kf",
        };
        let name = OriginName::new(&format!("kafka/{topic}/{}/{}/{kind}", place.partition, place.epoch));
        let (Ok(name), Some(first), Some(last)) = (name, pieces.first(), pieces.last()) else {
            return Vec::new();
        };
        let offset = |offset: i64| u64::try_from(offset).unwrap_or_default();
        vec![OriginRange { name, from: offset(first.offset), to: offset(last.offset) + 1 }]
    }
}
