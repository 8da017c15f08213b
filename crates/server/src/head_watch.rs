//! Tells a head that comes too slowly from a connection that waits for its next request.
//!
//! The connection says when bytes come, the service when a head is there and when its answer has ended. Between an answer and
//! the first byte behind it a connection is idle; from that byte on, or from its beginning, a head has to arrive in time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use hyper::body::{Frame, SizeHint};
use hyper::{Response, StatusCode};

const HEAD: u8 = 0;
const ANSWER: u8 = 1;
const IDLE: u8 = 2;
const UNWATCHED: u8 = 3;

/// What a connection is at. Begins with the head of the first request.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeadWatch(Arc<AtomicU8>);

impl HeadWatch {
    /// Of a connection on which heads come beside other things, and are not waited for here.
    pub(crate) fn of_many_requests() -> Self {
        Self(Arc::new(AtomicU8::new(UNWATCHED)))
    }

    /// Bytes came. Whether they begin a head.
    pub(crate) fn bytes_came(&self) -> bool {
        self.0.compare_exchange(IDLE, HEAD, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether the rest of a head is waited for.
    pub(crate) fn awaits_head(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HEAD
    }

    /// A head is there.
    pub(crate) fn head_came(&self) {
        self.0.store(ANSWER, Ordering::Relaxed);
    }

    /// The answer, which says when it has ended.
    pub(crate) fn around(&self, answer: Response<Body>) -> Response<WatchedBody> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            // No head ever comes again.
            self.0.store(UNWATCHED, Ordering::Relaxed);
        }
        answer.map(|body| WatchedBody { body, watch: self.clone() })
    }
}

/// The body of an answer. When it is dropped, its connection is idle.
pub(crate) struct WatchedBody {
    body: Body,
    watch: HeadWatch,
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        // A connection that was upgraded stays so.
        let watched = &self.watch.0;
        watched.compare_exchange(ANSWER, IDLE, Ordering::Relaxed, Ordering::Relaxed).ok();
    }
}

impl hyper::body::Body for WatchedBody {
    type Data = <Body as hyper::body::Body>::Data;
    type Error = <Body as hyper::body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
