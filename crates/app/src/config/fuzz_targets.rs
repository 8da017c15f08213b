//! One plain function for each reader of settings, for fuzzers: any bytes are settings or errors, never a panic.
//!
//! The test runs each on a committed corpus and on seeded mutations of it; with `TIMBERYARD_TORTURE` set for long.

use std::path::{Path, PathBuf};

use super::{Configuration, Sources};

/// Mutations of each file of the corpus, and the same when there is time.
const ROUNDS: usize = 700;
const ROUNDS_OF_TORTURE: usize = 100_000;

/// A function that takes any bytes.
type Target = fn(&[u8]);

fn fuzz_yaml(data: &[u8]) {
    load(data, |file| Sources { file: Some(file), ..Sources::default() });
}

fn fuzz_env_file(data: &[u8]) {
    load(data, |file| Sources { env_file: Some(file), ..Sources::default() });
}

/// What loads can be shown, and what does not says why.
fn load(data: &[u8], sources: impl Fn(PathBuf) -> Sources) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), data).expect("written");
    match Configuration::load(sources(file.path().to_owned())) {
        Ok(configuration) => assert!(!configuration.to_yaml(true).is_empty()),
        Err(errors) => assert!(!errors.to_string().trim().is_empty()),
    }
}

fn mutated(sample: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut data = sample.to_vec();
    for _ in 0..random.usize(1..5) {
        let at = random.usize(0..=data.len());
        let end = random.usize(at..=(at + 12).min(data.len()));
        match random.u8(0..4) {
            0 => drop(data.drain(at..end)),
            1 => drop(data.splice(at..end, [random.u8(..)])),
            2 => {
                let piece = data[at..end].to_vec();
                let to = random.usize(0..=data.len());
                data.splice(to..to, piece);
            }
            _ => {
                let token = random
                    .choice(["&a ", "*a", "- ", ": ", "\n  ", "[", "}", "'", "0x", "1e999", "\\u0000", "\r"]);
                data.splice(at..at, token.unwrap_or_default().bytes());
            }
        }
    }
    data
}

#[test]
fn no_reader_of_settings_panics_on_its_corpus_or_on_mutations_of_it() {
    let rounds = if std::env::var_os("TIMBERYARD_TORTURE").is_some() { ROUNDS_OF_TORTURE } else { ROUNDS };
    let targets: [(&str, Target); 2] =
        [("configuration_yaml", fuzz_yaml), ("configuration_env", fuzz_env_file)];
    for (name, target) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .expect("a corpus")
            .map(|entry| entry.expect("readable").path())
            .collect();
        paths.sort();
        let mut random = fastrand::Rng::with_seed(5);
        for path in paths {
            let sample = std::fs::read(&path).expect("readable");
            target(&sample);
            for _ in 0..rounds {
                target(&mutated(&sample, &mut random));
            }
        }
        println!("figure: fuzz target {name}: {rounds} mutations of each file");
    }
}
