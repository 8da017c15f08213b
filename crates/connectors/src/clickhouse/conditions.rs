//! Matchers and line filters as SQL, where SQL means exactly the same; and what is left to do to the rows that it returns.
//!
//! ClickHouse's `match` is RE2, and so is LogQL's `=~` and `|~`. What is still different is left to our own engine: in RE2 a byte that
//! is no UTF-8 is no character, and Unicode's classes are those of another version.

use timberyard_model::Labels;
use timberyard_model::fields::{FieldRequest, FieldTest};
use timberyard_model::matcher::{LabelMatcher, LineFilter, LinePattern, ValueTest, accepts_all};

use super::statement::Statement;

/// Longer expressions are left to our engine: theirs has another limit of what it compiles.
const PATTERN_BYTES_MAX: usize = 1000;

/// The label that has a column of its own.
const SERVICE_NAME: &str = "service_name";

/// Conditions on streams.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamConditions {
    /// On the column `service` alone; in the table of rows, which is sorted by it, and in that of streams.
    pub(super) service: Vec<Statement>,
    /// On the column `labels`.
    pub(super) labels: Vec<Statement>,
    /// To be asked of the labels that come back.
    rest: Vec<LabelMatcher>,
}

impl StreamConditions {
    /// All of these.
    pub(super) fn new(matchers: &[LabelMatcher]) -> Self {
        let mut conditions = Self::default();
        for matcher in matchers {
            let is_service = &*matcher.name == SERVICE_NAME;
            let mut value = Statement::default();
            if is_service {
                value.push("service");
            } else {
                value.push("labels[").text(&matcher.name).push("]");
            }
            match value_condition(&value, &matcher.test) {
                Some(condition) if is_service => conditions.service.push(condition),
                Some(condition) => conditions.labels.push(condition),
                None => conditions.rest.push(matcher.clone()),
            }
        }
        conditions
    }

    /// All of them on a table that has both columns.
    pub(super) fn all(&self) -> Vec<Statement> {
        self.service.iter().chain(&self.labels).cloned().collect()
    }

    /// Whether SQL says everything.
    pub(super) fn are_exact(&self) -> bool {
        self.rest.is_empty()
    }

    /// What SQL could not say.
    pub(super) fn accepts(&self, labels: &Labels) -> bool {
        accepts_all(&self.rest, labels)
    }
}

fn value_condition(value: &Statement, test: &ValueTest) -> Option<Statement> {
    let mut condition = Statement::default();
    match test {
        ValueTest::Equal(wanted) => condition.append(value).push(" = ").text(wanted),
        ValueTest::NotEqual(unwanted) => condition.append(value).push(" != ").text(unwanted),
        ValueTest::Matches(pattern) | ValueTest::NotMatches(pattern) => {
            if !is_portable(pattern.source()) {
                return None;
            }
            let not = if matches!(test, ValueTest::NotMatches(_)) { "NOT " } else { "" };
            let whole = format!("^(?s:{})$", pattern.source());
            condition.push(not).push("match(").append(value).push(", ").text(&whole).push(")")
        }
    };
    Some(condition)
}

/// Conditions on lines.
#[derive(Clone, Debug, Default)]
pub(super) struct LineConditions {
    /// Lines that pass are among those that fulfil all of these.
    pub(super) sql: Vec<Statement>,
    /// Filters of which SQL says the truth about lines that are UTF-8 only.
    of_text: Vec<LineFilter>,
    /// Filters of which SQL does not say enough.
    rest: Vec<LineFilter>,
}

