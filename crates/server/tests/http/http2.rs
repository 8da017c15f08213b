//! HTTP/2 as its clients speak it: many requests on one connection, the rules of all requests, and how connections end.

use std::time::{Duration, Instant};

use axum::http::{Method, Request, StatusCode, Version};
use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Channel, Full};
use hyper::body::Body;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use timberyard_server::ServerSettings;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::connections::{Served, full_store};
use crate::harness::NOW;

/// A connection to a server, and what waits for its end.
pub(crate) struct Client<B> {
    pub(crate) requests: SendRequest<B>,
    pub(crate) connection: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl<B> Client<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(crate) async fn connect(served: &Served) -> Self {
        Self::with(served, |_| {}).await
    }

    async fn with(served: &Served, change: impl FnOnce(&mut Builder<TokioExecutor>)) -> Self {
        let stream = TcpStream::connect(served.address).await.expect("connects");
        stream.set_nodelay(true).expect("a setting");
        let mut builder = Builder::new(TokioExecutor::new());
        change(&mut builder);
        let (requests, connection) = builder.handshake(TokioIo::new(stream)).await.expect("a handshake");
        Self { requests, connection: tokio::spawn(connection) }
    }

    /// Waits until the server has ended the connection.
    async fn ended(self) {
        let ended = tokio::time::timeout(Duration::from_secs(20), self.connection).await;
        let _how = ended.expect("the server ends the connection").expect("no panic");
    }
}

fn get(path: &str) -> Request<Full<Bytes>> {
    let uri = format!("http://localhost{path}");
    Request::get(uri).version(Version::HTTP_2).body(Full::default()).expect("a request")
}

#[tokio::test]
async fn requests_beside_each_other_are_answered_over_one_connection() {
    let served = Served::with(|_| {}).await;
    let mut client = Client::connect(&served).await;
    let pushes = (0..50).map(|number| {
        let nanos = NOW.as_nanos() + number;
        let body =
            format!(r#"{{"streams":[{{"stream":{{"app":"h2"}},"values":[["{nanos}","line {number}"]]}}]}}"#);
        let request = Request::post("http://localhost/loki/api/v1/push")
            .header("content-type", "application/json")
            .body(Full::from(body))
            .expect("a request");
        client.requests.send_request(request)
    });
    let pushes: Vec<_> = pushes.collect();
    for answer in join_all(pushes).await {
        assert_eq!(answer.expect("an answer").status(), 204);
    }
    let query =
        "/loki/api/v1/query_range?limit=100&query=%7Bapp%3D%22h2%22%7D&start=1793494700&end=1793494900";
    let answer = client.requests.send_request(get(query)).await.expect("an answer");
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(String::from_utf8_lossy(&body).matches("\"line ").count(), 50);
    served.stop().await;
}

#[tokio::test]
async fn the_authority_is_the_host_whatever_the_header_says() {
    let served = Served::with(|_| {}).await;
    let mut client = Client::connect(&served).await;
    let mut request = Request::get("http://rebound.example.com/loki/api/v1/labels");
    request = request.header("host", "localhost");
    let answer = client.requests.send_request(request.body(Full::<Bytes>::default()).expect("a request"));
    assert_eq!(answer.await.expect("an answer").status(), 403);
    let answer = client.requests.send_request(get("/loki/api/v1/labels")).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    served.stop().await;
}

#[tokio::test]
async fn stopping_says_goodbye_and_ends() {
    let served = Served::with(|_| {}).await;
    let mut client = Client::connect(&served).await;
    let answer = client.requests.send_request(get("/ready")).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let (stopped, ()) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(8), served.stop()), client.ended());
    stopped.expect("stops in time");
}

#[tokio::test]
async fn a_client_that_does_not_agree_to_the_end_holds_nothing_up() {
    let served = Served::with(|_| {}).await;
    let mut silent = TcpStream::connect(served.address).await.expect("connects");
    tokio::io::AsyncWriteExt::write_all(&mut silent, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .expect("writable");
    // The server's settings say that it is a conversation now.
    silent.read_u8().await.expect("readable");
    tokio::time::timeout(Duration::from_secs(8), served.stop()).await.expect("stops in time");
}

#[tokio::test]
async fn a_connection_without_requests_is_ended() {
    let served = Served::with(|settings| settings.load.idle_seconds_max = 1).await;
    let mut client = Client::connect(&served).await;
    let answer = client.requests.send_request(get("/ready")).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    client.ended().await;
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_end_is_given_up() {
    let served = Served::with(|settings| settings.limits.request.timeout_seconds = 1).await;
    let mut client = Client::connect(&served).await;
    let (_sender, body) = Channel::<Bytes>::new(1);
    let request = Request::builder().method(Method::POST).uri("http://localhost/loki/api/v1/push");
    let request = request.header("content-type", "application/json").body(body).expect("a request");
    let answer = client.requests.send_request(request).await.expect("an answer");
    assert_eq!(answer.status(), 408);
    served.stop().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_of_an_answer_is_given_up() {
    let mut settings = ServerSettings::default();
    settings.load.unread_seconds_max = 1;
    let served = Served::serving(full_store(settings)).await;
    let mut client = Client::with(&served, |builder| {
        builder.initial_stream_window_size(1000);
    })
    .await;
    let query = "/loki/api/v1/query_range?limit=200&query=%7Ba%3D%22b%22%7D";
    let answer = client.requests.send_request(get(query)).await.expect("an answer begins");
    assert_eq!(answer.status(), 200);
    let began = Instant::now();
    client.ended().await;
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    drop(answer);
    served.stop().await;
}
