//! Delivers batches. What a server refuses for good is narrowed down to single lines.

use std::time::Duration;

use timberyard_wire::loki_push_encode::CONTENT_TYPE;

use super::batch::Batch;
use crate::client::{Client, RetryLimits};
use crate::failure::Failure;

/// Where lines are sent.
const PATH: &str = "/loki/api/v1/push";
/// How many lines may be refused one after another, with none acknowledged between, before the cause must be all of them (a
/// label, a tenant).
const REFUSED_IN_A_ROW_MAX: u64 = 50;

/// A line that the server refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Its number in its file.
    pub(super) line: u64,
    /// What the server said.
    pub(super) reason: String,
}

/// Sends batches to one server.
pub(super) struct Sender<'a> {
    client: &'a Client,
    retry: RetryLimits,
    acknowledged: u64,
    refused_in_a_row: u64,
}

impl<'a> Sender<'a> {
    /// A sender that tries again within `retry`.
    pub(super) fn new(client: &'a Client, retry: RetryLimits) -> Self {
        Self { client, retry, acknowledged: 0, refused_in_a_row: 0 }
    }

    /// Lines that the server has said it keeps.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Sends the batch; gives back the lines that the server refuses. Their neighbours are sent: since equal entries
    /// merge, a part of a batch may be sent again.
    pub(super) fn send(
        &mut self,
        batch: &Batch,
        mut on_retry: impl FnMut(&str, Duration),
    ) -> Result<Vec<Refused>, Failure> {
        let mut refused = Vec::new();
        let mut pending = vec![batch.clone()];
        while let Some(part) = pending.pop() {
            if part.is_empty() {
                continue;
            }
            let body =
                part.body().ok_or_else(|| Failure::new("a batch is too large; lower --batch-bytes"))?;
            let headers = [("Content-Type", CONTENT_TYPE)];
            let answer = self.client.deliver(PATH, &headers, &body, self.retry, &mut on_retry)?.answer;
            if answer.is_success() {
                self.acknowledged += part.len() as u64;
                self.refused_in_a_row = 0;
            } else if !matches!(answer.status, 400 | 413 | 422) {
                let url = self.client.endpoint().url("http", PATH);
                return Err(Failure::new(format!("{url}: {}{}", answer.problem(), advice(answer.status))));
            } else if part.len() == 1 {
                self.refused_in_a_row += 1;
                refused.push(Refused { line: part.first_number(), reason: answer.problem() });
                if self.refused_in_a_row >= REFUSED_IN_A_ROW_MAX {
                    return Err(Failure::new(format!("the server refuses every line: {}", answer.problem())));
                }
            } else {
                let [first, second] = part.halves();
                pending.push(second);
                pending.push(first);
            }
        }
        Ok(refused)
    }
}

/// What to do about a status.
fn advice(status: u16) -> &'static str {
    match status {
        401 => "; give a key with --api-key or TIMBERYARD_API_KEY",
        403 => "; the key or the address in --url may not do this",
        404 => "; is --url the root of a server that takes Loki's push?",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use timberyard_model::{Labels, Limits, TenantId, Timestamp};
    use timberyard_wire::{DecodeContext, loki_push_proto};

    use super::*;
    use crate::client::Endpoint;

    /// The lines of a push body, each with its nanosecond.
    fn decode(body: &[u8]) -> Vec<(i64, String)> {
        let (tenant, limits) = (TenantId::default(), Limits::default());
        let context = DecodeContext {
            tenant: &tenant,
            received_at: Timestamp::from_nanos(0),
            client_ip: None,
            node_id: "test",
            limits: &limits,
            discover_service_name: false,
            detect_level: false,
            label_attributes: timberyard_wire::LabelAttributes::loki(),
        };
        let batch = loki_push_proto::decode(body, &context).expect("a push").batch;
        let line = |row: timberyard_model::RowRef<'_>| String::from_utf8_lossy(row.line()).into_owned();
        batch.rows.iter().map(|row| (row.timestamp().as_nanos(), line(row))).collect()
    }

    /// A server that refuses every push with a line `bad` in it, as long as it is asked, and remembers what it took.
    fn picky_server() -> (Client, std::thread::JoinHandle<Vec<(i64, String)>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let authority = listener.local_addr().expect("an address").to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut taken = Vec::new();
            let mut received = Vec::new();
            let mut chunk = [0; 4096];
            loop {
                let head_end = received.windows(4).position(|bytes: &[u8]| bytes == b"\r\n\r\n");
                let length = head_end.and_then(|end| {
                    let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
                    let length =
                        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                    length.map(|length: usize| (end + 4, length))
                });
                match length {
                    Some((start, length)) if received.len() >= start + length => {
                        let lines = decode(&received[start..start + length]);
                        let status = if lines.iter().any(|(_, line)| line == "bad") {
                            "400 Bad\r\nContent-Length: 3\r\n\r\nbad"
                        } else {
                            taken.extend(lines);
                            "204 Fine\r\n\r\n"
                        };
                        stream.write_all(format!("HTTP/1.1 {status}").as_bytes()).expect("writable");
                        received.drain(..start + length);
                    }
                    _ => match stream.read(&mut chunk).expect("readable") {
                        0 => return taken,
                        bytes => received.extend_from_slice(&chunk[..bytes]),
                    },
                }
            }
        });
        let endpoint = Endpoint { authority, path: String::new(), tls: None, api_key: None, tenant: None };
        (Client::new(endpoint).expect("plain"), server)
    }

    fn batch(lines: &[&str]) -> Batch {
        let mut batch = Batch::new(Labels::from_pairs([("job", "t")]), Timestamp::from_nanos(100));
        for (number, line) in (1..).zip(lines) {
            batch.push(number, line.as_bytes());
        }
        batch
    }

    const RETRY: RetryLimits = RetryLimits { total: Duration::ZERO };

    #[test]
    fn lines_that_are_refused_are_named_and_their_neighbours_keep_their_times() {
        let (client, server) = picky_server();
        let mut sender = Sender::new(&client, RETRY);
        let refused = sender.send(&batch(&["a", "bad", "b", "c", "bad"]), |_, _| {}).expect("sent");
        let lines: Vec<u64> = refused.iter().map(|refused| refused.line).collect();
        assert_eq!((lines, sender.acknowledged()), (vec![2, 5], 3));
        assert_eq!(refused[0].reason, "status 400: bad");
        drop(client);
        let expected = [(100, "a"), (102, "b"), (103, "c")].map(|(time, line)| (time, line.to_owned()));
        assert_eq!(server.join().expect("the server ends"), expected);
    }

    #[test]
    fn a_server_that_refuses_everything_is_not_asked_for_ever() {
        let (client, server) = picky_server();
        let mut sender = Sender::new(&client, RETRY);
        let failure = sender.send(&batch(&["bad"; 1000]), |_, _| {}).expect_err("all refused");
        assert!(failure.to_string().contains("refuses every line: status 400: bad"), "{failure}");
        assert_eq!(sender.acknowledged(), 0);
        drop(client);
        assert!(server.join().expect("the server ends").is_empty());
    }
}
