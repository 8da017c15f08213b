//! Hostile HTTP/2, frame by frame: floods of resets, settings, pings and headers end their connection, or are refused one by
//! one, and the server goes on for everybody else.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::connections::Served;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// RFC 9113, 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const REFUSED_STREAM: u32 = 7;

/// `:method: POST`, `:scheme: http`, `:path: /loki/api/v1/push`, `:authority: localhost` (RFC 7541).
const PUSH: &[u8] = b"\x83\x86\x04\x11/loki/api/v1/push\x01\x09localhost";
/// The same for `GET /ready`.
const READY: &[u8] = b"\x82\x86\x04\x06/ready\x01\x09localhost";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A conversation that has begun well.
async fn begun(served: &Served) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).await.expect("connects");
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()).await.expect("writable");
    stream
}

/// The next frame: kind, flags, stream and payload; `None` when the server has ended the connection.
async fn next(stream: &mut TcpStream) -> Option<(u8, u8, u32, Vec<u8>)> {
    let read = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        stream.read_exact(&mut payload).await.ok()?;
        Some((kind, flags, u32::from_be_bytes([s0, s1, s2, s3]), payload))
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("a frame, or the end")
}

/// Reads until a frame of this kind; `None` when the connection ends before.
async fn await_kind(stream: &mut TcpStream, wanted: u8) -> Option<(u8, u32, Vec<u8>)> {
    loop {
        let (kind, flags, number, payload) = next(stream).await?;
        if kind == wanted {
            return Some((flags, number, payload));
        }
    }
}

/// Sends the same again and again without reading anything, until the server has had enough.
async fn flood(served: &Served, piece: &[u8]) {
    // What the server answers has little room, so that it is soon in the way.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a size");
    let mut stream = socket.connect(served.address).await.expect("connects");
    let many = [PREFACE, &frame(SETTINGS, 0, 0, b""), &piece.repeat(1000)].concat();
    stream.write_all(&many).await.expect("writable");
    let many = piece.repeat(1000);
    let sending = async { while stream.write_all(&many).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(60), sending).await.expect("the server ends the connection");
    is_well(served).await;
}

/// Somebody else is answered.
async fn is_well(served: &Served) {
    let mut stream = begun(served).await;
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, READY)).await.expect("writable");
    let (_, number, block) = await_kind(&mut stream, HEADERS).await.expect("an answer");
    // The first entry of a block is the status: 0x88 is 200.
    assert_eq!((number, block[0]), (1, 0x88));
}

/// Gives up on who takes nothing at once.
async fn impatient() -> Served {
    Served::with(|settings| settings.load.unread_seconds_max = 1).await
}

