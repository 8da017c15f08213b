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
    served.state.intake.submit(batch("api", &["old a", "old b"])).await.expect("stored");
    let mut client = tokio::task::block_in_place(|| open(&served, r#"{app="api"} |= "a""#, "&limit=10"));
    assert_eq!(lines(&tokio::task::block_in_place(|| next(&mut client))), ["old a"]);
    served.state.intake.submit(batch("web", &["a, elsewhere"])).await.expect("stored");
    served.state.intake.submit(batch("api", &["new b", "new a"])).await.expect("stored");
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
    served.state.intake.submit(batch("api", &["first", "third"])).await.expect("stored");
    served.state.intake.submit(batch("api", &["second"])).await.expect("stored");
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

/// The cursor that a message brings.
fn cursor(message: &Message) -> String {
    let body: Value = serde_json::from_str(message.to_text().expect("a text")).expect("JSON");
    body["cursor"].as_str().expect("a cursor").to_owned()
}

/// A batch of one stream with lines at these nanoseconds after now.
fn batch_at(app: &str, lines: &[(i64, &str)]) -> LogBatch {
    let mut batch = BatchBuilder::new(TenantId::default(), NOW, EqualEntries::Keep, &RecordLimits::default());
    let stream = batch.stream(&Labels::from_pairs([("app", app)]));
    for (nanos, line) in lines {
        batch.push(stream, NOW.saturating_add_nanos(*nanos), line.as_bytes(), &[]).expect("within limits");
    }
    batch.finish()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_goes_on_where_another_connection_was() {
    let served = Served::with(|_| {}).await;
    let query = r#"{app=~"a|b|c"}"#;
    let read = |client: &mut Client| tokio::task::block_in_place(|| next(client));
    served.state.intake.submit(batch_at("a", &[(-50, "old")])).await.expect("stored");
    let mut client = tokio::task::block_in_place(|| open(&served, query, "&cursor="));
    let first = read(&mut client);
    assert_eq!(lines(&first), ["old"]);
    served.state.intake.submit(batch_at("a", &[(10, "a1"), (20, "a2"), (20, "a3")])).await.expect("stored");
    let second = read(&mut client);
    assert_eq!(lines(&second), ["a1", "a2", "a3"]);
    served.state.intake.submit(batch_at("b", &[(5, "b1 lags")])).await.expect("stored");
    let third = read(&mut client);
    drop(client);
    while served.state.tail_hub.subscriptions() > 0 {
        tokio::task::yield_now().await;
    }

    // Nobody listens: lines of the time shown last, of a stream that lags, of one that is new.
    served.state.intake.submit(batch_at("a", &[(20, "a4"), (30, "a5")])).await.expect("stored");
    served.state.intake.submit(batch_at("b", &[(6, "b2 lags")])).await.expect("stored");
    served.state.intake.submit(batch_at("c", &[(1, "c1")])).await.expect("stored");
    for (message, expected) in [
        (&third, vec!["c1", "b2 lags", "a4", "a5"]),
        (&second, vec!["c1", "b1 lags", "b2 lags", "a4", "a5"]),
        (&first, vec!["c1", "b1 lags", "b2 lags", "a1", "a2", "a3", "a4", "a5"]),
    ] {
        let parameters = format!("&limit=1&cursor={}", cursor(message));
        let mut client = tokio::task::block_in_place(|| open(&served, query, &parameters));
        let caught_up = read(&mut client);
        let mut shown = lines(&caught_up);
        shown.sort_by_key(|line| expected.iter().position(|known| known == line));
        assert_eq!(shown, expected);
        served.state.intake.submit(batch_at("d", &[(40, "elsewhere")])).await.expect("stored");
    }
    // What is shown again is not shown again.
    let mut client =
        tokio::task::block_in_place(|| open(&served, query, &format!("&cursor={}", cursor(&third))));
    let caught_up = read(&mut client);
    drop(client);
    let mut client =
        tokio::task::block_in_place(|| open(&served, query, &format!("&cursor={}", cursor(&caught_up))));
    assert!(lines(&read(&mut client)).is_empty());
    served.state.intake.submit(batch_at("a", &[(60, "live")])).await.expect("stored");
    assert_eq!(lines(&read(&mut client)), ["live"]);
    drop(client);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_break_is_made_up_for_page_by_page() {
    let served = Served::with(|_| {}).await;
    let mut client = tokio::task::block_in_place(|| open(&served, r#"{app="api"}"#, "&cursor="));
    let begun = cursor(&tokio::task::block_in_place(|| next(&mut client)));
    drop(client);
    let texts: Vec<String> = (0..3500).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    served.state.intake.submit(batch("api", &texts)).await.expect("stored");
    let mut client =
        tokio::task::block_in_place(|| open(&served, r#"{app="api"}"#, &format!("&cursor={begun}")));
    let mut shown = Vec::new();
    while shown.len() < texts.len() {
        shown.extend(lines(&tokio::task::block_in_place(|| next(&mut client))));
    }
    assert_eq!(shown, texts);
    drop(client);
    served.stop().await;
}

#[tokio::test]
async fn a_cursor_of_another_tail_is_refused() {
    let server = TestServer::new();
    let cursor = timberyard_wire::tail_cursor::TailCursor { query: 1, floor: NOW, streams: Vec::new() };
    for (cursor, words) in
        [(cursor.encode(), "cursor is of another query"), ("x".to_owned(), "cursor is not one")]
    {
        let answer = server.get(&format!("/loki/api/v1/tail?query=%7Ba%3D%22b%22%7D&cursor={cursor}")).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(words), "{}", answer.text());
    }
}
