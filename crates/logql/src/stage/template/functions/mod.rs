//! The functions of templates: those of Go's `text/template`, of Loki, and the part of sprig that
//! Loki lets through.

mod arithmetic;
mod collection;
mod compare;
mod encoding;
mod text;
mod time;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use timberyard_model::pattern::Pattern;

use super::Scope;
use super::value::{Type, Value};
use crate::quantity::number;

/// What a function works with beside its arguments.
pub(super) struct Environment<'e> {
    pub(super) scope: &'e dyn Scope,
    pub(super) expressions: &'e Expressions,
}

/// What a function answers: a value, or what is wrong.
type Outcome = Result<Value, String>;

/// A function and what it may be given. Arguments have been checked against this when it is called.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// The arguments that must be there.
    pub(super) parameters: &'static [Type],
    /// The type of any number of further ones.
    pub(super) rest: Option<Type>,
    /// For `and` and `or`: the truth at which the remaining arguments are not looked at.
    pub(super) short_circuit: Option<bool>,
    pub(super) call: fn(&Environment<'_>, &[Value]) -> Outcome,
}

const fn fixed(
    name: &'static str,
    parameters: &'static [Type],
    call: fn(&Environment<'_>, &[Value]) -> Outcome,
) -> Function {
    Function { name, parameters, rest: None, short_circuit: None, call }
}

const fn variadic(
    name: &'static str,
    parameters: &'static [Type],
    rest: Type,
    call: fn(&Environment<'_>, &[Value]) -> Outcome,
) -> Function {
    Function { name, parameters, rest: Some(rest), short_circuit: None, call }
}

/// The function of that name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    [
        arithmetic::FUNCTIONS,
        collection::FUNCTIONS,
        compare::FUNCTIONS,
        encoding::FUNCTIONS,
        text::FUNCTIONS,
        time::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .find(|function| function.name == name)
}

/// The text of an argument that has been checked to be one.
fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::Text(text) => text,
        _ => &[],
    }
}

/// The same as characters; what is not UTF-8 becomes U+FFFD.
fn chars(value: &Value) -> Vec<char> {
    String::from_utf8_lossy(bytes(value)).chars().collect()
}

/// The same as a string.
fn string(value: &Value) -> String {
    String::from_utf8_lossy(bytes(value)).into_owned()
}

/// An integer argument that has been checked to be one.
fn integer(value: &Value) -> i64 {
    match value {
        Value::Int(value) => *value,
        _ => 0,
    }
}

/// Quotes a text as Go does.
pub(super) fn quote_text(text: &str) -> String {
    number::quote(text)
}

/// Reads an integer in any of Go's bases: `0x1f`, `0b1`, `0o17`, `017`, `1_000`.
pub(super) fn parse_integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let well_placed =
        !digits.ends_with('_') && !digits.contains("__") && (!digits.starts_with('_') || radix != 10);
    if digits.is_empty() || !well_placed || digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Regular expressions that a template has used, compiled once.
#[derive(Default)]
pub(super) struct Expressions {
    compiled: Mutex<HashMap<Vec<u8>, Pattern>>,
}

/// How many expressions are remembered; a template that makes up new ones forgets all at that point.
const EXPRESSIONS_MAX: usize = 32;

impl Expressions {
    /// The compiled expression.
    fn get(&self, source: &[u8]) -> Result<Pattern, String> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pattern) = compiled.get(source) {
            return Ok(pattern.clone());
        }
        let pattern =
            Pattern::anywhere(&String::from_utf8_lossy(source)).map_err(|error| error.to_string())?;
        if compiled.len() >= EXPRESSIONS_MAX {
            compiled.clear();
        }
        compiled.insert(source.to_vec(), pattern.clone());
        Ok(pattern)
    }
}
