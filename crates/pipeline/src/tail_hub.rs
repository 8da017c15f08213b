//! Shows each stored batch to whoever is tailing, without ever waiting for them.
//!
//! Every subscription has a queue bounded in bytes. When it is full the batch is left out, and the
//! rows that were missed are counted and told with the next one that gets through.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use timberyard_model::matcher::{LabelMatcher, accepts_all};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::{LogBatch, RowSelector, TenantId};
use tokio::sync::Notify;

/// What one subscription may leave unread, in bytes.
pub const QUEUED_BYTES_MAX: usize = 8 << 20;

/// All tails that are listening.
#[derive(Debug)]
pub struct TailHub {
    subscriptions: RwLock<Vec<Arc<Queue>>>,
    subscriptions_max: usize,
    missed_rows: Arc<AtomicU64>,
}

/// One tail's place in the hub; leaves when dropped.
#[derive(Debug)]
pub struct TailSubscription {
    hub: Arc<TailHub>,
    queue: Arc<Queue>,
}

/// Something to show.
#[derive(Clone, Debug)]
pub struct TailEvent {
    /// A batch with at least one row in a stream that the subscription asked for.
    pub batch: Arc<LogBatch>,
    /// Rows of such streams that were missed since the last event.
    pub missed_rows: u64,
}

/// As many tails as are allowed are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} connections tail already, which is the limit; close one or raise the limit")]
pub struct TooManyTails(pub usize);

#[derive(Debug)]
struct Queue {
    tenant: TenantId,
    unread: Mutex<Unread>,
    ready: Notify,
}

#[derive(Debug)]
struct Unread {
    matchers: Vec<LabelMatcher>,
    events: VecDeque<TailEvent>,
    bytes: usize,
    missed_rows: u64,
    closed: bool,
}

impl TailHub {
    /// A hub for at most `subscriptions_max` tails.
    pub fn new(subscriptions_max: usize) -> Arc<Self> {
        Arc::new(Self { subscriptions: RwLock::default(), subscriptions_max, missed_rows: Arc::default() })
    }

    /// Listens to the streams of a tenant that pass all matchers, from now on. The tenant may have `own_max` tails.
    pub fn subscribe(
        self: &Arc<Self>,
        tenant: TenantId,
        matchers: Vec<LabelMatcher>,
        own_max: usize,
    ) -> Result<TailSubscription, TooManyTails> {
        let unread = Unread { matchers, events: VecDeque::new(), bytes: 0, missed_rows: 0, closed: false };
        let queue = Arc::new(Queue { tenant, unread: Mutex::new(unread), ready: Notify::new() });
        let mut subscriptions = self.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
        if subscriptions.len() >= self.subscriptions_max {
            return Err(TooManyTails(self.subscriptions_max));
        }
        if subscriptions.iter().filter(|other| other.tenant == queue.tenant).count() >= own_max {
            return Err(TooManyTails(own_max));
        }
        subscriptions.push(Arc::clone(&queue));
        Ok(TailSubscription { hub: Arc::clone(self), queue })
    }

    /// Offers a batch to every tail of its tenant.
    pub fn publish(&self, batch: &Arc<LogBatch>) {
        for queue in self.subscriptions.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if queue.tenant == batch.tenant {
                let missed = queue.offer(batch);
                self.missed_rows.fetch_add(missed, Ordering::Relaxed);
            }
        }
    }

    /// Takes rows that were deleted out of what is queued.
    pub fn forget(&self, tenant: &TenantId, deleted: &RowSelector) {
        for queue in self.subscriptions.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if queue.tenant == *tenant {
                queue.forget(deleted);
            }
        }
    }

    /// Ends all subscriptions: they get what is queued, then nothing more.
    pub fn close(&self) {
        for queue in self.subscriptions.read().unwrap_or_else(PoisonError::into_inner).iter() {
            queue.lock().closed = true;
            queue.ready.notify_one();
        }
    }

    /// How many tails are listening.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Rows that slow tails have missed since start.
    pub fn missed_rows(&self) -> u64 {
        self.missed_rows.load(Ordering::Relaxed)
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Unread> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, deleted: &RowSelector) {
        let mut unread = self.lock();
        for event in &mut unread.events {
            if event.batch.rows.iter().any(|row| deleted.accepts(row)) {
                event.batch = Arc::new(without(&event.batch, deleted));
            }
        }
        unread.bytes = unread.events.iter().map(|event| event.batch.rows.bytes()).sum();
    }

    /// Queues the batch if it has rows to show; returns how many rows were missed instead.
    fn offer(&self, batch: &Arc<LogBatch>) -> u64 {
        let mut unread = self.lock();
        let wanted: Vec<bool> =
            batch.rows.streams().iter().map(|labels| accepts_all(&unread.matchers, labels)).collect();
        let rows = batch.rows.iter().filter(|row| wanted[row.stream_index()]).count() as u64;
        if rows == 0 || unread.closed {
            return 0;
        }
        let bytes = batch.rows.bytes();
        if unread.bytes > 0 && unread.bytes + bytes > QUEUED_BYTES_MAX {
            unread.missed_rows += rows;
            return rows;
        }
        let missed_rows = std::mem::take(&mut unread.missed_rows);
        unread.bytes += bytes;
        unread.events.push_back(TailEvent { batch: Arc::clone(batch), missed_rows });
        self.ready.notify_one();
        0
    }
}

