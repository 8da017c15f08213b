//! Loki's tail, over real connections.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::RecordLimits;
use timberyard_model::{BatchBuilder, Labels, LogBatch, TenantId};
use tungstenite::{Message, WebSocket};

use crate::connections::Served;
use crate::harness::{NOW, TestServer};

type Client = WebSocket<TcpStream>;

/// One stream with lines a nanosecond apart, the first at now.
fn batch(app: &str, lines: &[&str]) -> LogBatch {
    let mut batch = BatchBuilder::new(TenantId::default(), NOW, EqualEntries::Keep, &RecordLimits::default());
    let stream = batch.stream(&Labels::from_pairs([("app", app)]));
    for (index, line) in (0..).zip(lines) {
        batch.push(stream, NOW.saturating_add_nanos(index), line.as_bytes(), &[]).expect("within limits");
    }
    batch.finish()
}

/// Opens a tail; `parameters` follow the query's.
fn open(served: &Served, query: &str, parameters: &str) -> Client {
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let url = format!("ws://{}/loki/api/v1/tail?query={query}{parameters}", served.address);
    let stream = TcpStream::connect(served.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    tungstenite::client(url, stream).expect("upgrades").0
}

/// The next message that is not a ping.
fn next(client: &mut Client) -> Message {
    loop {
        match client.read().expect("a message in time") {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

fn lines(message: &Message) -> Vec<String> {
    let body: Value = serde_json::from_str(message.to_text().expect("a text")).expect("JSON");
    let streams = body["streams"].as_array().expect("streams").iter();
    let values = streams.flat_map(|stream| stream["values"].as_array().expect("values"));
    values.map(|value| value[1].as_str().expect("a line").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_comes_first_and_then_what_is_stored() {
    let served = Served::with(|_| {}).await;
    served.state.submit(batch("api", &["old a", "old b"])).await.expect("stored");
    let mut client = tokio::task::block_in_place(|| open(&served, r#"{app="api"} |= "a""#, "&limit=10"));
    assert_eq!(lines(&tokio::task::block_in_place(|| next(&mut client))), ["old a"]);
    served.state.submit(batch("web", &["a, elsewhere"])).await.expect("stored");
    served.state.submit(batch("api", &["new b", "new a"])).await.expect("stored");
    let message = tokio::task::block_in_place(|| next(&mut client));
    assert_eq!(lines(&message), ["new a"]);
    let body: Value = serde_json::from_str(message.to_text().expect("a text")).expect("JSON");
    assert_eq!(body["streams"][0]["stream"], json!({ "app": "api" }));
    assert_eq!(body.get("dropped_entries"), None);

    // Stopping says goodbye to whoever is listening.
    let stopping = tokio::spawn(served.stop());
    assert!(matches!(tokio::task::block_in_place(|| next(&mut client)), Message::Close(_)));
    stopping.await.expect("does not panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_without_a_past_waits_for_the_slow_and_sorts_them_in() {
    let served = Served::with(|_| {}).await;
    let start = NOW.saturating_add_nanos(1_000_000_000).as_nanos();
    let parameters = format!("&delay_for=1&start={start}");
    let mut client = tokio::task::block_in_place(|| open(&served, r#"{app="api"}"#, &parameters));
    while served.state.tail_hub.subscriptions() == 0 {
        tokio::task::yield_now().await;
    }
    served.state.submit(batch("api", &["first", "third"])).await.expect("stored");
    served.state.submit(batch("api", &["second"])).await.expect("stored");
    let shown = lines(&tokio::task::block_in_place(|| next(&mut client)));
    assert_eq!(shown, ["first", "second", "third"]);
    drop(client);
    served.stop().await;
}

#[tokio::test]
async fn what_cannot_be_tailed_is_refused_before_the_upgrade() {
    let server = TestServer::with(|settings| settings.limits.query.tails_max = 0);
    for (query, status, words) in [
        ("", 400, "parse error"),
        ("query=rate(%7Ba%3D%22b%22%7D%5B1m%5D)", 400, "only log queries"),
        ("query=%7Ba%3D%22b%22%7D&delay_for=6", 400, "delay_for can't be greater than 5"),
        ("query=%7Ba%3D%22b%22%7D", 426, "WebSocket"),
    ] {
        let answer = server.get(&format!("/loki/api/v1/tail?{query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{query}: {}", answer.text());
        assert!(answer.text().contains(words), "{query}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tails_are_bounded_and_a_strangers_page_gets_none() {
    let served = Served::with(|settings| settings.limits.query.tails_max = 1).await;
    let _first = tokio::task::block_in_place(|| open(&served, r#"{app="api"}"#, ""));
    let url = format!("ws://{}/loki/api/v1/tail?query=%7Bapp%3D%22api%22%7D", served.address);
    for (origin, status) in [(None, 429), (Some("http://attacker.example"), 403)] {
        let mut request = tungstenite::client::IntoClientRequest::into_client_request(&*url).expect("a URL");
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().expect("a header value"));
        }
        let stream = TcpStream::connect(served.address).expect("connects");
        let refused = tokio::task::block_in_place(|| match tungstenite::client(request, stream) {
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                answer.status().as_u16()
            }
            _ => 0,
        });
        assert_eq!(refused, status);
    }
    served.stop().await;
}
