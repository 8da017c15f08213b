//! `timberyard tail`: follows logs over Loki's WebSocket, and connects again when the connection is lost.
//!
//! A server that gives cursors goes on behind the last line shown. Of a Loki the lines since the time of the last line are asked
//! for, and those of that time that were shown are left out; it gives a bounded number of them, so that some may be missing
//! after a long break, which is then said.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
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
/// Lines of the past that a connection asks for when it goes on where another was; Loki gives no more.
const RESUMED_LINES_MAX: usize = 5000;
/// How long a connection may be silent: servers ping more often.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Why a connection ended.
enum Ended {
    /// Trying again may help.
    Lost(String),
    /// It will not.
    Refused(Failure),
}

/// What a WebSocket runs over.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// What has been shown of a tail.
struct Tail<'a> {
    arguments: &'a TailArguments,
    endpoint: Endpoint,
    /// Certificates, where TLS is spoken.
    tls: Option<Arc<ClientConfig>>,
    writer: LineWriter,
    /// Where the next connection begins: with the last line shown.
    start: Timestamp,
    /// The lines shown that have that time.
    at_start: Vec<ShownLine>,
    /// The server's last cursor, when it gives any.
    cursor: Option<String>,
    /// Whether anything was shown at all, and whether by the connection under way.
    has_shown: (bool, bool),
}

/// Follows until it is interrupted.
pub(crate) fn run(arguments: &TailArguments) -> Result<(), Failure> {
    let endpoint = Endpoint::from_process(&arguments.client)?;
    let tls = endpoint.tls.as_ref().map(|files| files.read()?.of_sockets()).transpose()?;
    let mut tail = Tail {
        arguments,
        endpoint,
        tls,
        writer: LineWriter::new(&arguments.lines),
        start: now().saturating_add_nanos(-parse_span("--since", &arguments.since)?),
        at_start: Vec::new(),
        cursor: None,
        has_shown: (false, false),
    };
    let mut backoff = Backoff::new();
    loop {
        tail.has_shown.1 = false;
        let Err(ended) = tail.connection();
        match ended {
            Ended::Refused(failure) => return Err(failure),
            Ended::Lost(reason) => {
                if tail.has_shown.1 {
                    backoff = Backoff::new();
                }
                let wait = backoff.next_random(None);
                tail.say(&format!(
                    "{}: {reason}; connecting again in {} ms",
                    tail.endpoint.url("ws", PATH),
                    wait.as_millis()
                ));
                std::thread::sleep(wait);
            }
        }
    }
}

impl Tail<'_> {
    /// One connection, until it ends.
    fn connection(&mut self) -> Result<std::convert::Infallible, Ended> {
        let mut socket = self.connect()?;
        // Only the first message may repeat lines.
        let mut known = std::mem::take(&mut self.at_start);
        self.at_start.clone_from(&known);
        let mut limit = if self.has_shown.0 { Some(RESUMED_LINES_MAX) } else { None };
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => {
                    self.show(text.as_str(), &mut known, limit.take())?;
                }
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

    fn connect(&self) -> Result<WebSocket<Stream>, Ended> {
        let lost = |error: io::Error| Ended::Lost(error.to_string());
        let start = self.start.as_nanos().to_string();
        let limit = if self.has_shown.0 { RESUMED_LINES_MAX } else { self.arguments.limit }.to_string();
        let parameters = [
            ("query", self.arguments.query.as_str()),
            ("start", &start),
            ("limit", &limit),
            ("cursor", self.cursor.as_deref().unwrap_or_default()),
        ];
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
        let address = self.endpoint.address();
        let stream = TcpStream::connect(&address).map_err(lost)?;
        stream.set_read_timeout(Some(SILENCE_MAX)).map_err(lost)?;
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(config) => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(host).map_err(|error| unusable(error.to_string()))?;
                let session = ClientConnection::new(Arc::clone(config), name);
                let session = session.map_err(|error| unusable(error.to_string()))?;
                Stream::Tls(Box::new(StreamOwned::new(session, stream)))
            }
        };
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

    /// Shows a message without the lines that are known; `limit` is how many lines the past was asked for, in the
    /// first message of a connection that goes on.
    fn show(&mut self, text: &str, known: &mut Vec<ShownLine>, limit: Option<usize>) -> Result<(), Ended> {
        let Frame { mut lines, dropped, cursor } = read(text).map_err(Ended::Lost)?;
        if limit.is_some_and(|limit| lines.len() >= limit) && cursor.is_none() {
            self.say("more lines came meanwhile than the server gives at once; some are missing here");
        }
        lines.sort_by_key(|line| line.timestamp);
        for line in lines {
            if self.cursor.is_none()
                && let Some(shown) = known.iter().position(|shown| *shown == line)
            {
                known.swap_remove(shown);
                continue;
            }
            self.writer.write(&line).map_err(Ended::Refused)?;
            self.has_shown = (true, true);
            if line.timestamp > self.start {
                self.start = line.timestamp;
                self.at_start.clear();
            }
            if line.timestamp == self.start {
                self.at_start.push(line);
            }
        }
        if cursor.is_some() {
            self.cursor = cursor;
            // The server knows what was shown.
            self.at_start.clear();
        }
        self.writer.flush().map_err(Ended::Refused)?;
        if dropped > 0 {
            self.say(&format!("{dropped} lines were left out: they came faster than they were read"));
        }
        Ok(())
    }

    fn say(&self, message: &str) {
        if !self.arguments.quiet {
            // When standard error is closed nobody wants to know.
            let _ = writeln!(io::stderr(), "{message}");
        }
    }
}

/// A message of a tail.
#[derive(Debug)]
struct Frame {
    lines: Vec<ShownLine>,
    /// How many lines the server left out before them.
    dropped: u64,
    /// Where the tail goes on behind them, from a server that gives cursors.
    cursor: Option<String>,
}

fn read(text: &str) -> Result<Frame, String> {
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
    let dropped = match (root.get("dropped_total"), root.get("dropped_entries")) {
        (Some(count), _) | (None, Some(count @ Value::Number(_))) => count.as_u64().unwrap_or(0),
        (None, Some(Value::Array(entries))) => entries.len() as u64,
        _ => 0,
    };
    let cursor = root.get("cursor").and_then(Value::as_str).map(str::to_owned);
    Ok(Frame { lines, dropped, cursor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_what_was_left_out_are_read() {
        let text = r#"{"streams":[{"stream":{"a":"b"},"values":[["1","x"],["2","y",{}]]}],"dropped_entries":[{},{}]}"#;
        let frame = read(text).expect("valid");
        assert_eq!((frame.lines.len(), frame.lines[1].text.as_str(), frame.dropped), (2, "y", 2));
        assert_eq!(read(r#"{"streams":null,"dropped_entries":null}"#).expect("valid").lines.len(), 0);
        let frame = read(r#"{"streams":[],"dropped_entries":[{}],"dropped_total":7,"cursor":"c"}"#);
        let frame = frame.expect("valid");
        assert_eq!((frame.dropped, frame.cursor.as_deref()), (7, Some("c")));
        assert!(read("[").is_err());
        assert!(read(r#"{"streams":[{"stream":{},"values":[["x","y"]]}]}"#).is_err());
    }
}