impl LineConditions {
    /// All of these.
    pub(super) fn new(filters: &[LineFilter]) -> Self {
        let mut conditions = Self::default();
        for filter in filters {
            let patterns = filter.any_of.iter().map(pattern_condition);
            let Some(patterns) = patterns.collect::<Option<Vec<(Statement, bool)>>>() else {
                conditions.sql.extend(implied(filter));
                conditions.rest.push(filter.clone());
                continue;
            };
            let is_exact = patterns.iter().all(|(_, is_exact)| *is_exact);
            let mut condition = Statement::new(if filter.negated { "NOT (" } else { "(" });
            condition.join(patterns.iter().map(|(pattern, _)| pattern), " OR ").push(")");
            if is_exact {
                conditions.sql.push(condition);
            } else {
                let mut wide = Statement::new("(");
                wide.append(&condition).push(" OR NOT isValidUTF8(line))");
                conditions.sql.push(wide);
                conditions.of_text.push(filter.clone());
            }
        }
        conditions
    }

    /// Whether SQL says everything about lines that are UTF-8.
    pub(super) fn are_exact_of_text(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether SQL says everything.
    pub(super) fn are_exact(&self) -> bool {
        self.rest.is_empty() && self.of_text.is_empty()
    }

    /// What SQL could not say.
    pub(super) fn accepts(&self, line: &[u8]) -> bool {
        let accepts = |filters: &[LineFilter]| filters.iter().all(|filter| filter.accepts(line));
        accepts(&self.rest)
            && (self.of_text.is_empty() || std::str::from_utf8(line).is_ok() || accepts(&self.of_text))
    }
}

/// What SQL can say of rows whose fields pass tests: our own engine reads the fields of those that come back. `of_streams` says that
/// a row is of a stream which fulfils conditions.
pub(super) fn of_fields(
    fields: &FieldRequest,
    of_streams: impl Fn(&StreamConditions) -> Statement,
) -> Vec<Statement> {
    let condition = |test: &FieldTest| {
        let (label, implied) = (fields.reader.labels().get(test.field)?, test.implied.clone()?);
        let lines = LineConditions::new(&[implied]).sql;
        if lines.is_empty() {
            return None;
        }
        // A test says nothing of rows that have the label elsewhere.
        let has_label = LabelMatcher { name: label.clone(), test: ValueTest::NotEqual("".into()) };
        let mut condition = Statement::new("(");
        condition.join(&lines, " AND ").push(" OR ");
        condition.append(&of_streams(&StreamConditions::new(&[has_label])));
        condition.push(" OR mapContains(metadata, ").text(label).push("))");
        Some(condition)
    };
    fields.tests.iter().filter_map(condition).collect()
}

/// A pattern as SQL, and whether that is true of every line and not only of those that are UTF-8.
fn pattern_condition(pattern: &LinePattern) -> Option<(Statement, bool)> {
    match pattern {
        LinePattern::Literal(literal) => Some((contains(literal), true)),
        LinePattern::Regex(pattern) if is_portable(pattern.source()) => {
            let mut condition = Statement::new("match(line, ");
            // A dot of theirs means line ends too unless it is told not to.
            condition.text(&format!("(?-s){}", pattern.source())).push(")");
            Some((condition, !pattern.accepts_any_character()))
        }
        LinePattern::Regex(_) => None,
    }
}

/// The same to ClickHouse either way, but an index over parts of lines, where somebody has made one, is looked at for `LIKE` only.
fn contains(literal: &[u8]) -> Statement {
    let mut condition = Statement::default();
    if literal.is_empty() {
        condition.push("1");
    } else if literal.iter().any(|byte| b"%_\\".contains(byte)) {
        condition.push("position(line, ").bytes(literal).push(") > 0");
    } else {
        condition.push("line LIKE ").bytes(&[b"%", literal, b"%"].concat());
    }
    condition
}

/// What every line that passes contains.
fn implied(filter: &LineFilter) -> Vec<Statement> {
    let [LinePattern::Regex(pattern)] = filter.any_of.as_slice() else { return Vec::new() };
    if filter.negated {
        return Vec::new();
    }
    let sets = pattern.required_literals().all_of.into_iter();
    let any_of = |set: Vec<timberyard_model::required_literals::Literal>| {
        let literals: Vec<Statement> = set
            .iter()
            .map(|literal| match literal.ignores_case {
                false => contains(&literal.bytes),
                true => {
                    let mut condition = Statement::new("positionCaseInsensitive(line, ");
                    condition.bytes(&literal.bytes).push(") > 0");
                    condition
                }
            })
            .collect();
        let mut condition = Statement::new("(");
        condition.join(&literals, " OR ").push(")");
        condition
    };
    sets.map(any_of).collect()
}

/// Whether RE2 in C++ and our engine mean the same by an expression that our engine has read.
fn is_portable(source: &str) -> bool {
    let has = |part: &str| source.contains(part);
    let may_fold = source
        .split("(?")
        .skip(1)
        .any(|group| group.bytes().take_while(|byte| b"imsU-".contains(byte)).any(|byte| byte == b'i'));
    source.len() <= PATTERN_BYTES_MAX
        && !source.contains('\0')
        && !(has(r"\p") || has(r"\P") || has(r"\B") || has(r"\Q") || has("(?P<") || has("(?<"))
        && (!may_fold || source.is_ascii())
}

#[cfg(test)]
mod tests {
    use timberyard_model::pattern::Pattern;

