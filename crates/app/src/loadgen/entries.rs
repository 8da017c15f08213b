//! Makes entries: service, level, message and labels, all decided by the seed.

use std::fmt::Write as _;

use super::messages::{SERVICES, Service};
use super::random::Random;

/// Of 100 entries, how many have each level.
const LEVEL_WEIGHTS: [(&str, u64); 4] = [("DEBUG", 10), ("INFO", 70), ("WARN", 13), ("ERROR", 7)];
/// The regions that entries with labels name.
const REGIONS: [&str; 3] = ["north", "south", "coast"];
/// The users that messages name.
const USERS: [&str; 12] =
    ["ada", "bo", "chidi", "dunja", "emre", "fatou", "gil", "hana", "ines", "jonas", "kai", "lin"];

/// One made-up entry, but for its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number, from 0.
    pub(super) number: u64,
    /// The service that says it.
    pub(super) service: &'static str,
    /// DEBUG, INFO, WARN or ERROR.
    pub(super) level: &'static str,
    /// What it says.
    pub(super) message: String,
    /// Labels of its own, if asked for.
    pub(super) labels: Vec<(&'static str, String)>,
    /// An id that the seed and its number decide.
    pub(super) id: String,
}

/// Makes entries one after another.
pub(super) struct Entries {
    random: Random,
    number: u64,
    with_labels: bool,
}

impl Entries {
    /// The entries of a seed.
    pub(super) fn new(seed: u64, with_labels: bool) -> Self {
        Self { random: Random::new(seed), number: 0, with_labels }
    }

    /// The next `count` entries.
    pub(super) fn take(&mut self, count: usize) -> Vec<Entry> {
        (0..count).map(|_| self.next_entry()).collect()
    }

    fn next_entry(&mut self) -> Entry {
        let random = &mut self.random;
        let service = random.choose(&SERVICES);
        let level = pick_level(random);
        let template = *random.choose(messages(service, level));
        let message = fill(template, random);
        let id = format!("{:016x}{:016x}", random.next(), random.next());
        // Drawn whether or not they are shown, so that the messages do not depend on it.
        let labels = vec![
            ("region", (*random.choose(&REGIONS)).to_owned()),
            ("version", format!("1.{}", random.below(4))),
        ];
        let labels = if self.with_labels { labels } else { Vec::new() };
        let number = self.number;
        self.number += 1;
        Entry { number, service: service.name, level, message, labels, id }
    }
}

fn pick_level(random: &mut Random) -> &'static str {
    let mut drawn = random.below(LEVEL_WEIGHTS.iter().map(|(_, weight)| weight).sum());
    for (level, weight) in LEVEL_WEIGHTS {
        if drawn < weight {
            return level;
        }
        drawn -= weight;
    }
    "INFO"
}

fn messages(service: &'static Service, level: &str) -> &'static [&'static str] {
    match level {
        "DEBUG" => &service.debug,
        "WARN" => &service.warn,
        "ERROR" => &service.error,
        _ => &service.info,
    }
}

fn fill(template: &str, random: &mut Random) -> String {
    let mut out = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, next) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        // Writing to a string does not fail.
        let _ = match name {
            "n" => write!(out, "{}", 1 + random.below(99)),
            "ms" => write!(out, "{}.{}", random.below(2000), random.below(10)),
            "id" => write!(out, "{:012x}", random.next() >> 16),
            "user" => write!(out, "{}", random.choose(&USERS)),
            "ip" => write!(out, "10.{}.{}.{}", random.below(4), random.below(256), 1 + random.below(254)),
            other => write!(out, "{{{other}}}"),
        };
        rest = next;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_entries_however_they_are_batched() {
        let mut one = Entries::new(7, true);
        let mut other = Entries::new(7, true);
        let batched: Vec<Entry> = (0..10).flat_map(|_| one.take(10)).collect();
        assert_eq!(batched, other.take(100));
        assert_ne!(batched, Entries::new(8, true).take(100));
        let without: Vec<String> = Entries::new(7, false).take(100).into_iter().map(|e| e.message).collect();
        assert_eq!(without, batched.into_iter().map(|e| e.message).collect::<Vec<_>>());
    }

    #[test]
    fn levels_are_weighted_and_every_placeholder_is_filled() {
        let entries = Entries::new(1, false).take(10_000);
        let count = |level| entries.iter().filter(|entry| entry.level == level).count();
        assert!((6800..7200).contains(&count("INFO")), "{}", count("INFO"));
        assert!((600..800).contains(&count("ERROR")), "{}", count("ERROR"));
        assert!(entries.iter().all(|entry| !entry.message.contains(['{', '}'])));
        let mut templates: Vec<_> =
            SERVICES.iter().flat_map(|s| [&s.debug[..], &s.info, &s.warn, &s.error].concat()).collect();
        templates.sort_unstable();
        templates.dedup();
        assert_eq!(templates.len(), 96);
    }
}
