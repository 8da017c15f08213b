//! What makes no sense although it is grammatical.

use super::ast::{
    BinaryOperation, BinaryOperator, Expression, LogExpression, MetricExpression, RangeAggregation,
    RangeOperation, VectorAggregation, VectorMatching, VectorOperation,
};
use super::error::SyntaxError;
use crate::quantity::number;

type Checked<T> = Result<T, SyntaxError>;

fn refuse<T>(message: impl Into<String>) -> Checked<T> {
    Err(SyntaxError::whole(message))
}

/// Every selector must have a matcher that refuses the empty value, or the query would read all streams.
pub(super) fn has_selective_matchers(expression: &Expression) -> Checked<()> {
    match expression {
        Expression::Logs(logs) => is_selective(logs),
        Expression::Metric(metric) => {
            let mut checked = Ok(());
            metric.for_each_range(&mut |range| {
                if checked.is_ok() {
                    checked = is_selective(&range.range.logs);
                }
            });
            checked
        }
    }
}

fn is_selective(logs: &LogExpression) -> Checked<()> {
    if logs.selector.matchers.iter().any(|matcher| !matcher.test.accepts("")) {
        return Ok(());
    }
    refuse(
        "queries require at least one regexp or equality matcher that does not have an empty-compatible \
         value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will",
    )
}

/// The parameter of a range function: `quantile_over_time` needs one, no other takes one.
pub(super) fn range_parameter(operation: RangeOperation, text: Option<&str>) -> Checked<Option<f64>> {
    let name = operation.as_str();
    match (operation, text) {
        (RangeOperation::Quantile, None) => refuse(format!("parameter required for operation {name}")),
        (RangeOperation::Quantile, Some(text)) => match number::parse(text) {
            Ok(value) => Ok(Some(value)),
            Err(error) => refuse(format!("invalid parameter for operation {name}: {error}")),
        },
        (_, Some(text)) => refuse(format!("parameter {text} not supported for operation {name}")),
        (_, None) => Ok(None),
    }
}

/// Grouping and `unwrap` fit the function.
pub(super) fn range_aggregation(aggregation: &RangeAggregation) -> Checked<()> {
    let operation = aggregation.operation;
    let name = operation.as_str();
    if aggregation.grouping.is_some() && !operation.takes_grouping() {
        return refuse(format!("grouping not allowed for {name} aggregation"));
    }
    match &aggregation.range.unwrap {
        Some(_) if !operation.takes_unwrap() => refuse(format!("invalid aggregation {name} with unwrap")),
        None if !operation.takes_entries() => refuse(format!("invalid aggregation {name} without unwrap")),
        _ => Ok(()),
    }
}

/// The number of series that `topk` and its kin keep; the others take none.
pub(super) fn vector_parameter(operation: VectorOperation, text: Option<&str>) -> Checked<Option<u64>> {
    let name = operation.as_str();
    let Some(text) = text else {
        if operation.takes_parameter() {
            return refuse(format!("parameter required for operation {name}"));
        }
        return Ok(None);
    };
    if !operation.takes_parameter() {
        return refuse(format!("unsupported parameter for operation {name}({text},"));
    }
    match text.parse::<u64>() {
        Ok(0) => refuse(format!("invalid parameter (must be greater than 0) {name}({text}")),
        Ok(count) if i64::try_from(count).is_ok() => Ok(Some(count)),
        _ => refuse(format!("invalid parameter {name}({text},")),
    }
}

/// Grouping fits the aggregation.
pub(super) fn vector_aggregation(aggregation: &VectorAggregation) -> Checked<()> {
    match (aggregation.operation, &aggregation.grouping) {
        (VectorOperation::ApproximateTopK, Some(_)) => {
            refuse(format!("grouping not allowed for {} aggregation", aggregation.operation.as_str()))
        }
        (VectorOperation::Sort | VectorOperation::SortDescending, Some(grouping))
            if !grouping.labels.is_empty() =>
        {
            refuse("sort and sort_desc doesn't allow grouping by ")
        }
        _ => Ok(()),
    }
}

/// Both sides return numbers, set operators have no literals; two literals are computed at once.
pub(super) fn binary(
    left: Expression,
    operator: BinaryOperator,
    returns_bool: bool,
    matching: VectorMatching,
    right: Expression,
) -> Checked<MetricExpression> {
    let left = metric_leg(left, operator, "left")?;
    let right = metric_leg(right, operator, "right")?;
    if operator.is_set() {
        for (leg, side) in [(&left, "left"), (&right, "right")] {
            if let MetricExpression::Literal(value) = leg {
                return refuse(format!(
                    "unexpected literal for {side} leg of logical/set binary operation ({}): {value:.6}",
                    operator.as_str()
                ));
            }
        }
    }
    if let (MetricExpression::Literal(a), MetricExpression::Literal(b)) = (&left, &right)
        && let Some(value) = operator.compute(*a, *b)
    {
        return Ok(MetricExpression::Literal(value));
    }
    Ok(MetricExpression::Binary(Box::new(BinaryOperation { left, operator, returns_bool, matching, right })))
}

fn metric_leg(leg: Expression, operator: BinaryOperator, side: &str) -> Checked<MetricExpression> {
    match leg {
        Expression::Metric(metric) => Ok(metric),
        Expression::Logs(logs) => {
            // Loki names its own types here; clients have come to know them.
            let kind = if logs.stages.is_empty() { "MatchersExpr" } else { "PipelineExpr" };
            refuse(format!(
                "unexpected type for {side} leg of binary operation ({}): *syntax.{kind}",
                operator.as_str()
            ))
        }
    }
}
