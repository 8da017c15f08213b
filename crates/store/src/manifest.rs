//! The manifest: which segments there are, and up to where the log is in them.
//!
//! The format is drawn in `docs/format/manifest.md`. It is replaced atomically: whoever reads it
//! sees the state before or after a change, never between.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use timberyard_model::{TenantId, Timestamp};

use crate::codec::{Malformed, Reader, checksum, put_bytes, put_u32, put_u64, put_varint, put_zigzag};
use crate::deletion::{Conditions, Tombstone, read_tombstone, write_tombstone};
use crate::disk::{Disk, read_all};
use crate::error::StoreError;
use crate::origin_table::OriginTable;
use crate::paths::Paths;
use crate::segment::{SegmentSummary, Sequences};

const MAGIC: &[u8; 8] = b"TMBRMAN\n";
const VERSION: u32 = 5;
/// Did not know of origins.
const VERSION_WITHOUT_ORIGINS: u32 = 4;
/// Did not know which segments were compared with each other.
const VERSION_WITHOUT_COMPARED: u32 = 3;
/// Its deletions had no conditions.
const VERSION_WITHOUT_CONDITIONS: u32 = 2;
/// Had no deletions, and no sequences of segments.
const VERSION_WITHOUT_DELETIONS: u32 = 1;

/// A tenant and a `service_name`.
pub(crate) type FamilyName = (TenantId, Box<str>);

/// What the manifest says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Manifest {
    /// Rows of log records up to this sequence are in segments.
    pub(crate) covered: u64,
    /// Rows of these families are in segments up to a higher sequence.
    pub(crate) families: BTreeMap<FamilyName, u64>,
    /// The id that the next segment gets.
    pub(crate) next_segment_id: u64,
    /// By id.
    pub(crate) segments: BTreeMap<u64, SegmentSummary>,
    /// In the order in which they were requested.
    pub(crate) deletions: Vec<Arc<Tombstone>>,
    /// How far origins are stored, at least in what is covered.
    pub(crate) origins: Arc<OriginTable>,
}

/// Why a manifest was not replaced.
pub(crate) enum ReplaceError {
    /// The old one is still in place.
    Unchanged(StoreError),
    /// Nobody knows which one a crash would leave.
    Unknown(StoreError),
}

impl Manifest {
    /// Whether rows of this family in the record of this sequence are in segments.
    pub(crate) fn covers(&self, tenant: &TenantId, family: &str, sequence: u64) -> bool {
        if sequence <= self.covered {
            return true;
        }
        if self.families.is_empty() {
            return false;
        }
        let name = (tenant.clone(), Box::from(family));
        self.families.get(&name).is_some_and(|covered| sequence <= *covered)
    }

    /// The highest sequence of a row in a segment.
    fn last_covered(&self) -> u64 {
        self.families.values().copied().max().unwrap_or_default().max(self.covered)
    }