    use super::*;

    fn filter(negated: bool, patterns: &[&str]) -> LineFilter {
        let pattern = |source: &&str| LinePattern::Regex(Pattern::anywhere(source).expect("valid"));
        LineFilter { negated, any_of: patterns.iter().map(pattern).collect() }
    }

    #[test]
    fn matchers_are_conditions_on_columns_and_their_values_are_bound() {
        let regex = |source| ValueTest::Matches(Pattern::whole(source).expect("valid"));
        let matchers = [
            LabelMatcher::equal("service_name", "api'"),
            LabelMatcher { name: "env".into(), test: regex("a|b") },
            LabelMatcher { name: "env".into(), test: regex(r"\pL+") },
        ];
        let conditions = StreamConditions::new(&matchers);
        let shown: Vec<String> = conditions.all().iter().map(Statement::to_string).collect();
        assert_eq!(
            shown,
            [
                r#"service = {p0:String} -- p0="api'""#,
                r#"match(labels[{p0:String}], {p1:String}) -- p0="env", p1="^(?s:a|b)$""#,
            ]
        );
        assert!(!conditions.are_exact());
        assert!(conditions.accepts(&Labels::from_pairs([("env", "é")])));
        assert!(!conditions.accepts(&Labels::from_pairs([("env", "1")])));
    }

    #[test]
    fn what_is_not_the_same_for_bytes_is_asked_again() {
        let conditions = LineConditions::new(&[filter(false, &["a.b"])]);
        assert!(conditions.are_exact_of_text() && !conditions.are_exact());
        assert!(conditions.sql[0].sql().contains("OR NOT isValidUTF8(line)"));
        assert!(conditions.accepts(b"a\xffb"));
        assert!(!conditions.accepts(b"a\xff\xffb"));
        assert!(conditions.accepts(b"neither"), "SQL has said so");
        assert!(LineConditions::new(&[filter(true, &["ab|cd", "(?i)ef"])]).are_exact());
    }

    #[test]
    fn expressions_that_mean_something_else_elsewhere_stay_here() {
        for (source, asked) in [
            ("error|warn", true),
            ("(?i)error", true),
            ("(?i)fehlgeschlagen: ä", false),
            ("ä.*ö", true),
            (r"\p{Greek}", false),
            ("(?P<name>x)", false),
            (r"\Bx", false),
            (&"x".repeat(1001), false),
        ] {
            assert!(Pattern::anywhere(source).is_ok());
            assert_eq!(is_portable(source), asked, "{source}");
        }
        let conditions = LineConditions::new(&[filter(false, &[r"timeout \pN+"])]);
        assert_eq!(conditions.sql[0].to_string(), r#"(line LIKE {p0:String}) -- p0="%timeout %""#);
        assert!(!conditions.are_exact_of_text());
        assert!(!conditions.accepts(b"timeout x"));
    }
}
