//! Labels with too many values become structured metadata, so that streams stay few.
//!
//! Counted are the values of each label of a tenant that came in on one UTC day. The label that passes the limit is
//! demoted from then on, for good: streams lose it, and each row keeps its value as metadata. `service_name` and
//! `level` never are. Queries go on finding rows by it through [`crate::DemotedLabelsSource`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

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

/// Which labels of which tenants are demoted, and how far the others are from it. Tenants do not wait for each other.
pub struct LabelDemotion {
    values_max: usize,
    counted_bytes_max: usize,
    /// Memory of what was counted of all tenants together.
    counted_bytes: AtomicUsize,
    tenants: RwLock<Tenants>,
    report: Box<Report>,
}

type Report = dyn Fn(&TenantId, &str) + Send + Sync;

/// What was counted on one day.
#[derive(Default)]
struct Tenants {
    day: i32,
    by_name: HashMap<TenantId, Arc<Mutex<Tenant>>>,
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
        let mut tenants = Tenants::default();
        for (tenant, name) in demoted {
            lock(tenants.by_name.entry(tenant).or_default()).demoted.insert(name);
        }
        Self {
            values_max,
            counted_bytes_max: COUNTED_BYTES_MAX,
            counted_bytes: AtomicUsize::new(0),
            tenants: RwLock::new(tenants),
            report: Box::new(report),
        }
    }

    /// The demoted labels of a tenant, sorted.
    pub fn demoted(&self, tenant: &TenantId) -> Vec<Box<str>> {
        let known = self.read().by_name.get(tenant).cloned();
        known.map(|tenant| lock(&tenant).demoted.iter().cloned().collect()).unwrap_or_default()
    }

    /// How many labels are demoted in all tenants together.
    pub fn demoted_count(&self) -> usize {
        self.read().by_name.values().map(|tenant| lock(tenant).demoted.len()).sum()
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
        let known = self.tenant(batch);
        let mut tenant = lock(&known);
        let mut new = Vec::new();
        let mut bytes = 0;
        for labels in batch.rows.streams() {
            if tenant.streams.insert(labels.stable_hash()) {
                bytes += HASH_BYTES + tenant.count(labels, self.values_max, &mut new);
            }
        }
        self.counted_bytes.fetch_add(bytes, Ordering::Relaxed);
        let demoted = tenant.demoted.iter().cloned().collect();
        drop(tenant);
        new.iter().for_each(|name| (self.report)(&batch.tenant, name));
        demoted
    }

    /// The batch's tenant, of the batch's day.
    fn tenant(&self, batch: &LogBatch) -> Arc<Mutex<Tenant>> {
        let day = batch.received_at.day();
        let is_over = |tenants: &Tenants| {
            tenants.day != day || self.counted_bytes.load(Ordering::Relaxed) > self.counted_bytes_max
        };
        let tenants = self.read();
        if let Some(known) = tenants.by_name.get(&batch.tenant).filter(|_| !is_over(&tenants)) {
            return Arc::clone(known);
        }
        drop(tenants);
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        if is_over(&tenants) {
            tenants.forget(day);
            self.counted_bytes.store(0, Ordering::Relaxed);
        }
        if !tenants.by_name.contains_key(&batch.tenant) {
            let bytes = NAME_BYTES + batch.tenant.as_str().len();
            self.counted_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Arc::clone(tenants.by_name.entry(batch.tenant.clone()).or_default())
    }

    fn read(&self) -> RwLockReadGuard<'_, Tenants> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is counted is whole whoever panicked.
fn lock(tenant: &Mutex<Tenant>) -> MutexGuard<'_, Tenant> {
    tenant.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tenants {
    /// Keeps what is demoted, and whom somebody is counting for just now: nothing else.
    fn forget(&mut self, day: i32) {
        self.day = day;
        self.by_name.retain(|_, tenant| Arc::strong_count(tenant) > 1 || !lock(tenant).demoted.is_empty());
        for tenant in self.by_name.values() {
            let mut tenant = lock(tenant);
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
            assert!(demotion.read().by_name.len() < 100);
            assert!(demotion.counted_bytes.load(Ordering::Relaxed) < 20 << 10);
        }
        assert!(demotion.apply(&batch(0..1)).expect("fits").is_some());
    }
}
