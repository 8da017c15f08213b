//! `GET /api/v1/logs/filter` and `/recent`, `/api/v1/status` and `/metrics`: Change66's way out.
//!
//! Every row is an event here, whichever surface it came in through.

use std::collections::{BTreeMap, HashSet};

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use timberyard_model::events::{EventOrder, EventPage, EventPageRequest};
use timberyard_model::level::Level;
use timberyard_model::scan::{Columns, LogSource, ScanRequest, SeriesRequest};
use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{Cancellation, Labels, RowRef, Rows, TenantId, TimeRange, Timestamp};
use timberyard_wire::change66::EVENT_TYPES;
use timberyard_wire::change66_event::Event;

use super::event_conditions;
use super::event_page::{PLACES_MAX, for_each_row, read_page};
use super::json_answer::{array_of, json_text, replaced_values};
use super::ordered_rows::{ReadError, ReadLimits, read_rows};
use super::plain_parameters::present;
use crate::admin::health::uptime_text;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::events::Events;
use crate::form::Form;
use crate::state::SharedState;

const PAGE_SIZE_DEFAULT: usize = 50;
const PAGE_SIZE_MAX: usize = 1000;
/// Sessions that are counted one by one; beyond, the count stays there.
const SESSIONS_MAX: usize = 1_000_000;
/// Event types that are listed.
const TOP_EVENT_TYPES_MAX: usize = 10;

/// A page of events that pass the filters, and the number of all that do.
pub async fn filter(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let conditions = event_conditions::read(&form)?;
    let page = positive(&form, "page", 1, usize::MAX)?;
    let page_size = positive(&form, "page_size", PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)?;
    let offset = (page - 1).saturating_mul(page_size);
    if offset.saturating_add(page_size) > PLACES_MAX {
        let message = format!(
            "page {page} of {page_size} ends beyond the first {PLACES_MAX} events, the limit; narrow the filters or turn sort_order round"
        );
        return Err(ErrorResponse::bad_request("invalid_page", message));
    }
    let (order, descending) = order(&form)?;
    let (shared, tenant) = (SharedState::clone(&state), identity.tenant.clone());
    let bytes_max = identity.limits.query.memory_bytes_max;
    // Who may see all streams of one tenant sees what the store has.
    let sees_all = identity.labels.is_none() && identity.read_together.is_none();
    let store = state.events.clone().filter(|_| sees_all);
    let answer = move |source: &dyn LogSource, cancellation: Cancellation| {
        let rows_max = page_size;
        let request = EventPageRequest {
            tenant,
            conditions,
            order,
            descending,
            offset,
            rows_max,
            bytes_max,
            cancellation,
        };
        let found = page_of(source, store.as_ref(), &request)?;
        shared.metrics.count_replaced_utf8(replaced_values(&found.rows));
        let pages = found.total.div_ceil(page_size as u64);
        let mut body = format!(
            r#"{{"success":true,"message":"{} events found","data":{{"total_count":{},"page":{page},"page_size":{page_size},"total_pages":{pages},"logs":"#,
            found.total, found.total
        )
        .into_bytes();
        body.append(&mut array_of(&found.rows, |out, row| Event::new(row).write(out)));
        body.extend_from_slice(b"}}");
        Ok(body)
    };
    state.read(&identity, answer).await.map(json_text)
}

/// A page of what a store of events has, where it has all of it; else of what the source has.
fn page_of(
    source: &dyn LogSource,
    store: Option<&Events>,
    request: &EventPageRequest,
) -> Result<EventPage, ReadError> {
    let scan = event_conditions::scan_request(request);
    let accepts = |row: RowRef<'_>| event_conditions::accept(&request.conditions, row);
    if let Some(Events { store, others }) = store {
        let counted = EventPageRequest { offset: 0, rows_max: 0, ..request.clone() };
        let has_none = others.estimate(&scan)?.streams == 0
            || read_page(&**others, &scan, &counted, accepts)?.total == 0;
        if has_none {
            return Ok(store.page(request)?);
        }
    }
    read_page(source, &scan, request, accepts)
}

