//! The seam between Change66's endpoints and stores that can pick, sort and count events by themselves.
//!
//! Any [`LogSource`](crate::scan::LogSource) can be walked for events. A store with columns of its own for them answers
//! faster, and is asked through [`EventStore`].

use crate::cancellation::Cancellation;
use crate::rows::Rows;
use crate::scan::ScanError;
use crate::tenant::TenantId;
use crate::time::TimeRange;

/// What events are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOrder {
    /// The number that the server gave to it.
    Id,
    /// `event_id`
    EventId,
    /// When it happened.
    Timestamp,
    /// `event_type`
    EventType,
    /// `event_name`
    EventName,
    /// `user_id`
    UserId,
    /// `session_id`
    SessionId,
    /// `app_version`
    AppVersion,
    /// `priority`
    Priority,
    /// When the server took it.
    CreatedAt,
}

impl EventOrder {
    /// The names that a request can give.
    pub const NAMES: [(&'static str, Self); 10] = [
        ("id", Self::Id),
        ("event_id", Self::EventId),
        ("timestamp", Self::Timestamp),
        ("event_type", Self::EventType),
        ("event_name", Self::EventName),
        ("user_id", Self::UserId),
        ("session_id", Self::SessionId),
        ("app_version", Self::AppVersion),
        ("priority", Self::Priority),
        ("created_at", Self::CreatedAt),
    ];
}

/// What events must be. Texts are compared with the words of an event, absent ones never pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventConditions {
    /// When they happened.
    pub range: TimeRange,
    /// Their type, one of the known words.
    pub event_type: Option<&'static str>,
    /// Their priority, one of the known words.
    pub priority: Option<&'static str>,
    /// Their name.
    pub event_name: Option<String>,
    /// What `user_id`, `session_id` and `app_version` are.
    pub fields: Vec<(&'static str, String)>,
    /// What the property `provider_name` is, as a string.
    pub provider_name: Option<String>,
}

impl EventConditions {
    /// No condition but that on the time.
    pub fn of(range: TimeRange) -> Self {
        Self {
            range,
            event_type: None,
            priority: None,
            event_name: None,
            fields: Vec::new(),
            provider_name: None,
        }
    }
}

/// Which part of which order.
#[derive(Clone, Debug)]
pub struct EventPageRequest {
    /// Whose events.
    pub tenant: TenantId,
    /// What they must be.
    pub conditions: EventConditions,
    /// What they are ordered by; equal ones by their numbers.
    pub order: EventOrder,
    /// The last first. Events that lack what they are ordered by are the first of all.
    pub descending: bool,
    /// Events before the page.
    pub offset: usize,
    /// Events of the page.
    pub rows_max: usize,
    /// Bytes that the rows of the page may hold.
    pub bytes_max: usize,
    /// Looked at while the store works.
    pub cancellation: Cancellation,
}

/// A page.
#[derive(Debug)]
pub struct EventPage {
    /// Its rows, in order, with lines and metadata.
    pub rows: Rows,
    /// All events that pass.
    pub total: u64,
}

/// A store that finds pages of events by itself.
pub trait EventStore: Send + Sync {
    /// A page and the number of all events that pass, both of one state of the store. Blocks.
    ///
    /// # Errors
    /// That the store cannot answer, or that the page is larger than it may be.
    fn page(&self, request: &EventPageRequest) -> Result<EventPage, ScanError>;
}
