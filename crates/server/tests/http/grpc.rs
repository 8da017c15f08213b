//! gRPC: OTLP's export, our own push, and how refusals look.

use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use http_body_util::channel::Sender;
use http_body_util::{BodyExt, Channel, Full};
use hyper::body::Incoming;

use crate::connections::Served;
use crate::harness::{NOW, stored};
use crate::http2::Client;
use crate::otlp::request_in_protobuf;
use crate::rules::with_keys;

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const PUSH: &str = "/timberyard.v1.PushService/Push";

/// Names and values.
type Metadata<'a> = &'a [(&'a str, &'a str)];

/// A message in its frame.
fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag], &u32::try_from(message.len()).expect("short").to_be_bytes()[..], message].concat()
}

/// How a call ended: status, message, details, and the bytes of its answers.
#[derive(Debug)]
struct Ended {
    code: String,
    message: String,
    details: Option<Vec<u8>>,
    answers: Vec<u8>,
}

impl Ended {
    fn of(headers: &HeaderMap, answers: Vec<u8>) -> Self {
        let text = |name| headers.get(name).map_or("", |value| value.to_str().expect("ASCII")).to_owned();
        let details = headers.get("grpc-status-details-bin").map(|value| {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD_NO_PAD.decode(value).expect("base64")
        });
        Self { code: text("grpc-status"), message: text("grpc-message"), details, answers }
    }

    async fn from(answer: hyper::Response<Incoming>) -> Self {
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("a body");
        let trailers = body.trailers().cloned();
        let headers = trailers.unwrap_or(parts.headers);
        Self::of(&headers, body.to_bytes().to_vec())
    }
}

