//! Every name in a data directory, in one place.
//!
//! ```text
//! DIR/LOCK                                  held while a process has the directory open
//! DIR/manifest                              what is listed; replaced atomically
//! DIR/manifest.new                          its successor, while being written
//! DIR/snapshots/NAME                        copies made while it runs; the store neither reads nor counts them
//! DIR/wal/000000000000002a.wal              write-ahead log, by segment number
//! DIR/undecodable/000000000000002a           payloads of log records that the application cannot read
//! DIR/tenants/NAME/2026-11-20/0000002a.seg  segments, by tenant, UTC day and id
//! DIR/tenants/NAME/2026-11-20/0000002a.new  the same, while being written
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{TenantId, Timestamp};

/// The names in one data directory.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: Arc<Path>,
}

impl Paths {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.root.join("manifest")
    }

    pub(crate) fn new_manifest(&self) -> PathBuf {
        self.root.join("manifest.new")
    }

    pub(crate) fn log_directory(&self) -> PathBuf {
        self.root.join("wal")
    }

    pub(crate) fn log_segment(&self, number: u64) -> PathBuf {
        self.log_directory().join(format!("{number:016x}.wal"))
    }

    pub(crate) fn undecodable_directory(&self) -> PathBuf {
        self.root.join("undecodable")
    }

    pub(crate) fn undecodable(&self, sequence: u64) -> PathBuf {
        self.undecodable_directory().join(format!("{sequence:016x}"))
    }

    pub(crate) fn tenants_directory(&self) -> PathBuf {
        self.root.join("tenants")
    }

    pub(crate) fn segment_directory(&self, tenant: &TenantId, day: i32) -> PathBuf {
        self.tenants_directory().join(tenant.as_str()).join(day_name(day))
    }

    pub(crate) fn segment(&self, tenant: &TenantId, day: i32, id: u64) -> PathBuf {
        self.segment_directory(tenant, day).join(segment_name(id))
    }

    pub(crate) fn new_segment(&self, tenant: &TenantId, day: i32, id: u64) -> PathBuf {
        self.segment_directory(tenant, day).join(format!("{id:08x}.new"))
    }
}

/// The number in the name of a log segment.
pub(crate) fn log_segment_number(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_suffix(".wal")?, 16).ok()
}

/// The file name of a segment.
pub(crate) fn segment_name(id: u64) -> String {
    format!("{id:08x}.seg")
}

/// The id in the file name of a segment; nothing for a name that no segment has.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let id = u64::from_str_radix(name.strip_suffix(".seg")?, 16).ok()?;
    (segment_name(id) == name).then_some(id)
}

/// A UTC day as people write it: `2026-11-20`.
pub(crate) fn day_name(day: i32) -> String {
    // The first day that can be expressed begins before the first nanosecond that can.
    let start = i64::from(day).saturating_mul(86_400 * NANOS_PER_SECOND);
    Timestamp::from_nanos(start).to_string().chars().take_while(|c| *c != 'T').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_as_people_write_them() {
        assert_eq!(day_name(0), "1970-01-01");
        assert_eq!(day_name(-1), "1969-12-31");
        assert_eq!(day_name(Timestamp::MIN.day()), "1677-09-21");
        assert_eq!(day_name(Timestamp::MAX.day()), "2262-04-11");
    }

    #[test]
    fn log_segments_are_known_by_their_names() {
        let path = Paths::new(Path::new("d")).log_segment(42);
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
        assert_eq!(log_segment_number(name), Some(42));
        assert_eq!(log_segment_number("2a.tmp"), None);
        assert_eq!(segment_number(&segment_name(42)), Some(42));
        assert_eq!(["2a.seg", "0000002A.seg", "0000002a.new"].map(segment_number), [None; 3]);
    }
}
