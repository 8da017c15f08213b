//! A query broken over lines where one line would be too long.

use std::fmt::Display;

use crate::quantity::duration;
use crate::syntax::ast::{
    BinaryOperation, Expression, Grouping, LabelReplace, LineFilter, LogExpression, LogRange,
    MetricExpression, PipelineStage, RangeAggregation, VectorAggregation,
};

/// Bytes of a part that is broken over lines.
const LINE_BYTES_MAX: usize = 100;

/// The query as Loki's formatter lays it out: two spaces a level, what fits 100 bytes on one line.
pub fn pretty(expression: &Expression) -> String {
    Layout { line_bytes_max: LINE_BYTES_MAX }.expression(expression)
}

/// How long a line may become.
struct Layout {
    line_bytes_max: usize,
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

impl Layout {
    /// The part on one line, when it fits.
    fn line(&self, level: usize, part: &impl Display) -> Option<String> {
        let text = part.to_string();
        (text.len() <= self.line_bytes_max).then(|| indent(level) + &text)
    }

    fn expression(&self, expression: &Expression) -> String {
        match expression {
            Expression::Logs(logs) => self.logs(0, logs),
            Expression::Metric(metric) => self.metric(0, metric),
        }
    }

    fn logs(&self, level: usize, logs: &LogExpression) -> String {
        if let Some(line) = self.line(level, logs) {
            return line;
        }
        let mut lines = vec![indent(level) + &logs.selector.to_string()];
        let mut filters: Vec<&LineFilter> = Vec::new();
        for stage in &logs.stages {
            if let PipelineStage::LineFilter(filter) = stage {
                filters.push(filter);
                continue;
            }
            self.line_filters(level + 1, &std::mem::take(&mut filters), &mut lines);
            lines.push(match stage {
                // As in Loki, never indented.
                PipelineStage::Decolorize => stage.to_string(),
                _ => indent(level + 1) + &stage.to_string(),
            });
        }
        self.line_filters(level + 1, &filters, &mut lines);
        lines.join("\n")
    }

    /// As many filters on the first line as fit, then one a line.
    fn line_filters(&self, level: usize, filters: &[&LineFilter], lines: &mut Vec<String>) {
        let mut first_line = filters.len();
        let text =
            |filters: &[&LineFilter]| filters.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        while first_line > 1 && text(&filters[..first_line]).len() > self.line_bytes_max {
            first_line -= 1;
        }
        if first_line > 0 {
            lines.push(indent(level) + &text(&filters[..first_line]));
        }
        lines.extend(filters[first_line..].iter().map(|filter| indent(level) + &filter.to_string()));
    }

    fn metric(&self, level: usize, metric: &MetricExpression) -> String {
        match metric {
            MetricExpression::Range(range) => self.range(level, range),
            MetricExpression::Vector(vector) => self.vector(level, vector),
            MetricExpression::Binary(binary) => self.binary(level, binary),
            MetricExpression::LabelReplace(replace) => self.label_replace(level, replace),
            MetricExpression::Literal(_) | MetricExpression::Constant(_) => {
                indent(level) + &metric.to_string()
            }
        }
    }

    fn range(&self, level: usize, range: &RangeAggregation) -> String {
        if let Some(line) = self.line(level, range) {
            return line;
        }
        let mut text = format!("{}{}(\n", indent(level), range.operation.as_str());
        if let Some(parameter) = range.parameter {
            text.push_str(&format!("{}{parameter},\n", indent(level + 1)));
        }
        text.push_str(&self.log_range(level + 1, &range.range));
        text.push_str(&format!("\n{})", indent(level)));
        if let Some(grouping) = &range.grouping {
            text.push_str(&grouping_text(grouping));
        }
        text
    }

    fn log_range(&self, level: usize, range: &LogRange) -> String {
        let mut text = self.logs(level, &range.logs);
        if let Some(unwrap) = &range.unwrap {
            let indent = indent(level + 1);
            text.push_str(&format!("\n{indent}"));
            // Writing to a string cannot fail.
            let _ = unwrap.function_text(&mut text);
            for filter in &unwrap.post_filters {
                text.push_str(&format!("\n{indent}| {filter}"));
            }
        }
        text.push_str(&format!(" [{}]", range.interval_text()));
        if range.offset_nanos != 0 {
            text.push_str(&format!(" offset {}", offset_text(range.offset_nanos)));
        }
        text
    }

    fn vector(&self, level: usize, vector: &VectorAggregation) -> String {
        if let Some(line) = self.line(level, vector) {
            return line;
        }
        let mut text = format!("{}{}", indent(level), vector.operation.as_str());
        if let Some(grouping) = vector.visible_grouping() {
            text.push_str(&grouping_text(grouping));
        }
        text.push_str("(\n");
        if let Some(parameter) = vector.parameter {
            text.push_str(&format!("{}{parameter},\n", indent(level + 1)));
        }
        text.push_str(&self.metric(level + 1, &vector.inner));
        text.push_str(&format!("\n{})", indent(level)));
        text
    }

    fn binary(&self, level: usize, binary: &BinaryOperation) -> String {
        if let Some(line) = self.line(level, binary) {
            return line;
        }
        let is_right_associative = binary.operator == crate::syntax::ast::BinaryOperator::Power;
        let left = self.leg(level + 1, &binary.left, binary, is_right_associative);
        let right = self.leg(level + 1, &binary.right, binary, !is_right_associative);
        format!("{left}\n{}{}\n{right}", indent(level), binary.operator_text(", "))
    }

    /// One side of an operator; between parentheses when it would be read differently without.
    fn leg(&self, level: usize, leg: &MetricExpression, of: &BinaryOperation, if_equal: bool) -> String {
        let MetricExpression::Binary(inner) = leg else { return self.metric(level, leg) };
        let (outer, own) = (of.operator.precedence(), inner.operator.precedence());
        let is_one_line = self.line(level, &**inner).is_some();
        if is_one_line || own > outer || (own == outer && !if_equal) {
            return self.metric(level, leg);
        }
        format!("{0}(\n{1}\n{0})", indent(level), self.metric(level + 1, leg))
    }

    fn label_replace(&self, level: usize, replace: &LabelReplace) -> String {
        if let Some(line) = self.line(level, replace) {
            return line;
        }
        let mut text = format!("{}label_replace(\n{}", indent(level), self.metric(level + 1, &replace.inner));
        for argument in replace.arguments() {
            text.push_str(&format!(",\n{}{argument}", indent(level + 1)));
        }
        text.push_str(&format!("\n{})", indent(level)));
        text
    }
}

fn grouping_text(grouping: &Grouping) -> String {
    let word = if grouping.without { "without" } else { "by" };
    format!(" {word} ({})", grouping.labels.join(", "))
}

/// Shortest where nothing is lost.
fn offset_text(nanos: i64) -> String {
    let short = duration::format_prometheus(nanos);
    if duration::parse_prometheus(&short) == Ok(nanos) { short } else { duration::format_go(nanos) }
}
