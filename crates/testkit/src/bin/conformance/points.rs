//! Compares the series of metric queries: which ones, at which times, with which values within a tolerance.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::folder::{Case, array};
use crate::lines::relaxed;

/// Series by labels; of equal labels each.
type Series = BTreeMap<(String, usize), Vec<(f64, Number)>>;

/// A value as text or number.
#[derive(Clone, Copy, Debug)]
struct Number(f64);

/// How the series differ.
pub(crate) fn differences(case: &Case, expected: &Value, got: &Value) -> Vec<String> {
    let relative = case.options["rel_tol"].as_f64().unwrap_or(1e-9);
    let absolute = case.options["abs_tol"].as_f64().unwrap_or(1e-10);
    let agree = |a: Number, b: Number| a.agrees(b, relative, absolute);
    if case.expected["resultType"] == "scalar" {
        let (Some(wanted), Some(seen)) = (point(expected), point(got)) else {
            return vec![format!("no scalar: {got}")];
        };
        return match agree(wanted.1, seen.1) {
            true => Vec::new(),
            false => vec![format!("{got} instead of {expected}")],
        };
    }
    let (Some(wanted), Some(seen)) = (series(expected), series(got)) else {
        return vec!["a series is not {\"metric\":{…},\"values\":[[time, value], …]}".to_owned()];
    };
    let mut found = Vec::new();
    if case.options["ordered"] == true && order(expected) != order(got) {
        found.push(format!("the order is {:?} instead of {:?}", order(got), order(expected)));
    }
    for (key, points) in &wanted {
        let Some(others) = seen.get(key) else {
            found.push(format!("series {} is missing", key.0));
            continue;
        };
        let at = |time: f64, points: &[(f64, Number)]| points.iter().find(|(own, _)| *own == time).copied();
        for (time, value) in points {
            match at(*time, others) {
                Some((_, other)) if agree(*value, other) => {}
                Some((_, other)) => {
                    found.push(format!("{} at {time}: {} instead of {}", key.0, other.0, value.0));
                }
                None => found.push(format!("{} has nothing at {time}", key.0)),
            }
        }
        let surplus = others.iter().filter(|(time, _)| at(*time, points).is_none());
        found
            .extend(surplus.map(|(time, value)| format!("{} at {time}: {} is not expected", key.0, value.0)));
    }
    let surplus = seen.keys().filter(|key| !wanted.contains_key(key));
    found.extend(surplus.map(|(labels, _)| format!("series {labels} is not expected")));
    found
}

impl Number {
    /// From a text as Prometheus writes it, or a number.
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => text.parse().ok().map(Self),
            other => other.as_f64().map(Self),
        }
    }

    fn agrees(self, other: Self, relative: f64, absolute: f64) -> bool {
        let (a, b) = (self.0, other.0);
        a == b
            || a.is_nan() && b.is_nan()
            || (a - b).abs() <= (relative * a.abs().max(b.abs())).max(absolute)
                && a.is_finite()
                && b.is_finite()
    }
}

fn labels(one: &Value) -> Option<String> {
    Some(Value::Object(relaxed(one["metric"].as_object()?)).to_string())
}

fn order(series: &Value) -> Vec<Option<String>> {
    array(series).iter().map(labels).collect()
}

fn series(value: &Value) -> Option<Series> {
    let mut all = Series::new();
    for one in array(value) {
        let labels = labels(one)?;
        let points = match one.get("values") {
            Some(values) => values.as_array()?.iter().map(point).collect::<Option<Vec<_>>>()?,
            None => vec![point(&one["value"])?],
        };
        let number = (0..).find(|number| !all.contains_key(&(labels.clone(), *number)))?;
        all.insert((labels, number), points);
    }
    Some(all)
}

fn point(value: &Value) -> Option<(f64, Number)> {
    Some((value[0].as_f64()?, Number::of(&value[1])?))
}
