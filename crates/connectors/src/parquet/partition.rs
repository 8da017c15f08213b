//! Which file a row belongs to: the tenant, and the hour (UTC) of its time.

use timberyard_model::{TenantId, Timestamp};

/// An hour, in nanoseconds.
const HOUR_NS: i64 = 3_600_000_000_000;

/// A tenant and an hour.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Partition {
    tenant: TenantId,
    /// Hours since 1970.
    hour: i64,
}

impl Partition {
    /// That of a row.
    pub(super) fn new(tenant: &TenantId, time: Timestamp) -> Self {
        Self { tenant: tenant.clone(), hour: time.as_nanos().div_euclid(HOUR_NS) }
    }

    /// The folder of its files, with columns by name as other programs read them; no part of it can leave the folder around it.
    pub(super) fn path(&self) -> String {
        // An hour may begin before the first nanosecond that there is.
        let within = Timestamp::from_nanos(self.hour.saturating_mul(HOUR_NS)).to_string();
        let date = within.split('T').next().unwrap_or_default();
        format!("tenant={}/date={date}/hour={:02}", encoded(self.tenant.as_str()), self.hour.rem_euclid(24))
    }
}

/// A name with everything but letters, digits, `-`, `_` and `.` as `%XX`, which readers of such folders undo.
fn encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_tenant_and_hour_lie_together() {
        let path = |tenant: &str, nanos: i64| {
            Partition::new(&TenantId::new(tenant).expect("valid"), Timestamp::from_nanos(nanos)).path()
        };
        assert_eq!(path("a.b-c", 0), "tenant=a.b-c/date=1970-01-01/hour=00");
        assert_eq!(path("it's!", -1), "tenant=it%27s%21/date=1969-12-31/hour=23");
        assert_eq!(path("x", 1_790_000_000 * 1_000_000_000), "tenant=x/date=2026-09-21/hour=14");
        assert!(path("x", i64::MIN).starts_with("tenant=x/date=1677-09-21/hour="));
        assert!(path("x", i64::MAX).starts_with("tenant=x/date=2262-04-11/hour=23"));
    }
}
