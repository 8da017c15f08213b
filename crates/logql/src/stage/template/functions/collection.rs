//! Functions on lists, maps and texts as sequences of bytes.

use std::rc::Rc;

use super::super::json_value;
use super::super::value::Type::{Any, Text};
use super::super::value::{Value, label_map};
use super::{Environment, Function, Outcome, bytes, fixed, variadic};

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("len", &[Any], |environment, a| {
        let len = match &a[0] {
            Value::Text(text) => text.len(),
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            Value::Labels => label_map(environment.scope).len(),
            Value::Nil => return Err("len of nil pointer".to_owned()),
            other => return Err(format!("len of type {}", other.type_name())),
        };
        Ok(Value::Int(len as i64))
    }),
    variadic("index", &[Any], Any, |environment, a| {
        let mut value = a[0].clone();
        for key in &a[1..] {
            value = indexed(environment, &value, key)?;
        }
        Ok(value)
    }),
    variadic("slice", &[Any], Any, |_, a| slice(&a[0], &a[1..])),
    fixed("fromJson", &[Text], |_, a| Ok(json_value::parse(bytes(&a[0])).unwrap_or(Value::Nil))),
    variadic("call", &[Any], Any, |_, a| match &a[0] {
        Value::Nil => Err("call of nil".to_owned()),
        other => Err(format!("non-function of type {}", other.type_name())),
    }),
];

fn position(key: &Value) -> Result<i64, String> {
    match key {
        Value::Int(position) | Value::Int64(position) => Ok(*position),
        Value::Byte(position) => Ok(i64::from(*position)),
        Value::Nil => Err("cannot index slice/array with nil".to_owned()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

fn indexed(environment: &Environment<'_>, value: &Value, key: &Value) -> Outcome {
    let at = |len: usize| {
        let position = position(key)?;
        usize::try_from(position)
            .ok()
            .filter(|at| *at < len)
            .ok_or_else(|| format!("index out of range: {position}"))
    };
    match value {
        Value::Text(text) => Ok(Value::Byte(text[at(text.len())?])),
        Value::List(list) => Ok(list[at(list.len())?].clone()),
        Value::Map(_) | Value::Labels => {
            let Value::Text(name) = key else {
                return Err(format!("value has type {}; should be string", key.type_name()));
            };
            let name = String::from_utf8_lossy(name);
            Ok(match value {
                Value::Map(map) => map.get(&*name).cloned().unwrap_or(Value::Nil),
                _ => Value::text(environment.scope.label(&name).unwrap_or("")),
            })
        }
        Value::Nil => Err("index of untyped nil".to_owned()),
        other => Err(format!("can't index item of type {}", other.type_name())),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Outcome {
    let len = match value {
        Value::Text(_) if bounds.len() == 3 => return Err("cannot 3-index slice a string".to_owned()),
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Nil => return Err("slice of untyped nil".to_owned()),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    if bounds.len() > 3 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    let mut ends = [0, len];
    for (index, bound) in bounds.iter().enumerate() {
        let position = position(bound)?;
        let at = usize::try_from(position).ok().filter(|at| *at <= len);
        let at = at.ok_or_else(|| format!("index out of range: {position}"))?;
        if let Some(end) = ends.get_mut(index) {
            *end = at;
        }
    }
    let [start, end] = ends;
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    Ok(match value {
        Value::List(list) => Value::List(Rc::new(list[start..end].to_vec())),
        _ => Value::text(&bytes(value)[start..end]),
    })
}