    /// Reads the manifest; `None` when there is none.
    pub(crate) fn load(disk: &dyn Disk, paths: &Paths) -> Result<Option<Self>, StoreError> {
        let path = paths.manifest();
        let bytes = match read_all(disk, &path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(&path, error)),
        };
        Self::decode(&bytes).map(Some).map_err(|error| StoreError::corrupt(&path, error.0))
    }

    /// Puts this manifest in place of the one on disk. Returns its length in bytes.
    pub(crate) fn replace(&self, disk: &dyn Disk, paths: &Paths) -> Result<u64, ReplaceError> {
        let bytes = self.encode();
        let (new, path) = (paths.new_manifest(), paths.manifest());
        let write = || {
            let file = disk.create(&new)?;
            file.write_at(&bytes, 0)?;
            file.sync()
        };
        write().map_err(|error| ReplaceError::Unchanged(StoreError::io(&new, error)))?;
        let rename = || {
            disk.rename(&new, &path)?;
            disk.sync_directory(paths.root())
        };
        rename().map_err(|error| ReplaceError::Unknown(StoreError::io(&path, error)))?;
        Ok(bytes.len() as u64)
    }

    /// Writes this manifest into another directory, where none is yet.
    pub(crate) fn write_to(&self, disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
        let write = || {
            let file = disk.create(path)?;
            file.write_at(&self.encode(), 0)?;
            file.sync()
        };
        write().map_err(|error| StoreError::io(path, error))
    }

    fn encode(&self) -> Vec<u8> {
        let mut numbers: HashMap<&TenantId, u64> = HashMap::new();
        let mut tenants: Vec<&TenantId> = Vec::new();
        let named = self.families.keys().map(|(tenant, _)| tenant);
        let named = named.chain(self.deletions.iter().map(|tombstone| &tombstone.tenant));
        let named = named.chain(self.origins.tenants());
        for tenant in named.chain(self.segments.values().map(|segment| &segment.tenant)) {
            numbers.entry(tenant).or_insert_with(|| {
                tenants.push(tenant);
                tenants.len() as u64 - 1
            });
        }
        let number = |tenant: &TenantId| numbers.get(tenant).copied().unwrap_or_default();
        let mut body = Vec::with_capacity(64 + self.segments.len() * 48);
        put_varint(&mut body, self.covered);
        put_varint(&mut body, self.next_segment_id);
        put_varint(&mut body, tenants.len() as u64);
        for tenant in &tenants {
            put_bytes(&mut body, tenant.as_str().as_bytes());
        }
        put_varint(&mut body, self.families.len() as u64);
        for ((tenant, family), sequence) in &self.families {
            put_varint(&mut body, number(tenant));
            put_bytes(&mut body, family.as_bytes());
            put_varint(&mut body, sequence.saturating_sub(self.covered));
        }
        put_varint(&mut body, self.segments.len() as u64);
        for segment in self.segments.values() {
            put_varint(&mut body, number(&segment.tenant));
            put_zigzag(&mut body, i64::from(segment.day));
            put_varint(&mut body, segment.id);
            put_varint(&mut body, segment.file_bytes);
            put_varint(&mut body, segment.rows);
            put_varint(&mut body, segment.line_bytes);
            put_zigzag(&mut body, segment.first.as_nanos());
            put_varint(&mut body, segment.last.as_nanos().wrapping_sub(segment.first.as_nanos()) as u64);
            put_varint(&mut body, u64::from(segment.groups));
            put_varint(&mut body, segment.keys);
            let Sequences { first, last } = segment.sequences;
            put_varint(&mut body, first);
            put_varint(&mut body, last.saturating_sub(first));
            put_varint(&mut body, u64::from(segment.compared));
        }
        put_varint(&mut body, self.deletions.len() as u64);
        for tombstone in &self.deletions {
            put_varint(&mut body, number(&tombstone.tenant));
            write_tombstone(&mut body, tombstone);
        }
        self.origins.write(&mut body, number);
        let mut out = Vec::with_capacity(32 + body.len());
        out.extend_from_slice(MAGIC);
        put_u32(&mut out, VERSION);
        put_u32(&mut out, 0);
        put_u64(&mut out, body.len() as u64);
        put_u64(&mut out, checksum(&body));
        out.extend_from_slice(&body);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(Malformed("this is not a manifest"));
        }
        let version = reader.u32()?;
        if !(VERSION_WITHOUT_DELETIONS..=VERSION).contains(&version) {
            return Err(Malformed("manifest version is not one this program reads"));
        }
        reader.u32()?;
        let (length, sum) = (reader.u64()?, reader.u64()?);
        let length = usize::try_from(length).map_err(|_| Malformed("length does not fit memory"))?;
        let body = reader.take(length)?;
        reader.end()?;
        if checksum(body) != sum {
            return Err(Malformed("checksum does not hold"));
        }
        let mut reader = Reader::new(body);
        let covered = reader.varint()?;
        let next_segment_id = reader.varint()?;
        let mut tenants = Vec::new();
        for _ in 0..reader.count()? {
            tenants.push(TenantId::new(reader.text()?).map_err(|_| Malformed("tenant has no valid name"))?);
        }
        let tenant = |number: u64| {
            let tenant = usize::try_from(number).ok().and_then(|number| tenants.get(number));
            tenant.cloned().ok_or(Malformed("no such tenant"))
        };
        let mut manifest = Self { covered, next_segment_id, ..Self::default() };
        for _ in 0..reader.count()? {
            let tenant = tenant(reader.varint()?)?;
            let family = reader.text()?.into();
            let sequence = covered.saturating_add(reader.varint()?);
            manifest.families.insert((tenant, family), sequence);
        }
        // What version 1 lists is older than any deletion.
        let oldest = Sequences { first: 0, last: manifest.last_covered() };
        for _ in 0..reader.count()? {
            let mut segment = read_segment(&mut reader, &tenant)?;
            segment.sequences = match version {
                VERSION_WITHOUT_DELETIONS => oldest,
                _ => read_sequences(&mut reader)?,
            };
            segment.compared = version > VERSION_WITHOUT_COMPARED
                && match reader.varint()? {
                    0 => false,
                    1 => true,
                    _ => return Err(Malformed("a segment is said to be what is not known")),
                };
            manifest.segments.insert(segment.id, segment);
        }
        let deletions = if version == VERSION_WITHOUT_DELETIONS { 0 } else { reader.count()? };
        let conditions =
            if version <= VERSION_WITHOUT_CONDITIONS { Conditions::Unknown } else { Conditions::Known };
        for _ in 0..deletions {
            let tenant = tenant(reader.varint()?)?;
            manifest.deletions.push(Arc::new(read_tombstone(&mut reader, tenant, conditions)?));
        }
        if version > VERSION_WITHOUT_ORIGINS {
            manifest.origins = Arc::new(OriginTable::read(&mut reader, tenant)?);
        }
        reader.end()?;
        Ok(manifest)
    }
}

