//! Accepts connections, bounded in number and in patience, until it is told to stop.
//!
//! Stopping takes no new connection, ends WebSockets, lets requests finish within a time limit, and
//! returns. Flushing and closing the store is `app`'s business afterwards.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::client_address::PeerAddress;
use crate::connection::converse;
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
    let places = Arc::clone(&state.connections);
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
                    let talk = converse(stream, PeerAddress(peer), routes.clone(), Arc::clone(&state));
                    connections.spawn(async move {
                        talk.await;
                        drop(place);
                    });
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
