//! `/loki/api/v1/delete`: asks for lines to be deleted, lists such requests, calls them off.
//!
//! Statuses, parameters and words are Loki's, and so are the queries: any log query chooses lines. `max_interval` is checked as Loki checks it and has no further meaning: nothing
//! here is done in parts.

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use timberyard_logql::quantity::duration::{format_go, parse_go};
use timberyard_logql::{LogqlConditions, QueryError, RowSelection};
use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{RowCondition, RowSelector, TenantId, TimeRange};
use timberyard_wire::loki_delete::{ListedDeletion, deletions_answer};

use crate::auth::Identity;
use crate::deletions::{CancelError, Deletion, WantedCancellation, WantedDeletion};
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

/// Loki's `delete_max_interval`.
const INTERVAL_MAX_NANOS: i64 = 24 * 3600 * NANOS_PER_SECOND;

/// Names the new request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-delete-request-id");

/// Hides lines from now on. 204 once that is durable.
pub async fn add(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let parameters = form.parameters();
    let text = parameters.get("query");
    if text.is_empty() {
        return Err(refused("query not set"));
    }
    let selection = RowSelection::parse(text, &identity.limits.query).map_err(|error| match error {
        QueryError::Syntax(_) => refused("invalid query expression"),
        error => refused(format!("invalid query expression: {error}")),
    })?;
    let now = state.now();
    let range = parameters.deletion_range(now)?;
    let RowSelection { matchers, line_filters, has_condition } = selection;
    if has_condition || !line_filters.is_empty() {
        check_interval(parameters.get("max_interval"), range)?;
    }
    let condition = has_condition.then(|| RowCondition::read(&LogqlConditions, text, now));
    let demoted = state.intake.demoted_labels_of(&identity.tenant);
    if let Some(matcher) = matchers.iter().find(|matcher| demoted.contains(&matcher.name)) {
        let name = &matcher.name;
        return Err(refused(format!(
            "label {name} has had too many values and is structured metadata, by which no line is deleted"
        )));
    }
    let selector = RowSelector { matchers, range, line_filters, condition };
    if let Some(reason) = selector.problem() {
        return Err(refused(format!("invalid query expression: {reason}")));
    }
    let wanted = WantedDeletion {
        tenant: identity.tenant.clone(),
        selector: selector.clone(),
        query: text.to_owned(),
    };
    let id = state.deletions.delete(wanted, now).await?;
    state.tail_hub.forget(&identity.tenant, &selector);
    tracing::info!(tenant = %identity.tenant, id, query = text, "lines are deleted");
    Ok((StatusCode::NO_CONTENT, [(REQUEST_ID, id)]).into_response())
}

/// Fails as Loki does when an interval is no duration, or too long.
fn check_interval(text: &str, range: TimeRange) -> Result<(), ErrorResponse> {
    if text.is_empty() {
        return Ok(());
    }
    let interval = parse_go(text).ok().filter(|interval| *interval >= NANOS_PER_SECOND);
    let interval =
        interval.ok_or_else(|| refused("invalid max_interval: valid time units are 's', 'm', 'h'"))?;
    if interval > INTERVAL_MAX_NANOS {
        let limit = format_go(INTERVAL_MAX_NANOS);
        return Err(refused(format!("max_interval can't be greater than {limit}")));
    }
    // The end is one nanosecond further.
    let span = range.end.as_nanos().saturating_sub(range.start.as_nanos()).saturating_sub(1);
    if interval > span {
        let span = format_go(span);
        return Err(refused(format!(
            "max_interval can't be greater than the interval to be deleted ({span})"
        )));
    }
    Ok(())
}

/// The requests of the tenant, the oldest first.
pub async fn list(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let wanted = form.parameters().listed_range()?;
    let mut deletions = state.deletions.list(identity.tenant).await?;
    deletions.retain(|deletion| {
        wanted.is_none_or(|wanted| {
            wanted.overlaps(deletion.range.start, deletion.range.end.saturating_add_nanos(-1))
        })
    });
    let listed = deletions.iter().map(|deletion: &Deletion| ListedDeletion {
        request_id: &deletion.id,
        range: deletion.range,
        query: &deletion.query,
        is_processed: deletion.is_carried_out,
        created_at: deletion.created_at,
        problem: deletion.problem.as_deref(),
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], deletions_answer(listed)).into_response())
}

/// Shows the lines of a request again. 204 once that is durable.
pub async fn cancel(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let parameters = form.parameters();
    let id = parameters.get("request_id").to_owned();
    let force = parameters.get("force") == "true";
    let tenant: TenantId = identity.tenant;
    let wanted = WantedCancellation { tenant: tenant.clone(), id: id.clone(), force };
    match state.deletions.cancel(wanted, state.now()).await {
        Ok(()) => {
            tracing::info!(%tenant, id, "deletion is called off");
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Err(CancelError::NotFound) => {
            Ok((StatusCode::NOT_FOUND, "could not find delete request with given id\n").into_response())
        }
        Err(CancelError::CarriedOut) => {
            Err(refused("deletion of request which is in process or already processed is not allowed"))
        }
        Err(CancelError::Late { period_seconds }) => {
            let nanos = i64::try_from(period_seconds).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_SECOND);
            Err(refused(format!(
                "Cancellation of partially completed delete request or delete request past the deadline of {} \
                 since its creation is not allowed. To force, use the ?force query parameter",
                format_go(nanos)
            )))
        }
        Err(CancelError::Store(error)) => Err(error.into()),
    }
}

fn refused(message: impl Into<String>) -> ErrorResponse {
    ErrorResponse::bad_request("invalid_deletion", message)
}
