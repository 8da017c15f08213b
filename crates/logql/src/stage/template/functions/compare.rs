//! Comparisons and logic.

use std::cmp::Ordering;

use super::super::value::Type::Any;
use super::super::value::Value;
use super::{Function, Outcome, fixed, variadic};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "and",
        parameters: &[Any],
        rest: Some(Any),
        short_circuit: Some(false),
        call: |_, a| Ok(a.last().cloned().unwrap_or(Value::Nil)),
    },
    Function {
        name: "or",
        parameters: &[Any],
        rest: Some(Any),
        short_circuit: Some(true),
        call: |_, a| Ok(a.last().cloned().unwrap_or(Value::Nil)),
    },
    fixed("not", &[Any], |environment, a| Ok(Value::Bool(!a[0].is_true(environment.scope)))),
    variadic("eq", &[Any], Any, |_, a| {
        if a.len() < 2 {
            return Err("missing argument for comparison".to_owned());
        }
        for other in &a[1..] {
            if is_equal(&a[0], other)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }),
    fixed("ne", &[Any, Any], |_, a| Ok(Value::Bool(!is_equal(&a[0], &a[1])?))),
    fixed("lt", &[Any, Any], |_, a| ordered(a, |ordering| ordering == Some(Ordering::Less))),
    fixed("le", &[Any, Any], |_, a| {
        ordered(a, |ordering| matches!(ordering, Some(Ordering::Less | Ordering::Equal)))
    }),
    fixed("gt", &[Any, Any], |_, a| {
        ordered(a, |ordering| !matches!(ordering, Some(Ordering::Less | Ordering::Equal)))
    }),
    fixed("ge", &[Any, Any], |_, a| ordered(a, |ordering| ordering != Some(Ordering::Less))),
    variadic("default", &[Any], Any, |environment, a| {
        let is_set = |value: &&Value| value.is_true(environment.scope);
        Ok(a.get(1).filter(is_set).unwrap_or(&a[0]).clone())
    }),
];

fn is_equal(left: &Value, right: &Value) -> Result<bool, String> {
    match (left, right) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Time(left), Value::Time(right)) => {
            Ok((left.seconds, left.nanos, &left.zone) == (right.seconds, right.nanos, &right.zone))
        }
        _ => Ok(compare(left, right)? == Some(Ordering::Equal)),
    }
}

fn ordered(values: &[Value], holds: fn(Option<Ordering>) -> bool) -> Outcome {
    Ok(Value::Bool(holds(compare(&values[0], &values[1])?)))
}

/// The order of two values of one kind; `None` when one is NaN.
fn compare(left: &Value, right: &Value) -> Result<Option<Ordering>, String> {
    let signed = |value: &Value| match value {
        Value::Int(value) | Value::Int64(value) => Some(*value),
        Value::Byte(value) => Some(i64::from(*value)),
        _ => None,
    };
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => return Ok(Some(left.cmp(right))),
        (Value::Float(left), Value::Float(right)) => return Ok(left.partial_cmp(right)),
        _ => {}
    }
    if let (Some(left), Some(right)) = (signed(left), signed(right)) {
        return Ok(Some(left.cmp(&right)));
    }
    for value in [left, right] {
        if matches!(value, Value::Nil | Value::List(_) | Value::Map(_) | Value::Labels | Value::Time(_)) {
            return Err("invalid type for comparison".to_owned());
        }
    }
    if matches!((left, right), (Value::Bool(_), Value::Bool(_))) {
        return Err("invalid type for comparison".to_owned());
    }
    Err(format!("incompatible types for comparison: {} and {}", left.type_name(), right.type_name()))
}
