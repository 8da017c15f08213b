//! A store beside a plain vector of what it should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use timberyard_model::batch::{EqualEntries, UniqueKey};
use timberyard_model::counting::{CountedCell, Cuts};
use timberyard_model::label_values::LabelQuestion;
use timberyard_model::matcher::{LabelMatcher, accepts_all};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{Columns, Direction, LogSource, ScanError, ScanRequest, SeriesRequest};
use timberyard_model::{Cancellation, Labels, LogBatch, RowRef, RowSelector, TenantId, TimeRange, Timestamp};
use timberyard_store::disk::Disk;
use timberyard_store::{DeletionId, DeletionRequest, Interpreters, Store, StoreError, StoreOptions};

use crate::conditions::{self, Pairs};
use crate::record;
use crate::simulated_disk::Random;

/// Where the data lies on a simulated disk.
pub(crate) const ROOT: &str = "/data";

/// A row as plain values: tenant, labels, time, line, metadata.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlainRow {
    pub(crate) labels: Labels,
    pub(crate) time: Timestamp,
    pub(crate) line: Vec<u8>,
    pub(crate) metadata: Vec<(String, Vec<u8>)>,
}

impl PlainRow {
    pub(crate) fn of(row: RowRef<'_>) -> Self {
        Self {
            labels: row.labels().clone(),
            time: row.timestamp(),
            line: row.line().to_vec(),
            metadata: row.metadata().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
        }
    }
}

/// What a store should hold.
#[derive(Clone, Default)]
pub(crate) struct PlainStore {
    rows: Vec<StoredRow>,
    /// Those that hide rows.
    deletions: BTreeMap<DeletionId, PlainDeletion>,
    batches: u64,
}

#[derive(Clone)]
struct StoredRow {
    tenant: TenantId,
    row: PlainRow,
    merges: bool,
    /// The number of its batch.
    batch: u64,
}

/// Hides rows of batches up to a number.
#[derive(Clone)]
struct PlainDeletion {
    tenant: TenantId,
    selector: RowSelector,
    batch: u64,
}

impl PlainDeletion {
    fn hides(&self, stored: &StoredRow) -> bool {
        let RowSelector { matchers, range, line_filters, condition } = &self.selector;
        stored.batch <= self.batch
            && stored.tenant == self.tenant
            && range.contains(stored.row.time)
            && accepts_all(matchers, &stored.row.labels)
            && line_filters.iter().all(|filter| filter.accepts(&stored.row.line))
            && condition.as_ref().is_none_or(|condition| conditions::meets(condition, &stored.row))
    }
}

impl PlainStore {
    pub(crate) fn append(&mut self, batch: &LogBatch) {
        self.batches += 1;
        let stored = batch.rows.iter().map(|row| StoredRow {
            tenant: batch.tenant.clone(),
            row: PlainRow::of(row),
            merges: batch.equal_entries == EqualEntries::Merge,
            batch: self.batches,
        });
        self.rows.extend(stored);
    }

    /// Hides what is there now.
    pub(crate) fn delete(&mut self, id: DeletionId, request: &DeletionRequest) {
        let DeletionRequest { tenant, selector, .. } = request.clone();
        self.deletions.insert(id, PlainDeletion { tenant, selector, batch: self.batches });
    }

    pub(crate) fn cancel(&mut self, id: DeletionId) {
        self.deletions.remove(&id).expect("it was there");
    }

    pub(crate) fn deletions(&self) -> Vec<(TenantId, DeletionId)> {
        self.deletions.iter().map(|(id, deletion)| (deletion.tenant.clone(), *id)).collect()
    }

    pub(crate) fn rows(&self, tenant: &TenantId, accept: impl Fn(&PlainRow) -> bool) -> Vec<PlainRow> {
        let shown = self.rows.iter().filter(|stored| {
            stored.tenant == *tenant
                && accept(&stored.row)
                && !self.deletions.values().any(|deletion| deletion.hides(stored))
        });
        let (merged, kept): (Vec<_>, Vec<_>) = shown.partition(|stored| stored.merges);
        let merged: BTreeSet<&PlainRow> = merged.into_iter().map(|stored| &stored.row).collect();
        let kept = kept.into_iter().map(|stored| &stored.row);
        let mut rows: Vec<PlainRow> = kept.chain(merged).cloned().collect();
        rows.sort();
        rows
    }

    pub(crate) fn tenants(&self) -> BTreeSet<TenantId> {
        self.rows.iter().map(|stored| stored.tenant.clone()).collect()
    }
}

pub(crate) fn decoder() -> Interpreters {
    Interpreters { decode: Arc::new(record::decode), conditions: Arc::new(Pairs) }
}

