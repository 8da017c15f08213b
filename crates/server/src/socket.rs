//! A WebSocket session: pings, a peer that went silent, and the end of the server.
//!
//! While a message waits to be taken by a slow reader, nothing else of the session goes on; what comes
//! in meanwhile is bounded and counted where it is queued (`TailHub`).

use std::future::Future;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::state::SharedState;

/// The largest message that a client may send, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// The subprotocol that is chosen when it is offered: a web page that puts its key into another one needs an answer.
const SUBPROTOCOL: &str = "timberyard";

/// Seconds between two pings.
pub const PING_SECONDS: u64 = 30;

/// Pings that may go unanswered before the peer is given up.
const PINGS_UNANSWERED_MAX: u32 = 2;

/// The session has ended; there is nobody to talk to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// An open WebSocket.
pub struct Session {
    socket: WebSocket,
    stopping: CancellationToken,
    ping: Interval,
    last_heard: Instant,
}

/// What a session waited for.
#[derive(Debug)]
pub enum Happening<T> {
    /// What the caller wanted.
    Event(T),
    /// A text from the client.
    Text(Utf8Bytes),
}

/// Answers 101 and runs the session on a task that stopping the server waits for.
pub fn open<F, Fut>(state: &SharedState, upgrade: WebSocketUpgrade, run: F) -> Response
where
    F: FnOnce(Session) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), Ended>> + Send + 'static,
{
    let stopping = state.stopping.clone();
    let token = state.sockets.token();
    upgrade.protocols([SUBPROTOCOL]).max_message_size(MESSAGE_BYTES_MAX).on_upgrade(
        move |socket| async move {
            let mut ping = tokio::time::interval(Duration::from_secs(PING_SECONDS));
            ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ping.reset();
            // How it ended has been told to the peer already, if it is still there.
            let _ended = run(Session { socket, stopping, ping, last_heard: Instant::now() }).await;
            drop(token);
        },
    )
}

impl Session {
    /// Sends a text; waits while the reader is slow.
    pub async fn send(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), Ended> {
        let message = Message::Text(text.into());
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(self.say_goodbye().await),
            sent = self.socket.send(message) => sent.map_err(|_| Ended),
        }
    }

    /// Waits for `event` or a text of the client, whichever comes first; pings in the meantime.
    pub async fn next<T>(&mut self, event: impl Future<Output = T>) -> Result<Happening<T>, Ended> {
        let mut event = std::pin::pin!(event);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return Err(self.say_goodbye().await),
                event = &mut event => return Ok(Happening::Event(event)),
                message = self.socket.recv() => {
                    self.last_heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => return Ok(Happening::Text(text)),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Ended),
                        Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {}
                    }
                }
                _ = self.ping.tick() => self.send_ping().await?,
            }
        }
    }

    /// Ends the session with a reason of at most 123 bytes.
    pub async fn close(mut self, code: u16, reason: &str) {
        let cut = (0..=reason.len().min(123)).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
        let reason = reason.get(..cut).unwrap_or("").into();
        // A peer that is gone needs no goodbye.
        let _gone = self.socket.send(Message::Close(Some(CloseFrame { code, reason }))).await;
    }

    async fn send_ping(&mut self) -> Result<(), Ended> {
        let silence = Duration::from_secs(PING_SECONDS) * (PINGS_UNANSWERED_MAX + 1);
        if self.last_heard.elapsed() > silence {
            return Err(Ended);
        }
        self.socket.send(Message::Ping(bytes::Bytes::new())).await.map_err(|_| Ended)
    }

    async fn say_goodbye(&mut self) -> Ended {
        let frame = CloseFrame { code: close_code::AWAY, reason: "server is stopping".into() };
        // A reader that takes nothing must not hold up the stop; the drain has its own time limit.
        let farewell = self.socket.send(Message::Close(Some(frame)));
        let _late = tokio::time::timeout(Duration::from_secs(1), farewell).await;
        Ended
    }
}
