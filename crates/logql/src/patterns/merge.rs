//! Joins templates that differ in one word only.
//!
//! Where more than so many templates are the same but for one word, the word is a value: they become one
//! template with `<_>` there. Words are tried from left to right, so the outcome does not depend on the order of
//! lines. Words that stand for a few kinds, such as levels and methods, stay unless there are too many templates.

use std::collections::HashMap;
use std::ops::Range;

use timberyard_model::prehashed::Prehashed;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Found;
use super::template::{CAPTURE, words};

/// How many words may stand in one place before they count as values: tried in turn until few templates are left.
const VARIANTS_MAX: [usize; 4] = [8, 4, 2, 1];

/// Bytes of a word and what is behind it, about.
const WORD_BYTES: usize = 6;

struct Candidate {
    found: Found,
    words: Vec<Word>,
    /// A hash of everything: that of what is not a word, and of each word in its place, added up.
    hash: u64,
}

struct Word {
    range: Range<usize>,
    /// Of the word and its place.
    hash: u64,
    varies: bool,
}

impl Candidate {
    fn new(found: Found) -> Self {
        let text = found.template.as_bytes();
        let bytes = |range: Range<usize>| text.get(range).unwrap_or_default();
        let (mut rest, mut sum, mut at) = (xxh3_64_with_seed(found.level.as_bytes(), 0), 0_u64, 0);
        let word = |(place, range): (usize, Range<usize>)| {
            rest = xxh3_64_with_seed(bytes(at..range.start), rest);
            at = range.end;
            let word = Word::new(place, range.clone(), bytes(range));
            sum = sum.wrapping_add(word.hash);
            word
        };
        let mut found_words = Vec::with_capacity(text.len() / WORD_BYTES);
        found_words.extend(words(text).enumerate().map(word));
        let hash = sum.wrapping_add(xxh3_64_with_seed(bytes(at..text.len()), rest));
        Self { found, words: found_words, hash }
    }

    /// A hash of all but the word at that place; `None` without such a word, or when it varies.
    fn hash_around(&self, place: usize) -> Option<u64> {
        let word = self.words.get(place).filter(|word| !word.varies)?;
        Some(self.hash.wrapping_sub(word.hash))
    }

    /// Puts `<_>` at that place.
    fn capture(&mut self, place: usize) {
        let Some(word) = self.words.get_mut(place) else { return };
        self.found.template.replace_range(word.range.clone(), CAPTURE);
        let (grown, start) = (word.range.start + CAPTURE.len(), word.range.end);
        let varying = Word::new(place, word.range.start..grown, CAPTURE.as_bytes());
        self.hash = self.hash.wrapping_sub(word.hash).wrapping_add(varying.hash);
        *word = varying;
        for word in self.words.iter_mut().skip(place + 1) {
            word.range = word.range.start - start + grown..word.range.end - start + grown;
        }
    }

    fn is_same_as(&self, other: &Self) -> bool {
        self.found.level == other.found.level && self.found.template == other.found.template
    }
}

impl Word {
    fn new(place: usize, range: Range<usize>, text: &[u8]) -> Self {
        Self { range, hash: xxh3_64_with_seed(text, place as u64), varies: text == CAPTURE.as_bytes() }
    }
}

/// The templates after joining, in no order; at most `wanted` where joining can do it.
pub(super) fn merge(found: Vec<Found>, wanted: usize) -> Vec<Found> {
    let mut candidates: Vec<Candidate> = found.into_iter().map(Candidate::new).collect();
    for (turn, variants_max) in VARIANTS_MAX.into_iter().enumerate() {
        if turn == 0 || candidates.len() > wanted {
            candidates = merge_words(candidates, variants_max);
        }
    }
    candidates.into_iter().map(|candidate| candidate.found).collect()
}

/// Joins templates for each word of which there are more than `variants_max` in one place.
fn merge_words(mut candidates: Vec<Candidate>, variants_max: usize) -> Vec<Candidate> {
    let places = candidates.iter().map(|candidate| candidate.words.len()).max().unwrap_or(0);
    let mut counts: HashMap<u64, usize, Prehashed> = HashMap::default();
    for place in 0..places {
        counts.clear();
        for around in candidates.iter().filter_map(|candidate| candidate.hash_around(place)) {
            *counts.entry(around).or_default() += 1;
        }
        if counts.values().any(|count| *count > variants_max) {
            counts.retain(|_, count| *count > variants_max);
            join(&mut candidates, place, &counts);
        }
    }
    candidates
}

/// Puts `<_>` at that place of the candidates that are many, and adds up those that have become the same.
fn join(candidates: &mut Vec<Candidate>, place: usize, many: &HashMap<u64, usize, Prehashed>) {
    let is_one =
        |candidate: &Candidate| candidate.hash_around(place).is_some_and(|around| many.contains_key(&around));
    // The candidates of each new template. One that had `<_>` there before is the same as new ones.
    let mut by_hash: HashMap<u64, Vec<usize>, Prehashed> = HashMap::default();
    for candidate in candidates.iter_mut().filter(|candidate| is_one(candidate)) {
        candidate.capture(place);
        by_hash.insert(candidate.hash, Vec::new());
    }
    let mut is_gone = vec![false; candidates.len()];
    for number in 0..candidates.len() {
        let Some(alike) = candidates.get(number).and_then(|one| by_hash.get_mut(&one.hash)) else { continue };
        let is_same = |other: &&usize| candidates[**other].is_same_as(&candidates[number]);
        match alike.iter().find(is_same).copied() {
            Some(same) => {
                let samples = std::mem::take(&mut candidates[number].found.samples);
                candidates[same].found.samples.add_all(samples);
                is_gone[number] = true;
            }
            None => alike.push(number),
        }
    }
    let mut is_gone = is_gone.into_iter();
    candidates.retain(|_| !is_gone.next().unwrap_or(false));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patterns::samples::Samples;

    fn merged(templates: &[String], wanted: usize) -> Vec<(String, u64)> {
        let mut samples = Samples::default();
        samples.add(0);
        let found = templates.iter().map(|template| Found {
            level: "info".to_owned(),
            template: template.clone(),
            samples: samples.clone(),
        });
        let mut merged: Vec<_> = merge(found.collect(), wanted)
            .into_iter()
            .map(|found| (found.template, found.samples.lines()))
            .collect();
        merged.sort();
        merged
    }

    #[test]
    fn a_word_with_many_values_becomes_a_capture_and_all_lines_are_kept() {
        let names = ["ann", "bob", "cem", "dan", "eve", "fay", "gus", "hal", "ida"];
        let mut templates: Vec<String> =
            names.iter().map(|name| format!("user {name} left at <_>")).collect();
        templates.push("user <_> left at <_>".to_owned());
        templates.push("user ann came".to_owned());
        let expected = [("user <_> left at <_>".to_owned(), 10), ("user ann came".to_owned(), 1)];
        assert_eq!(merged(&templates, 300), expected);
    }

    #[test]
    fn a_word_with_few_values_stays_while_there_is_room() {
        let templates: Vec<String> = ["GET", "POST", "PUT"].iter().map(|m| format!("{m} took <_>")).collect();
        assert_eq!(merged(&templates, 3).len(), 3);
        assert_eq!(merged(&templates, 2), [("<_> took <_>".to_owned(), 3)]);
    }
}