/// The batch without the rows that were deleted.
fn without(batch: &LogBatch, deleted: &RowSelector) -> LogBatch {
    let mut rows = RowsBuilder::default();
    for row in batch.rows.iter().filter(|row| !deleted.accepts(*row)) {
        let stream = rows.stream(row.labels());
        if rows.push(stream, row.timestamp(), row.line(), row.metadata()).is_err() {
            // A part of rows that fitted always fits.
            break;
        }
    }
    LogBatch { rows: rows.finish(), ..batch.clone_without_rows() }
}

impl TailSubscription {
    /// The next event; `None` when the hub was closed and everything queued was read.
    pub async fn next(&mut self) -> Option<TailEvent> {
        loop {
            {
                let mut unread = self.queue.lock();
                if let Some(event) = unread.events.pop_front() {
                    unread.bytes -= event.batch.rows.bytes();
                    return Some(event);
                }
                if unread.closed {
                    return None;
                }
            }
            self.queue.ready.notified().await;
        }
    }

    /// Listens to other streams from now on; what is queued already still comes.
    pub fn set_matchers(&mut self, matchers: Vec<LabelMatcher>) {
        self.queue.lock().matchers = matchers;
    }

    /// Rows missed that no event has told yet.
    pub fn take_missed_rows(&mut self) -> u64 {
        std::mem::take(&mut self.queue.lock().missed_rows)
    }
}

impl Drop for TailSubscription {
    fn drop(&mut self) {
        let mut subscriptions = self.hub.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
        subscriptions.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::batch::EqualEntries;
    use timberyard_model::limits::RecordLimits;
    use timberyard_model::{BatchBuilder, Labels, TimeRange, Timestamp};

    use super::*;

    fn batch(app: &str, lines: usize, line_bytes: usize) -> Arc<LogBatch> {
        let limits = RecordLimits { line_bytes_max: usize::MAX, ..RecordLimits::default() };
        let now = Timestamp::from_nanos(1);
        let mut batch = BatchBuilder::new(TenantId::default(), now, EqualEntries::Keep, &limits);
        let stream = batch.stream(&Labels::from_pairs([("app", app)]));
        for _ in 0..lines {
            batch.push(stream, now, &vec![b'x'; line_bytes], &[]).expect("within limits");
        }
        Arc::new(batch.finish())
    }

    #[tokio::test]
    async fn deleted_rows_are_not_shown_to_who_has_not_read_them_yet() {
        let hub = TailHub::new(1);
        let mut tail = hub.subscribe(TenantId::default(), Vec::new(), 9).expect("first");
        hub.publish(&batch("web", 2, 10));
        hub.publish(&batch("api", 3, 10));
        let api = RowSelector {
            matchers: vec![LabelMatcher::equal("app", "api")],
            range: TimeRange::ALL,
            line_filters: Vec::new(),
            condition: None,
        };
        hub.forget(&TenantId::new("other").expect("valid"), &api);
        hub.forget(&TenantId::default(), &api);
        hub.publish(&batch("api", 1, 10));
        for rows in [2, 0, 1] {
            assert_eq!(tail.next().await.expect("queued").batch.rows.len(), rows);
        }
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_missed_and_only_of_its_streams() {
        let hub = TailHub::new(1);
        let matchers = vec![LabelMatcher::equal("app", "api")];
        let mut tail = hub.subscribe(TenantId::default(), matchers, 9).expect("first");
        assert_eq!(hub.subscribe(TenantId::default(), Vec::new(), 9).expect_err("second"), TooManyTails(1));

        hub.publish(&batch("web", 5, 10));
        hub.publish(&batch("api", 1, 7 << 20));
        hub.publish(&batch("api", 3, 1 << 20));
        hub.publish(&batch("api", 2, 1 << 20));
        let first = tail.next().await.expect("queued");
        assert_eq!((first.batch.rows.len(), first.missed_rows), (1, 0));
        hub.publish(&batch("api", 1, 1));
        let second = tail.next().await.expect("queued");
        assert_eq!((second.batch.rows.len(), second.missed_rows), (1, 5));
        assert_eq!(hub.missed_rows(), 5);

        hub.close();
        assert!(tail.next().await.is_none());
        drop(tail);
        assert_eq!(hub.subscriptions(), 0);
    }

    #[test]
    fn a_tenant_has_a_bound_of_its_own() {
        let hub = TailHub::new(3);
        let other = TenantId::new("other").expect("valid");
        let _first = hub.subscribe(TenantId::default(), Vec::new(), 1).expect("first");
        let refused = hub.subscribe(TenantId::default(), Vec::new(), 1).expect_err("second");
        assert_eq!(refused, TooManyTails(1));
        hub.subscribe(other, Vec::new(), 1).expect("another tenant's first");
    }
}
