//! The program's HTTP client, as the agent wants it.

use timberyard_agent::{Answer, SendError, Transport};
use timberyard_wire::origin_header::{DUPLICATE, STORED};

use crate::client::Client;

/// A client of one server.
pub(super) struct ServerTransport(pub(super) Client);

impl Transport for ServerTransport {
    fn address(&self) -> String {
        self.0.endpoint().url("http", "")
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, SendError> {
        let answer = self.0.post(path, headers, body);
        let answer =
            answer.map_err(|error| SendError { not_sent: error.not_sent, reason: error.to_string() })?;
        Ok(Answer {
            status: answer.status,
            stored: answer.header(STORED).map(str::to_owned),
            duplicate: answer.header(DUPLICATE) == Some("true"),
            retry_after: answer.retry_after,
            problem: answer.problem(),
        })
    }
}
