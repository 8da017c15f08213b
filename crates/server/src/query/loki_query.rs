//! `/loki/api/v1/query_range` and `/loki/api/v1/query`.
//!
//! Beyond Loki's API a client may ask for a cursor (`cursor=`), for rows instead of one JSON answer (`Accept`), and that too
//! many series be truncated (`truncate_series=true`).

use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use timberyard_logql::syntax::Expression;
use timberyard_logql::{Engine, LinePosition, Page, QueryExtras, QueryRequest, syntax};
use timberyard_model::Cancellation;
use timberyard_wire::loki_query_params::check_entries_limit;
use timberyard_wire::query_cursor::{QueryCursor, query_hash};
use timberyard_wire::row_text::RowFormat;

use super::loki_reply::{ReplyForm, query_response};
use super::{loki_rows, loki_split, run};
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::{ServerState, SharedState};

/// Lines of a range, or the values of a metric at the steps of a range.
pub async fn range(
    State(state): State<SharedState>,
    identity: Identity,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let mut request = range_request(&state, &identity, &form)?;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    if let Some(format) = RowFormat::from_accept(accept) {
        let lines_max = form.get("limit").filter(|limit| !limit.is_empty()).map(|_| request.limit);
        return loki_rows::answer(state, identity, request, lines_max, format).await;
    }
    let wants_cursor = match form.get("cursor") {
        Some(cursor) => {
            check_entries_limit(form.parameters().limit()?, identity.limits.query.entries_max)?;
            go_on(&mut request, cursor)?;
            true
        }
        None => false,
    };
    answer(&state, &identity, &headers, request, wants_cursor).await
}

/// The values of a metric at one time.
pub async fn instant(
    State(state): State<SharedState>,
    identity: Identity,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let request = instant_request(&state, &identity, &form)?;
    answer(&state, &identity, &headers, request, false).await
}

/// What a form asks for over a range.
pub(super) fn range_request(
    state: &ServerState,
    identity: &Identity,
    form: &Form,
) -> Result<QueryRequest, ErrorResponse> {
    let limits = &identity.limits.query;
    let now = state.now();
    let parameters = form.parameters().range_query(now, limits.points_max)?;
    let expression = syntax::parse(&parameters.query, limits)?;
    Ok(QueryRequest {
        tenant: identity.tenant.clone(),
        expression,
        start: parameters.start,
        end: parameters.end,
        step_ns: parameters.step_nanos,
        interval_ns: parameters.interval_nanos,
        limit: parameters.limit as usize,
        direction: parameters.direction,
        extras: extras(form),
        now,
        cancellation: Cancellation::default(),
    })
}

/// What a form asks for at one time.
pub(super) fn instant_request(
    state: &ServerState,
    identity: &Identity,
    form: &Form,
) -> Result<QueryRequest, ErrorResponse> {
    let now = state.now();
    let parameters = form.parameters().instant_query(now)?;
    let expression = syntax::parse(&parameters.query, &identity.limits.query)?;
    Ok(QueryRequest {
        tenant: identity.tenant.clone(),
        expression,
        start: parameters.time,
        end: parameters.time,
        step_ns: 0,
        interval_ns: 0,
        limit: parameters.limit as usize,
        direction: parameters.direction,
        extras: extras(form),
        now,
        cancellation: Cancellation::default(),
    })
}

fn extras(form: &Form) -> QueryExtras {
    QueryExtras { page: None, truncates_series: form.get("truncate_series") == Some("true") }
}

/// Makes the request one for the page behind `cursor`; an empty one begins. Range and direction are those of the first page.
fn go_on(request: &mut QueryRequest, cursor: &str) -> Result<(), ErrorResponse> {
    let refuse = |message: String| Err(ErrorResponse::bad_request("invalid_cursor", message));
    if let Expression::Metric(_) = request.expression {
        return refuse("only log queries have a cursor, this is a metric query".to_owned());
    }
    if cursor.is_empty() {
        request.extras.page = Some(Page::default());
        return Ok(());
    }
    let cursor = match QueryCursor::decode(cursor) {
        Ok(cursor) => cursor,
        Err(error) => return refuse(error.to_string()),
    };
    if cursor.query != query_hash(&request.tenant, &request.expression.to_string()) {
        return refuse("cursor is of another query; leave it empty to begin anew".to_owned());
    }
    (request.start, request.end, request.direction) = (cursor.start, cursor.end, cursor.direction);
    let after = LinePosition { timestamp: cursor.timestamp, stream: cursor.stream, lines: cursor.lines };
    request.extras.page = Some(Page { after: Some(after) });
    Ok(())
}

async fn answer(
    state: &SharedState,
    identity: &Identity,
    headers: &HeaderMap,
    request: QueryRequest,
    wants_cursor: bool,
) -> Result<Response, ErrorResponse> {
    let started = Instant::now();
    let form = ReplyForm::new(headers);
    let page = wants_cursor.then(|| request.clone());
    let splits = state.settings.split_gaps && page.is_none();
    let run_query = if splits { loki_split::run } else { Engine::run };
    run::answer_by(state, identity, request, run_query, move |state, result| {
        let next = page.map(|page| result.last.map(|last| cursor_after(&page, last).encode()));
        query_response(state, &result, form, next.as_ref().map(Option::as_deref), started.elapsed())
    })
    .await
}

/// Where the request goes on behind a line.
fn cursor_after(request: &QueryRequest, last: LinePosition) -> QueryCursor {
    QueryCursor {
        query: query_hash(&request.tenant, &request.expression.to_string()),
        start: request.start,
        end: request.end,
        direction: request.direction,
        timestamp: last.timestamp,
        stream: last.stream,
        lines: last.lines,
    }
}