/// The newest events.
pub async fn recent(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let rows_max = positive(&form, "limit", PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)?;
    let (shared, tenant) = (SharedState::clone(&state), identity.tenant.clone());
    let limits = ReadLimits { rows_max, bytes_max: identity.limits.query.memory_bytes_max };
    let answer = move |source: &dyn LogSource, cancellation: Cancellation| {
        let request = ScanRequest { cancellation, ..ScanRequest::all(tenant, TimeRange::ALL) };
        let rows: Rows = read_rows(source, &request, limits, |_| true)?;
        shared.metrics.count_replaced_utf8(replaced_values(&rows));
        let mut body = format!(r#"{{"success":true,"message":"{} events","data":"#, rows.len()).into_bytes();
        body.append(&mut array_of(&rows, |out, row| Event::new(row).write(out)));
        body.push(b'}');
        Ok(body)
    };
    state.read(&identity, answer).await.map(json_text)
}

/// Name, version, uptime, store, totals.
pub async fn status(State(state): State<SharedState>) -> Json<Value> {
    let readiness = state.operations.readiness();
    let store = state.operations.statistics();
    let uptime_seconds = state.uptime_nanos() / NANOS_PER_SECOND;
    Json(json!({
        "success": true,
        "message": "server status",
        "data": {
            "service": "timberyard",
            "version": env!("CARGO_PKG_VERSION"),
            "status": if readiness.is_ok() { "running" } else { "degraded" },
            "timestamp": state.now().to_string(),
            "uptime": uptime_text(uptime_seconds),
            "uptime_seconds": uptime_seconds,
            "database": if readiness.is_ok() { "connected" } else { "disconnected" },
            "database_error": readiness.err().map(|error| error.to_string()),
            "total_logs": store.rows,
            "total_requests": state.metrics.requests_answered(),
            "ingested_logs": state.intake.counters().rows_accepted.get(),
        },
    }))
}

/// Numbers about what is stored. Those of the last hour and day may be estimates at their older end.
pub async fn metrics(
    State(state): State<SharedState>,
    identity: Identity,
) -> Result<Json<Value>, ErrorResponse> {
    let (asker, now) = (identity.clone(), state.now());
    let summarize = move |source: &dyn LogSource, cancellation: Cancellation| {
        Ok(Summary::read(source, &asker, now, &cancellation)?)
    };
    let summary = state.read(&identity, summarize).await?;
    let top: Vec<Value> = summary
        .event_types
        .iter()
        .take(TOP_EVENT_TYPES_MAX)
        .map(|(event_type, count)| json!({ "event_type": event_type, "count": count }))
        .collect();
    Ok(Json(json!({
        "success": true,
        "message": "server metrics",
        "data": {
            "total_logs": summary.total,
            "logs_last_hour": summary.last_hour,
            "logs_last_day": summary.last_day,
            "average_latency_ms": state.metrics.latency_ms_mean(),
            "error_rate_percent": summary.error_percent,
            "active_sessions": summary.sessions,
            "top_event_types": top,
        },
    })))
}

/// A whole number from 1 on. Too large ones count as the largest, as Change66 has it.
fn positive(form: &Form, name: &str, default: usize, largest: usize) -> Result<usize, ErrorResponse> {
    let Some(text) = present(form, name) else { return Ok(default) };
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number.min(largest)),
        // More digits than a number can have.
        Err(_) if is_digits && largest < usize::MAX => Ok(largest),
        _ => {
            let message = format!("{name} must be a whole number from 1 on");
            Err(ErrorResponse::bad_request(format!("invalid_{name}"), message))
        }
    }
}

