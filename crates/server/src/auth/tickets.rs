//! Tickets: what a web page, whose WebSockets cannot carry headers, shows instead of its key.
//!
//! A ticket is good once and for a few seconds, so that it does not matter who reads the URL it stands in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Identity;
use super::key_material::entropy;

/// How long a ticket is good.
pub const TICKET_SECONDS: u64 = 30;
/// The most tickets that are out at the same time.
const TICKETS_MAX: usize = 10_000;

/// Tickets that are out.
#[derive(Default)]
pub struct Tickets(Mutex<HashMap<[u8; 32], (Identity, Duration)>>);

impl Tickets {
    /// A ticket for somebody; `None` when too many are out, or the system has no randomness.
    pub fn issue(&self, identity: Identity, now: Duration) -> Option<String> {
        let text = URL_SAFE_NO_PAD.encode(entropy().ok()?);
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tickets.len() >= TICKETS_MAX {
            tickets.retain(|_, (_, end)| *end > now);
        }
        if tickets.len() >= TICKETS_MAX {
            return None;
        }
        tickets.insert(Sha256::digest(&text).into(), (identity, now + Duration::from_secs(TICKET_SECONDS)));
        Some(text)
    }

    /// Whose ticket it is, if it is good; it is not any more afterwards.
    pub(super) fn redeem(&self, text: &str, now: Duration) -> Option<Identity> {
        let digest: [u8; 32] = Sha256::digest(text).into();
        let (identity, end) = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest)?;
        (end > now).then_some(identity)
    }
}
