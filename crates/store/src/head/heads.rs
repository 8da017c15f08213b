//! All heads of a store: what is inserted, looked at, chosen for cutting, and taken out.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use timberyard_model::{LogBatch, TenantId, TimeRange, Timestamp};

use super::entry::{HeadEntry, split};
use super::family::{Family, FamilyCut, FamilyId};

/// Which families become segments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CutChoice {
    /// All of them.
    All,
    /// The largest, until this many bytes are left.
    LargestDownTo(usize),
    /// Those with rows up to this log sequence.
    UpToSequence(u64),
    /// Those with rows received before.
    ReceivedBefore(Timestamp),
}

/// Everything that is not in segments yet.
#[derive(Default)]
pub(crate) struct Heads {
    tenants: BTreeMap<TenantId, TenantHead>,
    bytes: usize,
}

#[derive(Default)]
struct TenantHead {
    families: BTreeMap<Arc<str>, Family>,
    keys: HashSet<Box<str>>,
}

/// The figures of all heads together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeadFigures {
    pub(crate) rows: u64,
    pub(crate) line_bytes: u64,
    pub(crate) families: u64,
}

impl Heads {
    /// Memory held by batches with rows here, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn figures(&self) -> HeadFigures {
        let mut figures = HeadFigures::default();
        for family in self.tenants.values().flat_map(|tenant| tenant.families.values()) {
            figures.rows += family.rows;
            figures.line_bytes += family.line_bytes;
            figures.families += 1;
        }
        figures
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.tenants.keys()
    }

    /// Adds a durable batch, but for families of which `covered` says that they have it already.
    pub(crate) fn insert(&mut self, batch: &Arc<LogBatch>, sequence: u64, covered: &dyn Fn(&str) -> bool) {
        let parts = split(batch, sequence, &|family| !covered(family));
        let Some(part) = parts.first() else { return };
        self.bytes += part.entry.batch.bytes;
        let tenant = self.tenants.entry(batch.tenant.clone()).or_default();
        for part in parts {
            tenant.families.entry(part.family.into()).or_default().insert(part.day, part.entry);
        }
        for key in &batch.unique_keys {
            if key.row as usize >= batch.rows.len() {
                continue;
            }
            let row = batch.rows.get(key.row as usize);
            let family = row.labels().get("service_name").unwrap_or("");
            if covered(family) {
                continue;
            }
            if let Some(family) = tenant.families.get_mut(family) {
                family.keys.push((sequence, row.timestamp().day(), key.clone()));
                tenant.keys.insert(key.key.clone());
            }
        }
    }

    /// Whether a row here has the unique key.
    pub(crate) fn contains_key(&self, tenant: &TenantId, key: &str) -> bool {
        self.tenants.get(tenant).is_some_and(|tenant| tenant.keys.contains(key))
    }

    /// Hands over the entries of a tenant with rows in the range, family by family, oldest
    /// sequence first within a day.
    pub(crate) fn for_each_entry(
        &self,
        tenant: &TenantId,
        range: TimeRange,
        wanted: &dyn Fn(&str) -> bool,
        visit: &mut dyn FnMut(i32, &Arc<HeadEntry>),
    ) {
        let Some(tenant) = self.tenants.get(tenant) else { return };
        for (name, family) in &tenant.families {
            if !wanted(name) {
                continue;
            }
            for (day, entries) in &family.days {
                for entry in entries.iter().filter(|entry| range.overlaps(entry.first, entry.last)) {
                    visit(*day, entry);
                }
            }
        }
    }

    /// The chosen families with everything they have.
    pub(crate) fn choose(&self, choice: CutChoice) -> Vec<FamilyCut> {
        let mut all: Vec<(&TenantId, &Arc<str>, &Family)> = Vec::new();
        for (tenant, head) in &self.tenants {
            all.extend(head.families.iter().map(|(name, family)| (tenant, name, family)));
        }
        match choice {
            CutChoice::All => {}
            CutChoice::LargestDownTo(bytes_left) => {
                all.sort_by_key(|(_, _, family)| std::cmp::Reverse(family.bytes));
                let mut bytes = self.bytes;
                all.retain(|(_, _, family)| {
                    let over = bytes > bytes_left;
                    bytes = bytes.saturating_sub(family.bytes);
                    over
                });
            }
            CutChoice::UpToSequence(sequence) => {
                all.retain(|(_, _, family)| family.first_sequence <= sequence);
            }
            CutChoice::ReceivedBefore(time) => all.retain(|(_, _, family)| family.received_at < time),
        }
        let cut = |(tenant, name, family): (&TenantId, &Arc<str>, &Family)| FamilyCut {
            family: FamilyId { tenant: tenant.clone(), name: Arc::clone(name) },
            days: family.days.iter().map(|(day, entries)| (*day, entries.clone())).collect(),
            keys: family.keys.clone(),
        };
        all.into_iter().map(cut).collect()
    }

    /// The highest sequence of which nothing is here once the given families have lost everything up
    /// to `applied`, the last sequence inserted.
    pub(crate) fn covered_without(&self, cut: &[FamilyCut], applied: u64) -> u64 {
        let cut: BTreeSet<(&TenantId, &str)> =
            cut.iter().map(|cut| (&cut.family.tenant, &*cut.family.name)).collect();
        let mut covered = applied;
        for (tenant, head) in &self.tenants {
            for (name, family) in &head.families {
                if family.first_sequence <= covered && !cut.contains(&(tenant, &**name)) {
                    covered = family.first_sequence.saturating_sub(1);
                }
            }
        }
        covered
    }

    /// Takes out what a family has up to a sequence.
    pub(crate) fn remove(&mut self, id: &FamilyId, up_to: u64) {
        let Some(tenant) = self.tenants.get_mut(&id.tenant) else { return };
        let Some(family) = tenant.families.get_mut(&id.name) else { return };
        let mut released = 0;
        family.remove(up_to, |batch| {
            if batch.release() {
                released += batch.bytes;
            }
        });
        self.bytes -= released;
        let end = family.keys.partition_point(|(sequence, _, _)| *sequence <= up_to);
        for (_, _, key) in family.keys.drain(..end) {
            tenant.keys.remove(&key.key);
        }
        if family.days.is_empty() {
            tenant.families.remove(&id.name);
        }
        if tenant.families.is_empty() {
            self.tenants.remove(&id.tenant);
        }
    }
}
