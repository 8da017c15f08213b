//! Sessions of browsers: a cookie that says nothing, and who it stands for, in memory only. They end with the server.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::auth::authenticator::KeyHolder;
use crate::auth::key_material::entropy;

/// The cookie's name.
pub(super) const SESSION_COOKIE: &str = "timberyard_session";
/// The most sessions; the one that would end first makes room.
const SESSIONS_MAX: usize = 10_000;

/// Sessions that are open, by the digest of what their cookie holds.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

struct Session {
    holder: KeyHolder,
    ends_at: Duration,
}

impl Sessions {
    /// Opens one, and gives what its cookie holds; `None` when the system has no randomness.
    pub(super) fn open(&self, holder: KeyHolder, ends_at: Duration, now: Duration) -> Option<String> {
        let text = random_text()?;
        let mut sessions = self.lock();
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, session| session.ends_at > now);
        }
        if sessions.len() >= SESSIONS_MAX {
            let first = sessions.iter().min_by_key(|(_, session)| session.ends_at).map(|(key, _)| *key);
            first.and_then(|key| sessions.remove(&key));
        }
        sessions.insert(digest(&text), Session { holder, ends_at });
        Some(text)
    }

    /// Whose session the cookie of these headers names.
    pub(super) fn holder_of(&self, headers: &HeaderMap, now: Duration) -> Option<KeyHolder> {
        let digest = digest(cookie(headers, SESSION_COOKIE)?);
        let sessions = self.lock();
        let session = sessions.get(&digest).filter(|session| session.ends_at > now)?;
        Some(session.holder.clone())
    }

    /// Ends the session that the cookie names.
    pub(super) fn close(&self, headers: &HeaderMap) {
        if let Some(text) = cookie(headers, SESSION_COOKIE) {
            self.lock().remove(&digest(text));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lists = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lists.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// 40 random bytes as text that a URL and a cookie can hold.
pub(super) fn random_text() -> Option<String> {
    Some(URL_SAFE_NO_PAD.encode(entropy().ok()?))
}

pub(super) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
