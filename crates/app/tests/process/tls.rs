//! TLS as other programs see it: certificates that are checked, asked for, exchanged while the server runs, and refused
//! with a reason.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::server_process::{ServerProcess, ServerSettings};

use crate::start::{configured, settings};
use crate::terminal::{Said, command};

/// A folder of certificates, all signed by one root.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
    root: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "root of a test");
        let key = KeyPair::generate().expect("a key");
        let root = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("root.pem"), root.pem()).expect("written");
        Self { folder, root }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn text(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }

    /// Writes `NAME.pem` and `NAME.key` for this machine, and gives the certificate's bytes.
    pub(crate) fn issue(&self, name: &str) -> Vec<u8> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.root).expect("a certificate");
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).expect("written");
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("written");
        certificate.der().to_vec()
    }

    pub(crate) fn server(&self) -> ServerSettings {
        settings()
            .env("TIMBERYARD_SERVER_TLS_CERT_FILE", &self.text("server.pem"))
            .env("TIMBERYARD_SERVER_TLS_KEY_FILE", &self.text("server.key"))
            .over_tls()
    }

    fn curl(&self, server: &ServerProcess, arguments: &[&str]) -> Said {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--cacert"]).arg(self.path("root.pem")).args(arguments);
        curl.arg(server.url("/ready")).output().expect("curl is there").into()
    }
}

