//! Line filters, prepared once a scan or deletion.

use timberyard_model::literal_search::LiteralSearch;
use timberyard_model::matcher::{LineFilter, LinePattern};
use timberyard_model::pattern::Pattern;

use crate::columnar::Narrowing;

/// All filters of a scan or deletion.
pub(crate) struct LineFilters {
    narrowing: Narrowing,
    filters: Vec<Filter>,
}

struct Filter {
    negated: bool,
    literals: LiteralSearch,
    expressions: Vec<Pattern>,
}

impl LineFilters {
    pub(crate) fn new(asked: &[LineFilter]) -> Self {
        let prepare = |filter: &LineFilter| {
            let (mut literals, mut expressions) = (Vec::new(), Vec::new());
            for pattern in &filter.any_of {
                match pattern {
                    LinePattern::Literal(bytes) => literals.push(&**bytes),
                    LinePattern::Regex(pattern) => expressions.push(pattern.clone()),
                }
            }
            Filter { negated: filter.negated, literals: LiteralSearch::new(literals), expressions }
        };
        let filters = asked.iter().map(prepare);
        Self { narrowing: Narrowing::new(asked), filters: filters.collect() }
    }

    /// For a block to answer from its columns.
    pub(crate) fn narrowing(&self) -> &Narrowing {
        &self.narrowing
    }

    /// Whether a line passes all filters.
    pub(crate) fn accept(&self, line: &[u8]) -> bool {
        self.filters.iter().all(|filter| {
            let found = filter.literals.is_any_in(line)
                || filter.expressions.iter().any(|pattern| pattern.is_match(line));
            found != filter.negated
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(negated: bool, any_of: &[&str]) -> LineFilter {
        let any_of = any_of.iter().map(|text| match text.strip_prefix('/') {
            Some(regex) => LinePattern::Regex(Pattern::anywhere(regex).expect("valid")),
            None => LinePattern::Literal(text.as_bytes().into()),
        });
        LineFilter { negated, any_of: any_of.collect() }
    }

    #[test]
    fn prepared_filters_say_what_the_filters_say() {
        let sets = [
            vec![],
            vec![filter(false, &["error"])],
            vec![filter(true, &["error", "warn"])],
            vec![filter(false, &["", "x"]), filter(false, &["/er+or", "zzz"])],
            vec![filter(true, &["/^a"]), filter(false, &["b"])],
        ];
        let lines: [&[u8]; 6] = [b"", b"an error", b"errror b", b"warn b", b"\xff\xfe", b"bb"];
        for set in sets {
            let prepared = LineFilters::new(&set);
            let accepted = lines.map(|line| prepared.accept(line));
            assert_eq!(accepted, lines.map(|line| set.iter().all(|filter| filter.accepts(line))), "{set:?}");
        }
    }
}
