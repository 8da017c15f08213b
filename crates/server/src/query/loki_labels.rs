//! `/loki/api/v1/labels`, `/loki/api/v1/label/{name}/values` and `/loki/api/v1/series`.
//!
//! Streams near the ends of the range may count: the answers are as fine as the store's index.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use timberyard_logql::syntax;
use timberyard_model::Labels;
use timberyard_model::matcher::LabelMatcher;
use timberyard_model::scan::SeriesRequest;

use super::form::Form;
use super::loki_parameters::range;
use super::loki_reply::{write_labels, write_list};
use super::run;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::state::{ServerState, SharedState};

/// The names of labels.
pub async fn names(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Json<Value>, ErrorResponse> {
    let streams = streams_of_query(&state, identity, &form).await?;
    let names: BTreeSet<&str> = streams.iter().flat_map(Labels::iter).map(|(name, _)| name).collect();
    Ok(sorted(&names))
}

/// The values of one label.
pub async fn values(
    State(state): State<SharedState>,
    identity: Identity,
    Path(name): Path<String>,
    form: Form,
) -> Result<Json<Value>, ErrorResponse> {
    let streams = streams_of_query(&state, identity, &form).await?;
    let values: BTreeSet<&str> = streams.iter().filter_map(|labels| labels.get(&name)).collect();
    Ok(sorted(&values))
}

/// The label sets of streams.
pub async fn series(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let mut texts: Vec<&str> = form.all("match[]").chain(form.all("match")).collect();
    texts.sort_unstable();
    texts.dedup();
    // As in Loki: a single `{}` asks for everything.
    if let [only] = texts.as_slice()
        && only.replace(' ', "") == "{}"
    {
        texts.clear();
    }
    let selectors = texts.iter().map(|text| selector(&state, text)).collect::<Result<Vec<_>, _>>()?;
    let streams = streams(&state, identity, &form, selectors).await?;
    let mut out = br#"{"status":"success","data":"#.to_vec();
    write_list(&mut out, b"[]", &streams, write_labels);
    out.push(b'}');
    Ok(([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], out).into_response())
}

/// The streams that the selector in `query` asks for; all of them without one.
async fn streams_of_query(
    state: &SharedState,
    identity: Identity,
    form: &Form,
) -> Result<Vec<Labels>, ErrorResponse> {
    let selectors = match form.get("query").filter(|text| !text.is_empty()) {
        Some(text) => vec![selector(state, text)?],
        None => Vec::new(),
    };
    streams(state, identity, form, selectors).await
}

async fn streams(
    state: &SharedState,
    identity: Identity,
    form: &Form,
    selectors: Vec<Vec<LabelMatcher>>,
) -> Result<Vec<Labels>, ErrorResponse> {
    let range = range(form, state.now())?;
    run::series(state, SeriesRequest { tenant: identity.tenant, range, selectors }).await
}

fn selector(state: &ServerState, text: &str) -> Result<Vec<LabelMatcher>, ErrorResponse> {
    Ok(syntax::parse_selector(text, &state.settings.limits.query)?)
}

fn sorted(texts: &BTreeSet<&str>) -> Json<Value> {
    Json(json!({ "status": "success", "data": texts }))
}