fn order(form: &Form) -> Result<(EventOrder, bool), ErrorResponse> {
    let sort_by = match present(form, "sort_by") {
        None => EventOrder::CreatedAt,
        Some(name) => {
            let known = EventOrder::NAMES.iter().find(|(known, _)| *known == name);
            known.map(|(_, order)| *order).ok_or_else(|| {
                let names = EventOrder::NAMES.map(|(name, _)| name).join(", ");
                ErrorResponse::bad_request("invalid_sort_by", format!("sort_by must be one of {names}"))
            })?
        }
    };
    let order = present(form, "sort_order").unwrap_or("DESC");
    let descending = order.eq_ignore_ascii_case("DESC");
    if !descending && !order.eq_ignore_ascii_case("ASC") {
        return Err(ErrorResponse::bad_request("invalid_sort_order", "sort_order must be ASC or DESC"));
    }
    Ok((sort_by, descending))
}

/// Counts over what is stored.
struct Summary {
    total: u64,
    last_hour: u64,
    last_day: u64,
    error_percent: f64,
    sessions: usize,
    /// The most frequent first.
    event_types: Vec<(&'static str, u64)>,
}

impl Summary {
    fn read(
        source: &dyn LogSource,
        asker: &Identity,
        now: Timestamp,
        cancellation: &Cancellation,
    ) -> Result<Self, ReadError> {
        let since = |seconds: i64| {
            // Events may be a little ahead of this clock.
            TimeRange::new(now.saturating_add_nanos(-seconds * NANOS_PER_SECOND), Timestamp::MAX)
        };
        let volumes = |range: TimeRange| {
            source.volumes(&SeriesRequest {
                tenant: asker.tenant.clone(),
                range,
                selectors: Vec::new(),
                memory_bytes_max: asker.limits.query.memory_bytes_max,
                cancellation: cancellation.clone(),
            })
        };
        let rows = |volumes: &[timberyard_model::scan::StreamVolume]| -> u64 {
            volumes.iter().map(|volume| volume.rows).sum()
        };
        let mut event_types: BTreeMap<&'static str, u64> = BTreeMap::new();
        let all = volumes(TimeRange::ALL)?;
        for volume in &all {
            *event_types.entry(event_type_of(&volume.labels)).or_default() += volume.rows;
        }
        let mut event_types: Vec<_> = event_types.into_iter().collect();
        event_types.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let last_day = volumes(since(86_400))?;
        let errors: u64 = last_day
            .iter()
            .filter(|volume| event_type_of(&volume.labels) == "error")
            .map(|volume| volume.rows)
            .sum();
        Ok(Self {
            total: rows(&all),
            last_hour: rows(&volumes(since(3600))?),
            last_day: rows(&last_day),
            error_percent: errors as f64 * 100.0 / rows(&last_day).max(1) as f64,
            sessions: sessions(source, &asker.tenant, since(3600), cancellation)?,
            event_types,
        })
    }
}

/// The type that events of a stream have, as far as its labels say.
fn event_type_of(labels: &Labels) -> &'static str {
    if let Some(known) = EVENT_TYPES.iter().find(|known| labels.get("event_type") == Some(**known)) {
        return known;
    }
    match labels.get("level").and_then(Level::from_word) {
        Some(Level::Error | Level::Critical | Level::Fatal) => "error",
        _ => "observability",
    }
}

/// How many different sessions have rows in the range.
fn sessions(
    source: &dyn LogSource,
    tenant: &TenantId,
    range: TimeRange,
    cancellation: &Cancellation,
) -> Result<usize, ReadError> {
    let request = ScanRequest {
        columns: Columns { line: false, metadata: true },
        cancellation: cancellation.clone(),
        ..ScanRequest::all(tenant.clone(), range)
    };
    let mut sessions: HashSet<u64> = HashSet::new();
    for_each_row(source, &request, |row| {
        let session = Event::new(row).field("session_id");
        if let Some(session) = session.filter(|session| !session.is_empty())
            && sessions.len() < SESSIONS_MAX
        {
            sessions.insert(xxhash_rust::xxh3::xxh3_64(session.as_bytes()));
        }
        Ok(())
    })?;
    Ok(sessions.len())
}