fn call(path: &str, headers: Metadata<'_>) -> axum::http::request::Builder {
    let request = Request::post(format!("http://localhost{path}"));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn send(served: &Served, path: &str, headers: Metadata<'_>, body: Vec<u8>) -> Ended {
    let mut client = Client::connect(served).await;
    let request = call(path, headers).body(Full::new(Bytes::from(body))).expect("a request");
    Ended::from(client.requests.send_request(request).await.expect("an answer")).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

#[tokio::test]
async fn records_are_stored_whether_they_are_compressed_or_not() {
    let served = Served::with(|_| {}).await;
    let plain = send(&served, EXPORT, &[], framed(0, &request_in_protobuf("plain", 0))).await;
    assert_eq!((&*plain.code, &*plain.answers), ("0", &b"\0\0\0\0\0"[..]));
    let gzipped = framed(1, &gzip(&request_in_protobuf("gzipped", 0)));
    let gzipped = send(&served, EXPORT, &[("grpc-encoding", "gzip")], gzipped).await;
    assert_eq!((&*gzipped.code, &*gzipped.answers), ("0", &b"\0\0\0\0\0"[..]));
    // The encoding is for those that say so, of which this is none.
    let not = send(&served, EXPORT, &[("grpc-encoding", "gzip")], framed(0, &request_in_protobuf("not", 0)));
    assert_eq!(not.await.code, "0");
    assert_eq!(send(&served, EXPORT, &[], framed(0, b"")).await.code, "0");
    let lines: Vec<String> =
        stored(&served.server).iter().map(|row| row.split(' ').nth(1).expect("a line").to_owned()).collect();
    assert_eq!(lines, ["plain", "gzipped", "not"]);
    served.stop().await;
}

#[tokio::test]
async fn records_that_break_a_limit_are_counted_in_a_partial_success() {
    let served = Served::with(|_| {}).await;
    let late = send(&served, EXPORT, &[], framed(0, &request_in_protobuf("late", 601))).await;
    assert_eq!(late.code, "0");
    assert_eq!(late.answers[7..9], [1 << 3, 1], "one record was rejected: {:?}", late.answers);
    assert!(String::from_utf8_lossy(&late.answers).contains("too new"));
    assert!(stored(&served.server).is_empty());
    served.stop().await;
}

#[tokio::test]
async fn calls_that_are_wrong_are_refused_with_the_code_for_it() {
    let served = Served::with(|settings| settings.limits.request.body_bytes_max = 1000).await;
    let message = framed(0, &request_in_protobuf("a", 0));
    let cases: [(&str, Metadata<'_>, Vec<u8>, &str, &str); 10] = [
        (
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            &[],
            message.clone(),
            "12",
            "there is no",
        ),
        (EXPORT, &[("grpc-encoding", "br")], message.clone(), "12", "grpc-encoding \"br\" is not supported"),
        (EXPORT, &[], framed(1, b"x"), "3", "grpc-encoding does not say how"),
        (EXPORT, &[], framed(0, b"\x0a\x05hello"), "3", "in `resourceLogs[0]`"),
        (EXPORT, &[("grpc-encoding", "gzip")], framed(1, b"no gzip"), "3", "gzip"),
        (EXPORT, &[], b"\0\0\0\xff\xff".to_vec(), "8", "larger than the limit of 1000 bytes"),
        (EXPORT, &[], b"\x07\0\0\0\0".to_vec(), "3", "begins with 7"),
        (EXPORT, &[], message[..9].to_vec(), "3", "9 bytes into a message"),
        (EXPORT, &[], Vec::new(), "3", "no message"),
        (EXPORT, &[], [&message[..], &message[..]].concat(), "3", "more than one message"),
    ];
    for (path, headers, body, code, says) in cases {
        let ended = send(&served, path, headers, body).await;
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.message.contains(says), "{ended:?}");
        assert!(ended.answers.is_empty());
    }
    assert!(stored(&served.server).is_empty());
    served.stop().await;
}

#[tokio::test]
async fn what_is_not_grpc_is_answered_as_http() {
    let served = Served::with(|_| {}).await;
    let mut client = Client::connect(&served).await;
    let request =
        Request::post(format!("http://localhost{EXPORT}")).header("content-type", "application/json");
    let request = request.body(Full::new(Bytes::from_static(b"{}"))).expect("a request");
    let answer = client.requests.send_request(request).await.expect("an answer");
    assert_eq!(answer.status(), 415);
    let old =
        served.server.request(axum::http::Method::POST, EXPORT, &[("content-type", "application/grpc")], "");
    let old = old.await;
    assert_eq!((old.status.as_u16(), old.header("grpc-status")), (200, "3"));
    served.stop().await;
}

#[tokio::test]
async fn keys_and_tenants_are_metadata_of_the_call() {
    let served = Served::serving(with_keys()).await;
    let message = framed(0, &request_in_protobuf("a", 0));
    assert_eq!(send(&served, EXPORT, &[], message.clone()).await.code, "16");
    assert_eq!(send(&served, PUSH, &[], framed(0, &batch(1, "a", 0))).await.code, "16");
    assert!(stored(&served.server).is_empty());
    for headers in [("x-api-key", "topsecret"), ("authorization", "Bearer topsecret")] {
        assert_eq!(send(&served, EXPORT, &[headers], message.clone()).await.code, "0");
    }
    let other = [("x-api-key", "topsecret"), ("x-scope-orgid", "a/b")];
    assert_eq!(send(&served, EXPORT, &other, message.clone()).await.code, "3");
    assert_eq!(stored(&served.server).len(), 2);
    served.stop().await;
}

#[tokio::test]
async fn who_sends_too_much_is_told_when_to_come_back() {
    let served = Served::with(|settings| {
        settings.limits.rate.requests_per_minute = Some(1);
        settings.limits.rate.burst = Some(1);
    })
    .await;
    let message = framed(0, &request_in_protobuf("a", 0));
    assert_eq!(send(&served, EXPORT, &[], message.clone()).await.code, "0");
    let refused = send(&served, EXPORT, &[], message).await;
    assert_eq!(refused.code, "8");
    let details = refused.details.expect("details");
    assert!(String::from_utf8_lossy(&details).contains("google.rpc.RetryInfo"), "{details:?}");
    let metrics = served.server.get("/metrics").await.text();
    assert!(metrics.contains("status=\"429\""), "{metrics}");
    served.stop().await;
}

/// Field `number` with a length before it.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).expect("short")], bytes].concat()
}

/// A batch of one line, at a number of nanoseconds from now.
fn batch(sequence: u8, line: &str, nanos: u8) -> Vec<u8> {
    let mut seconds = NOW.as_nanos() / 1_000_000_000;
    let mut time = vec![1 << 3];
    while seconds > 127 {
        time.push(u8::try_from(seconds & 127).expect("seven bits") | 128);
        seconds >>= 7;
    }
    time.extend([u8::try_from(seconds).expect("the rest"), 2 << 3, nanos]);
    let entry = [field(1, &time), field(2, line.as_bytes())].concat();
    let stream = [field(1, br#"{app="push"}"#), field(2, &entry)].concat();
    [field(1, &stream), vec![0x80, 1, sequence]].concat()
}

/// A call to push in which batches are sent and answers are read at will.
struct Pushing {
    batches: Option<Sender<Bytes>>,
    answers: Incoming,
    buffer: Vec<u8>,
}

impl Pushing {
    async fn begin(served: &Served, headers: Metadata<'_>) -> Self {
        let (batches, body) = Channel::new(100);
        let mut client = Client::connect(served).await;
        let request = call(PUSH, headers).body(body).expect("a request");
        let answer = client.requests.send_request(request).await.expect("an answer");
        Self { batches: Some(batches), answers: answer.into_body(), buffer: Vec::new() }
    }

    async fn send(&mut self, bytes: Vec<u8>) {
        let batches = self.batches.as_mut().expect("goes on");
        batches.send_data(bytes.into()).await.expect("is taken");
    }

    /// The next acknowledgement, or how the call ended.
    async fn next(&mut self) -> Result<Vec<u8>, Ended> {
        loop {
            if let Some(length) = self.buffer.get(1..5) {
                let length = u32::from_be_bytes(length.try_into().expect("four")) as usize;
                if self.buffer.len() >= 5 + length {
                    return Ok(self.buffer.drain(..5 + length).skip(5).collect());
                }
            }
            let frame = self.answers.frame().await.expect("trailers come first").expect("no break");
            match frame.into_data() {
                Ok(data) => self.buffer.extend(data),
                Err(frame) => return Err(Ended::of(&frame.into_trailers().expect("trailers"), Vec::new())),
            }
        }
    }
}

#[tokio::test]
async fn each_batch_is_acknowledged_by_its_number_when_it_is_stored() {
    let served = Served::with(|_| {}).await;
    let mut pushing = Pushing::begin(&served, &[]).await;
    pushing.send(framed(0, &batch(7, "alone", 1))).await;
    assert_eq!(pushing.next().await.expect("an answer"), [1 << 3, 7]);
    assert_eq!(stored(&served.server).len(), 1);
    // Many at once, cut anywhere.
    let many: Vec<u8> = (10..60).flat_map(|number| framed(0, &batch(number, "many", number))).collect();
    for piece in many.chunks(17) {
        pushing.send(piece.to_vec()).await;
    }
    for number in 10..60 {
        assert_eq!(pushing.next().await.expect("an answer"), [1 << 3, number]);
    }
    assert_eq!(stored(&served.server).len(), 51);
    pushing.batches = None;
    assert_eq!(pushing.next().await.expect_err("the end").code, "0");
    served.stop().await;
}

#[tokio::test]
async fn a_bad_batch_is_refused_by_itself_and_a_bad_frame_ends_the_call() {
    let served = Served::with(|_| {}).await;
    let mut pushing = Pushing::begin(&served, &[]).await;
    let bad_labels = [field(1, &field(1, b"{app=")), vec![0x80, 1, 2]].concat();
    pushing
        .send([framed(0, &batch(1, "a", 1)), framed(0, &bad_labels), framed(0, &batch(3, "b", 2))].concat())
        .await;
    assert_eq!(pushing.next().await.expect("an answer"), [1 << 3, 1]);
    let refused = pushing.next().await.expect("an answer");
    assert_eq!(refused[..4], [1 << 3, 2, 2 << 3, 3], "{refused:?}");
    assert!(String::from_utf8_lossy(&refused).contains("streams[0].labels"), "{refused:?}");
    assert_eq!(pushing.next().await.expect("an answer"), [1 << 3, 3]);
    pushing.send(framed(9, b"")).await;
    let ended = pushing.next().await.expect_err("the end");
    assert_eq!((&*ended.code, ended.message.contains("begins with 9")), ("3", true), "{ended:?}");
    assert_eq!(stored(&served.server).len(), 2);
    served.stop().await;
}

/// The same, read from bytes of an origin.
fn batch_from(from: u8, to: u8) -> Vec<u8> {
    let origin = [field(1, b"host-1/a"), vec![2 << 3, from, 3 << 3, to]].concat();
    [
        batch(from, "a", from),
        vec![17 << 3 & 127 | 2 | 128, 1],
        vec![u8::try_from(origin.len()).expect("short")],
        origin,
    ]
    .concat()
}

#[tokio::test]
async fn what_a_batch_was_read_from_is_stored_once() {
    let served = Served::with(|_| {}).await;
    let mut pushing = Pushing::begin(&served, &[]).await;
    pushing
        .send(
            [framed(0, &batch_from(1, 5)), framed(0, &batch_from(5, 9)), framed(0, &batch_from(1, 5))]
                .concat(),
        )
        .await;
    assert_eq!(pushing.next().await.expect("an answer"), [1 << 3, 1]);
    assert_eq!(pushing.next().await.expect("an answer"), [1 << 3, 5]);
    assert_eq!(pushing.next().await.expect("an answer"), [1 << 3, 1, 6 << 3, 1], "a duplicate");
    assert_eq!(stored(&served.server).len(), 2);
    // A part is there already: the call ends, and what is behind it is not stored.
    pushing.send([framed(0, &batch_from(7, 12)), framed(0, &batch_from(12, 14))].concat()).await;
    let refused = pushing.next().await.expect("an answer");
    assert_eq!(refused[..4], [1 << 3, 7, 2 << 3, 10], "{refused:?}");
    assert!(refused.ends_with(b"\x3a\x0c\x0a\x08host-1/a\x10\x09"), "{refused:?}");
    assert_eq!(pushing.next().await.expect_err("the end").code, "10");
    assert_eq!(stored(&served.server).len(), 2);
    served.stop().await;
}

#[tokio::test]
async fn stopping_acknowledges_what_is_stored_and_sends_the_client_elsewhere() {
    let served = Served::with(|_| {}).await;
    let mut pushing = Pushing::begin(&served, &[]).await;
    pushing.send(framed(0, &batch(1, "a", 1))).await;
    let reading = async {
        assert_eq!(pushing.next().await.expect("an answer"), [1 << 3, 1]);
        served.state.stopping.cancel();
        pushing.next().await.expect_err("the end")
    };
    assert_eq!(reading.await.code, "14");
    served.stop().await;
}

#[tokio::test]
async fn a_rate_of_requests_holds_for_batches() {
    let served = Served::with(|settings| {
        settings.limits.rate.requests_per_minute = Some(1);
        settings.limits.rate.burst = Some(3);
    })
    .await;
    // The call itself is one.
    let mut pushing = Pushing::begin(&served, &[]).await;
    for number in 1..=3 {
        pushing.send(framed(0, &batch(number, "a", number))).await;
    }
    assert_eq!(pushing.next().await.expect("an answer"), [1 << 3, 1]);
    assert_eq!(pushing.next().await.expect("an answer"), [1 << 3, 2]);
    let ended = pushing.next().await.expect_err("the end");
    assert_eq!((&*ended.code, ended.details.is_some()), ("8", true));
    served.stop().await;
}
