//! Runs queries for handlers: on a thread of its own, with a place among those that run, called off when
//! nobody waits any longer.

use std::sync::Arc;

use timberyard_logql::patterns::{self, PatternSeries};
use timberyard_logql::{QueryRequest, QueryResult};
use timberyard_model::scan::{ScanError, SeriesRequest, StreamVolume};
use timberyard_model::{Cancellation, Labels};

use crate::error_response::ErrorResponse;
use crate::state::{ServerState, SharedState};

/// Runs a LogQL query. The cancellation of the request is replaced by the one of its place.
pub async fn query(state: &SharedState, request: QueryRequest) -> Result<QueryResult, ErrorResponse> {
    answer(state, request, |_, result| result).await
}

/// Runs a LogQL query and, on the same thread, makes something of its result: a large one takes long to write.
pub async fn answer<T, W>(
    state: &SharedState,
    mut request: QueryRequest,
    write: W,
) -> Result<T, ErrorResponse>
where
    T: Send + 'static,
    W: FnOnce(&ServerState, QueryResult) -> T + Send + 'static,
{
    let shared = Arc::clone(state);
    let run = move |cancellation: Cancellation| {
        request.cancellation = cancellation;
        let result = shared.engine.run(&*shared.source, &request)?;
        Ok(write(&shared, result))
    };
    state.query_gate.run(run).await
}

/// The templates of the lines of a LogQL query. Its cancellation is replaced as above.
pub async fn patterns(
    state: &SharedState,
    mut request: QueryRequest,
) -> Result<Vec<PatternSeries>, ErrorResponse> {
    let shared = Arc::clone(state);
    let run = move |cancellation: Cancellation| {
        request.cancellation = cancellation;
        Ok(patterns::patterns(&*shared.source, &request, &shared.settings.limits.query)?)
    };
    state.query_gate.run(run).await
}

/// Rows and bytes of streams.
pub async fn volumes(
    state: &SharedState,
    request: SeriesRequest,
) -> Result<Vec<StreamVolume>, ErrorResponse> {
    let shared = Arc::clone(state);
    let run = move |_| shared.source.volumes(&request).map_err(|error: ScanError| error.into());
    state.query_gate.run(run).await
}

/// The label sets of streams.
pub async fn series(state: &SharedState, request: SeriesRequest) -> Result<Vec<Labels>, ErrorResponse> {
    let shared = Arc::clone(state);
    let run = move |_| shared.source.series(&request).map_err(|error: ScanError| error.into());
    state.query_gate.run(run).await
}
