//! Every part of a query on one line.

use std::fmt::{self, Display, Formatter};

use timberyard_model::matcher::{LabelMatcher, ValueTest};

use crate::quantity::{bytes, duration, number};
use crate::syntax::ast::{
    BinaryOperation, Cardinality, Expression, Grouping, LabelComparison, LabelExtraction, LabelFilter,
    LabelFormat, LabelFormatSource, LabelReplace, LineFilter, LineFilterOperand, LogExpression, LogRange,
    LogfmtParser, MatchingLabels, MetricExpression, NamedMatcher, PipelineStage, RangeAggregation, Selector,
    Unwrap, VectorAggregation,
};

/// Items with a separator between.
struct Joined<'a, T>(&'a [T], &'a str);

impl<T: Display> Display for Joined<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(self.1)?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

/// A matcher, `name="value"`.
struct Matcher<'a>(&'a LabelMatcher);

impl Display for Matcher<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (operator, value) = operator_and_value(&self.0.test);
        write!(f, "{}{operator}{}", self.0.name, number::quote(value))
    }
}

fn operator_and_value(test: &ValueTest) -> (&'static str, &str) {
    match test {
        ValueTest::Equal(value) => ("=", value),
        ValueTest::NotEqual(value) => ("!=", value),
        ValueTest::Matches(pattern) => ("=~", pattern.source()),
        ValueTest::NotMatches(pattern) => ("!~", pattern.source()),
    }
}

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Logs(logs) => logs.fmt(f),
            Self::Metric(metric) => metric.fmt(f),
        }
    }
}

impl Display for LogExpression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.selector.fmt(f)?;
        for stage in &self.stages {
            write!(f, " {stage}")?;
        }
        Ok(())
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, matcher) in self.matchers.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", Matcher(matcher))?;
        }
        f.write_str("}")
    }
}

impl Display for PipelineStage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineFilter(filter) => filter.fmt(f),
            Self::Json(extractions) if extractions.is_empty() => f.write_str("| json"),
            Self::Json(extractions) => write!(f, "| json {}", Joined(extractions, ",")),
            Self::Logfmt(parser) => parser.fmt(f),
            Self::Pattern(expression) => write!(f, "| pattern {}", number::quote(expression)),
            Self::Regexp(expression) => write!(f, "| regexp {}", number::quote(expression)),
            Self::Unpack => f.write_str("| unpack"),
            Self::LabelFilter(filter) => write!(f, "| {filter}"),
            Self::LineFormat(template) => write!(f, "| line_format {}", number::quote(template)),
            Self::LabelFormat(formats) => write!(f, "| label_format {}", Joined(formats, ",")),
            Self::Drop(labels) => write!(f, "| drop {}", Joined(labels, ",")),
            Self::Keep(labels) => write!(f, "| keep {}", Joined(labels, ",")),
            Self::Decolorize => f.write_str("| decolorize"),
        }
    }
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operator.as_str(), Joined(&self.any_of, " or "))
    }
}

impl Display for LineFilterOperand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&number::quote(text)),
            Self::Ip(range) => write!(f, "ip({})", number::quote(range)),
        }
    }
}

impl Display for LabelExtraction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.label, number::quote(&self.expression))
    }
}

impl Display for LogfmtParser {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("| logfmt")?;
        if self.strict {
            f.write_str(" --strict")?;
        }
        if self.keep_empty {
            f.write_str(" --keep-empty")?;
        }
        if !self.extractions.is_empty() {
            write!(f, " {}", Joined(&self.extractions, ","))?;
        }
        Ok(())
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        fn comparison<T>(f: &mut Formatter<'_>, of: &LabelComparison<T>, value: &str) -> fmt::Result {
            write!(f, "{}{}{value}", of.name, of.comparison.as_str())
        }
        match self {
            Self::Text(matcher) => text_filter(f, matcher),
            Self::Number(of) => comparison(f, of, &plain(of.value)),
            Self::Duration(of) => comparison(f, of, &duration::format_go(of.value)),
            Self::Bytes(of) => comparison(f, of, &bytes::format(of.value)),
            Self::Ip { name, range, negated } => {
                write!(f, "{name}{}ip({})", if *negated { "!=" } else { "=" }, number::quote(range))
            }
            Self::And(left, right) => write!(f, "( {left} , {right} )"),
            Self::Or(left, right) => write!(f, "( {left} or {right} )"),
        }
    }
}

/// Loki writes an expression that it cannot take apart into literals between backticks.
fn text_filter(f: &mut Formatter<'_>, matcher: &LabelMatcher) -> fmt::Result {
    let (operator, value) = operator_and_value(&matcher.test);
    let is_expression = matches!(matcher.test, ValueTest::Matches(_) | ValueTest::NotMatches(_));
    if is_expression && !is_made_of_literals(value) && !value.contains('`') {
        return write!(f, "{}{operator}`{value}`", matcher.name);
    }
    Matcher(matcher).fmt(f)
}

