//! `/loki/api/v1/labels`, `/loki/api/v1/label/{name}/values` and `/loki/api/v1/series`.
//!
//! Streams near the ends of the range may count: the answers are as fine as the store's index.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::response::Response;
use timberyard_logql::syntax;
use timberyard_model::scan::SeriesRequest;
use timberyard_model::{Labels, TimeRange};
use timberyard_wire::loki_query_json::{labels_answer, series_answer};
use timberyard_wire::loki_query_params::LabelQuery;

use super::form::Form;
use super::loki_reply::json;
use super::run;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// The names of labels.
pub async fn names(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let streams = streams(&state, &identity, &form.parameters().label_query(state.now())?).await?;
    let names: BTreeSet<&str> = streams.iter().flat_map(Labels::iter).map(|(name, _)| name).collect();
    Ok(json(labels_answer(names)))
}

/// The values of one label.
pub async fn values(
    State(state): State<SharedState>,
    identity: Identity,
    Path(name): Path<String>,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let streams = streams(&state, &identity, &form.parameters().label_query(state.now())?).await?;
    let values: BTreeSet<&str> = streams.iter().filter_map(|labels| labels.get(&name)).collect();
    Ok(json(labels_answer(values)))
}

/// The label sets of streams.
pub async fn series(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let streams = streams(&state, &identity, &form.parameters().series_query(state.now())?).await?;
    Ok(json(series_answer(streams.iter().map(Labels::iter))))
}

/// The streams that a question is about: those that pass one of its selectors.
async fn streams(
    state: &SharedState,
    identity: &Identity,
    question: &LabelQuery,
) -> Result<Vec<Labels>, ErrorResponse> {
    let limits = &identity.limits.query;
    let selectors = question.selectors.iter().map(|text| syntax::parse_selector(text, limits));
    let request = SeriesRequest {
        tenant: identity.tenant.clone(),
        // Both ends are inside.
        range: TimeRange::new(question.start, question.end.saturating_add_nanos(1)),
        selectors: selectors.collect::<Result<_, _>>()?,
    };
    run::series(state, identity, request).await
}
