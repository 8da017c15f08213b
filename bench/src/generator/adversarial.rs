//! Lines that share no template: words, separators, quotes and keys are drawn anew for each one.
//!
//! Half of them are free text, a quarter is JSON with keys that never come back, a quarter logfmt with such keys.

use fastrand::Rng;

use super::{Generator, NEEDLE, Place, RARE_WORD, StreamLabels};

const STREAMS: usize = 20;
/// Words that free text draws from; keys are not among them.
const WORDS: usize = 8_000;
const SEPARATORS: [&str; 10] = [" ", " ", " ", " ", ", ", ": ", " - ", "/", " | ", ";"];

pub(super) struct Adversarial {
    rng: Rng,
    words: Vec<String>,
}

impl Adversarial {
    pub(super) fn new(mut rng: Rng) -> Self {
        let words = (0..WORDS).map(|_| word(&mut rng)).collect();
        Self { rng, words }
    }

    fn free_text(&mut self, text: &mut String) {
        let rng = &mut self.rng;
        for _ in 0..rng.usize(6..24) {
            match rng.u8(0..8) {
                0 => text.push_str(&rng.u32(..).to_string()),
                1 => text.push_str(&format!("[{}]", self.words[rng.usize(0..WORDS)])),
                2 => text.push_str(&format!("\"{}\"", self.words[rng.usize(0..WORDS)])),
                3 => text.push_str(&word(rng)),
                _ => text.push_str(&self.words[rng.usize(0..WORDS)]),
            }
            text.push_str(SEPARATORS[rng.usize(0..SEPARATORS.len())]);
        }
    }

    fn pairs(&mut self, json: bool, text: &mut String) {
        let rng = &mut self.rng;
        for pair in 0..rng.usize(3..10) {
            let (key, value) = (word(rng), self.words[rng.usize(0..WORDS)].as_str());
            text.push_str(&match (json, rng.bool(), pair) {
                (true, true, 0) => format!("{{\"{key}\":\"{value}\""),
                (true, false, 0) => format!("{{\"{key}\":{}", rng.u16(..)),
                (true, true, _) => format!(",\"{key}\":\"{value}\""),
                (true, false, _) => format!(",\"{key}\":{}", rng.u16(..)),
                (false, true, _) => format!("{key}={value} "),
                (false, false, _) => format!("{key}={} ", rng.u16(..)),
            });
        }
        if json {
            text.push('}');
        }
    }
}

/// Two to eleven letters that mean nothing.
fn word(rng: &mut Rng) -> String {
    (0..rng.usize(2..12)).map(|_| rng.lowercase()).collect()
}

impl Generator for Adversarial {
    fn streams(&self) -> Vec<StreamLabels> {
        (0..STREAMS).map(|stream| vec![("app", format!("noise-{stream:02}"))]).collect()
    }

    fn write(&mut self, place: Place, text: &mut String) -> usize {
        if place.has_needle() {
            text.push_str(&format!("{NEEDLE} "));
        }
        if place.has_rare_word() {
            text.push_str(&format!("{RARE_WORD} "));
        }
        match self.rng.u8(0..4) {
            0 => self.pairs(true, text),
            1 => self.pairs(false, text),
            _ => self.free_text(text),
        }
        self.rng.usize(0..STREAMS)
    }
}
