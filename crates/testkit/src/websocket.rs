//! A WebSocket client for tests: text messages that hold JSON, and a deadline on every wait.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::{Error, HandshakeError, Message};

/// How long one read may block before the deadline is looked at again.
const READ_SLICE: Duration = Duration::from_millis(50);

/// An open connection.
#[derive(Debug)]
pub struct WebSocket {
    socket: tungstenite::WebSocket<TcpStream>,
}

impl WebSocket {
    /// Connects to `ws://address` followed by `path`, with extra headers. The status, when it is refused.
    pub fn connect(address: &str, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request =
            format!("ws://{address}{path}").into_client_request().expect("a URL of a WebSocket");
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header value"));
        }
        let stream = TcpStream::connect(address).expect("the server takes connections");
        stream.set_nodelay(true).expect("a TCP stream");
        match tungstenite::client::client(request, stream) {
            Ok((socket, _)) => {
                socket.get_ref().set_read_timeout(Some(READ_SLICE)).expect("a timeout");
                Ok(Self { socket })
            }
            Err(HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
            Err(error) => panic!("{address}{path}: {error}"),
        }
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).expect("the connection is open");
    }

    /// The next message; `None` when none comes in that time, or the server closes.
    pub fn next(&mut self, patience: Duration) -> Option<Value> {
        let started = Instant::now();
        while started.elapsed() < patience {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    return Some(serde_json::from_str(text.as_str()).expect("a message of JSON"));
                }
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => return None,
                Ok(_) => {}
                Err(Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(error) => panic!("the connection broke: {error}"),
            }
        }
        None
    }

    /// The next message that has an answer for the question; panics, showing the others, when none comes.
    #[track_caller]
    pub fn find<T>(&mut self, what: &str, mut question: impl FnMut(&Value) -> Option<T>) -> T {
        let mut others = Vec::new();
        let started = Instant::now();
        while started.elapsed() < crate::eventually::PATIENCE {
            let Some(message) = self.next(Duration::from_secs(1)) else { continue };
            if let Some(answer) = question(&message) {
                return answer;
            }
            others.push(message);
        }
        panic!("no message had {what}; there came {others:?}");
    }
}
