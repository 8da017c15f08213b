//! Real connections: half-open ones, slow ones, and what stopping does to them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use timberyard_model::cancellation::CancelReason;
use timberyard_model::counting::Cuts;
use timberyard_model::scan::{
    BlockStream, CountVisitor, LogSource, RowBlock, ScanError, ScanEstimate, ScanRequest, ScanStatistics,
    SeriesRequest,
};
use timberyard_model::{Cancellation, Labels};
use timberyard_testkit::memory_source::MemorySource;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use timberyard_server::{ServerSettings, SharedState, serve};

use crate::harness::{NOW, TestServer};

/// A server on a port of its own.
pub(crate) struct Served {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) state: SharedState,
    pub(crate) server: TestServer,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Served {
    pub(crate) async fn with(change: impl FnOnce(&mut ServerSettings)) -> Self {
        Self::serving(TestServer::with(change)).await
    }

    pub(crate) async fn serving(server: TestServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel();
        let state = Arc::clone(&server.state);
        let task = tokio::spawn(serve(listener, Arc::clone(&state), async { drop(stopped.await) }));
        Self { address, state, server, stop: Some(stop), task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    pub(crate) async fn stop(mut self) {
        self.stop.take().expect("once").send(()).expect("is running");
        self.task.await.expect("does not panic").expect("ends well");
    }
}

/// A store that never comes to an end, until somebody says that nobody waits any longer.
#[derive(Default)]
struct EndlessSource {
    ended: Mutex<Option<CancelReason>>,
}

struct EndlessScan<'a>(&'a EndlessSource, Cancellation);

impl LogSource for EndlessSource {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        Ok(Box::new(EndlessScan(self, request.cancellation.clone())))
    }

    fn estimate(&self, _: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        Ok(ScanEstimate::default())
    }

    fn series(&self, _: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        Ok(Vec::new())
    }

    fn count(&self, _: &SeriesRequest, _: Cuts, _: &mut CountVisitor<'_>) -> Result<(), ScanError> {
        Ok(())
    }
}

impl BlockStream for EndlessScan<'_> {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        loop {
            if let Some(reason) = self.1.reason() {
                *self.0.ended.lock().expect("not poisoned") = Some(reason);
                return Err(ScanError::Cancelled(reason));
            }
            std::thread::yield_now();
        }
    }

    fn statistics(&self) -> ScanStatistics {
        ScanStatistics::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_ends_when_its_client_leaves_or_its_time_is_up() {
    let ask = "GET /loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (timeout_seconds, leaves, reason) in
        [(60, true, CancelReason::ClientGone), (1, false, CancelReason::TimedOut)]
    {
        let mut settings = ServerSettings::default();
        settings.limits.query.timeout_seconds = timeout_seconds;
        let source = Arc::new(EndlessSource::default());
        let reads = Arc::clone(&source) as Arc<dyn LogSource>;
        let served = Served::serving(TestServer::on(settings, Arc::default(), reads)).await;
        let mut connection = served.connect().await;
        connection.write_all(ask.as_bytes()).await.expect("writable");
        while leaves && served.state.query_gate.running() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if leaves {
            drop(connection);
        } else {
            let mut head = [0; 12];
            connection.read_exact(&mut head).await.expect("an answer");
            assert_eq!(&head, b"HTTP/1.1 504");
        }
        while served.state.query_gate.running() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(*source.ended.lock().expect("not poisoned"), Some(reason));
        served.stop().await;
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

/// Sends a question and reads its answer, which leaves the connection open.
async fn ask_once(connection: &mut TcpStream) {
    connection.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("writable");
    let mut bytes = vec![0; 4096];
    let read = connection.read(&mut bytes).await.expect("readable");
    assert!(bytes[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&bytes[..read]));
}

#[tokio::test]
async fn a_connection_may_wait_longer_for_its_next_request_than_a_head_may_take() {
    let served = Served::with(|settings| {
        settings.load.stall_seconds_max = 1;
        settings.load.idle_seconds_max = 60;
    })
    .await;
    let mut connection = served.connect().await;
    ask_once(&mut connection).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    ask_once(&mut connection).await;
    // The head of the second one, byte by byte, ends it.
    let began = std::time::Instant::now();
    let slowly = async {
        loop {
            if connection.write_all(b"G").await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), slowly).await.expect("the server gives it up");
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    served.stop().await;
}

#[tokio::test]
async fn a_connection_without_a_next_request_is_given_up() {
    let served = Served::with(|settings| {
        settings.load.stall_seconds_max = 1;
        settings.load.idle_seconds_max = 2;
    })
    .await;
    let mut connection = served.connect().await;
    ask_once(&mut connection).await;
    assert_eq!(read_to_end(&mut connection).await, "");
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

/// A server whose answers are more than the buffers between the two ends can hold.
pub(crate) fn full_store(settings: ServerSettings) -> TestServer {
    let store = Arc::new(MemorySource::default());
    for number in 0..200 {
        let line = vec![b'x'; 200_000];
        store.push(&Labels::from_pairs([("a", "b")]), NOW.saturating_add_nanos(-1 - number), &line, &[]);
    }
    let source = Arc::clone(&store) as Arc<dyn LogSource>;
    TestServer::on(settings, store, source)
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_given_up() {
    let mut settings = ServerSettings::default();
    settings.load.unread_seconds_max = 1;
    let served = Served::serving(full_store(settings)).await;
    let mut connection = served.connect().await;
    let ask =
        "GET /loki/api/v1/query_range?limit=200&query=%7Ba%3D%22b%22%7D HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.write_all(ask.as_bytes()).await.expect("writable");
    let mut head = [0; 12];
    connection.read_exact(&mut head).await.expect("an answer begins");
    assert_eq!(&head, b"HTTP/1.1 200");
    // Stopping waits for answers under way, so it ends soon only because this one was given up.
    tokio::time::timeout(Duration::from_secs(8), served.stop()).await.expect("stops in time");
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
