//! Accepts connections, bounded in number and in patience, until it is told to stop.
//!
//! Stopping takes no new connection, ends WebSockets, lets requests finish within a time limit, and
//! returns. Flushing and closing the store is `app`'s business afterwards.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::client_address::PeerAddress;
use crate::lingering_body::LingeringBody;
use crate::patient_io::PatientIo;
use crate::router::router;
use crate::state::SharedState;

/// The pause after a failed accept (no descriptors left, say), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` completes and the requests under way have ended or run out of time.
pub async fn serve(
    listener: TcpListener,
    state: SharedState,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let routes = router(Arc::clone(&state));
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(state.settings.load.connections_max));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            // The semaphore is never closed; without a place the connection stays in the kernel's queue.
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, peer)| (stream, peer, place))
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accepted => match accepted {
                Ok((stream, peer, place)) => {
                    start(stream, PeerAddress(peer), place, &routes, &state, &connections);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drain(&state, &connections).await;
    Ok(())
}

/// Answers the requests of one connection on a task of its own.
fn start(
    stream: TcpStream,
    peer: PeerAddress,
    place: OwnedSemaphorePermit,
    routes: &Router,
    state: &SharedState,
    connections: &TaskTracker,
) {
    // Answers are written whole; waiting for more to fill a packet only costs time.
    stream.set_nodelay(true).ok();
    let routes = routes.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        routes.clone().oneshot(LingeringBody::around(request))
    });
    // The head is part of the request: it has no more time than the whole.
    let settings = &state.settings;
    let head_seconds_max =
        settings.load.stall_seconds_max.min(state.limits.load().everybody().request.timeout_seconds);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(head_seconds_max))
        .serve_connection(
            PatientIo::new(stream, Duration::from_secs(settings.load.unread_seconds_max)),
            service,
        )
        .with_upgrades();
    let stopping = state.stopping.clone();
    connections.spawn(async move {
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopping.cancelled() => {
                // The request under way is answered, with `Connection: close`.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, peer = %peer.0, "connection ended early");
        }
        drop(place);
    });
}

/// Waits for requests and WebSockets to end, but not longer than the settings say.
async fn drain(state: &SharedState, connections: &TaskTracker) {
    state.stopping.cancel();
    connections.close();
    state.sockets.close();
    let seconds = state.settings.load.drain_seconds_max;
    let ended = async {
        connections.wait().await;
        state.sockets.wait().await;
    };
    if tokio::time::timeout(Duration::from_secs(seconds), ended).await.is_err() {
        tracing::warn!(seconds, "requests were still under way when the time to stop was over");
    }
}
