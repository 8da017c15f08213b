//! A connection that speaks HTTP/1.1: one request after the other, and WebSockets.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;

use crate::client_address::PeerAddress;
use crate::connection::Begun;
use crate::head_watch::HeadWatch;
use crate::lingering_body::LingeringBody;
use crate::patient_io::PatientIo;
use crate::state::SharedState;

/// Answers requests until either end has had enough, or the server stops: the one under way is answered even then.
pub(crate) async fn converse<S>(
    connection: Begun<S>,
    peer: PeerAddress,
    routes: Router,
    state: &SharedState,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let watch = HeadWatch::default();
    let watched = watch.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        watched.head_came();
        request.extensions_mut().insert(peer);
        let answer = routes.clone().oneshot(LingeringBody::around(request));
        let watched = watched.clone();
        async move { Ok::<_, Infallible>(watched.around(answer.await?)) }
    });
    let load = &state.settings.load;
    let idle_seconds_max = load.idle_seconds_max.max(connection.head_patience.as_secs());
    let stream = PatientIo::new(connection, Duration::from_secs(load.unread_seconds_max), watch);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // Counts from the end of the answer before.
        .header_read_timeout(Duration::from_secs(idle_seconds_max))
        .serve_connection(stream, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = state.stopping.cancelled() => {
            // With `Connection: close`.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
