//! How far origins are stored: for each tenant and origin the byte behind the last one that is durable.
//!
//! It lists what is durable in the log and nothing else. The manifest holds a copy, so that it outlives the log's records.
//! Bounded by a number of origins; of the tenant that has most the one that was heard of longest ago is forgotten first.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_model::origin::{OriginName, OriginRange};
use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{LogBatch, TenantId, Timestamp};

use crate::codec::{Malformed, Reader, put_bytes, put_varint, put_zigzag};

/// Origins of all tenants together. Each takes about 100 bytes of memory and 60 of the manifest.
const ORIGINS_MAX: usize = 10_000;

/// An origin that brought nothing for so long before the newest one did is forgotten: 30 days.
const SILENT_NANOS_MAX: i64 = 30 * 86_400 * NANOS_PER_SECOND;

/// What is known of one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    end: u64,
    last: Timestamp,
}

/// All origins.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OriginTable {
    tenants: BTreeMap<TenantId, BTreeMap<OriginName, Known>>,
    count: usize,
}

impl OriginTable {
    /// How far an origin is stored.
    pub(crate) fn end(&self, tenant: &TenantId, name: &OriginName) -> Option<u64> {
        self.tenants.get(tenant)?.get(name).map(|known| known.end)
    }

    /// Notes a batch that is durable.
    pub(crate) fn note(&mut self, batch: &LogBatch) {
        for OriginRange { name, to, .. } in &batch.origins {
            self.put(&batch.tenant, name.clone(), Known { end: *to, last: batch.received_at });
        }
        while self.count > ORIGINS_MAX {
            self.forget_one();
        }
    }

    /// Tenants that have origins.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.tenants.keys()
    }

    /// Forgets those that were silent for long.
    pub(crate) fn forget_silent(self: &mut Arc<Self>) {
        let times = || self.tenants.values().flat_map(|origins| origins.values()).map(|known| known.last);
        let newest = times().max().unwrap_or(Timestamp::MIN);
        let oldest = newest.saturating_add_nanos(-SILENT_NANOS_MAX);
        if times().all(|last| last >= oldest) {
            return;
        }
        Arc::make_mut(self).keep_since(oldest);
    }

    fn keep_since(&mut self, oldest: Timestamp) {
        for origins in self.tenants.values_mut() {
            origins.retain(|_, known| known.last >= oldest);
        }
        self.tenants.retain(|_, origins| !origins.is_empty());
        self.count = self.tenants.values().map(BTreeMap::len).sum();
    }

    fn put(&mut self, tenant: &TenantId, name: OriginName, new: Known) {
        let origins = self.tenants.entry(tenant.clone()).or_default();
        let known = origins.entry(name).or_insert_with(|| {
            self.count += 1;
            new
        });
        *known = Known { end: known.end.max(new.end), last: known.last.max(new.last) };
    }

    fn forget_one(&mut self) {
        let Some(origins) = self.tenants.values_mut().max_by_key(|origins| origins.len()) else { return };
        let oldest = origins.iter().min_by_key(|(_, known)| known.last).map(|(name, _)| name.clone());
        if let Some(name) = oldest {
            origins.remove(&name);
            self.count -= 1;
        }
    }

    /// Writes it into a manifest; `number` gives a tenant's place there.
    pub(crate) fn write(&self, out: &mut Vec<u8>, number: impl Fn(&TenantId) -> u64) {
        put_varint(out, self.count as u64);
        for (tenant, origins) in &self.tenants {
            for (name, known) in origins {
                put_varint(out, number(tenant));
                put_bytes(out, name.as_str().as_bytes());
                put_varint(out, known.end);
                put_zigzag(out, known.last.as_nanos());
            }
        }
    }

    /// Reads it from a manifest.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        tenant: impl Fn(u64) -> Result<TenantId, Malformed>,
    ) -> Result<Self, Malformed> {
        let mut table = Self::default();
        for _ in 0..reader.count()? {
            let tenant = tenant(reader.varint()?)?;
            let name = OriginName::new(reader.text()?).map_err(|_| Malformed("origin has no valid name"))?;
            let known = Known { end: reader.varint()?, last: Timestamp::from_nanos(reader.zigzag()?) };
            table.put(&tenant, name, known);
        }
        Ok(table)
    }
}

/// A table with one origin of a tenant.
#[cfg(test)]
pub(crate) fn example(tenant: &str) -> OriginTable {
    let mut table = OriginTable::default();
    let tenant = TenantId::new(tenant).expect("valid");
    let name = OriginName::new("host-1/7").expect("valid");
    table.put(&tenant, name, Known { end: 300, last: Timestamp::from_nanos(-5) });
    table
}

#[cfg(test)]
mod tests {
    use timberyard_model::batch::EqualEntries;
    use timberyard_model::rows::Rows;

    use super::*;

    fn name(text: &str) -> OriginName {
        OriginName::new(text).expect("valid")
    }

    fn batch(tenant: &str, origin: &str, to: u64, seconds: i64) -> LogBatch {
        LogBatch {
            tenant: TenantId::new(tenant).expect("valid"),
            received_at: Timestamp::from_nanos(seconds * NANOS_PER_SECOND),
            equal_entries: EqualEntries::Keep,
            rows: Rows::default(),
            unique_keys: Vec::new(),
            origins: vec![OriginRange { name: name(origin), from: 0, to }],
        }
    }

    #[test]
    fn an_end_never_goes_back_and_comes_back_from_a_manifest() {
        let mut table = OriginTable::default();
        for (tenant, origin, to, seconds) in [("a", "x", 10, 1), ("a", "x", 7, 2), ("b", "x", 3, 1)] {
            table.note(&batch(tenant, origin, to, seconds));
        }
        let tenants: Vec<TenantId> = table.tenants().cloned().collect();
        assert_eq!(
            tenants.iter().map(|tenant| table.end(tenant, &name("x"))).collect::<Vec<_>>(),
            [Some(10), Some(3)]
        );
        let mut bytes = Vec::new();
        table.write(&mut bytes, |tenant| u64::from(tenant == &tenants[1]));
        let tenant = |number: u64| tenants.get(number as usize).cloned().ok_or(Malformed("no such tenant"));
        assert_eq!(OriginTable::read(&mut Reader::new(&bytes), tenant), Ok(table));
        for length in 0..bytes.len() {
            assert!(OriginTable::read(&mut Reader::new(&bytes[..length]), tenant).is_err());
        }
    }

    #[test]
    fn the_largest_tenant_forgets_its_oldest_origin_when_there_are_too_many() {
        let mut table = OriginTable::default();
        table.note(&batch("small", "kept", 1, 0));
        for number in 0..ORIGINS_MAX as i64 {
            table.note(&batch("large", &format!("file-{number}"), 1, 1 + number));
        }
        let [large, small] = ["large", "small"].map(|tenant| TenantId::new(tenant).expect("valid"));
        assert_eq!(table.end(&small, &name("kept")), Some(1));
        assert_eq!((table.end(&large, &name("file-0")), table.end(&large, &name("file-1"))), (None, Some(1)));
        table.note(&batch("small", "new", 1, 31 * 86_400));
        let mut table = Arc::new(table);
        table.forget_silent();
        assert_eq!((table.end(&small, &name("kept")), table.end(&small, &name("new"))), (None, Some(1)));
    }
}
