//! Labels with too many values become structured metadata, so that streams stay few.
//!
//! Counted are the values of each label of a tenant that came in on one UTC day. The label that passes the limit is
//! demoted from then on, for good: streams lose it, and each row keeps its value as metadata. `service_name` and
//! `level` never are. Queries go on finding rows by it through [`crate::DemotedLabelsSource`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use timberyard_model::rows::{RowsBuilder, RowsFull};
use timberyard_model::{Labels, LogBatch, TenantId};

/// Labels that every stream keeps.
const ALWAYS_LABELS: [&str; 2] = ["service_name", "level"];
/// Values and streams remembered for one tenant and day; past that, counting starts anew, so that counting cannot
/// take all memory. A set entry takes about 9 bytes.
const REMEMBERED_MAX: usize = 4 << 20;

/// Which labels of which tenants are demoted, and how far the others are from it.
pub struct LabelDemotion {
    values_max: usize,
    tenants: Mutex<HashMap<TenantId, Tenant>>,
    report: Box<Report>,
}

type Report = dyn Fn(&TenantId, &str) + Send + Sync;

#[derive(Default)]
struct Tenant {
    day: i32,
    streams: HashSet<u64, Prehashed>,
    values: HashMap<Box<str>, HashSet<u64, Prehashed>>,
    remembered: usize,
    demoted: BTreeSet<Box<str>>,
}

/// The keys are hashes already.
type Prehashed = BuildHasherDefault<Identity>;

#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only whole u64 keys are ever hashed.
        debug_assert!(bytes.is_empty());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

impl LabelDemotion {
    /// Demotes labels with more than `values_max` values; `demoted` are already. `report` is told of each new one before
    /// the first batch without it goes on, on the thread that brought that batch.
    pub fn new(
        values_max: usize,
        demoted: impl IntoIterator<Item = (TenantId, Box<str>)>,
        report: impl Fn(&TenantId, &str) + Send + Sync + 'static,
    ) -> Self {
        let mut tenants: HashMap<TenantId, Tenant> = HashMap::new();
        for (tenant, name) in demoted {
            tenants.entry(tenant).or_default().demoted.insert(name);
        }
        Self { values_max, tenants: Mutex::new(tenants), report: Box::new(report) }
    }

    /// The demoted labels of a tenant, sorted.
    pub fn demoted(&self, tenant: &TenantId) -> Vec<Box<str>> {
        self.lock().get(tenant).map(|tenant| tenant.demoted.iter().cloned().collect()).unwrap_or_default()
    }

    /// How many labels are demoted in all tenants together.
    pub fn demoted_count(&self) -> usize {
        self.lock().values().map(|tenant| tenant.demoted.len()).sum()
    }

    /// The batch as it is to be stored; `None` when it can stay as it is, which costs one look-up a stream.
    pub fn apply(&self, batch: &LogBatch) -> Result<Option<LogBatch>, RowsFull> {
        let demoted = self.count(batch);
        let carries = |labels: &Labels| demoted.iter().any(|name| labels.get(name).is_some());
        if !batch.rows.streams().iter().any(carries) {
            return Ok(None);
        }
        let streams: Vec<Labels> =
            batch.rows.streams().iter().map(|labels| without(labels, &demoted)).collect();
        let mut rows = RowsBuilder::default();
        for row in batch.rows.iter() {
            let stream = rows.stream(&streams[row.stream_index()]);
            let moved = demoted
                .iter()
                .filter_map(|name| row.labels().get(name).map(|value| (&**name, value.as_bytes())));
            let metadata: Vec<(&str, &[u8])> = row.metadata().chain(moved).collect();
            rows.push(stream, row.timestamp(), row.line(), metadata)?;
        }
        Ok(Some(LogBatch { rows: rows.finish(), ..batch.clone_without_rows() }))
    }

    /// Counts the values of the batch's streams, and gives the tenant's demoted labels.
    fn count(&self, batch: &LogBatch) -> Vec<Box<str>> {
        let mut tenants = self.lock();
        let tenant = tenants.entry(batch.tenant.clone()).or_default();
        let day = batch.received_at.day();
        if tenant.day != day || tenant.remembered > REMEMBERED_MAX {
            tenant.forget(day);
        }
        let mut new = Vec::new();
        for labels in batch.rows.streams() {
            if tenant.streams.insert(labels.stable_hash()) {
                tenant.remembered += 1;
                tenant.count(labels, self.values_max, &mut new);
            }
        }
        let demoted = tenant.demoted.iter().cloned().collect();
        drop(tenants);
        new.iter().for_each(|name| (self.report)(&batch.tenant, name));
        demoted
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Tenant>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenant {
    fn forget(&mut self, day: i32) {
        self.day = day;
        self.streams.clear();
        self.values.clear();
        self.remembered = 0;
    }

    fn count(&mut self, labels: &Labels, values_max: usize, new: &mut Vec<Box<str>>) {
        for (name, value) in labels.iter() {
            if ALWAYS_LABELS.contains(&name) || self.demoted.contains(name) {
                continue;
            }
            if !self.values.contains_key(name) {
                self.values.insert(name.into(), HashSet::default());
            }
            let Some(values) = self.values.get_mut(name) else { continue };
            self.remembered += usize::from(values.insert(hash(value)));
            if values.len() > values_max {
                self.values.remove(name);
                self.demoted.insert(name.into());
                new.push(name.into());
            }
        }
    }
}

fn hash(value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(value.as_bytes());
    hasher.finish()
}

fn without(labels: &Labels, names: &[Box<str>]) -> Labels {
    Labels::from_pairs(labels.iter().filter(|(name, _)| !names.iter().any(|demoted| **demoted == **name)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use timberyard_model::batch::EqualEntries;
    use timberyard_model::limits::RecordLimits;
    use timberyard_model::{BatchBuilder, Timestamp};

    use super::*;

    fn batch(users: std::ops::Range<usize>) -> LogBatch {
        let now = Timestamp::from_nanos(1);
        let mut batch =
            BatchBuilder::new(TenantId::default(), now, EqualEntries::Keep, &RecordLimits::default());
        for user in users {
            let user = user.to_string();
            let labels = [("service_name", user.as_str()), ("user", &user), ("app", "api")];
            let stream = batch.stream(&Labels::from_pairs(labels));
            batch.push(stream, now, b"line", &[("k", b"v")]).expect("within limits");
        }
        batch.finish()
    }

    #[test]
    fn the_label_with_too_many_values_becomes_metadata_and_is_reported_once() {
        let reported = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&reported);
        let demotion = LabelDemotion::new(3, [], move |_, name: &str| {
            told.lock().expect("not poisoned").push(name.to_owned());
        });
        assert!(demotion.apply(&batch(0..3)).expect("fits").is_none());
        let stored = demotion.apply(&batch(2..5)).expect("fits").expect("demoted");
        let row = stored.rows.get(1);
        assert_eq!(row.labels().to_string(), r#"{app="api", service_name="3"}"#);
        assert_eq!(row.metadata().collect::<Vec<_>>(), [("k", &b"v"[..]), ("user", b"3")]);
        assert!(demotion.apply(&batch(0..1)).expect("fits").is_some(), "from then on");
        assert_eq!(*reported.lock().expect("not poisoned"), ["user"]);
        assert_eq!(demotion.demoted(&TenantId::default()), ["user".into()]);
    }
}
