//! A store in memory that keeps the origins of batches, as the embedded one does, and fails when it is told to.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use timberyard_model::IngestRecord;
use timberyard_model::origin::AlreadyStored;
use timberyard_model::sink::{Sink, SinkError, SinkFuture};

#[derive(Default)]
pub(crate) struct SharedStore {
    state: Mutex<State>,
    /// So many writes are refused as the store being away.
    pub(crate) refuse: AtomicUsize,
    /// So many writes are stored and answered as if they were not.
    pub(crate) lose_answers: AtomicUsize,
    /// How long a write takes, in milliseconds.
    pub(crate) milliseconds: AtomicUsize,
}

#[derive(Default)]
struct State {
    rows: Vec<(String, String)>,
    ends: HashMap<(String, String), u64>,
    batches: usize,
}

impl SharedStore {
    /// Every line with its tenant, in the order stored.
    pub(crate) fn rows(&self) -> Vec<(String, String)> {
        self.state.lock().expect("not poisoned").rows.clone()
    }

    /// Every line, sorted.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.rows().into_iter().map(|(_, line)| line).collect();
        lines.sort();
        lines
    }

    pub(crate) fn batches(&self) -> usize {
        self.state.lock().expect("not poisoned").batches
    }

    /// Waits until it holds as many rows.
    pub(crate) fn wait_for(&self, rows: usize) {
        let started = std::time::Instant::now();
        while self.state.lock().expect("not poisoned").rows.len() < rows {
            assert!(started.elapsed() < Duration::from_secs(60), "{} of {rows} rows", self.rows().len());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn take(counter: &AtomicUsize) -> bool {
        counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
    }
}

impl Sink for SharedStore {
    fn name(&self) -> &str {
        "shared"
    }

    fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
        Box::pin(async move {
            let milliseconds = self.milliseconds.load(Ordering::Relaxed) as u64;
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            if Self::take(&self.refuse) {
                return Err(SinkError::Unavailable("away".to_owned()));
            }
            let batch = &record.batch;
            let tenant = batch.tenant.as_str().to_owned();
            {
                let mut state = self.state.lock().expect("not poisoned");
                let end_of = |name: &timberyard_model::origin::OriginName| {
                    state.ends.get(&(tenant.clone(), name.to_string())).copied()
                };
                if let Some(stored) = AlreadyStored::of(&batch.origins, end_of) {
                    return Err(SinkError::AlreadyStored(stored));
                }
                for origin in &batch.origins {
                    state.ends.insert((tenant.clone(), origin.name.to_string()), origin.to);
                }
                let lines = batch.rows.iter().map(|row| String::from_utf8_lossy(row.line()).into_owned());
                state.rows.extend(lines.map(|line| (tenant.clone(), line)));
                state.batches += 1;
            }
            if Self::take(&self.lose_answers) {
                return Err(SinkError::Unavailable("the answer was lost".to_owned()));
            }
            Ok(())
        })
    }
}
