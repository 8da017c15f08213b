//! Any bytes on an open WebSocket end it in order or are taken: no panic, no answer that is no frame, and the server serves
//! on. A committed corpus and seeded mutations of it; with `TIMBERYARD_TORTURE` set for long.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::connections::Served;

/// Mutations of each file of the corpus, and the same when there is time.
const ROUNDS: usize = 25;
const ROUNDS_OF_TORTURE: usize = 2000;

/// The target: sends the bytes where frames are expected, and reads what comes until the server closes.
fn fuzz_websocket_frames(server: SocketAddr, data: &[u8]) {
    let mut stream = TcpStream::connect(server).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let head = "GET /loki/api/v1/tail?query=%7Bapp%3D%22x%22%7D HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
                Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // The server may hang up before it has read everything.
    let _ = stream.write_all(&[head.as_bytes(), data].concat());
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert!(
            error.kind() == std::io::ErrorKind::ConnectionReset,
            "the server neither answers nor closes: {error}, after {answer:?}, for {data:?}"
        ),
    }
    let frames =
        answer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| answer.split_off(at + 4));
    if let Some(mut frames) = frames {
        while let [first, length, rest @ ..] = frames.as_slice() {
            assert!(matches!(first, 0x81 | 0x88 | 0x89 | 0x8a), "{first:#x} begins no frame, for {data:?}");
            assert!(*length < 126, "the server has nothing long to say, for {data:?}");
            frames = rest.get(usize::from(*length)..).unwrap_or_default().to_vec();
        }
    }
}

fn mutated(sample: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut data = sample.to_vec();
    for _ in 0..random.usize(1..5) {
        let at = random.usize(0..=data.len());
        match random.u8(0..5) {
            0 => data.truncate(at),
            1 => data.insert(at, random.u8(..)),
            2 if at < data.len() => data[at] ^= 1 << random.u8(..8),
            3 => data.extend_from_within(at..),
            _ => data.splice(at..at, [0x80 | random.u8(..16), 0x80 | random.u8(..)]).for_each(drop),
        }
    }
    data.truncate(100_000);
    data
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/websocket_frames");
    let entries = std::fs::read_dir(folder).expect("a corpus");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bytes_on_a_websocket_make_the_server_panic_or_hang() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A session runs on a task, whose panic nobody else would see.
        let place = panic.location().map_or("", |location| location.file());
        if place.contains("server/src") || place.contains("tungstenite") || place.contains("axum") {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
        before(panic);
    }));
    let rounds = if std::env::var_os("TIMBERYARD_TORTURE").is_some() { ROUNDS_OF_TORTURE } else { ROUNDS };
    let served = Served::with(|_| {}).await;
    let address = served.address;
    let mut inputs = 0;
    tokio::task::block_in_place(|| {
        let mut random = fastrand::Rng::with_seed(8);
        for path in corpus() {
            let sample = std::fs::read(&path).expect("readable");
            fuzz_websocket_frames(address, &sample);
            for _ in 0..rounds {
                fuzz_websocket_frames(address, &mutated(&sample, &mut random));
            }
            inputs += rounds + 1;
        }
    });
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    println!("figure: fuzz target websocket_frames: {inputs} inputs");
    served.stop().await;
}
