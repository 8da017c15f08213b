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
