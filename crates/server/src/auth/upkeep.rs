//! What is done about keys behind the requests: use written down, changes of the file taken over, rotation by interval, the
//! audit log stored.

use std::time::Duration;

use super::audit::AuditEvent;
use crate::state::SharedState;

/// How often the file of keys is looked at, and events are stored.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two times that use is written, and that keys are rotated whose interval is over.
const TICKS_TO_WRITE: u32 = 10;
/// Ticks between two times that use is told to the audit log.
const TICKS_TO_TELL: u32 = 60;

/// Runs until the server stops. What is left then is for [`finish`].
pub async fn run(state: SharedState) {
    let mut tick: u32 = 0;
    let mut is_read = true;
    loop {
        tokio::select! {
            () = state.stopping.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        tick = tick.wrapping_add(1);
        let keys = state.keys.clone();
        let write = tick.is_multiple_of(TICKS_TO_WRITE);
        let done = tokio::task::spawn_blocking(move || {
            let reloaded = keys.reload();
            if write && let Err(error) = keys.write_use() {
                tracing::warn!(%error, "cannot write how often keys were used");
            }
            reloaded
        });
        match done.await {
            Ok(Ok(true)) => {
                is_read = true;
                tracing::info!("the stored keys have changed and were read again");
                if !state.authenticator.enabled() {
                    tracing::warn!(
                        "there are keys now, but this server started without: it asks for none until it starts again"
                    );
                }
            }
            Ok(Err(error)) => {
                // Once, however long it takes.
                if std::mem::take(&mut is_read) {
                    tracing::warn!(%error, "cannot read the stored keys; those known before stay good for now");
                }
            }
            Ok(Ok(false)) => is_read = true,
            Err(_) => {}
        }
        if write {
            rotate_due(&state).await;
        }
        if tick.is_multiple_of(TICKS_TO_TELL) {
            tell_use(&state);
        }
        store_events(&state).await;
    }
}

/// Rotates the keys whose interval is over. One that cannot be rotated stays good and is tried again; the log says why.
pub async fn rotate_due(state: &SharedState) {
    let (keys, now) = (state.keys.clone(), state.now());
    let Ok(outcomes) = tokio::task::spawn_blocking(move || keys.rotate_due(now)).await else { return };
    for outcome in outcomes {
        match outcome {
            Ok(key) => {
                tracing::info!(name = &*key.name, id = &*key.id, "a key was rotated by its interval");
                let event = AuditEvent::new("key_rotated", now).with("by", "interval");
                let overlap = key.rotation.map(|rotation| rotation.overlap_seconds);
                let event = event.with("name", &*key.name).with("id", &*key.id);
                state.audit.add(event.with("overlap_seconds", overlap));
            }
            Err((name, error)) => {
                tracing::error!(name = &*name, %error, "a key could not be rotated by its interval; it stays good");
                let event = AuditEvent::new("key_not_rotated", now).with("name", &*name);
                state.audit.add(event.with("reason", error.to_string()));
            }
        }
    }
}

/// Writes what is left. Call when no request comes any more, before the store closes.
pub async fn finish(state: &SharedState) {
    tell_use(state);
    store_events(state).await;
    let keys = state.keys.clone();
    let written = tokio::task::spawn_blocking(move || keys.write_use()).await;
    if let Ok(Err(error)) = written {
        tracing::warn!(%error, "cannot write how often keys were used");
    }
}

fn tell_use(state: &SharedState) {
    for (key, count) in state.keys.newly_used() {
        let event = AuditEvent::new("key_used", state.now());
        state.audit.add(event.with("name", &*key.name).with("id", &*key.id).with("requests", count));
    }
}

async fn store_events(state: &SharedState) {
    let Some(batch) = state.audit.take(state.now()) else { return };
    let events = batch.rows.len();
    if let Err(error) = state.intake.submit(batch).await {
        tracing::warn!(%error, events, "events of the audit log could not be stored");
    }
}
