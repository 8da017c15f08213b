//! Real connections: half-open ones, slow ones, and what stopping does to them.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use timberyard_server::{ServerSettings, SharedState, serve};

use crate::harness::TestServer;

/// A server on a port of its own.
pub(crate) struct Served {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) state: SharedState,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Served {
    pub(crate) async fn with(change: impl FnOnce(&mut ServerSettings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel();
        let state = TestServer::with(change).state;
        let task = tokio::spawn(serve(listener, Arc::clone(&state), async { drop(stopped.await) }));
        Self { address, state, stop: Some(stop), task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    pub(crate) async fn stop(mut self) {
        self.stop.take().expect("once").send(()).expect("is running");
        self.task.await.expect("does not panic").expect("ends well");
    }
}

/// Everything until the server closes the connection.
async fn read_to_end(connection: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), connection.read_to_end(&mut bytes))
        .await
        .expect("the server closes the connection")
        .expect("readable");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up() {
    let served = Served::with(|settings| settings.load.stall_seconds_max = 1).await;
    let mut connection = served.connect().await;
    connection.write_all(b"GET /ready HTTP/1.1\r\nHost: loc").await.expect("writable");
    let answer = read_to_end(&mut connection).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_end_is_given_up() {
    let served = Served::with(|settings| settings.limits.request.timeout_seconds = 1).await;
    let mut connection = served.connect().await;
    let head = "POST /loki/api/v1/push HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    connection.write_all(head.as_bytes()).await.expect("writable");
    let answer = read_to_end(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_refuses_new_ones() {
    let served = Served::with(|_| {}).await;
    let mut connection = served.connect().await;
    connection.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("writable");
    let mut buffer = [0; 4096];
    let length = connection.read(&mut buffer).await.expect("an answer");
    assert!(buffer[..length].starts_with(b"HTTP/1.1 200"));
    let address = served.address;
    served.stop().await;
    assert_eq!(read_to_end(&mut connection).await, "");
    assert!(TcpStream::connect(address).await.is_err());
}