/// The certificate that a server shows to a new connection.
fn shown(server: &ServerProcess) -> Vec<u8> {
    let program = "import ssl,socket,sys\n\
                   c=ssl.create_default_context(); c.check_hostname=False; c.verify_mode=ssl.CERT_NONE\n\
                   h,p=sys.argv[1].rsplit(':',1)\n\
                   s=c.wrap_socket(socket.create_connection((h,int(p))))\n\
                   sys.stdout.buffer.write(s.getpeercert(True))";
    let output = Command::new("python3").args(["-c", program, server.address()]).output();
    let output = output.expect("python3 is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn other_programs_and_our_own_commands_check_the_certificate_and_are_served() {
    let authority = Authority::new();
    authority.issue("server");
    let server = authority.server().start();
    assert_eq!(authority.curl(&server, &[]).succeeded().text().trim(), "ready");
    let stranger = Command::new("curl").args(["-sS", &server.url("/ready")]).output().expect("curl is there");
    assert!(!stranger.status.success(), "a root that is not the system's is not believed");

    let ours = |arguments: &[&str], roots: Option<&Path>| {
        let mut command = command(arguments);
        command.env("TIMBERYARD_URL", server.url(""));
        if let Some(roots) = roots {
            command.env("TIMBERYARD_CA_FILE", roots);
        }
        command
    };
    let root = authority.path("root.pem");
    let lines = authority.path("lines.txt");
    std::fs::write(&lines, "one over tls\n").expect("written");
    let push = ["push", "--label", "job=tls", lines.to_str().expect("UTF-8")];
    Said::from(ours(&push, Some(&root)).output().expect("runs")).succeeded();
    let query = ["query", r#"{job="tls"}"#, "--output", "raw"];
    let found = Said::from(ours(&query, Some(&root)).output().expect("runs")).succeeded();
    assert_eq!(found.text(), "one over tls\n");
    let refused = Said::from(ours(&query, None).output().expect("runs")).failed();
    assert!(refused.errors.to_lowercase().contains("certificate"), "{}", refused.errors);

    let mut tail = ours(&["tail", r#"{job="tls"}"#, "--since", "1h", "--output", "raw"], Some(&root))
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut first = [0; 13];
    tail.stdout.as_mut().expect("piped").read_exact(&mut first).expect("a line");
    tail.kill().expect("ours");
    tail.wait().expect("ended");
    assert_eq!(&first, b"one over tls\n");
}

#[test]
fn curl_speaks_http_2_when_it_is_agreed_on_and_when_it_is_known() {
    let authority = Authority::new();
    authority.issue("server");
    let version = ["-o", "/dev/null", "-w", "%{http_version} %{http_code}"];
    let server = authority.server().start();
    assert_eq!(authority.curl(&server, &version).succeeded().text(), "2 200");
    let old = [&version[..], &["--http1.1"]].concat();
    assert_eq!(authority.curl(&server, &old).succeeded().text(), "1.1 200");
    let plain = settings().start();
    let known = [&version[..], &["--http2-prior-knowledge"]].concat();
    assert_eq!(authority.curl(&plain, &known).succeeded().text(), "2 200");
    // An offer to upgrade is for nothing (RFC 9113 has none), and the answer comes in HTTP/1.1.
    let offered = [&version[..], &["--http2"]].concat();
    assert_eq!(authority.curl(&plain, &offered).succeeded().text(), "1.1 200");
}

#[test]
fn a_client_that_speaks_plain_http_or_nothing_at_all_costs_nobody_else_anything() {
    let authority = Authority::new();
    authority.issue("server");
    let server = authority.server().env("TIMBERYARD_LIMITS_LOAD_STALL_SECONDS_MAX", "1").start();
    let mut plain = std::net::TcpStream::connect(server.address()).expect("connects");
    plain.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut silent = std::net::TcpStream::connect(server.address()).expect("connects");
    for stream in [&mut plain, &mut silent] {
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("settable");
        let mut answer = Vec::new();
        // A reset ends it as well as a close.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(authority.curl(&server, &[]).succeeded().text().trim(), "ready");
}

#[test]
fn certificates_are_exchanged_while_connections_stay_and_bad_ones_change_nothing() {
    let authority = Authority::new();
    let first = authority.issue("server");
    let server = authority.server().start();
    assert_eq!(shown(&server), first);
    // One connection from before the exchange to after it: a request, a line on standard input, another request.
    let program = "import http.client,ssl,sys\n\
                   c=ssl.create_default_context(cafile=sys.argv[2])\n\
                   h,p=sys.argv[1].rsplit(':',1)\n\
                   k=http.client.HTTPSConnection(h,int(p),context=c)\n\
                   def ask():\n \
                    k.request('GET','/ready'); r=k.getresponse(); r.read(); print(r.status,k.sock.getsockname()[1],flush=True)\n\
                   ask(); sys.stdin.readline(); ask()";
    let mut kept = Command::new("python3")
        .args(["-c", program, server.address(), &authority.text("root.pem")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut said = [0; 4];
    kept.stdout.as_mut().expect("piped").read_exact(&mut said).expect("an answer");

    let second = authority.issue("server");
    server.post("/admin/reload").send().expect_status(200);
    assert_eq!(shown(&server), second);
    kept.stdin.take().expect("piped").write_all(b"\n").expect("taken");
    let rest = Said::from(kept.wait_with_output().expect("ended")).succeeded().text();
    let (port, again) = rest.trim().split_once('\n').expect("two answers");
    assert_eq!(again, format!("200 {port}"), "the same connection");

    std::fs::write(authority.path("server.pem"), "no certificate").expect("written");
    let refused = server.post("/admin/reload").send().expect_status(422).json();
    let message = refused["message"].as_str().expect("a text");
    assert!(message.contains("there is no certificate in") && message.contains("server.pem"), "{message}");
    assert_eq!(shown(&server), second);
    let third = authority.issue("server");
    Command::new("kill").args(["-HUP", &server.id().to_string()]).status().expect("signalled");
    eventually("the third certificate is shown", || (shown(&server) == third).then_some(()));
}

#[test]
fn clients_need_a_certificate_where_roots_of_clients_are_written() {
    let authority = Authority::new();
    authority.issue("server");
    authority.issue("client");
    let others = Authority::new();
    others.issue("client");
    let yaml = format!(
        "server:\n  tls:\n    cert_file: {}\n    key_file: {}\n",
        authority.text("server.pem"),
        authority.text("server.key")
    );
    let (settings, file) = configured(&yaml);
    let server = settings.over_tls().start();
    authority.curl(&server, &[]).succeeded();
    let asking = format!("{yaml}    client_ca_file: {}\n", authority.text("root.pem"));
    std::fs::write(file.path(), asking).expect("written");
    let reloaded = server.post("/admin/reload").send().expect_status(200).json();
    assert_eq!(reloaded["at_next_start"], json!([]));

    let certificate = |of: &Authority| {
        ["--cert".to_owned(), of.text("client.pem"), "--key".to_owned(), of.text("client.key")]
    };
    let asked_as = |of: &Authority| authority.curl(&server, &certificate(of).each_ref().map(String::as_str));
    asked_as(&authority).succeeded();
    asked_as(&others).failed();
    authority.curl(&server, &[]).failed();
    let query = |certificates: Option<&Authority>| {
        let mut command = command(&["query", r#"count_over_time({job="x"}[1m])"#, "--instant"]);
        command.env("TIMBERYARD_URL", server.url("")).env("TIMBERYARD_CA_FILE", authority.path("root.pem"));
        if let Some(certificates) = certificates {
            command.env("TIMBERYARD_CLIENT_CERT_FILE", certificates.path("client.pem"));
            command.env("TIMBERYARD_CLIENT_KEY_FILE", certificates.path("client.key"));
        }
        Said::from(command.output().expect("runs"))
    };
    query(Some(&authority)).succeeded();
    query(None).failed();
}

#[test]
fn a_start_with_wrong_files_says_which_and_why() {
    let authority = Authority::new();
    authority.issue("server");
    authority.issue("other");
    let refused = |certificate: &str, key: &str| {
        let (status, said) = settings()
            .env("TIMBERYARD_SERVER_TLS_CERT_FILE", &authority.text(certificate))
            .env("TIMBERYARD_SERVER_TLS_KEY_FILE", &authority.text(key))
            .start_refused("127.0.0.1:0");
        assert_eq!(status.code(), Some(1), "{said}");
        said
    };
    for (certificate, key, reason) in [
        ("absent.pem", "server.key", "cannot read certificate in"),
        ("server.pem", "absent.key", "No such file"),
        ("server.key", "server.key", "there is no certificate in"),
        ("server.pem", "server.pem", "there is no unencrypted private key in"),
        ("server.pem", "other.key", "cannot be used"),
    ] {
        let said = refused(certificate, key);
        assert!(said.contains(reason), "{certificate} {key}: {said}");
        assert!(said.contains(&authority.text(certificate)) || said.contains(&authority.text(key)), "{said}");
    }
    let (status, said) = settings()
        .env("TIMBERYARD_SERVER_TLS_CERT_FILE", &json!("x").to_string())
        .start_refused("127.0.0.1:0");
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("without `server.tls.key_file`"), "{said}");
}
