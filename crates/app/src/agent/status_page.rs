//! The agent's pages over HTTP on a loopback address: one request a connection, one connection at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use timberyard_agent::{AgentMetrics, page};

use crate::failure::Failure;

/// How long a client may take to ask, and to read.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest request line, in bytes.
const REQUEST_BYTES_MAX: u64 = 8 << 10;

/// Serves the pages on a thread of their own.
pub(super) fn serve(address: SocketAddr, metrics: Arc<AgentMetrics>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("status_listen {address}: {error}"));
    let listener = TcpListener::bind(address).map_err(failed)?;
    let listen = move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away has lost interest.
            let _ = answer(stream, &metrics);
        }
    };
    std::thread::Builder::new().name("agent-status".to_owned()).spawn(listen).map(drop).map_err(failed)
}

fn answer(mut stream: TcpStream, metrics: &AgentMetrics) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = String::new();
    BufReader::new((&stream).take(REQUEST_BYTES_MAX)).read_line(&mut request)?;
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, kind, body) = match method {
        "GET" => page(path, metrics),
        _ => (405, "text/plain", "only GET is answered\n".to_owned()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
