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
/// Bytes that counting may take for all tenants together; past that it starts anew, so that it cannot take all
/// memory, whatever names and tenants are made up.
const COUNTED_BYTES_MAX: usize = 128 << 20;
/// Memory of a hash in a set that has grown to twice its entries.
const HASH_BYTES: usize = 18;
/// Memory of a label or tenant with its set of one value, beside its name.
const NAME_BYTES: usize = 256;

/// Which labels of which tenants are demoted, and how far the others are from it.
pub struct LabelDemotion {
    values_max: usize,
    counted_bytes_max: usize,
    counted: Mutex<Counted>,
    report: Box<Report>,
}

type Report = dyn Fn(&TenantId, &str) + Send + Sync;

/// What was counted on one day.
#[derive(Default)]
struct Counted {
    day: i32,
    bytes: usize,
    tenants: HashMap<TenantId, Tenant>,
}

#[derive(Default)]
struct Tenant {
    streams: HashSet<u64, Prehashed>,
    values: HashMap<Box<str>, HashSet<u64, Prehashed>>,
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
        let mut counted = Counted::default();
        for (tenant, name) in demoted {
            counted.tenants.entry(tenant).or_default().demoted.insert(name);
        }
        let counted = Mutex::new(counted);
        Self { values_max, counted_bytes_max: COUNTED_BYTES_MAX, counted, report: Box::new(report) }
    }

    /// The demoted labels of a tenant, sorted.
    pub fn demoted(&self, tenant: &TenantId) -> Vec<Box<str>> {
        self.lock()
            .tenants
            .get(tenant)
            .map(|tenant| tenant.demoted.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// How many labels are demoted in all tenants together.
    pub fn demoted_count(&self) -> usize {
        self.lock().tenants.values().map(|tenant| tenant.demoted.len()).sum()
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
        let mut counted = self.lock();
        let day = batch.received_at.day();
        if counted.day != day || counted.bytes > self.counted_bytes_max {
            counted.forget(day);
        }
        let Counted { bytes, tenants, .. } = &mut *counted;
        if !tenants.contains_key(&batch.tenant) {
            *bytes += NAME_BYTES + batch.tenant.as_str().len();
        }
        let tenant = tenants.entry(batch.tenant.clone()).or_default();
        let mut new = Vec::new();
        for labels in batch.rows.streams() {
            if tenant.streams.insert(labels.stable_hash()) {
                *bytes += HASH_BYTES + tenant.count(labels, self.values_max, &mut new);
            }
        }
        let demoted = tenant.demoted.iter().cloned().collect();
        drop(counted);
        new.iter().for_each(|name| (self.report)(&batch.tenant, name));
        demoted
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// Keeps what is demoted, and nothing else.
    fn forget(&mut self, day: i32) {
        self.day = day;
        self.bytes = 0;
        self.tenants.retain(|_, tenant| !tenant.demoted.is_empty());
        for tenant in self.tenants.values_mut() {
            tenant.streams = HashSet::default();
            tenant.values = HashMap::new();
        }
    }
}

impl Tenant {
    /// Counts the values of a stream that is new; gives the memory that took.
    fn count(&mut self, labels: &Labels, values_max: usize, new: &mut Vec<Box<str>>) -> usize {
        let mut bytes = 0;
        for (name, value) in labels.iter() {
            if ALWAYS_LABELS.contains(&name) || self.demoted.contains(name) {
                continue;
            }
            if !self.values.contains_key(name) {
                self.values.insert(name.into(), HashSet::default());
                bytes += NAME_BYTES + name.len();
            }
            let Some(values) = self.values.get_mut(name) else { continue };
            if values.insert(hash(value)) {
                bytes += HASH_BYTES;
            }
            if values.len() > values_max {
                self.values.remove(name);
                self.demoted.insert(name.into());
                new.push(name.into());
            }
        }
        bytes
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

    #[test]
    fn made_up_tenants_and_names_are_forgotten_and_demoted_labels_are_not() {
        let mut demotion = LabelDemotion::new(3, [], |_, _: &str| {});
        demotion.counted_bytes_max = 16 << 10;
        assert!(demotion.apply(&batch(0..9)).expect("fits").is_some());
        for number in 0..1000 {
            let made_up = format!("made_up_{number}");
            let tenant = TenantId::new(&made_up).expect("a name");
            let now = Timestamp::from_nanos(1);
            let mut batch = BatchBuilder::new(tenant, now, EqualEntries::Keep, &RecordLimits::default());
            let stream = batch.stream(&Labels::from_pairs([(made_up.as_str(), "x")]));
            batch.push(stream, now, b"line", &[]).expect("within limits");
            assert!(demotion.apply(&batch.finish()).expect("fits").is_none());
            let counted = demotion.lock();
            assert!(counted.tenants.len() < 100 && counted.bytes < 20 << 10);
        }
        assert!(demotion.apply(&batch(0..1)).expect("fits").is_some());
    }
}
