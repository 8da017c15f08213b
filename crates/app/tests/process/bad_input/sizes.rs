//! Bodies over the limit, as they come or once inflated.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use timberyard_testkit::http::send_raw;
use timberyard_testkit::loki_push::varint;
use timberyard_testkit::server_process::ServerProcess;

use super::{JSON_PATHS, push_protobuf, still_works};
use crate::start::{server, server_with};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn bodies_over_the_limit_are_413_on_every_surface() {
    let server = server_with(&[("MAX_REQUEST_SIZE_MB", "1")]);
    for path in JSON_PATHS {
        // Announced: refused before a byte of it is read.
        let announced = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"
        );
        let answer = send_raw(server.address(), announced.as_bytes(), PATIENCE).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 413"), "{path}: {}", String::from_utf8_lossy(&answer));
        assert!(String::from_utf8_lossy(&answer).contains("1048576"), "{path} names the limit");
        // Not announced: refused when the limit is passed.
        let mut stream = TcpStream::connect(server.address()).expect("the server takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the head fits");
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
        for _ in 0..24 {
            // The server may close as soon as it has seen too much.
            if stream.write_all(&chunk).is_err() {
                break;
            }
        }
        let mut answer = [0; 12];
        if stream.read_exact(&mut answer).is_ok() {
            assert_eq!(&answer, b"HTTP/1.1 413", "{path}");
        }
    }
    // A sender that writes all of it before it reads gets the reason, not a broken pipe.
    let answer = super::post_json(&server, "/ingest", vec![b' '; 8 << 20]);
    assert_eq!(answer.status, 413);
    still_works(&server);
}

#[test]
fn decompression_bombs_are_413_and_take_no_memory() {
    let server = server();
    let zeros = vec![b' '; 128 << 20];
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&zeros).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let deflate = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&zeros).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let zstd = zstd::bulk::compress(&zeros, 1).expect("zstd takes any bytes");
    let snappy = snap::raw::Encoder::new().compress_vec(&zeros).expect("snappy takes any bytes");
    drop(zeros);
    for path in JSON_PATHS {
        for (encoding, body) in [("gzip", &gzip), ("deflate", &deflate), ("zstd", &zstd)] {
            let answer = server
                .post(path)
                .header("Content-Type", "application/json")
                .header("Content-Encoding", encoding)
                .body(body.clone())
                .send();
            assert_eq!(answer.status, 413, "{path} {encoding}: {}", answer.text());
        }
    }
    push_protobuf(&server, snappy).expect_status(413);
    // A block that only claims to be large: four gigabytes in five bytes.
    let mut claim = Vec::new();
    varint(&mut claim, u64::from(u32::MAX));
    claim.push(0);
    let answer = push_protobuf(&server, claim);
    assert!(matches!(answer.status, 400 | 413), "{}", answer.status);
    still_works(&server);
    if let Some(peak) = peak_memory_bytes(&server) {
        assert!(peak < 512 << 20, "the server used {} MiB", peak >> 20);
    }
}

/// The most memory that the server ever used; `None` where the system does not say.
fn peak_memory_bytes(server: &ServerProcess) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[test]
fn compressed_bodies_that_are_broken_are_400_and_unknown_encodings_415() {
    let server = server();
    for encoding in ["gzip", "deflate", "zstd", "snappy"] {
        let request = server.post("/ingest").header("Content-Type", "application/json");
        let answer = request.header("Content-Encoding", encoding).body("{\"streams\":[]}").send();
        assert_eq!(answer.status, 400, "{encoding}: {}", answer.text());
    }
    let request = server.post("/ingest").header("Content-Type", "application/json");
    let answer = request.header("Content-Encoding", "br").body("x").send();
    assert_eq!(answer.status, 415, "{}", answer.text());
}
