//! `timberyard tail`: follows logs over Loki's WebSocket, and connects again when the connection is lost.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use timberyard_model::Timestamp;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::{Message, WebSocket};

use crate::cli::TailArguments;
use crate::client::{Backoff, Endpoint, with_parameters};
use crate::failure::Failure;
use crate::show::{LineWriter, ShownLine};
use crate::time_argument::{now, parse_span};

/// Where tails are asked for.
const PATH: &str = "/loki/api/v1/tail";
/// How long a connection may be silent: servers ping more often.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Why a connection ended.
enum Ended {
    /// Trying again may help.
    Lost(String),
    /// It will not.
    Refused(Failure),
}

/// What has been shown of a tail.
struct Tail<'a> {
    arguments: &'a TailArguments,
    endpoint: Endpoint,
    writer: LineWriter,
    /// Where the next connection begins.
    start: Timestamp,
    /// Whether the connection under way has shown anything.
    has_shown: bool,
}

/// Follows until it is interrupted.
pub(crate) fn run(arguments: &TailArguments) -> Result<(), Failure> {
    let mut tail = Tail {
        arguments,
        endpoint: Endpoint::from_process(&arguments.client)?,
        writer: LineWriter::new(arguments.output),
        start: now().saturating_add_nanos(-parse_span("--since", &arguments.since)?),
        has_shown: false,
    };
    let mut backoff = Backoff::new();
    loop {
        tail.has_shown = false;
        let Err(ended) = tail.connection();
        match ended {
            Ended::Refused(failure) => return Err(failure),
            Ended::Lost(reason) => {
                if tail.has_shown {
                    backoff = Backoff::new();
                }
                let wait = backoff.next_random(None);
                // When standard error is closed nobody wants to know.
                let _ = writeln!(
                    io::stderr(),
                    "{}: {reason}; connecting again in {} ms",
                    tail.endpoint.url("ws", PATH),
                    wait.as_millis()
                );
                std::thread::sleep(wait);
            }
        }
    }
}

impl Tail<'_> {
    /// One connection, until it ends.
    fn connection(&mut self) -> Result<std::convert::Infallible, Ended> {
        let mut socket = self.connect()?;
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => self.show(text.as_str())?,
                Ok(Message::Close(frame)) => {
                    let reason = frame.map_or_else(String::new, |frame| format!(": {}", frame.reason));
                    return Err(Ended::Lost(format!("the server closed the connection{reason}")));
                }
                // Pings are answered by the library, with the next read.
                Ok(_) => {}
                Err(error) => return Err(Ended::Lost(error.to_string())),
            }
        }
    }

    fn connect(&self) -> Result<WebSocket<TcpStream>, Ended> {
        let lost = |error: io::Error| Ended::Lost(error.to_string());
        let start = self.start.as_nanos().to_string();
        let limit = self.arguments.limit.to_string();
        let parameters = [("query", self.arguments.query.as_str()), ("start", &start), ("limit", &limit)];
        let url = self.endpoint.url("ws", &with_parameters(PATH, &parameters));
        let unusable = |reason: String| {
            Ended::Refused(Failure::usage(format!("{}: {reason}", self.endpoint.url("ws", PATH))))
        };
        let mut request = url.into_client_request().map_err(|error| unusable(error.to_string()))?;
        for (name, value) in self.endpoint.headers() {
            let name = HeaderName::try_from(name).map_err(|error| unusable(error.to_string()))?;
            let value = HeaderValue::try_from(value).map_err(|error| unusable(error.to_string()))?;
            request.headers_mut().insert(name, value);
        }
        let authority = &self.endpoint.authority;
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { authority.clone() } else { format!("{authority}:80") };
        let stream = TcpStream::connect(address).map_err(lost)?;
        stream.set_read_timeout(Some(SILENCE_MAX)).map_err(lost)?;
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response)))
                if response.status().is_client_error() && response.status() != 429 =>
            {
                let body = response.body().as_deref().unwrap_or_default();
                let text = String::from_utf8_lossy(body).trim().to_owned();
                let status = response.status().as_u16();
                Err(Ended::Refused(Failure::new(format!(
                    "{}: status {status}: {text}",
                    self.endpoint.url("ws", PATH)
                ))))
            }
            Err(error) => Err(Ended::Lost(error.to_string())),
        }
    }

    fn show(&mut self, text: &str) -> Result<(), Ended> {
        let (mut lines, dropped) = read(text).map_err(Ended::Lost)?;
        lines.sort_by_key(|line| line.timestamp);
        for line in &lines {
            self.writer.write(line).map_err(Ended::Refused)?;
            self.start = self.start.max(line.timestamp.saturating_add_nanos(1));
            self.has_shown = true;
        }
        self.writer.flush().map_err(Ended::Refused)?;
        if dropped > 0 {
            let _ =
                writeln!(io::stderr(), "{dropped} lines were left out: they came faster than they were read");
        }
        Ok(())
    }
}

/// The lines of a message, and how many lines the server left out before them.
fn read(text: &str) -> Result<(Vec<ShownLine>, u64), String> {
    let root: Value =
        serde_json::from_str(text).map_err(|error| format!("a message is not JSON: {error}"))?;
    let bad = || "a message is not {\"streams\":[{\"stream\":{…},\"values\":[[time, line], …]}]}".to_owned();
    let mut lines = Vec::new();
    for stream in root.get("streams").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
        let labels = stream.get("stream").and_then(Value::as_object).ok_or_else(bad)?;
        for value in stream.get("values").and_then(Value::as_array).ok_or_else(bad)? {
            let nanos = value.get(0).and_then(Value::as_str).and_then(|text| text.parse().ok());
            let text = value.get(1).and_then(Value::as_str);
            let (nanos, text) = nanos.zip(text).ok_or_else(bad)?;
            lines.push(ShownLine {
                bytes: None,
                timestamp: Timestamp::from_nanos(nanos),
                labels: labels.clone(),
                text: text.to_owned(),
            });
        }
    }
    // Loki lists the entries it left out; a server that only counts them gives a number.
    let dropped = match root.get("dropped_entries") {
        Some(Value::Array(entries)) => entries.len() as u64,
        Some(Value::Number(count)) => count.as_u64().unwrap_or(0),
        _ => 0,
    };
    Ok((lines, dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_what_was_left_out_are_read() {
        let text = r#"{"streams":[{"stream":{"a":"b"},"values":[["1","x"],["2","y",{}]]}],"dropped_entries":[{},{}]}"#;
        let (lines, dropped) = read(text).expect("valid");
        assert_eq!((lines.len(), lines[1].text.as_str(), dropped), (2, "y", 2));
        assert_eq!(read(r#"{"streams":null,"dropped_entries":null}"#).expect("valid").0.len(), 0);
        assert!(read("[").is_err());
        assert!(read(r#"{"streams":[{"stream":{},"values":[["x","y"]]}]}"#).is_err());
    }
}