/// Options under which everything happens often.
pub(crate) fn small_options() -> StoreOptions {
    StoreOptions {
        head_bytes_max: 256 << 10,
        log_bytes_max: 128 << 10,
        log_segment_bytes: 16 << 10,
        quick_write_max: Duration::ZERO,
        disk_reserve_bytes: 0,
        group_bytes: 8 << 10,
        block_bytes: 2 << 10,
        segment_bytes_max: 256 << 10,
        index_cache_bytes_max: 64 << 10,
        deletion_cancel_seconds: 300,
        read_threads: 2,
        ..StoreOptions::default()
    }
}

pub(crate) fn open(disk: &(impl Disk + Clone + 'static), options: StoreOptions) -> Result<Store, StoreError> {
    Store::open_on(Arc::new(disk.clone()), Path::new(ROOT), options, &decoder())
}

/// Starts an append; the outcome comes through the channel.
pub(crate) fn start_append(store: &Store, batch: &Arc<LogBatch>) -> mpsc::Receiver<Result<(), StoreError>> {
    let (sender, receiver) = mpsc::channel();
    store.append(Arc::clone(batch), record::encode(batch), move |outcome| {
        sender.send(outcome).expect("somebody waits");
    });
    receiver
}

pub(crate) fn append(store: &Store, batch: &Arc<LogBatch>) -> Result<(), StoreError> {
    start_append(store, batch).recv().expect("done is called")
}

/// All rows of a scan, sorted. Checks the promise of the frontier on the way.
pub(crate) fn scan(store: &Store, request: &ScanRequest) -> Vec<PlainRow> {
    let mut blocks = store.scan(request).expect("the scan starts");
    let mut rows = Vec::new();
    let mut frontier = None;
    while let Some(block) = blocks.next_block().expect("the scan goes on") {
        for row in block.rows.iter() {
            let beyond = frontier.is_some_and(|frontier| match request.direction {
                Direction::Forward => row.timestamp() < frontier,
                Direction::Backward => row.timestamp() > frontier,
            });
            assert!(!beyond, "{row:?} is beyond the frontier {frontier:?}");
            rows.push(PlainRow::of(row));
        }
        frontier = Some(block.frontier);
    }
    let statistics = blocks.statistics();
    assert_eq!(statistics.rows_matched, rows.len() as u64);
    assert!(statistics.rows_scanned >= statistics.rows_matched);
    rows.sort();
    rows
}

pub(crate) fn everything(store: &Store, tenant: &TenantId) -> Vec<PlainRow> {
    scan(store, &ScanRequest::all(tenant.clone(), TimeRange::ALL))
}

/// Compares streams and counts of the store with those of plain rows.
pub(crate) fn check_index(
    store: &Store,
    plain: &PlainStore,
    tenant: &TenantId,
    range: TimeRange,
    selector: &[LabelMatcher],
) {
    let rows = plain.rows(tenant, |row| range.contains(row.time) && accepts_all(selector, &row.labels));
    let mut counts: BTreeMap<Labels, (u64, u64)> = BTreeMap::new();
    for row in &rows {
        let count = counts.entry(row.labels.clone()).or_default();
        *count = (count.0 + 1, count.1 + row.line.len() as u64);
    }
    let request = SeriesRequest {
        tenant: tenant.clone(),
        range,
        selectors: vec![selector.to_vec()],
        memory_bytes_max: usize::MAX,
        cancellation: Cancellation::default(),
    };
    let volumes = store.volumes(&request).expect("counted");
    let volumes: Vec<_> =
        volumes.into_iter().map(|volume| (volume.labels, (volume.rows, volume.bytes))).collect();
    assert_eq!(volumes, counts.clone().into_iter().collect::<Vec<_>>());
    check_steps(store, &request, &rows);
    let series = store.series(&request).expect("listed");
    assert!(series.is_sorted());
    let series: BTreeSet<Labels> = series.into_iter().collect();
    assert!(counts.keys().all(|labels| series.contains(labels)), "no stream with rows is missing");
    assert!(series.iter().all(|labels| accepts_all(selector, labels)));
    check_labels(store, &request, &series);
}

/// Rows and bytes of each stream between cuts.
fn check_steps(store: &Store, request: &SeriesRequest, rows: &[PlainRow]) {
    for (period_ns, cut) in [(60_000_000_000, -1), (3_600_000_000_000, -1), (7_919_000_017, 12_345)] {
        let cuts = Cuts::every(period_ns, [cut, cut]);
        type Counts = BTreeMap<(Labels, i64), (u64, u64)>;
        let add = |counts: &mut Counts, labels: &Labels, time: Timestamp, rows: u64, bytes: u64| {
            let count = counts
                .entry((labels.clone(), (time.as_nanos() - cut - 1).div_euclid(period_ns)))
                .or_default();
            *count = (count.0 + rows, count.1 + bytes);
        };
        let (mut expected, mut found) = (Counts::new(), Counts::new());
        for row in rows {
            add(&mut expected, &row.labels, row.time, 1, row.line.len() as u64);
        }
        let mut visit = |labels: &Labels, cell: &CountedCell| {
            add(&mut found, labels, cell.time, cell.rows, cell.line_bytes);
            Ok(())
        };
        store.count(request, cuts, &mut visit).expect("counted");
        assert_eq!(found, expected, "every {period_ns} ns");
    }
}

/// Compares labels and their values with those of the streams. A head that is cut in the background may
/// change which streams without rows are listed between two questions; then all are asked again.
fn check_labels(store: &Store, request: &SeriesRequest, series: &BTreeSet<Labels>) {
    let mut difference = None;
    for _ in 0..20 {
        difference = label_difference(store, request);
        if difference.is_none() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(difference, None, "{request:?}");
    if !series.is_empty() {
        let narrow = SeriesRequest { memory_bytes_max: 1, ..request.clone() };
        assert_eq!(store.series(&narrow), Err(ScanError::Memory { limit: 1 }));
        assert_eq!(store.labels(&narrow, &LabelQuestion::All), Err(ScanError::Memory { limit: 1 }));
        if store.volumes(request).is_ok_and(|volumes| !volumes.is_empty()) {
            assert_eq!(store.volumes(&narrow), Err(ScanError::Memory { limit: 1 }));
        }
    }
}

/// Where the answers about labels are not what the listed streams say, in words.
fn label_difference(store: &Store, request: &SeriesRequest) -> Option<String> {
    let streams = store.series(request).expect("listed");
    let mut expected: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in streams.iter().flat_map(Labels::iter) {
        expected.entry(name).or_default().insert(value);
    }
    let all = store.labels(request, &LabelQuestion::All).expect("listed");
    let found = all.iter().map(|label| (&*label.name, label.values.iter().map(|value| &**value).collect()));
    let found: BTreeMap<&str, BTreeSet<&str>> = found.collect();
    if found != expected {
        return Some(format!("labels are {found:?}, not {expected:?}"));
    }
    let names = store.labels(request, &LabelQuestion::Names).expect("listed");
    let is_names = names.iter().map(|label| &*label.name).eq(expected.keys().copied());
    if !is_names || names.iter().any(|label| !label.values.is_empty()) {
        return Some(format!("names are {names:?}, not {:?}", expected.keys()));
    }
    all.iter().find_map(|label| {
        let one = store.labels(request, &LabelQuestion::ValuesOf(label.name.clone())).expect("listed");
        (one != [label.clone()]).then(|| format!("values are {one:?}, not {label:?}"))
    })
}

/// Compares what a store counts, some of it without looking at rows, with counts of plain rows.
pub(crate) fn check_counts(store: &Store, plain: &PlainStore, request: &ScanRequest, random: &mut Random) {
    let seconds = [1, 60, 90, 600, 3600, 86_400][random.below(6)];
    let period = seconds * 1_000_000_000;
    let kinds = [0, [0, 30_000_000_000, 1][random.below(3)]];
    let names: Option<&[&str]> =
        [None, Some(&[][..]), Some(&["detected_level"]), Some(&["trace"])][random.below(4)];
    let cuts = if random.chance(20) { Cuts::NONE } else { Cuts::every(period, kinds) };
    let columns = Columns { line: random.chance(50), metadata: random.chance(70) };
    let metadata_names = names.map(|names| names.iter().copied().map(Box::from).collect());
    let request = ScanRequest {
        counting: Some(cuts),
        line_filters: Vec::new(),
        columns,
        metadata_names,
        ..request.clone()
    };
    let looks_at = |name: &str| columns.metadata && names.is_none_or(|names| names.contains(&name));
    let bucket = |time: Timestamp| {
        let after =
            |kind: i64| (i128::from(time.as_nanos()) - 1 - i128::from(kind)).div_euclid(i128::from(period));
        if cuts == Cuts::NONE { (0, 0) } else { (after(kinds[0]), after(kinds[1])) }
    };
    type Counts = BTreeMap<(Labels, Vec<(String, Vec<u8>)>, (i128, i128)), (u64, usize)>;
    let add = |counts: &mut Counts, row: PlainRow, rows: u64, bytes: usize| {
        let mut metadata = row.metadata;
        metadata.retain(|(name, _)| looks_at(name));
        let count = counts.entry((row.labels, metadata, bucket(row.time))).or_default();
        *count = (count.0 + rows, if columns.line { count.1 + bytes } else { 0 });
    };
    let mut found = Counts::new();
    let mut blocks = store.scan(&request).expect("the scan starts");
    while let Some(block) = blocks.next_block().expect("the scan goes on") {
        for row in block.rows.iter() {
            add(&mut found, PlainRow::of(row), 1, row.line().len());
        }
        for counted in block.counted {
            let metadata: Vec<(String, Vec<u8>)> =
                counted.metadata.iter().map(|(name, value)| (name.to_string(), value.to_vec())).collect();
            for cell in counted.cells {
                let (labels, metadata) = (counted.labels.clone(), metadata.clone());
                let row = PlainRow { labels, metadata, time: cell.time, line: Vec::new() };
                assert!(request.range.contains(cell.time) && cell.rows > 0);
                add(&mut found, row, cell.rows, cell.line_bytes as usize);
            }
        }
    }
    let mut expected = Counts::new();
    let accept =
        |row: &PlainRow| request.range.contains(row.time) && accepts_all(&request.matchers, &row.labels);
    for row in plain.rows(&request.tenant, accept) {
        let bytes = row.line.len();
        add(&mut expected, row, 1, bytes);
    }
    assert_eq!(found, expected, "{request:?}");
}

/// Batches that look like what clients send, and like what they should not.
pub(crate) struct BatchSource {
    seed: u64,
    random: Random,
    number: u64,
    sent: Vec<Arc<LogBatch>>,
    /// 2026-11-20T00:00:00Z, or thereabouts.
    now: i64,
}

impl BatchSource {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, random: Random::new(seed), number: 0, sent: Vec::new(), now: 1_795_132_800_000_000_000 }
    }

    pub(crate) fn tenants() -> [TenantId; 2] {
        [TenantId::default(), TenantId::new("other").expect("valid")]
    }

    /// The time that the batches have come to.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.now)
    }

    /// The next batch; now and then one that was sent before.
    pub(crate) fn next(&mut self, rows_max: usize) -> Arc<LogBatch> {
        self.number += 1;
        if self.random.chance(15) && !self.sent.is_empty() {
            let place = self.random.below(self.sent.len());
            let again = Arc::clone(&self.sent[place]);
            if again.unique_keys.is_empty() {
                return again;
            }
        }
        let batch = Arc::new(self.fresh(rows_max));
        self.sent.push(Arc::clone(&batch));
        batch
    }

    fn fresh(&mut self, rows_max: usize) -> LogBatch {
        let (seed, number) = (self.seed, self.number);
        let random = &mut self.random;
        let tenant = Self::tenants()[usize::from(random.chance(20))].clone();
        let equal_entries = if random.chance(60) { EqualEntries::Merge } else { EqualEntries::Keep };
        let mut rows = RowsBuilder::default();
        let services = 1 + random.below(3);
        let count = 1 + random.below(rows_max);
        let spread = [1_000, 1_000_000_000, 3_600_000_000_000, 90_000_000_000_000][random.below(4)];
        let with_keys = random.chance(20);
        let traced = random.chance(50);
        let mut unique_keys = Vec::new();
        for row in 0..count {
            let service = format!("service-{}", random.below(services));
            let pod = format!("pod-{}", random.below(3));
            let labels = Labels::from_pairs([("service_name", &*service), ("pod", &*pod)]);
            let stream = rows.stream(&labels);
            let unit = [1, 1_000_000, 1_000_000_000][random.below(3)];
            let time = (self.now + (random.next() % (2 * spread)) as i64 - spread as i64) / unit * unit;
            let line = match random.below(10) {
                0 => Vec::new(),
                1 => b"the same line again".to_vec(),
                2 => vec![0xff, 0, b'\n', (row % 256) as u8],
                _ => format!("batch {number} row {row} {}", "word ".repeat(random.below(20))).into_bytes(),
            };
            let value = format!("value-{}", random.below(5));
            let metadata = [("trace", value.as_bytes()), ("user", &b"\xfe"[..])];
            let level =
                [("detected_level", &b"info"[..]), ("detected_level", b"warn"), ("detected_level", b"")];
            let level = level.get(random.below(4)).copied();
            let pairs = if traced { random.below(3) } else { 0 };
            let pairs: Vec<_> = level.into_iter().chain(metadata.into_iter().take(pairs)).collect();
            rows.push(stream, Timestamp::from_nanos(time), &line, pairs).expect("fits");
            if with_keys {
                unique_keys
                    .push(UniqueKey { row: row as u32, key: format!("key-{seed}-{number}-{row}").into() });
            }
        }
        self.now += (random.next() % 60_000_000_000) as i64;
        let received_at = Timestamp::from_nanos(self.now);
        LogBatch { tenant, received_at, equal_entries, rows: rows.finish(), unique_keys, origins: Vec::new() }
    }
}
