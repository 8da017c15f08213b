//! How a store behaves: every bound with its unit and its default.

use std::collections::BTreeMap;
use std::time::Duration;

use timberyard_model::TenantId;
use timberyard_model::matcher::LabelMatcher;

/// Settings of one store. The defaults fit one machine with a few hundred megabytes to spare.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreOptions {
    /// Bytes that rows not yet in segments may hold in memory. Well before that the largest families are cut.
    pub head_bytes_max: usize,
    /// How long a row may stay out of segments, in seconds since it was received.
    pub head_age_seconds_max: u64,
    /// Bytes of the write-ahead log on disk. Past it the families that pin its oldest part are cut.
    pub log_bytes_max: u64,
    /// Bytes of one segment of the write-ahead log. Allocated in full when it is made, then recycled.
    pub log_segment_bytes: u64,
    /// Payload bytes that may wait for the log. A batch is always taken when none waits.
    pub queue_bytes_max: usize,
    /// A small batch that meets an idle log is written and synced by the thread that brings it, while that lately took no longer
    /// than this: to wake the log's thread, and to be woken by it, would take as long. With 0 the log's thread writes everything.
    pub quick_write_max: Duration,
    /// Free bytes on the volume below which appends are refused.
    pub disk_reserve_bytes: u64,
    /// What is kept of tenants that [`StoreOptions::tenant_retention`] does not name, and of all
    /// tenants together (`bytes_max` is the sum over all).
    pub retention: Retention,
    /// What is kept of single tenants.
    pub tenant_retention: BTreeMap<TenantId, Retention>,
    /// How long a deletion can be called off before compaction takes its rows out, in seconds.
    pub deletion_cancel_seconds: u64,
    /// Raw line bytes of a full row group.
    pub group_bytes: usize,
    /// Raw line bytes of a block, the piece of a group that is read at once.
    pub block_bytes: usize,
    /// Segments of one cut, one for each tenant and day, up to which each is synced by itself. More of them are
    /// written first and synced together, with whatever else waits to be written to the volume.
    pub segments_synced_singly_max: usize,
    /// Raw line bytes past which compaction leaves a segment alone.
    pub segment_bytes_max: u64,
    /// Memory for segment indexes that were read, in bytes.
    pub index_cache_bytes_max: usize,
    /// Threads that read blocks ahead of the queries that will want them, for all queries together. With 0 each query
    /// reads by itself.
    pub read_threads: usize,
}

/// Groups that a family's rows fill before they are cut, whatever room there is.
const FULL_FAMILY_GROUPS: usize = 2;

/// Groups that one family's rows may fill in the head: more would not make them larger.
const FAMILY_GROUPS_MAX: usize = 5;

impl StoreOptions {
    /// Raw bytes of a family's rows in the head from which on it is cut.
    pub(crate) fn full_family_bytes(&self) -> usize {
        self.group_bytes.saturating_mul(FULL_FAMILY_GROUPS)
    }

    /// Raw bytes of a family's rows in the head from which on nothing is taken in.
    pub(crate) fn family_bytes_max(&self) -> usize {
        self.group_bytes.saturating_mul(FAMILY_GROUPS_MAX)
    }
}

/// What is kept, and for how long. `None` keeps everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retention {
    /// Rows older than this many seconds are dropped.
    pub age_seconds_max: Option<u64>,
    /// Past this many bytes of segments the oldest are dropped.
    pub bytes_max: Option<u64>,
    /// For how long rows of single streams are kept, instead of [`Retention::age_seconds_max`].
    pub streams: Vec<StreamRetention>,
}

/// For how long rows of some streams are kept. Of several rules that accept a stream the one with the highest priority
/// holds, of equal ones that with the shortest time.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamRetention {
    /// Streams that pass all of these.
    pub matchers: Vec<LabelMatcher>,
    /// The matchers as they were written; only shown.
    pub text: Box<str>,
    /// The larger, the more it counts.
    pub priority: i64,
    /// Rows older than this many seconds are dropped; nothing keeps them for ever.
    pub age_seconds_max: Option<u64>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            head_bytes_max: 44 << 20,
            head_age_seconds_max: 2 * 3600,
            log_bytes_max: 256 << 20,
            log_segment_bytes: 16 << 20,
            queue_bytes_max: 64 << 20,
            quick_write_max: Duration::from_micros(200),
            disk_reserve_bytes: 256 << 20,
            retention: Retention::default(),
            tenant_retention: BTreeMap::new(),
            deletion_cancel_seconds: 24 * 3600,
            group_bytes: 4 << 20,
            block_bytes: 4 << 20,
            segments_synced_singly_max: 16,
            segment_bytes_max: 512 << 20,
            index_cache_bytes_max: 256 << 20,
            read_threads: 1,
        }
    }
}