fn read_segment(
    reader: &mut Reader<'_>,
    tenant: &dyn Fn(u64) -> Result<TenantId, Malformed>,
) -> Result<SegmentSummary, Malformed> {
    let tenant = tenant(reader.varint()?)?;
    let day = i32::try_from(reader.zigzag()?).map_err(|_| Malformed("day is out of range"))?;
    let (id, file_bytes) = (reader.varint()?, reader.varint()?);
    let (rows, line_bytes) = (reader.varint()?, reader.varint()?);
    let first = reader.zigzag()?;
    let last = first.checked_add_unsigned(reader.varint()?).ok_or(Malformed("time is out of range"))?;
    Ok(SegmentSummary {
        tenant,
        day,
        id,
        file_bytes,
        rows,
        line_bytes,
        first: Timestamp::from_nanos(first),
        last: Timestamp::from_nanos(last),
        groups: reader.varint_u32()?,
        keys: reader.varint()?,
        sequences: Sequences::NONE,
        compared: false,
    })
}

fn read_sequences(reader: &mut Reader<'_>) -> Result<Sequences, Malformed> {
    let first = reader.varint()?;
    let last = first.checked_add(reader.varint()?).ok_or(Malformed("sequence is out of range"))?;
    Ok(Sequences { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let tenant = |name| TenantId::new(name).expect("valid");
        let segment = |id: u64, name, day: i32| SegmentSummary {
            tenant: tenant(name),
            day,
            id,
            file_bytes: id * 1000,
            rows: 7,
            line_bytes: 300,
            first: Timestamp::MIN,
            last: Timestamp::MAX,
            groups: 2,
            keys: id % 2,
            sequences: Sequences { first: id, last: 70 + id },
            compared: id == 3,
        };
        let segments = [segment(3, "a", -4), segment(9, "b", 20_000)];
        Manifest {
            covered: 70,
            families: [((tenant("b"), "api".into()), 75), ((tenant("c"), "".into()), 71)].into(),
            next_segment_id: 12,
            segments: segments.map(|segment| (segment.id, segment)).into(),
            deletions: vec![
                Arc::new(crate::deletion::example(7, "d")),
                Arc::new(crate::deletion::example(8, "a")),
            ],
            origins: Arc::new(crate::origin_table::example("e")),
        }
    }

    #[test]
    fn a_manifest_comes_back_and_any_flipped_bit_is_noticed() {
        let manifest = manifest();
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest));
        // The four bytes at 12 are not used.
        for bit in (0..bytes.len() * 8).filter(|bit| !(96..128).contains(bit)) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..length]).is_err());
        }
    }

    #[test]
    fn a_family_may_be_covered_beyond_the_others() {
        let manifest = manifest();
        let tenant = TenantId::new("b").expect("valid");
        assert!(manifest.covers(&tenant, "api", 75));
        assert!(!manifest.covers(&tenant, "api", 76));
        assert!(!manifest.covers(&tenant, "web", 71));
        assert!(manifest.covers(&tenant, "web", 70));
    }
}
