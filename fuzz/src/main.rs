//! Runs the target that `TIMBERYARD_FUZZ_TARGET` names under libFuzzer: a decoder by its name, `logql`, `stages` or `store`.

#![no_main]

mod logql;
mod store;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use timberyard_wire::fuzz_targets::{ALL, Target};

/// Which setting says what to run.
const NAME: &str = "TIMBERYARD_FUZZ_TARGET";

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var(NAME).unwrap_or_default();
    let others: [(&str, Target); 3] =
        [("logql", logql::parse_and_print), ("stages", logql::run_stages), ("store", store::damage)];
    match ALL.iter().copied().chain(others).find(|(known, _)| *known == name) {
        Some((_, target)) => target,
        None => panic!("{NAME}: there is no target `{name}`"),
    }
});

fuzz_target!(|input: &[u8]| TARGET(input));
