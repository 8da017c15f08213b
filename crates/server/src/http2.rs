//! A connection that speaks HTTP/2 (RFC 9113): many requests beside each other, each with the rules of every other request.
//!
//! What a client can make the server hold is bounded: streams at a time, the bytes of a list of headers, the bytes that wait
//! to be read or sent, and the time that anything may lie. Who lets answers lie, begins requests only to give them up, or does
//! not answer pings loses the connection. There are no WebSockets here (RFC 8441); those come over HTTP/1.1.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;

use crate::client_address::PeerAddress;
use crate::connection::Begun;
use crate::head_watch::HeadWatch;
use crate::patient_io::PatientIo;
use crate::state::SharedState;
use crate::stream_watch::StreamWatch;

/// The most bytes of all headers of a request together, as RFC 9113 counts them: 32 more for each.
const HEADER_LIST_BYTES_MAX: u32 = 64 << 10;

/// Bytes of bodies that one connection may send ahead of what is read.
const WINDOW_BYTES: u32 = 1 << 20;

/// Bytes of an answer that wait in memory for the client to take them.
const SEND_BYTES_MAX: usize = 64 << 10;

/// Seconds of silence after which a client is asked whether it is there, and until it has to have answered.
const PING_SECONDS: u64 = 20;

/// Seconds that a client without any open request has to agree to the end of a connection.
const GOODBYE_SECONDS: u64 = 2;

/// Answers requests until either end has had enough, or the server stops: those under way are answered even then.
pub(crate) async fn converse<S>(
    connection: Begun<S>,
    peer: PeerAddress,
    routes: Router,
    state: &SharedState,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let watch = StreamWatch::default();
    let watched = watch.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        let stream = watched.begin();
        request.extensions_mut().insert(peer);
        name_host(&mut request);
        let answer = routes.clone().oneshot(stream.ask(request));
        async move { Ok::<_, Infallible>(stream.around(answer.await?)) }
    });
    let load = &state.settings.load;
    let unread = Duration::from_secs(load.unread_seconds_max);
    let stream = PatientIo::new(connection, unread, HeadWatch::of_many_requests());
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(u32::try_from(load.streams_max).unwrap_or(u32::MAX))
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .keep_alive_interval(Duration::from_secs(PING_SECONDS))
        .keep_alive_timeout(Duration::from_secs(PING_SECONDS))
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let mut given_up = pin!(async {
        tokio::select! {
            () = watch.unread(unread) => "an answer was not taken",
            () = watch.abandoned() => "too many requests were given up",
        }
    });
    tokio::select! {
        ended = connection.as_mut() => return ended,
        reason = given_up.as_mut() => return closed(reason, peer),
        () = watch.idle(Duration::from_secs(load.idle_seconds_max)) => {}
        () = state.stopping.cancelled() => {}
    }
    // Says GOAWAY, and takes requests that were on their way then.
    connection.as_mut().graceful_shutdown();
    let goodbye = async {
        tokio::time::sleep(Duration::from_secs(GOODBYE_SECONDS)).await;
        watch.none_open().await;
    };
    tokio::select! {
        ended = connection => ended,
        reason = given_up => closed(reason, peer),
        () = goodbye => closed("the client did not say goodbye", peer),
    }
}

fn closed(reason: &'static str, peer: PeerAddress) -> hyper::Result<()> {
    tracing::debug!(reason, peer = %peer.0, "HTTP/2 connection was closed");
    Ok(())
}

/// Puts the host where HTTP/1.1 has it. What stands there beside an authority does not count (RFC 9113, 8.3.1).
fn name_host(request: &mut hyper::Request<Incoming>) {
    let authority = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(Ok(host)) = authority {
        request.headers_mut().insert(HOST, host);
    }
}
