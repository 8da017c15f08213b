//! Senders of syslog that nobody here wrote: `logger` and rsyslog, over UDP, TCP in both framings, and TLS.

use std::collections::BTreeSet;
use std::process::Command;

use timberyard_testkit::eventually::eventually;
use timberyard_testkit::server_process::{ServerProcess, free_address};

use crate::logql::lines;
use crate::rsyslog::Rsyslog;
use crate::senders::found;
use crate::start::server_with;
use crate::terminal::Said;
use crate::tls::Authority;

/// A server that takes syslog over UDP and TCP at one port.
fn syslog_server() -> (ServerProcess, String) {
    let address = free_address();
    let server = server_with(&[("TIMBERYARD_SYSLOG_UDP", &address), ("TIMBERYARD_SYSLOG_TCP", &address)]);
    let (_, port) = address.split_once(':').expect("an address with a port");
    (server, port.to_owned())
}

#[track_caller]
fn logger(port: &str, arguments: &[&str], message: &str) {
    let output = Command::new("logger")
        .args(["--server", "127.0.0.1", "--port", port, "--tag", "shop", "--priority", "local3.warning"])
        .args(arguments)
        .arg(message)
        .output();
    Said::from(output.expect("logger is there")).succeeded();
}

#[test]
fn logger_sends_both_forms_over_udp_and_over_tcp_in_both_framings() {
    let (server, port) = syslog_server();
    for (number, arguments) in [
        &["--udp", "--rfc3164"][..],
        &["--udp", "--rfc5424"],
        &["--tcp", "--rfc3164"],
        &["--tcp", "--rfc5424"],
        &["--tcp", "--rfc5424", "--octet-count"],
    ]
    .into_iter()
    .enumerate()
    {
        let message = format!("form {number} é");
        logger(&port, arguments, &message);
        let query =
            format!(r#"{{service_name="shop", facility="local3", level="warn"}} |= "form {number} ""#);
        let found = found(&server, &query, 1);
        assert_eq!((found.len(), found[0].line.as_str()), (1, message.as_str()), "{arguments:?}");
    }
    logger(&port, &["--tcp", "--rfc5424", "--sd-id", "x@1", "--sd-param", "user=\"ada\""], "with data");
    let found = found(&server, r#"{app="shop"} | x_1_user="ada""#, 1);
    assert_eq!(found[0].line, "with data");
}

#[test]
fn rsyslog_sends_everything_however_long_the_server_is_away() {
    let (mut server, port) = syslog_server();
    let mut rsyslog = Rsyslog::new(2000);
    let form = r#"template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="octet-counted""#;
    // A queue that is full drops what comes after 50 ms: it has room for all.
    let queue = r#"queue.type="LinkedList" queue.size="10000""#;
    let again = r#"action.resumeRetryCount="-1" action.resumeInterval="1""#;
    server.terminate();
    rsyslog.start(&format!(
        r#"action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" {form} {again} {queue})"#
    ));
    server.start_again();
    // A message on which a connection broke may be sent again: syslog has no acknowledgement.
    eventually("all lines", || {
        let lines: BTreeSet<String> = lines(&server, r#"{app="shop", level="error"}"#).into_iter().collect();
        Some(()).filter(|()| (0..2000).all(|number| lines.contains(&format!("order {number} \"quoted\""))))
    });
}

/// Sends bytes over TLS and waits for the server to end the stream, or ends it in order.
#[track_caller]
fn send_over_tls(authority: &Authority, address: &str, bytes: &str) -> Said {
    let program = "import ssl,socket,sys\n\
                   c=ssl.create_default_context(cafile=sys.argv[2])\n\
                   h,p=sys.argv[1].rsplit(':',1)\n\
                   s=c.wrap_socket(socket.create_connection((h,int(p))),server_hostname='localhost')\n\
                   s.sendall(sys.argv[3].encode())\n\
                   s.unwrap().close()";
    let root = authority.text("root.pem");
    let output = Command::new("python3").args(["-c", program, address, &root, bytes]).output();
    Said::from(output.expect("python3 is there"))
}

#[test]
fn messages_come_in_over_tls() {
    let authority = Authority::new();
    authority.issue("server");
    let address = free_address();
    let server = authority.server().env("TIMBERYARD_SYSLOG_TLS", &address).start();
    let messages = "<11>1 - h shop - - - one over tls\n29 <11>1 - h shop - - - two coun";
    send_over_tls(&authority, &address, messages).succeeded();
    let found = found(&server, r#"{app="shop", host="h", level="error"}"#, 2);
    let mut lines: Vec<_> = found.iter().map(|entry| entry.line.as_str()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one over tls", "two coun"]);
}

#[test]
fn over_tls_a_key_in_structured_data_says_who_sends() {
    let authority = Authority::new();
    authority.issue("server");
    let address = free_address();
    let server = authority
        .server()
        .env("TIMBERYARD_SYSLOG_TLS", &address)
        .env("TIMBERYARD_AUTH_ADMIN_KEYS", "root-key")
        .start();
    let created = server
        .post("/admin/keys")
        .header("X-API-Key", "root-key")
        .json(&serde_json::json!({"name": "router", "tenants": "acme", "scopes": ["push"]}))
        .send()
        .expect_status(201)
        .json();
    let key = created["key"].as_str().expect("the key, once").to_owned();
    // What comes without a key, or with one that is not good, is not stored, and the stream is ended.
    send_over_tls(&authority, &address, "<11>1 - h shop - - - without a key\n");
    let with = |key: &str| format!("[timberyard@32473 key=\"{key}\"]");
    send_over_tls(&authority, &address, &format!("<11>1 - h shop - - {} with a bad key\n", with("guess")));
    let good = format!("<11>1 - h shop - - {} with the key\n<11>1 - h shop - - - behind it\n", with(&key));
    send_over_tls(&authority, &address, &good).succeeded();
    let read = |tenant: &str| {
        let asked = server.get("/loki/api/v1/query_range").query("query", r#"{app="shop"}"#);
        asked.header("X-API-Key", "root-key").header("X-Scope-OrgID", tenant).send().expect_status(200).text()
    };
    let acme = eventually("both messages", || Some(read("acme")).filter(|text| text.contains("behind it")));
    assert!(acme.contains("with the key") && !acme.contains("key="), "{acme}");
    assert!(!acme.contains(&key) && !acme.contains("without a key") && !acme.contains("bad key"), "{acme}");
    assert!(!read("default").contains("shop"), "whose logs they are is the key's to say");
}