/// Whether an expression is no more than literals, alternatives of them, and `.*` around one.
fn is_made_of_literals(expression: &str) -> bool {
    let inner = expression.strip_prefix("(?i)").unwrap_or(expression);
    if matches!(inner, "" | ".*" | ".+") {
        return true;
    }
    let inner = match inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(group) => group.strip_prefix("?:").unwrap_or(group),
        None => inner,
    };
    inner.split('|').all(|alternative| {
        let alternative = alternative.strip_prefix(".*").unwrap_or(alternative);
        let literal = alternative.strip_suffix(".*").unwrap_or(alternative);
        !literal.contains(['.', '*', '+', '?', '(', ')', '[', ']', '{', '}', '^', '$', '\\'])
    })
}

/// A number without an exponent.
fn plain(value: f64) -> String {
    if value.is_finite() { format!("{value}") } else { number::format(value) }
}

impl Display for LabelFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.source {
            LabelFormatSource::Rename(label) => write!(f, "{}={label}", self.target),
            LabelFormatSource::Template(template) => {
                write!(f, "{}={}", self.target, number::quote(template))
            }
        }
    }
}

impl Display for NamedMatcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Matcher(matcher) => Matcher(matcher).fmt(f),
        }
    }
}

impl Display for MetricExpression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::Vector(vector) => vector.fmt(f),
            Self::Binary(binary) => binary.fmt(f),
            Self::Literal(value) => f.write_str(&number::format(*value)),
            Self::Constant(value) => write!(f, "vector({})", constant(*value)),
            Self::LabelReplace(replace) => replace.fmt(f),
        }
    }
}

/// Six decimals, as Loki writes them, unless that is another number.
fn constant(value: f64) -> String {
    let six = format!("{value:.6}");
    match six.parse::<f64>() {
        Ok(same) if same == value => six,
        _ => number::format(value),
    }
}

impl Display for RangeAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.operation.as_str())?;
        if let Some(parameter) = self.parameter {
            write!(f, "{},", plain(parameter))?;
        }
        write!(f, "{})", self.range)?;
        match &self.grouping {
            Some(grouping) => grouping.fmt(f),
            None => Ok(()),
        }
    }
}

impl Display for LogRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.logs.fmt(f)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
        }
        write!(f, "[{}]", self.interval_text())?;
        if self.offset_nanos != 0 {
            write!(f, " offset {}", duration::format_go(self.offset_nanos))?;
        }
        Ok(())
    }
}

impl LogRange {
    /// The interval as it stands between brackets.
    pub(super) fn interval_text(&self) -> String {
        duration::format_prometheus(i64::try_from(self.interval.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl Display for Unwrap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.function_text(f)?;
        for filter in &self.post_filters {
            write!(f, " | {filter}")?;
        }
        Ok(())
    }
}

impl Unwrap {
    /// `| unwrap bytes(size)` without the filters behind it.
    pub(super) fn function_text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        match self.conversion.function() {
            Some(function) => write!(f, "| unwrap {function}({})", self.label),
            None => write!(f, "| unwrap {}", self.label),
        }
    }
}

impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = if self.without { "without" } else { "by" };
        write!(f, " {word} ({})", self.labels.join(","))
    }
}

impl Display for VectorAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation.as_str())?;
        if let Some(grouping) = self.visible_grouping() {
            grouping.fmt(f)?;
        }
        f.write_str("(")?;
        if let Some(parameter) = self.parameter {
            write!(f, "{parameter},")?;
        }
        write!(f, "{})", self.inner)
    }
}

impl VectorAggregation {
    /// The grouping, unless it is `by ()`, which says no more than nothing does.
    pub(super) fn visible_grouping(&self) -> Option<&Grouping> {
        self.grouping.as_ref().filter(|grouping| grouping.without || !grouping.labels.is_empty())
    }
}

impl Display for BinaryOperation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({} {} {})", self.left, self.operator_text(","), self.right)
    }
}

impl BinaryOperation {
    /// The operator and how series are matched; lists of labels with `comma` between.
    pub(super) fn operator_text(&self, comma: &str) -> String {
        let mut text = self.operator.as_str().to_owned();
        if self.returns_bool {
            text.push_str(" bool");
        }
        let mut group = match self.matching.cardinality {
            Cardinality::OneToOne => String::new(),
            Cardinality::ManyToOne => "group_left".to_owned(),
            Cardinality::OneToMany => "group_right".to_owned(),
        };
        if !self.matching.include.is_empty() {
            group.push_str(&format!(" ({})", self.matching.include.join(comma)));
        } else if !group.is_empty() && matches!(self.right, MetricExpression::Binary(_)) {
            // Without it the parentheses of the right side would be taken for the list.
            group.push_str(" ()");
        }
        let (word, labels) = match &self.matching.labels {
            MatchingLabels::On(labels) => ("on", labels),
            MatchingLabels::Ignoring(labels) if labels.is_empty() && group.is_empty() => return text,
            MatchingLabels::Ignoring(labels) => ("ignoring", labels),
        };
        // The space behind is there in Loki's text too, even when no group follows.
        text.push_str(&format!(" {word} ({}) {group}", labels.join(comma)));
        text
    }
}

impl Display for LabelReplace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "label_replace({}", self.inner)?;
        for argument in self.arguments() {
            write!(f, ",{argument}")?;
        }
        f.write_str(")")
    }
}

impl LabelReplace {
    /// The arguments behind the first, quoted.
    pub(super) fn arguments(&self) -> [String; 4] {
        [&self.target, &self.replacement, &self.source, self.pattern.source()].map(number::quote)
    }
}
