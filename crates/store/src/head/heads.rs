//! All heads of a store: what is inserted, looked at, chosen for cutting, and taken out.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use timberyard_model::{LogBatch, TenantId, TimeRange, Timestamp};

use super::entry::{HeadEntry, Part};
use super::family::{Family, FamilyCut, FamilyId};

/// Which families become segments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CutChoice {
    /// All of them.
    All,
    /// The largest, until this many bytes are left.
    LargestDownTo(usize),
    /// Those with so many raw bytes for groups.
    Full(usize),
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
    largest_family_bytes: usize,
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
    /// Memory held by rows here, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Raw bytes for groups that the largest family has.
    pub(crate) fn largest_family_bytes(&self) -> usize {
        self.largest_family_bytes
    }

    /// Looks for the largest family again, once some have been taken out.
    pub(crate) fn measure_families(&mut self) {
        let families = self.tenants.values().flat_map(|tenant| tenant.families.values());
        self.largest_family_bytes = families.map(|family| family.group_bytes).max().unwrap_or_default();
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

    /// Adds the parts of a durable batch.
    pub(crate) fn insert(&mut self, batch: &LogBatch, sequence: u64, parts: Vec<Part>) {
        if parts.is_empty() {
            return;
        }
        let tenant = self.tenants.entry(batch.tenant.clone()).or_default();
        for part in parts {
            self.bytes += part.entry.bytes;
            let family = tenant.families.entry(part.family.into()).or_default();
            family.insert(part.day, part.entry);
            self.largest_family_bytes = self.largest_family_bytes.max(family.group_bytes);
        }
        for key in &batch.unique_keys {
            if key.row as usize >= batch.rows.len() {
                continue;
            }
            let row = batch.rows.get(key.row as usize);
            let family = row.labels().get("service_name").unwrap_or("");
            // Of a family that has nothing of this batch here the key is in a segment.
            let family = tenant.families.get_mut(family).filter(|family| family.has(sequence));
            if let Some(family) = family {
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
            CutChoice::Full(bytes) => all.retain(|(_, _, family)| family.group_bytes >= bytes),
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
        self.bytes -= family.bytes;
        family.remove(up_to);
        self.bytes += family.bytes;
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
