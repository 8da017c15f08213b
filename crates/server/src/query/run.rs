//! Runs queries for handlers: on a thread of its own, with a place among those that run, called off when
//! nobody waits any longer.

use std::sync::Arc;
use std::time::Instant;

use timberyard_logql::explain::{self, Explanation};
use timberyard_logql::patterns::{self, PatternSeries};
use timberyard_logql::{Engine, QueryError, QueryRequest, QueryResult};
use timberyard_model::label_values::{LabelQuestion, LabelValues};
use timberyard_model::scan::{LogSource, ScanError, SeriesRequest, StreamVolume};
use timberyard_model::{Cancellation, Labels};

use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::metrics::{SlowQueries, SlowQuery};
use crate::state::{ServerState, SharedState};

/// Runs a LogQL query. The cancellation of the request is replaced by the one of its place.
pub async fn query(
    state: &SharedState,
    identity: &Identity,
    request: QueryRequest,
) -> Result<QueryResult, ErrorResponse> {
    answer(state, identity, request, |_, result| result).await
}

/// Runs a LogQL query and, on the same thread, makes something of its result: a large one takes long to write.
pub async fn answer<T, W>(
    state: &SharedState,
    identity: &Identity,
    request: QueryRequest,
    write: W,
) -> Result<T, ErrorResponse>
where
    T: Send + 'static,
    W: FnOnce(&ServerState, QueryResult) -> T + Send + 'static,
{
    answer_by(state, identity, request, Engine::run, write).await
}

/// How a request is put to the engine.
pub type RunQuery = fn(&Engine, &dyn LogSource, &QueryRequest) -> Result<QueryResult, QueryError>;

/// [`answer`] with another way to put the request to the engine.
pub async fn answer_by<T, W>(
    state: &SharedState,
    identity: &Identity,
    mut request: QueryRequest,
    run_query: RunQuery,
    write: W,
) -> Result<T, ErrorResponse>
where
    T: Send + 'static,
    W: FnOnce(&ServerState, QueryResult) -> T + Send + 'static,
{
    let shared = Arc::clone(state);
    let engine = Engine::new(identity.limits.query.clone());
    let client = identity.client.clone();
    let run = move |source: &dyn LogSource, cancellation: Cancellation| {
        request.cancellation = cancellation;
        let started = Instant::now();
        let result = run_query(&engine, source, &request)?;
        shared.metrics.queries.count(&result.statistics.scan);
        let took = started.elapsed();
        if SlowQueries::is_slow(took) {
            shared.metrics.slow_queries.add(SlowQuery {
                query: request.expression.to_string(),
                tenant: request.tenant.as_str().to_owned(),
                client: client.as_deref().map(str::to_owned),
                at: shared.now().to_string(),
                seconds: took.as_secs_f64(),
                bytes: result.statistics.bytes_processed,
                rows: result.statistics.rows_processed,
            });
        }
        Ok(write(&shared, result))
    };
    state.read(identity, run).await
}

/// The templates of the lines of a LogQL query. Its cancellation is replaced as above.
pub async fn patterns(
    state: &SharedState,
    identity: &Identity,
    mut request: QueryRequest,
) -> Result<Vec<PatternSeries>, ErrorResponse> {
    let limits = Arc::clone(&identity.limits);
    let run = move |source: &dyn LogSource, cancellation: Cancellation| {
        request.cancellation = cancellation;
        Ok(patterns::patterns(source, &request, &limits.query)?)
    };
    state.read(identity, run).await
}

/// The plan of a LogQL query. Its cancellation is replaced as above.
pub async fn explain(
    state: &SharedState,
    identity: &Identity,
    mut request: QueryRequest,
) -> Result<Explanation, ErrorResponse> {
    let limits = Arc::clone(&identity.limits);
    let run = move |source: &dyn LogSource, cancellation: Cancellation| {
        request.cancellation = cancellation;
        Ok(explain::explain(source, &request, &limits.query)?)
    };
    state.read(identity, run).await
}

/// Rows and bytes of streams.
pub async fn volumes(
    state: &SharedState,
    identity: &Identity,
    request: SeriesRequest,
) -> Result<Vec<StreamVolume>, ErrorResponse> {
    about_series(state, identity, request, |source, request| source.volumes(request)).await
}

/// The labels of streams, with the values asked for.
pub async fn labels(
    state: &SharedState,
    identity: &Identity,
    request: SeriesRequest,
    question: LabelQuestion,
) -> Result<Vec<LabelValues>, ErrorResponse> {
    about_series(state, identity, request, move |source, request| source.labels(request, &question)).await
}

/// The label sets of streams.
pub async fn series(
    state: &SharedState,
    identity: &Identity,
    request: SeriesRequest,
) -> Result<Vec<Labels>, ErrorResponse> {
    about_series(state, identity, request, |source, request| source.series(request)).await
}

/// Asks a source a question about streams. The cancellation of the request is replaced by the one of its place.
pub async fn about_series<T, A>(
    state: &SharedState,
    identity: &Identity,
    mut request: SeriesRequest,
    ask: A,
) -> Result<T, ErrorResponse>
where
    T: Send + 'static,
    A: FnOnce(&dyn LogSource, &SeriesRequest) -> Result<T, ScanError> + Send + 'static,
{
    let run = move |source: &dyn LogSource, cancellation: Cancellation| {
        request.cancellation = cancellation;
        Ok(ask(source, &request)?)
    };
    state.read(identity, run).await
}
