//! Ten thousand requests that are begun over HTTP/2 and left lying, from one address.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use timberyard_testkit::eventually::eventually;
use timberyard_testkit::server_process::ServerProcess;

use crate::faults::resident_mebibytes;
use crate::start::server;
use crate::terminal::Said;

const CONNECTIONS: usize = 100;
/// As many as a connection may have.
const REQUESTS: u32 = 100;
/// What ten thousand requests may take, in MiB: some 20 KiB each.
const GROWTH_MAX: u64 = 200;

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A connection with as many pushes begun as it may have, none of which has a body.
fn begun(server: &ServerProcess) -> TcpStream {
    const PUSH: &[u8] = b"\x83\x86\x04\x11/loki/api/v1/push\x01\x09localhost";
    let mut stream = TcpStream::connect(server.address()).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let settings = frame(4, 0, 0, b"");
    stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*settings].concat()).expect("sent");
    // The server's settings say that it is a conversation now.
    stream.read_exact(&mut [0; 9]).expect("settings");
    let requests = (0..REQUESTS).flat_map(|number| frame(1, 4, number * 2 + 1, PUSH));
    stream.write_all(&requests.collect::<Vec<u8>>()).expect("sent");
    stream
}

/// What somebody at another address is answered.
fn asked_from_elsewhere(server: &ServerProcess, path: &str) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--max-time", "30", "--interface", "127.0.0.2"])
        .arg(server.url(path))
        .output();
    Said::from(output.expect("curl is there")).succeeded().text()
}

#[test]
fn requests_that_one_address_leaves_open_take_little_memory_and_nobody_elses_place() {
    let server = server();
    let before = resident_mebibytes(server.id());
    let connections: Vec<TcpStream> = (0..CONNECTIONS).map(|_| begun(&server)).collect();
    // Three quarters of the places are held by now; the other requests were refused at once.
    eventually("the requests are begun", || {
        let metrics = asked_from_elsewhere(&server, "/metrics");
        let in_flight = metrics.lines().find_map(|line| line.strip_prefix("timberyard_requests_in_flight "));
        in_flight.and_then(|number| number.parse::<usize>().ok()).filter(|number| *number > 700)
    });
    for _ in 0..20 {
        asked_from_elsewhere(&server, "/loki/api/v1/labels");
    }
    let growth = resident_mebibytes(server.id()).saturating_sub(before);
    println!("figure: open requests: {} begun, {growth} MiB more resident", CONNECTIONS as u32 * REQUESTS);
    assert!(growth < GROWTH_MAX, "{growth} MiB");
    drop(connections);
    eventually("the address is answered again", || {
        server.get("/loki/api/v1/labels").try_send().ok().filter(|answer| answer.status == 200)
    });
}
