//! Brings a stretch of messages to the sinks, and what cannot be taken to the dead letters. Tries until it is done or told to
//! give up; a sink that says what of a batch it has already is sent the rest.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::Timestamp;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use timberyard_model::LogBatch;
use timberyard_model::origin::AlreadyStored;
use timberyard_model::sink::{Sink, SinkError};
use timberyard_wire::batch_record;
use tokio_util::sync::CancellationToken;

use super::super::schema::{FORMAT_BATCH, FORMAT_HEADER, part_of};
use super::counters::Counters;
use super::dead_letters::DeadLetters;
use super::stretch::{Group, Letter, Piece, Place, Stretch};

/// The first pause before a failed write is tried again; each further one is twice as long.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The longest pause between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Where rows go.
#[derive(Clone)]
pub struct Destinations {
    /// Takes rows that went through the door and the steps of one of us before they were in the topic.
    pub ours: Arc<dyn Sink>,
    /// Takes rows of foreign messages.
    pub foreign: Arc<dyn Sink>,
}

/// It was told to give up: the partition is another member's now.
#[derive(Debug)]
pub(super) struct GivenUp;

pub(super) struct Writer {
    pub(super) name: String,
    pub(super) destinations: Destinations,
    pub(super) dead_letters: DeadLetters,
    pub(super) counters: Arc<Counters>,
}

impl Writer {
    /// Writes everything of a stretch.
    pub(super) async fn write(
        &self,
        mut stretch: Stretch,
        place: &Place,
        cancel: &CancellationToken,
    ) -> Result<(), GivenUp> {
        let letters = std::mem::take(&mut stretch.letters);
        self.bury(&letters, cancel).await?;
        for group in &stretch.groups {
            self.write_group(group, place, cancel).await?;
        }
        Ok(())
    }

    /// Writes the pieces of a group in their order, in as many batches as the sinks want.
    async fn write_group(
        &self,
        group: &Group,
        place: &Place,
        cancel: &CancellationToken,
    ) -> Result<(), GivenUp> {
        let mut left: Vec<&[Piece]> = vec![&group.pieces];
        while let Some(pieces) = left.pop() {
            let middle = match self.write_pieces(group, pieces, place, cancel).await? {
                Written::SplitAt(offset) => pieces.partition_point(|piece| piece.offset < offset),
                Written::TooLarge(_) if pieces.len() > 1 => pieces.len() / 2,
                Written::TooLarge(reason) => {
                    let letters: Vec<_> =
                        pieces.iter().map(|piece| letter_of(piece, place, &reason)).collect();
                    self.bury(&letters, cancel).await?;
                    continue;
                }
                Written::Whole => continue,
            };
            // One message is stored or not.
            if pieces.len() > 1 {
                let (first, second) = pieces.split_at(middle.clamp(1, pieces.len() - 1));
                left.extend([second, first]);
            }
        }
        Ok(())
    }

    async fn write_pieces(
        &self,
        group: &Group,
        pieces: &[Piece],
        place: &Place,
        cancel: &CancellationToken,
    ) -> Result<Written, GivenUp> {
        let mut batch = match group.batch(place, pieces) {
            Ok(batch) => Arc::new(batch),
            Err(full) => return Ok(Written::TooLarge(full.to_string())),
        };
        let sink = if group.is_ours { &self.destinations.ours } else { &self.destinations.foreign };
        let mut pause = BACKOFF_FIRST;
        loop {
            let rows = batch.rows.len() as u64;
            let record = timberyard_model::IngestRecord { batch: Arc::clone(&batch), received: None };
            let error = match sink.write(record).await {
                Ok(()) => {
                    self.counters.rows.add(rows);
                    return Ok(Written::Whole);
                }
                Err(error) => error,
            };
            let wait = match error {
                SinkError::AlreadyStored(AlreadyStored { whole: true, .. }) => {
                    self.counters.repeated.add(rows);
                    return Ok(Written::Whole);
                }
                SinkError::AlreadyStored(AlreadyStored { ends, .. }) => {
                    let end = ends.first().map_or(0, |end| end.end);
                    return Ok(Written::SplitAt(i64::try_from(end).unwrap_or(i64::MAX)));
                }
                SinkError::TooLarge(reason) => return Ok(Written::TooLarge(reason)),
                SinkError::Duplicate { row, .. } => {
                    self.counters.repeated.add(1);
                    match without_row(&batch, row) {
                        Some(rest) => batch = Arc::new(rest),
                        None => return Ok(Written::Whole),
                    }
                    continue;
                }
                SinkError::Overloaded { retry_after_seconds, .. } => {
                    pause.max(Duration::from_secs(retry_after_seconds.min(BACKOFF_MAX.as_secs())))
                }
                SinkError::Full(ref reason) | SinkError::Unavailable(ref reason) => {
                    if pause == BACKOFF_FIRST {
                        tracing::warn!(
                            input = self.name,
                            sink = sink.name(),
                            reason,
                            "sink does not take rows; trying again"
                        );
                    }
                    pause
                }
            };
            self.wait(wait, cancel).await?;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    /// Sends letters until the brokers have them.
    async fn bury(&self, letters: &[Letter], cancel: &CancellationToken) -> Result<(), GivenUp> {
        if letters.is_empty() {
            return Ok(());
        }
        let mut pause = BACKOFF_FIRST;
        while let Err(error) = self.dead_letters.send(letters).await {
            tracing::warn!(input = self.name, %error, "cannot write dead letters; trying again");
            self.wait(pause, cancel).await?;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
        self.counters.dead_letters.add(letters.len() as u64);
        Ok(())
    }

    async fn wait(&self, pause: Duration, cancel: &CancellationToken) -> Result<(), GivenUp> {
        self.counters.retries.add(1);
        tokio::select! {
            () = cancel.cancelled() => Err(GivenUp),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

/// What became of some pieces.
enum Written {
    /// The sinks have them.
    Whole,
    /// They have those before that offset.
    SplitAt(i64),
    /// They are too much at once.
    TooLarge(String),
}

/// A message whose rows no sink can ever take, as far as it was kept: its rows.
fn letter_of(piece: &Piece, place: &Place, reason: &str) -> Letter {
    let payload = batch_record::encode_uncompressed(&piece.batch);
    let format = OwnedHeaders::new().insert(Header { key: FORMAT_HEADER, value: Some(FORMAT_BATCH) });
    let message = OwnedMessage::new(
        Some(payload),
        None,
        place.topic.to_string(),
        Timestamp::NotAvailable,
        place.partition,
        piece.offset,
        Some(format),
    );
    Letter { message, reason: reason.to_owned() }
}

/// The batch without one row, unless that was the only one.
fn without_row(batch: &LogBatch, row: u32) -> Option<LogBatch> {
    let rows: Vec<u32> = (0..batch.rows.len() as u32).filter(|number| *number != row).collect();
    (!rows.is_empty() && rows.len() < batch.rows.len())
        .then(|| LogBatch { origins: batch.origins.clone(), ..part_of(batch, &rows) })
}
