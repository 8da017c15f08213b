//! A request body that is read to its end even when the answer does not wait for it.
//!
//! Whoever refuses a request early drops its body. Closing a connection on which bytes are still coming resets it, and
//! the sender sees a broken pipe where the reason should be. So what is left of a dropped body is read and thrown
//! away, within bounds of bytes and time; the connection still counts as one all the while.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;

/// The most bytes that are thrown away.
const BYTES_MAX: usize = 64 << 20;

/// How long nothing may come before it is given up.
const IDLE_MS_MAX: u64 = 500;

/// How long throwing away may take in all.
const SECONDS_MAX: u64 = 10;

/// A body as it comes from the connection.
#[derive(Debug)]
pub(crate) struct LingeringBody {
    incoming: Option<Incoming>,
}

impl LingeringBody {
    /// Puts one around the body of a request.
    pub(crate) fn around(request: hyper::Request<Incoming>) -> hyper::Request<axum::body::Body> {
        // A sender that asks first sends nothing when it is refused; reading would ask it to.
        if request.headers().contains_key(EXPECT) {
            return request.map(axum::body::Body::new);
        }
        request.map(|incoming| axum::body::Body::new(Self { incoming: Some(incoming) }))
    }
}

impl Body for LingeringBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for LingeringBody {
    fn drop(&mut self) {
        let Some(incoming) = self.incoming.take() else { return };
        if incoming.is_end_stream() {
            return;
        }
        // Outside of a runtime the connection is gone already.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(Duration::from_secs(SECONDS_MAX), throw_away(incoming)));
        }
    }
}

async fn throw_away(mut incoming: Incoming) {
    let mut bytes = 0;
    while bytes <= BYTES_MAX {
        let idle = Duration::from_millis(IDLE_MS_MAX);
        match tokio::time::timeout(idle, incoming.frame()).await {
            Ok(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Bytes::len),
            // The end, a broken connection, or nothing more for too long.
            Ok(Some(Err(_)) | None) | Err(_) => return,
        }
    }
}
