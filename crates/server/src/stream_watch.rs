//! Watches the streams of one HTTP/2 connection: how many are open, which answers nobody takes, and how many requests were given
//! up by their client before they were answered.
//!
//! Flow control lets a client leave an answer lying for ever while it takes everything else, and a reset lets it begin requests
//! that it never waits for (CVE-2023-44487); neither shows in the bytes of the connection.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::{Request, Response};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Requests given up by the client, beyond those that it let be answered, that end a connection.
const ABANDONED_MAX: usize = 200;

/// The most bytes of an answer that are handed out at once: taking so many is progress.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// What is known of a connection's streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamWatch(Arc<Streams>);

#[derive(Debug, Default)]
struct Streams {
    open: watch::Sender<usize>,
    next: AtomicU64,
    /// Streams with a piece of their answer handed out and the next one not yet asked for, and since when.
    unread: Mutex<HashMap<u64, Instant>>,
    abandoned: AtomicUsize,
    too_many_abandoned: CancellationToken,
}

impl StreamWatch {
    /// A request has come.
    pub(crate) fn begin(&self) -> OpenStream {
        self.0.open.send_modify(|open| *open += 1);
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        OpenStream { streams: Arc::clone(&self.0), number, is_answered: false, is_broken: Arc::default() }
    }

    /// Returns when no stream has been open for as long as `patience`.
    pub(crate) async fn idle(&self, patience: Duration) {
        let mut open = self.0.open.subscribe();
        loop {
            // The sender lives as long as this watch.
            self.none_open().await;
            if tokio::time::timeout(patience, open.wait_for(|open| *open > 0)).await.is_err() {
                return;
            }
        }
    }

    /// Returns when no stream is open.
    pub(crate) async fn none_open(&self) {
        self.0.open.subscribe().wait_for(|open| *open == 0).await.ok();
    }

    /// Returns when an answer has not been taken any further for as long as `patience`.
    pub(crate) async fn unread(&self, patience: Duration) {
        loop {
            let now = Instant::now();
            let oldest = self.0.unread().values().min().copied();
            let due = oldest.map_or(now, |since| since) + patience;
            if due <= now {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }

    /// Returns when too many requests were given up.
    pub(crate) async fn abandoned(&self) {
        self.0.too_many_abandoned.cancelled().await;
    }
}

impl Streams {
    fn unread(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream, for as long as its request is worked on or its answer is sent.
#[derive(Debug)]
pub(crate) struct OpenStream {
    streams: Arc<Streams>,
    number: u64,
    is_answered: bool,
    /// Whether the body of the request came to no good end.
    is_broken: Arc<AtomicBool>,
}

impl OpenStream {
    /// The request, of which a body that breaks off is noticed.
    pub(crate) fn ask(&self, request: Request<Incoming>) -> Request<Body> {
        let is_broken = Arc::clone(&self.is_broken);
        request.map(|incoming| Body::new(AskedBody { incoming, is_broken }))
    }

    /// The answer, which stays this stream until it is sent.
    pub(crate) fn around(mut self, answer: Response<Body>) -> Response<StreamBody> {
        self.is_answered = true;
        self.handed_out();
        answer.map(|body| StreamBody { body, rest: Bytes::new(), has_begun: false, stream: self })
    }

    fn handed_out(&self) {
        self.streams.unread().insert(self.number, Instant::now());
    }

    fn asked_for(&self) {
        self.streams.unread().remove(&self.number);
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.asked_for();
        self.streams.open.send_modify(|open| *open -= 1);
        let abandoned = &self.streams.abandoned;
        if self.is_answered && !self.is_broken.load(Ordering::Relaxed) {
            abandoned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).ok();
        } else if abandoned.fetch_add(1, Ordering::Relaxed) >= ABANDONED_MAX {
            self.streams.too_many_abandoned.cancel();
        }
    }
}

/// The body of a request.
struct AskedBody {
    incoming: Incoming,
    is_broken: Arc<AtomicBool>,
}

impl hyper::body::Body for AskedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let piece = Pin::new(&mut self.incoming).poll_frame(context);
        if matches!(piece, Poll::Ready(Some(Err(_)))) {
            self.is_broken.store(true, Ordering::Relaxed);
        }
        piece
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The body of an answer. It is asked for a piece only when the client has room for it, and never says that a piece is the last
/// one: it would be let go while that piece still waits to be taken.
pub(crate) struct StreamBody {
    body: Body,
    /// What is left of the piece that `body` gave.
    rest: Bytes,
    has_begun: bool,
    stream: OpenStream,
}

impl hyper::body::Body for StreamBody {
    type Data = Bytes;
    type Error = <Body as hyper::body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.stream.asked_for();
        self.has_begun = true;
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES_MAX);
        let piece = self.rest.split_to(length);
        self.stream.handed_out();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        !self.has_begun && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_nothing_has_been_open_for_long_enough() {
        let watch = StreamWatch::default();
        let began = Instant::now();
        let stream = watch.begin();
        let busy = async {
            tokio::time::sleep(PATIENCE * 3).await;
            drop(stream);
        };
        tokio::join!(watch.idle(PATIENCE), busy);
        assert_eq!(began.elapsed(), PATIENCE * 4);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_is_noticed_and_one_that_is_made_slowly_is_not() {
        let watch = StreamWatch::default();
        let slow = async {
            let pieces = futures_util::stream::unfold(0, |number| async move {
                tokio::time::sleep(PATIENCE * 2).await;
                (number < 3).then(|| (Ok::<_, std::io::Error>("x"), number + 1))
            });
            let answer = watch.begin().around(Response::new(Body::from_stream(pieces)));
            answer.into_body().collect().await.map(drop).expect("a body");
        };
        let noticed = watch.unread(PATIENCE);
        let mut noticed = std::pin::pin!(noticed);
        tokio::select! {
            () = slow => {}
            () = noticed.as_mut() => panic!("was taken at once"),
        }
        let _untaken = watch.begin().around(Response::new(Body::from("x")));
        tokio::time::timeout(PATIENCE * 3, noticed).await.expect("noticed");
    }

    #[tokio::test]
    async fn requests_that_are_given_up_end_the_connection_unless_as_many_are_answered() {
        let watch = StreamWatch::default();
        for _ in 0..ABANDONED_MAX * 2 {
            drop(watch.begin());
            drop(watch.begin().around(Response::new(Body::empty())));
        }
        assert!(!watch.0.too_many_abandoned.is_cancelled());
        for _ in 0..=ABANDONED_MAX {
            drop(watch.begin());
        }
        watch.abandoned().await;
    }
}
