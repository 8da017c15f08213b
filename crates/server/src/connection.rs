//! One connection, from its first byte to the protocol that is spoken on it: the TLS handshake where TLS is spoken, then HTTP/2
//! for clients that agreed on it there (ALPN) or begin with its preface, HTTP/1.1 for all others.
//!
//! Every wait is bounded: the handshake and the head of a request by `stall_seconds_max`, that for a further request by
//! `idle_seconds_max`, writing by `unread_seconds_max`. Nothing here knows what is asked or answered.

use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::client_address::PeerAddress;
use crate::preface::{Protocol, recognise};
use crate::state::SharedState;
use crate::tls::HTTP_2;
use crate::{http1, http2};

/// A connection of which the first bytes may have been read.
pub(crate) struct Begun<S> {
    /// Where the others come from, and answers go to.
    pub(crate) stream: S,
    /// Those that were read.
    pub(crate) bytes: Bytes,
    /// When the head of the first request has to be there.
    pub(crate) head_due: Instant,
    /// How long the heads of others may take.
    pub(crate) head_patience: Duration,
}

/// Answers the requests of one connection until either end has had enough.
pub(crate) async fn converse(stream: TcpStream, peer: PeerAddress, routes: Router, state: SharedState) {
    // Answers are written whole; waiting for more to fill a packet only costs time.
    stream.set_nodelay(true).ok();
    let Some(tls) = &state.tls else {
        return answer(stream, None, peer, routes, &state).await;
    };
    // The certificates in force now are this connection's for as long as it lasts.
    let handshake = TlsAcceptor::from(tls.load_full()).accept(stream);
    let seconds = state.settings.load.stall_seconds_max;
    let handshake = tokio::select! {
        () = state.stopping.cancelled() => return,
        handshake = tokio::time::timeout(Duration::from_secs(seconds), handshake) => handshake,
    };
    match handshake {
        Ok(Ok(stream)) => {
            let agreed = match stream.get_ref().1.alpn_protocol() {
                Some(HTTP_2) => Protocol::Http2,
                _ => Protocol::Http1,
            };
            answer(stream, Some(agreed), peer, routes, &state).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, peer = %peer.0, "TLS handshake failed"),
        Err(_) => tracing::debug!(seconds, peer = %peer.0, "TLS handshake took too long"),
    }
}

/// Answers in the protocol that was agreed on, or that the client shows.
async fn answer<S>(
    mut stream: S,
    agreed: Option<Protocol>,
    peer: PeerAddress,
    routes: Router,
    state: &SharedState,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // The head is part of the request: it has no more time than the whole.
    let request_seconds_max = state.limits.load().everybody().request.timeout_seconds;
    let head_patience = Duration::from_secs(state.settings.load.stall_seconds_max.min(request_seconds_max));
    let head_due = Instant::now() + head_patience;
    let (protocol, bytes) = match agreed {
        Some(protocol) => (protocol, Bytes::new()),
        None => tokio::select! {
            () = state.stopping.cancelled() => return,
            begun = tokio::time::timeout_at(head_due, recognise(&mut stream)) => match begun {
                Ok(Ok(begun)) => begun,
                Ok(Err(error)) => return tracing::debug!(%error, peer = %peer.0, "connection ended early"),
                Err(_) => return tracing::debug!(peer = %peer.0, "connection did not begin in time"),
            },
        },
    };
    let begun = Begun { stream, bytes, head_due, head_patience };
    let ended = match protocol {
        Protocol::Http1 => http1::converse(begun, peer, routes, state).await,
        Protocol::Http2 => http2::converse(begun, peer, routes, state).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, peer = %peer.0, "connection ended early");
    }
}
