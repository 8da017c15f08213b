//! Which labels streams have, and with which values: the question, and what gathers its answer.
//!
//! Names and values are gathered, never label sets: of a million streams, most values are known already.

use std::collections::{HashMap, HashSet};

use crate::scan::ScanError;

/// What a value takes beside its text, in bytes: its place in a table that may be half empty, and its allocation.
const VALUE_OVERHEAD_BYTES: usize = 48;

/// Which labels are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelQuestion {
    /// The names of all labels, without values.
    Names,
    /// The values of one label.
    ValuesOf(Box<str>),
    /// All labels with all their values.
    All,
}

/// A label and those of its values that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelValues {
    /// The label's name.
    pub name: Box<str>,
    /// Distinct, sorted.
    pub values: Vec<Box<str>>,
}

/// Gathers names and values within a limit of memory.
#[derive(Debug)]
pub struct LabelCollector<'q> {
    question: &'q LabelQuestion,
    found: HashMap<Box<str>, HashSet<Box<str>>>,
    bytes: usize,
    bytes_max: usize,
}

impl<'q> LabelCollector<'q> {
    /// A collector that holds at most about `bytes_max` bytes.
    pub fn new(question: &'q LabelQuestion, bytes_max: usize) -> Self {
        Self { question, found: HashMap::new(), bytes: 0, bytes_max }
    }

    /// Whether values of this label would still change the answer: a name without values is wanted once.
    pub fn wants(&self, name: &str) -> bool {
        match self.question {
            LabelQuestion::Names => !self.found.contains_key(name),
            LabelQuestion::ValuesOf(wanted) => **wanted == *name,
            LabelQuestion::All => true,
        }
    }

    /// The one label whose values are asked for, if only one is.
    pub fn only_name(&self) -> Option<&'q str> {
        match self.question {
            LabelQuestion::ValuesOf(name) => Some(name),
            LabelQuestion::Names | LabelQuestion::All => None,
        }
    }

    /// Whether one value of a label is as good as all of them.
    pub fn wants_names_only(&self) -> bool {
        *self.question == LabelQuestion::Names
    }

    /// Notes a label that some stream has, as far as it was asked for. Fails when the limit is reached.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), ScanError> {
        if !self.wants(name) {
            return Ok(());
        }
        let (mut grown_bytes, names_only) = (0, self.wants_names_only());
        if !self.found.contains_key(name) {
            self.found.insert(name.into(), HashSet::new());
            grown_bytes += name.len() + 2 * VALUE_OVERHEAD_BYTES;
        }
        if let Some(values) = self.found.get_mut(name).filter(|values| !names_only && !values.contains(value))
        {
            values.insert(value.into());
            grown_bytes += value.len() + VALUE_OVERHEAD_BYTES;
        }
        self.bytes += grown_bytes;
        if self.bytes > self.bytes_max {
            return Err(ScanError::Memory { limit: self.bytes_max });
        }
        Ok(())
    }

    /// What was found, sorted by name.
    pub fn finish(self) -> Vec<LabelValues> {
        let sorted = |(name, values): (Box<str>, HashSet<Box<str>>)| {
            let mut values: Vec<Box<str>> = values.into_iter().collect();
            values.sort_unstable();
            LabelValues { name, values }
        };
        let mut labels: Vec<LabelValues> = self.found.into_iter().map(sorted).collect();
        labels.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(question: &LabelQuestion, bytes_max: usize) -> Result<Vec<(String, String)>, ScanError> {
        let mut collector = LabelCollector::new(question, bytes_max);
        for (name, value) in [("b", "2"), ("a", "x"), ("b", "1"), ("b", "2")] {
            collector.add(name, value)?;
        }
        let shown = |label: LabelValues| (label.name.into(), label.values.join("+"));
        Ok(collector.finish().into_iter().map(shown).collect())
    }

    #[test]
    fn a_question_is_answered_with_what_it_asked_for() {
        let pair = |name: &str, values: &str| (name.to_owned(), values.to_owned());
        let all = answer(&LabelQuestion::All, 1 << 20).expect("fits");
        assert_eq!(all, [pair("a", "x"), pair("b", "1+2")]);
        let names = answer(&LabelQuestion::Names, 1 << 20).expect("fits");
        assert_eq!(names, [pair("a", ""), pair("b", "")]);
        let one = answer(&LabelQuestion::ValuesOf("b".into()), 1 << 20).expect("fits");
        assert_eq!(one, [pair("b", "1+2")]);
        assert_eq!(answer(&LabelQuestion::ValuesOf("c".into()), 0), Ok(Vec::new()));
    }

    #[test]
    fn more_than_the_limit_is_refused_and_the_limit_is_named() {
        assert_eq!(answer(&LabelQuestion::All, 200), Err(ScanError::Memory { limit: 200 }));
        let error = ScanError::Memory { limit: 200 }.to_string();
        assert!(error.contains("more than 200 bytes of memory (limits.query.memory_bytes_max)"), "{error}");
    }
}
