//! Looks for any of some texts in lines: one after the other while they are few, all at once when they are many.

use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;

/// Up to so many texts are found faster one after the other.
const FEW_MAX: usize = 16;

/// Some texts to look for.
#[derive(Clone, Debug)]
pub struct LiteralSearch(Way);

#[derive(Clone, Debug)]
enum Way {
    Each(Vec<Finder<'static>>),
    /// Takes the time of the line, however many texts there are.
    All(AhoCorasick),
}

impl LiteralSearch {
    /// Takes time and memory linear in the length of all texts.
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t [u8]>) -> Self {
        let texts: Vec<&[u8]> = texts.into_iter().collect();
        let all = if texts.len() > FEW_MAX { AhoCorasick::new(&texts).ok() } else { None };
        // More than fit into an automaton, which is gigabytes, are still found one after the other.
        Self(all.map_or_else(
            || Way::Each(texts.iter().map(|text| Finder::new(text).into_owned()).collect()),
            Way::All,
        ))
    }

    /// Whether the line has any of the texts.
    #[inline]
    pub fn is_any_in(&self, line: &[u8]) -> bool {
        match &self.0 {
            Way::Each(finders) => finders.iter().any(|finder| finder.find(line).is_some()),
            Way::All(automaton) => automaton.is_match(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_texts_are_found_where_one_of_them_is() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut text = |most: usize| -> Vec<u8> {
            (0..rng.usize(..most)).map(|_| b"ab\xff\0"[rng.usize(..4)]).collect()
        };
        for count in [0, 1, FEW_MAX, FEW_MAX + 1, 200] {
            let texts: Vec<Vec<u8>> =
                (0..count).map(|_| [text(4), b"ab".to_vec(), text(6)].concat()).collect();
            let search = LiteralSearch::new(texts.iter().map(Vec::as_slice));
            for _ in 0..500 {
                let line = text(12);
                let has = |text: &Vec<u8>| memchr::memmem::find(&line, text).is_some();
                assert_eq!(search.is_any_in(&line), texts.iter().any(has), "{texts:?} in {line:?}");
            }
        }
        let with_empty = std::iter::repeat_n(b"x".as_slice(), FEW_MAX).chain([b"".as_slice()]);
        assert!(LiteralSearch::new(with_empty).is_any_in(b"a"));
    }
}
