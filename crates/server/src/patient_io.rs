//! A connection whose other end must take what is written, and send the heads of its requests, within time limits.
//!
//! A reader that takes nothing at all for that long is gone or hostile; without the limit each one would
//! hold a connection and an answer for ever. The same goes for a head that comes byte by byte.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

use crate::connection::Begun;
use crate::head_watch::HeadWatch;

/// A connection with patience for its reader.
pub(crate) struct PatientIo<S> {
    stream: TokioIo<S>,
    /// What was read already, and is to be read again.
    begun: Bytes,
    patience: Duration,
    stalled: Pin<Box<Sleep>>,
    is_stalled: bool,
    watch: HeadWatch,
    head_patience: Duration,
    head_due: Pin<Box<Sleep>>,
}

impl<S> PatientIo<S> {
    /// Writes fail with `TimedOut` when nothing could be written for as long as `patience`, reads when the first head has not
    /// arrived when it is due, or a later one in the time for it.
    pub(crate) fn new(connection: Begun<S>, patience: Duration, watch: HeadWatch) -> Self {
        let Begun { stream, bytes, head_due, head_patience } = connection;
        Self {
            stream: TokioIo::new(stream),
            begun: bytes,
            patience,
            stalled: Box::pin(tokio::time::sleep(patience)),
            is_stalled: false,
            watch,
            head_patience,
            head_due: Box::pin(tokio::time::sleep_until(head_due)),
        }
    }

    /// Passes on what a write came to, and looks at the clock while it comes to nothing.
    fn judge<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.is_stalled = false;
            return outcome;
        }
        if !self.is_stalled {
            self.is_stalled = true;
            self.stalled.as_mut().reset(Instant::now() + self.patience);
        }
        ready!(self.stalled.as_mut().poll(cx));
        let message = format!("reader took nothing for {} s", self.patience.as_secs());
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl<S: AsyncRead + Unpin> Read for PatientIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.begun.is_empty() {
            let length = self.begun.len().min(buffer.remaining());
            buffer.put_slice(&self.begun.copy_to_bytes(length));
            return Poll::Ready(Ok(()));
        }
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if outcome.is_ready() {
            if self.watch.bytes_came() {
                let due = Instant::now() + self.head_patience;
                self.head_due.as_mut().reset(due);
            }
            return outcome;
        }
        if self.watch.awaits_head() && self.head_due.as_mut().poll(cx).is_ready() {
            let message = format!("head did not arrive within {} s", self.head_patience.as_secs());
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> Write for PatientIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.judge(cx, outcome)
    }
}
