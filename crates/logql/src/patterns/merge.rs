//! Joins templates that differ in one word only.
//!
//! Where more than so many templates are the same but for one word, the word is a value: they become one
//! template with `<_>` there. Words are tried from left to right, so the outcome does not depend on the order of
//! lines. Words that stand for a few kinds, such as levels and methods, stay unless there are too many templates.

use std::collections::HashMap;
use std::ops::Range;

use super::template::{CAPTURE, words};
use super::{Found, Samples};

/// How many words may stand in one place before they count as values: tried in turn until few templates are left.
const VARIANTS_MAX: [usize; 4] = [8, 4, 2, 1];

struct Candidate {
    found: Found,
    words: Vec<Range<usize>>,
}

impl Candidate {
    fn new(found: Found) -> Self {
        let words = words(found.template.as_bytes()).collect();
        Self { found, words }
    }

    /// What is in front of and behind the word at that place; `None` without such a word, or when it varies.
    fn around(&self, place: usize) -> Option<(&str, &str, &str)> {
        let word = self.words.get(place)?;
        let template = &self.found.template;
        if template.get(word.clone())? == CAPTURE {
            return None;
        }
        Some((self.found.level.as_str(), template.get(..word.start)?, template.get(word.end..)?))
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
    for place in 0..places {
        let mut counts: HashMap<_, usize> = HashMap::new();
        for around in candidates.iter().filter_map(|candidate| candidate.around(place)) {
            *counts.entry(around).or_default() += 1;
        }
        let joined: Vec<Option<String>> = candidates
            .iter()
            .map(|candidate| {
                let around = candidate.around(place)?;
                let (_, front, behind) = around;
                (*counts.get(&around)? > variants_max).then(|| format!("{front}{CAPTURE}{behind}"))
            })
            .collect();
        if joined.iter().any(Option::is_some) {
            candidates = join(candidates, joined);
        }
    }
    candidates
}

/// Gives candidates their new templates, and adds up those that have become the same.
fn join(candidates: Vec<Candidate>, joined: Vec<Option<String>>) -> Vec<Candidate> {
    let mut rest = Vec::with_capacity(candidates.len());
    let mut sums: HashMap<(String, String), Samples> = HashMap::new();
    for (candidate, template) in candidates.into_iter().zip(joined) {
        let Some(template) = template else {
            rest.push(candidate);
            continue;
        };
        let sum = sums.entry((candidate.found.level, template)).or_default();
        for (time, count) in candidate.found.samples {
            *sum.entry(time).or_default() += count;
        }
    }
    // A template that had `<_>` there before is the same as a new one.
    for candidate in &mut rest {
        let key = (std::mem::take(&mut candidate.found.level), std::mem::take(&mut candidate.found.template));
        if let Some(sum) = sums.remove(&key) {
            for (time, count) in sum {
                *candidate.found.samples.entry(time).or_default() += count;
            }
        }
        (candidate.found.level, candidate.found.template) = key;
    }
    let new = sums.into_iter().map(|((level, template), samples)| Found { level, template, samples });
    rest.extend(new.map(Candidate::new));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(templates: &[String], wanted: usize) -> Vec<(String, u64)> {
        let found = templates.iter().map(|template| Found {
            level: "info".to_owned(),
            template: template.clone(),
            samples: Samples::from([(0, 1)]),
        });
        let mut merged: Vec<_> = merge(found.collect(), wanted)
            .into_iter()
            .map(|found| (found.template, found.samples[&0]))
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
