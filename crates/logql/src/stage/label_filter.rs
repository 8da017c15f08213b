//! `| status >= 500 and method = "GET"`
//!
//! Comparing quantities drops a row that lacks the label; one whose label is no such quantity
//! stays, with its `__error__` set, so that nothing is lost silently.

use timberyard_model::matcher::{LabelMatcher, ValueTest};

use super::ip::IpMatcher;
use super::row::{ERROR_DETAILS_LABEL, ERROR_LABEL};
use super::value_expression::ValueExpression;
use super::{Stage, Verdict, WorkingRow};
use crate::quantity::{QuantityError, bytes, duration, number};
use crate::syntax::ast::{LabelComparison, LabelFilter};

/// The value of `__error__` when a label is not the quantity it is compared with.
const LABEL_FILTER_ERROR: &str = "LabelFilterErr";

/// A condition on labels, compiled.
pub(crate) enum LabelFilterStage {
    Text { name: Box<str>, test: TextTest },
    Number(LabelComparison<f64>),
    Duration(LabelComparison<i64>),
    Bytes(LabelComparison<u64>),
    Ip { name: String, matcher: IpMatcher, negated: bool },
    And(Box<LabelFilterStage>, Box<LabelFilterStage>),
    Or(Box<LabelFilterStage>, Box<LabelFilterStage>),
}

/// A condition on the text of a label.
pub(crate) enum TextTest {
    Equal(Box<str>),
    NotEqual(Box<str>),
    Matches(ValueExpression),
    NotMatches(ValueExpression),
}

impl TextTest {
    fn new(test: &ValueTest) -> Result<Self, String> {
        Ok(match test {
            ValueTest::Equal(value) => Self::Equal(value.clone()),
            ValueTest::NotEqual(value) => Self::NotEqual(value.clone()),
            ValueTest::Matches(pattern) => Self::Matches(ValueExpression::new(pattern.source())?),
            ValueTest::NotMatches(pattern) => Self::NotMatches(ValueExpression::new(pattern.source())?),
        })
    }

    fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Equal(wanted) => **wanted == *value,
            Self::NotEqual(unwanted) => **unwanted != *value,
            Self::Matches(expression) => expression.accepts(value),
            Self::NotMatches(expression) => !expression.accepts(value),
        }
    }
}

impl LabelFilterStage {
    /// Fails on an address or expression that cannot be compiled.
    pub(crate) fn new(filter: &LabelFilter) -> Result<Self, String> {
        let boxed = |filter| Self::new(filter).map(Box::new);
        Ok(match filter {
            LabelFilter::Text(LabelMatcher { name, test }) => {
                Self::Text { name: name.clone(), test: TextTest::new(test)? }
            }
            LabelFilter::Number(comparison) => Self::Number(comparison.clone()),
            LabelFilter::Duration(comparison) => Self::Duration(comparison.clone()),
            LabelFilter::Bytes(comparison) => Self::Bytes(comparison.clone()),
            LabelFilter::Ip { name, range, negated } => {
                Self::Ip { name: name.clone(), matcher: IpMatcher::parse(range)?, negated: *negated }
            }
            LabelFilter::And(left, right) => Self::And(boxed(left)?, boxed(right)?),
            LabelFilter::Or(left, right) => Self::Or(boxed(left)?, boxed(right)?),
        })
    }

    /// Whether a row passes in which all the labels that this looks at are the parsed label `value` (`None`: are not there).
    /// An error that the condition would note keeps the row too. `None` when more than that decides.
    pub(crate) fn accepts_value(&self, value: Option<&str>) -> Option<bool> {
        Some(match self {
            Self::Text { test, .. } => test.accepts(value.unwrap_or("")),
            Self::Number(comparison) => holds(value, comparison, number::parse).unwrap_or(true),
            Self::Duration(comparison) => holds(value, comparison, duration::parse_go).unwrap_or(true),
            Self::Bytes(comparison) => holds(value, comparison, bytes::parse).unwrap_or(true),
            Self::Ip { .. } => return None,
            Self::And(left, right) => left.accepts_value(value)? && right.accepts_value(value)?,
            Self::Or(left, right) => left.accepts_value(value)? || right.accepts_value(value)?,
        })
    }

    fn accepts(&self, row: &mut WorkingRow<'_>) -> bool {
        match self {
            Self::Text { name, test } => test.accepts(text_of(row, name)),
            Self::Number(comparison) => compare(row, comparison, number::parse),
            Self::Duration(comparison) => compare(row, comparison, duration::parse_go),
            Self::Bytes(comparison) => compare(row, comparison, bytes::parse),
            Self::Ip { name, matcher, negated } => match row.get(name) {
                // Only conditions on text look at rows with an error.
                _ if row.error().is_some() => true,
                None => false,
                Some((_, value)) => matcher.is_in(value.as_bytes()) != *negated,
            },
            Self::And(left, right) => {
                // Both sides, since either may set the error.
                let left = left.accepts(row);
                let right = right.accepts(row);
                left && right
            }
            Self::Or(left, right) => left.accepts(row) || right.accepts(row),
        }
    }
}

/// What a condition on text sees: `__error__` by its name, but not the words behind it.
fn text_of<'r>(row: &'r WorkingRow<'_>, name: &str) -> &'r str {
    match name {
        ERROR_LABEL => row.error().unwrap_or(""),
        ERROR_DETAILS_LABEL => "",
        _ => row.get(name).map_or("", |(_, value)| value),
    }
}

fn compare<T: PartialOrd>(
    row: &mut WorkingRow<'_>,
    comparison: &LabelComparison<T>,
    parse: impl Fn(&str) -> Result<T, QuantityError>,
) -> bool {
    match holds(row.get(&comparison.name).map(|(_, text)| text), comparison, parse) {
        Ok(holds) => holds,
        Err(error) => {
            // An earlier error says more.
            if row.error().is_none() {
                row.set_error(LABEL_FILTER_ERROR);
                row.set_error_details(&error.to_string());
            }
            true
        }
    }
}

/// Whether a value compares as asked for; one that is not there does not.
fn holds<T: PartialOrd>(
    value: Option<&str>,
    comparison: &LabelComparison<T>,
    parse: impl Fn(&str) -> Result<T, QuantityError>,
) -> Result<bool, QuantityError> {
    let Some(text) = value else { return Ok(false) };
    Ok(comparison.comparison.holds(&parse(text)?, &comparison.value))
}

impl Stage for LabelFilterStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        if self.accepts(row) { Verdict::Keep } else { Verdict::Drop }
    }
}
