//! Functions on numbers. Those of sprig take anything for a number; what is none is 0.

use super::super::decimal::{Operation, fold};
use super::super::value::Type::{Any, Float, Int};
use super::super::value::Value;
use super::{Function, Outcome, fixed, integer, parse_integer, variadic};
use crate::quantity::number;

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("int", &[Any], |_, a| Ok(Value::Int(to_integer(&a[0])))),
    fixed("float64", &[Any], |_, a| Ok(Value::Float(to_float(&a[0])))),
    variadic("add", &[], Any, |_, a| Ok(Value::Int64(a.iter().map(to_integer).fold(0, i64::wrapping_add)))),
    fixed("sub", &[Any, Any], |_, a| Ok(Value::Int64(to_integer(&a[0]).wrapping_sub(to_integer(&a[1]))))),
    variadic("mul", &[Any], Any, |_, a| {
        Ok(Value::Int64(a.iter().map(to_integer).fold(1, i64::wrapping_mul)))
    }),
    fixed("div", &[Any, Any], |_, a| divide(&a[0], &a[1], i64::wrapping_div)),
    fixed("mod", &[Any, Any], |_, a| divide(&a[0], &a[1], i64::wrapping_rem)),
    variadic("addf", &[], Any, |_, a| Ok(Value::Float(fold(Operation::Add, 0.0, &floats(a))?))),
    variadic("subf", &[Any], Any, |_, a| decimal(Operation::Subtract, a)),
    variadic("mulf", &[Any], Any, |_, a| decimal(Operation::Multiply, a)),
    variadic("divf", &[Any], Any, |_, a| decimal(Operation::Divide, a)),
    variadic("max", &[Any], Any, |_, a| Ok(Value::Int64(a.iter().map(to_integer).max().unwrap_or(0)))),
    variadic("min", &[Any], Any, |_, a| Ok(Value::Int64(a.iter().map(to_integer).min().unwrap_or(0)))),
    variadic("maxf", &[Any], Any, |_, a| Ok(extreme(a, |new, old| new > old))),
    variadic("minf", &[Any], Any, |_, a| Ok(extreme(a, |new, old| new < old))),
    fixed("ceil", &[Any], |_, a| Ok(Value::Float(to_float(&a[0]).ceil()))),
    fixed("floor", &[Any], |_, a| Ok(Value::Float(to_float(&a[0]).floor()))),
    variadic("round", &[Any, Int], Float, |_, a| {
        let threshold = match a.get(2) {
            Some(Value::Float(threshold)) => *threshold,
            _ => 0.5,
        };
        Ok(Value::Float(round(to_float(&a[0]), integer(&a[1]), threshold)))
    }),
];

/// The number as an integer, cut off at the point.
pub(super) fn to_integer(value: &Value) -> i64 {
    match value {
        Value::Int(value) | Value::Int64(value) => *value,
        Value::Byte(value) => i64::from(*value),
        Value::Float(value) => *value as i64,
        Value::Bool(value) => i64::from(*value),
        Value::Text(text) => std::str::from_utf8(text).ok().and_then(integer_of_text).unwrap_or(0),
        _ => 0,
    }
}

/// `12`, `0x1f`, and `12.9` as 12, but not `1e3`.
fn integer_of_text(text: &str) -> Option<i64> {
    let Some((whole, decimals)) = text.split_once('.') else { return parse_integer(text) };
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    if !digits.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.is_empty() { Some(0) } else { parse_integer(whole) }
}

/// The number as a float.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Float(value) => *value,
        Value::Text(text) => {
            std::str::from_utf8(text).ok().and_then(|text| number::parse(text).ok()).unwrap_or(0.0)
        }
        other => to_integer(other) as f64,
    }
}

fn floats(values: &[Value]) -> Vec<f64> {
    values.iter().map(to_float).collect()
}

fn divide(left: &Value, right: &Value, operation: fn(i64, i64) -> i64) -> Outcome {
    match to_integer(right) {
        0 => Err("runtime error: integer divide by zero".to_owned()),
        right => Ok(Value::Int64(operation(to_integer(left), right))),
    }
}

fn decimal(operation: Operation, values: &[Value]) -> Outcome {
    let numbers = floats(values);
    let Some((first, others)) = numbers.split_first() else { return Ok(Value::Float(0.0)) };
    Ok(Value::Float(fold(operation, *first, others)?))
}

/// The largest or smallest; NaN when any is.
fn extreme(values: &[Value], is_better: fn(f64, f64) -> bool) -> Value {
    let numbers = floats(values);
    let better =
        |old: f64, new: f64| if old.is_nan() || !is_better(new, old) && !new.is_nan() { old } else { new };
    Value::Float(numbers.iter().copied().reduce(better).unwrap_or(0.0))
}

/// Rounds to that many decimals: up when the rest is at least `threshold`.
fn round(value: f64, places: i64, threshold: f64) -> f64 {
    let power = 10f64.powf(places as f64);
    let digit = power * value;
    let rounded = if digit.fract() >= threshold { digit.ceil() } else { digit.floor() };
    rounded / power
}