#[tokio::test]
async fn requests_that_are_reset_as_soon_as_they_begin_end_the_connection() {
    let served = impatient().await;
    let mut stream = begun(&served).await;
    for number in 0..2000u32 {
        let id = number * 2 + 1;
        let pair = [frame(HEADERS, END_HEADERS, id, PUSH), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat();
        if stream.write_all(&pair).await.is_err() {
            break;
        }
    }
    assert!(await_kind(&mut stream, GOAWAY).await.is_some_and(|(_, _, goodbye)| goodbye.len() >= 8));
    while next(&mut stream).await.is_some() {}
    is_well(&served).await;
    served.stop().await;
}

#[tokio::test]
async fn requests_that_are_reset_while_they_are_worked_on_end_the_connection() {
    let served = impatient().await;
    let mut stream = begun(&served).await;
    let mut begun_count = 0;
    for number in 0..1000u32 {
        let id = number * 2 + 1;
        let pair = [frame(HEADERS, END_HEADERS, id, PUSH), frame(PING, 0, 0, &[0; 8])].concat();
        if stream.write_all(&pair).await.is_err() || await_kind(&mut stream, PING).await.is_none() {
            break;
        }
        begun_count += 1;
        if stream.write_all(&frame(RST_STREAM, 0, id, &[0, 0, 0, 8])).await.is_err() {
            break;
        }
    }
    assert!(begun_count < 400, "{begun_count}");
    is_well(&served).await;
    served.stop().await;
}

#[tokio::test]
async fn floods_of_settings_and_pings_end_the_connection() {
    let served = impatient().await;
    flood(&served, &frame(SETTINGS, 0, 0, b"")).await;
    flood(&served, &frame(PING, 0, 0, &[1; 8])).await;
    served.stop().await;
}

#[tokio::test]
async fn a_list_of_headers_without_an_end_ends_the_connection() {
    let served = impatient().await;
    for piece in [&b""[..], &[b"\x00\x01a\x7f\x81\x7e", &[b'x'; 255][..]].concat()] {
        let mut stream = begun(&served).await;
        let began = stream.write_all(&frame(HEADERS, END_STREAM, 1, READY)).await;
        began.expect("writable");
        let more = frame(CONTINUATION, 0, 1, piece).repeat(100);
        let sending = async { while stream.write_all(&more).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(60), sending).await.expect("the server ends it");
    }
    is_well(&served).await;
    served.stop().await;
}

#[tokio::test]
async fn a_list_of_headers_over_the_limit_is_refused() {
    let served = impatient().await;
    let mut stream = begun(&served).await;
    // `a: xxx…` of 8,000 bytes, nine times: within what may be read, over what may be kept.
    let header = [&b"\x00\x01a\x7f\xc1\x3d"[..], &[b'x'; 8000]].concat();
    stream.write_all(&frame(HEADERS, END_STREAM, 1, READY)).await.expect("writable");
    for number in 0..9 {
        let flags = if number == 8 { END_HEADERS } else { 0 };
        if stream.write_all(&frame(CONTINUATION, flags, 1, &header)).await.is_err() {
            break;
        }
    }
    let refused = loop {
        match next(&mut stream).await {
            Some((HEADERS, _, 1, block)) => break block[0] != 0x88,
            Some((RST_STREAM, _, 1, _) | (GOAWAY, ..)) | None => break true,
            Some(_) => {}
        }
    };
    assert!(refused);
    is_well(&served).await;
    served.stop().await;
}

#[tokio::test]
async fn requests_beyond_those_that_a_connection_may_have_are_refused() {
    let served = Served::with(|settings| settings.load.streams_max = 2).await;
    let mut stream = begun(&served).await;
    // The limit holds from when the client has taken note of it.
    await_kind(&mut stream, SETTINGS).await.expect("settings");
    stream.write_all(&frame(SETTINGS, ACK, 0, b"")).await.expect("writable");
    for id in [1, 3, 5] {
        stream.write_all(&frame(HEADERS, END_HEADERS, id, PUSH)).await.expect("writable");
    }
    let (_, refused, code) = await_kind(&mut stream, RST_STREAM).await.expect("a refusal");
    assert_eq!((refused, code), (5, REFUSED_STREAM.to_be_bytes().to_vec()));
    served.stop().await;
}

#[tokio::test]
async fn a_preface_that_does_not_end_is_given_up() {
    let served = Served::with(|settings| settings.load.stall_seconds_max = 1).await;
    let mut stream = TcpStream::connect(served.address).await.expect("connects");
    stream.write_all(&PREFACE[..9]).await.expect("writable");
    assert!(next(&mut stream).await.is_none());
    served.stop().await;
}

#[tokio::test]
async fn frames_that_make_no_sense_end_the_connection() {
    let served = impatient().await;
    let nonsense = [
        frame(DATA, 0, 1, b"before any request"),
        frame(HEADERS, END_HEADERS, 2, READY),
        frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        frame(CONTINUATION, END_HEADERS, 1, READY),
        frame(SETTINGS, 0, 0, b"odd"),
        frame(DATA, 0, 1, &[0; 20_000]),
    ];
    for bytes in nonsense {
        let mut stream = begun(&served).await;
        stream.write_all(&bytes).await.expect("writable");
        while next(&mut stream).await.is_some() {}
    }
    is_well(&served).await;
    served.stop().await;
}
