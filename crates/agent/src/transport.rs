//! What the agent needs of a client: one request, one answer.

use std::time::Duration;

/// A client of one server.
pub trait Transport: Send {
    /// Its address, for messages.
    fn address(&self) -> String;

    /// `POST path` with these headers, once.
    fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, SendError>;
}

/// What a server answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header that says how far origins are stored.
    pub stored: Option<String>,
    /// Whether it was stored before.
    pub duplicate: bool,
    /// When the server asked to be tried again.
    pub retry_after: Option<Duration>,
    /// Status and the beginning of the body, on one line.
    pub problem: String,
}

/// A request without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SendError {
    /// What happened.
    pub reason: String,
    /// Whether it is certain that the server has not seen the request.
    pub not_sent: bool,
}
