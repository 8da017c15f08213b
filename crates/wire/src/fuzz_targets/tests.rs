//! Each target on its corpus and on seeded mutations of it.

use std::path::Path;

use super::*;

/// Mutations a target.
const ROUNDS: u64 = 20_000;
/// The same, when there is time.
const ROUNDS_OF_TORTURE: u64 = 2_000_000;

/// The longest input that mutations make, in bytes.
const INPUT_BYTES_MAX: usize = 4096;

/// xorshift64*: the same numbers from the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound.max(1)
    }
}

fn corpus_of(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
    // The order of a folder is nobody's, and mutations depend on it.
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

/// Bytes and words that parsers stumble over.
const TOKENS: [&[u8]; 16] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"=",
    b"\\ud800",
    b"\xff",
    b"\0",
    b"null",
    b"-1e999",
    b"9223372036854775808",
    b"\xff\xff\xff\xff\x0f",
    b"\n",
];

fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let length = random.below(16).min(input.len() - at);
        match random.below(7) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 => drop(input.drain(at..at + length)),
            3 => {
                let piece = input[at..at + length].to_vec();
                input.splice(at..at, piece);
            }
            4 => {
                let token = TOKENS[random.below(TOKENS.len())];
                input.splice(at..at, token.iter().copied());
            }
            5 => input.truncate(at),
            _ => {
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
}

#[test]
fn no_target_panics_on_its_corpus_or_on_mutations_of_it() {
    let torture = std::env::var_os("TIMBERYARD_TORTURE").is_some();
    let rounds = if torture { ROUNDS_OF_TORTURE } else { ROUNDS };
    for (number, (name, target)) in ALL.iter().enumerate() {
        let corpus = corpus_of(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for input in &corpus {
            target(input);
        }
        let seed = 0x7469_6d62_6572_0001 + number as u64;
        let mut random = Random(seed);
        for round in 0..rounds {
            let mut input = corpus[random.below(corpus.len())].clone();
            let other = &corpus[random.below(corpus.len())];
            mutate(&mut input, other, &mut random);
            let outcome = std::panic::catch_unwind(|| target(&input));
            assert!(outcome.is_ok(), "{name}, seed {seed:#x}, round {round}: {}", input.escape_ascii());
        }
    }
}
