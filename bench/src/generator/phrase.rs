//! Messages with slots: `took {n} ms` is a phrase, `took 4711 ms` is what it may say.
//!
//! Slots in braces are drawn for every line. Slots in angle brackets are drawn once, when a phrase is settled:
//! that makes many templates of one phrase, as a code base has them.

use std::fmt::Write as _;

use fastrand::Rng;

use super::draw::{pick, private_address, public_address};

const VERBS: [&str; 24] = [
    "opened",
    "closed",
    "loaded",
    "stored",
    "queued",
    "drained",
    "refused",
    "accepted",
    "renewed",
    "expired",
    "scheduled",
    "cancelled",
    "validated",
    "flushed",
    "merged",
    "split",
    "replayed",
    "assigned",
    "released",
    "registered",
    "resolved",
    "rejected",
    "started",
    "finished",
];
const NOUNS: [&str; 40] = [
    "session",
    "container",
    "partition",
    "lease",
    "buffer",
    "segment",
    "channel",
    "replica",
    "snapshot",
    "cursor",
    "ticket",
    "bucket",
    "volume",
    "handle",
    "request",
    "response",
    "socket",
    "descriptor",
    "checkpoint",
    "token",
    "worker",
    "listener",
    "resource",
    "attempt",
    "fetcher",
    "reducer",
    "mapper",
    "block",
    "shard",
    "cache",
    "entry",
    "policy",
    "profile",
    "device",
    "sensor",
    "activity",
    "window",
    "package",
    "driver",
    "service",
];
const QUALIFIERS: [&str; 20] = [
    "primary",
    "stale",
    "remote",
    "local",
    "pending",
    "orphaned",
    "idle",
    "shared",
    "secondary",
    "temporary",
    "persistent",
    "default",
    "external",
    "cached",
    "duplicate",
    "dirty",
    "locked",
    "empty",
    "foreign",
    "active",
];
const STEMS: [&str; 32] = [
    "Block", "Task", "Session", "Event", "Node", "Memory", "Network", "Disk", "Window", "Power", "Audio",
    "Input", "Quorum", "Leader", "Commit", "Shuffle", "Storage", "Executor", "Image", "Token", "Lease",
    "Recovery", "Config", "Health", "Step", "Sync", "Display", "Package", "Alarm", "Usage", "Rpc", "Auth",
];
const ROLES: [&str; 16] = [
    "Manager",
    "Service",
    "Handler",
    "Controller",
    "Tracker",
    "Monitor",
    "Scheduler",
    "Listener",
    "Receiver",
    "Impl",
    "Dispatcher",
    "Store",
    "Factory",
    "Policy",
    "Worker",
    "Provider",
];

/// What is drawn for every line.
#[derive(Clone, Copy, Debug)]
enum Slot {
    /// A number of up to five digits, most of them small.
    Number,
    /// A number below 100.
    Small,
    /// A number of ten to twelve digits.
    Large,
    /// Eight hex digits.
    Hex,
    /// Sixteen hex digits after `0x`.
    Pointer,
    /// A block id of an HDFS.
    Block,
    /// A UUID.
    Uuid,
    /// An address within a cluster.
    Private,
    /// An address from anywhere.
    Public,
    /// A name of a user, of a few hundred.
    User,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Slot(Slot),
}

/// A message whose slots are known.
#[derive(Clone, Debug)]
pub(super) struct Phrase {
    pieces: Vec<Piece>,
}

impl Phrase {
    /// Reads a phrase and settles its angle brackets. A slot that is not known stays as it is written.
    pub(super) fn settle(written: &str, rng: &mut Rng) -> Self {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = written;
        while let Some(at) = rest.find(['{', '<']) {
            text.push_str(&rest[..at]);
            let closing = if rest[at..].starts_with('{') { '}' } else { '>' };
            let Some(length) = rest[at..].find(closing) else { break };
            let name = &rest[at + 1..at + length];
            if let Some(slot) = (closing == '}').then(|| slot(name)).flatten() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(Piece::Slot(slot));
            } else if let Some(settled) = (closing == '>').then(|| settled(name, rng)).flatten() {
                text.push_str(&settled);
            } else {
                text.push_str(&rest[at..=at + length]);
            }
            rest = &rest[at + length + 1..];
        }
        text.push_str(rest);
        pieces.push(Piece::Text(text));
        Self { pieces }
    }

    /// Writes the phrase with its slots drawn.
    pub(super) fn say(&self, rng: &mut Rng, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Slot(slot) => slot.say(rng, out),
            }
        }
    }
}

impl Slot {
    fn say(self, rng: &mut Rng, out: &mut String) {
        let written = match self {
            Self::Number => {
                let digits = 10_u32.pow(rng.u32(1..6));
                write!(out, "{}", rng.u32(0..digits))
            }
            Self::Small => write!(out, "{}", rng.u8(0..100)),
            Self::Large => write!(out, "{}", rng.u64(1_000_000_000..1_000_000_000_000)),
            Self::Hex => write!(out, "{:08x}", rng.u32(..)),
            Self::Pointer => write!(out, "0x{:016x}", rng.u64(..)),
            Self::Block => {
                write!(
                    out,
                    "blk_{}{}",
                    if rng.bool() { "-" } else { "" },
                    rng.u64(10_u64.pow(17)..9 * 10_u64.pow(18))
                )
            }
            Self::Uuid => {
                let id = format!("{:032x}", rng.u128(..));
                write!(out, "{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..])
            }
            Self::Private => write!(out, "{}", private_address(rng)),
            Self::Public => write!(out, "{}", public_address(rng)),
            Self::User => write!(out, "user{}", rng.u16(0..400)),
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
}

fn slot(name: &str) -> Option<Slot> {
    Some(match name {
        "n" => Slot::Number,
        "s" => Slot::Small,
        "l" => Slot::Large,
        "x" => Slot::Hex,
        "p" => Slot::Pointer,
        "blk" => Slot::Block,
        "uuid" => Slot::Uuid,
        "ip" => Slot::Private,
        "addr" => Slot::Public,
        "user" => Slot::User,
        _ => return None,
    })
}

fn settled(name: &str, rng: &mut Rng) -> Option<String> {
    Some(match name {
        "v" => pick(rng, &VERBS).to_owned(),
        "o" => pick(rng, &NOUNS).to_owned(),
        "q" => pick(rng, &QUALIFIERS).to_owned(),
        "C" => format!("{}{}", pick(rng, &STEMS), pick(rng, &ROLES)),
        "N" => rng.u16(1..2_000).to_string(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settled_phrase_keeps_its_words_and_draws_its_numbers() {
        let mut rng = Rng::with_seed(1);
        let phrase = Phrase::settle("<C> <v> a {what} of <b> in {n} ms", &mut rng);
        let mut says = |_| {
            let mut out = String::new();
            phrase.say(&mut rng, &mut out);
            out
        };
        let said: Vec<String> = (0..20).map(&mut says).collect();
        let words = |s: &String| s.split(" in ").next().map(str::to_owned);
        assert!(said.iter().all(|s| words(s) == words(&said[0]) && s.ends_with(" ms")));
        assert!(said[0].contains(" a {what} of <b>"), "{}", said[0]);
        assert!(said.iter().any(|s| s != &said[0]));
    }
}
