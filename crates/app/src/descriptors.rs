//! File descriptors: as many as the system lets this process have, and always some that connections cannot take.
//!
//! Without the reserve, clients that merely connect would keep the store from opening its files.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors for the store's files, its volume and the standard streams.
const RESERVED: u64 = 256;

/// Raises the soft limit to the hard one, and gives the most connections that leave the reserve; a small limit is halved.
pub(crate) fn connections_max(asked: usize) -> usize {
    let Some(descriptors) = raise() else { return asked };
    let possible = usize::try_from(possible(descriptors)).unwrap_or(usize::MAX);
    if possible < asked {
        tracing::warn!(
            descriptors,
            connections_max = possible,
            asked,
            "the system's limit of open files leaves fewer connections than limits.load.connections_max"
        );
    }
    asked.min(possible)
}

/// Raises the soft limit to the hard one and gives it; `None` when there is none.
pub(crate) fn raise() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current;
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        // What was in force stays in force.
        limit.current = soft;
    }
    limit.current
}

fn possible(descriptors: u64) -> u64 {
    (descriptors - RESERVED.min(descriptors / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_from_connections() {
        let cases = [(1 << 20, (1 << 20) - 256), (1024, 768), (64, 32), (1, 1), (0, 1)];
        for (descriptors, connections) in cases {
            assert_eq!(possible(descriptors), connections, "{descriptors}");
        }
    }
}
