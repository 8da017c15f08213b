//! One connection, from its first byte to its last: the TLS handshake where TLS is spoken, then HTTP/1.1.
//!
//! Every wait is bounded: the handshake and the head of a request by `stall_seconds_max`, that for a further request by
//! `idle_seconds_max`, writing by `unread_seconds_max`. Nothing here knows what is asked or answered.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::client_address::PeerAddress;
use crate::head_watch::HeadWatch;
use crate::lingering_body::LingeringBody;
use crate::patient_io::PatientIo;
use crate::state::SharedState;

/// Answers the requests of one connection until either end has had enough.
pub(crate) async fn converse(stream: TcpStream, peer: PeerAddress, routes: Router, state: SharedState) {
    // Answers are written whole; waiting for more to fill a packet only costs time.
    stream.set_nodelay(true).ok();
    let Some(tls) = &state.tls else {
        return answer(stream, peer, routes, &state).await;
    };
    // The certificates in force now are this connection's for as long as it lasts.
    let handshake = TlsAcceptor::from(tls.load_full()).accept(stream);
    let seconds = state.settings.load.stall_seconds_max;
    let handshake = tokio::select! {
        () = state.stopping.cancelled() => return,
        handshake = tokio::time::timeout(Duration::from_secs(seconds), handshake) => handshake,
    };
    match handshake {
        Ok(Ok(stream)) => answer(stream, peer, routes, &state).await,
        Ok(Err(error)) => tracing::debug!(%error, peer = %peer.0, "TLS handshake failed"),
        Err(_) => tracing::debug!(seconds, peer = %peer.0, "TLS handshake took too long"),
    }
}

async fn answer<S>(stream: S, peer: PeerAddress, routes: Router, state: &SharedState)
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
    // The head is part of the request: it has no more time than the whole.
    let load = &state.settings.load;
    let head_seconds_max =
        load.stall_seconds_max.min(state.limits.load().everybody().request.timeout_seconds);
    let (unread, head) =
        (Duration::from_secs(load.unread_seconds_max), Duration::from_secs(head_seconds_max));
    let stream = PatientIo::new(stream, unread, watch, head);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // Counts from the end of the answer before.
        .header_read_timeout(Duration::from_secs(load.idle_seconds_max.max(head_seconds_max)))
        .serve_connection(stream, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = state.stopping.cancelled() => {
            // The request under way is answered, with `Connection: close`.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, peer = %peer.0, "connection ended early");
    }
}
