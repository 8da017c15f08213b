//! `/loki/api/v1/labels`, `/loki/api/v1/label/{name}/values` and `/loki/api/v1/series`.
//!
//! Streams near the ends of the range may count: the answers are as fine as the store's index.

use axum::extract::{Path, State};
use axum::response::Response;
use timberyard_logql::syntax;
use timberyard_model::label_values::LabelQuestion;
use timberyard_model::scan::SeriesRequest;
use timberyard_model::{Cancellation, Labels, TimeRange};
use timberyard_wire::loki_query_json::{labels_answer, series_answer};
use timberyard_wire::loki_query_params::LabelQuery;

use super::loki_reply::json;
use super::run;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

/// The names of labels.
pub async fn names(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let request = request(&identity, &form.parameters().label_query(state.now())?)?;
    let labels = run::labels(&state, &identity, request, LabelQuestion::Names).await?;
    Ok(json(labels_answer(labels.iter().map(|label| &*label.name))))
}

/// The values of one label.
pub async fn values(
    State(state): State<SharedState>,
    identity: Identity,
    Path(name): Path<String>,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let request = request(&identity, &form.parameters().label_query(state.now())?)?;
    let labels = run::labels(&state, &identity, request, LabelQuestion::ValuesOf(name.into())).await?;
    Ok(json(labels_answer(labels.iter().flat_map(|label| &label.values).map(|value| &**value))))
}

/// The label sets of streams.
pub async fn series(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let request = request(&identity, &form.parameters().series_query(state.now())?)?;
    let streams = run::series(&state, &identity, request).await?;
    Ok(json(series_answer(streams.iter().map(Labels::iter))))
}

/// A question about the streams that pass one of its selectors.
pub(super) fn request(identity: &Identity, question: &LabelQuery) -> Result<SeriesRequest, ErrorResponse> {
    let limits = &identity.limits.query;
    let selectors = question.selectors.iter().map(|text| syntax::parse_selector(text, limits));
    Ok(SeriesRequest {
        tenant: identity.tenant.clone(),
        // Both ends are inside.
        range: TimeRange::new(question.start, question.end.saturating_add_nanos(1)),
        selectors: selectors.collect::<Result<_, _>>()?,
        memory_bytes_max: limits.memory_bytes_max,
        cancellation: Cancellation::default(),
    })
}
