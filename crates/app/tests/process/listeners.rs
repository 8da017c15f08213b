//! Senders of GELF and of Fluent's forward protocol that nobody here wrote; and the protocol's acknowledgements and handshake,
//! spoken by hand.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use timberyard_testkit::server_process::{ServerProcess, free_address};

use crate::senders::{found, python};
use crate::start::server_with;

#[test]
fn pygelf_logs_over_udp_in_parts_and_over_tcp() {
    let address = free_address();
    let server = server_with(&[("TIMBERYARD_GELF_UDP", &address), ("TIMBERYARD_GELF_TCP", &address)]);
    let (host, port) = address.split_once(':').expect("an address with a port");
    python("python_gelf.py", &[host, port]);
    for app in ["udp", "tcp"] {
        let stored = found(&server, &format!(r#"{{service_name="{app}", level="error"}}"#), 2);
        assert_eq!(stored.len(), 2, "{stored:?}");
        assert!(
            stored[0].line.starts_with("order 7 é 00000") && stored[0].labels["order"] == "7",
            "{stored:?}"
        );
        assert!(stored[1].line.starts_with("broken\nTraceback") && stored[1].line.contains("no such order"));
    }
}

#[test]
fn fluent_logger_sends_its_events() {
    let address = free_address();
    let server = server_with(&[("TIMBERYARD_FLUENT_TCP", &address)]);
    let (host, port) = address.split_once(':').expect("an address with a port");
    python("python_fluent.py", &[host, port, "20"]);
    let stored = found(&server, r#"{service_name="shop", tag="shop.web.orders"}"#, 20);
    assert_eq!(stored.len(), 20);
    assert!(
        stored.iter().any(|entry| entry.line == "order 7 é \"quoted\"" && entry.labels["user_id"] == "7")
    );
}

/// A connection to the listener for Fluent's protocol that waits for answers, but not for ever.
fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("accepted");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream
}

/// One event with the tag `t`, of which the sender wants to hear as `c1`.
const EVENT: &[u8] = b"\x94\xa1t\x07\x81\xa3log\xa5hello\x81\xa5chunk\xa2c1";

#[test]
fn a_message_is_acknowledged_when_it_is_stored_and_outlives_a_crash() {
    let address = free_address();
    let mut server = server_with(&[("TIMBERYARD_FLUENT_TCP", &address)]);
    let mut stream = connect(&address);
    for byte in EVENT.chunks(3) {
        stream.write_all(byte).expect("sent");
    }
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).expect("an acknowledgement");
    assert_eq!(&answer, b"\x81\xa3ack\xa2c1");
    server.kill();
    server.start_again();
    assert_eq!(all(&server), ["hello"]);
}

#[test]
fn what_is_no_message_ends_the_connection_and_no_other_one() {
    let address = free_address();
    let server = server_with(&[("TIMBERYARD_FLUENT_TCP", &address)]);
    let mut other = connect(&address);
    for nonsense in [&b"\xc1"[..], b"GET / HTTP/1.1\r\n\r\n", b"\x92\xa1t\x07"] {
        let mut stream = connect(&address);
        stream.write_all(nonsense).expect("sent");
        let mut rest = Vec::new();
        // A connection that is closed with bytes unread is reset.
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, b"");
    }
    other.write_all(EVENT).expect("sent");
    other.shutdown(Shutdown::Write).expect("ended");
    let mut answer = Vec::new();
    other.read_to_end(&mut answer).expect("an acknowledgement");
    assert_eq!(answer, b"\x81\xa3ack\xa2c1");
    assert_eq!(all(&server), ["hello"]);
}

#[test]
fn who_does_not_know_the_shared_key_cannot_send() {
    let address = free_address();
    let variables = [("TIMBERYARD_FLUENT_TCP", address.as_str()), ("TIMBERYARD_FLUENT_SHARED_KEY", "hush")];
    let server = server_with(&variables);
    let mut stream = connect(&address);
    let mut greeting = [0; 48];
    stream.read_exact(&mut greeting).expect("a greeting");
    assert!(greeting.starts_with(b"\x92\xa4HELO\x83\xa5nonce\xc4\x10"), "{greeting:?}");
    let digest = [b'0'; 128];
    let ping = [&b"\x96\xa4PING\xa1h\xa1s\xd9\x80"[..], &digest, b"\xa0\xa0"].concat();
    stream.write_all(&ping).expect("sent");
    // The connection may be gone by now, and one that is closed with bytes unread is reset.
    let _ = stream.write_all(EVENT);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"\x95\xa4PONG\xc2"), "{answer:?}");
    assert_eq!(all(&server), Vec::<String>::new());
}

/// The lines of the tag `t`, whose time is seven seconds after 1970.
fn all(server: &ServerProcess) -> Vec<String> {
    let found = crate::logql::entries_between(server, r#"{tag="t"}"#, 0, 10_000_000_000);
    found.into_iter().map(|entry| entry.line).collect()
}
