//! Functions on times. Local time is UTC.

use std::rc::Rc;

use super::super::moment::{Moment, zone_at};
use super::super::time_layout;
use super::super::value::Type::{Any, Text, Time};
use super::super::value::Value;
use super::{Function, Outcome, fixed, string};

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("__timestamp__", &[], |environment, _| {
        Ok(moment(Moment::from_nanos(environment.scope.timestamp().as_nanos())))
    }),
    fixed("now", &[], |environment, _| match environment.scope.now() {
        Some(now) => Ok(moment(Moment::from_nanos(now.as_nanos()))),
        None => Err("the current time is not known here".to_owned()),
    }),
    fixed("toDate", &[Text, Text], |_, a| Ok(read(&string(&a[0]), &string(&a[1]), "UTC"))),
    fixed("toDateInZone", &[Text, Text, Text], |_, a| {
        Ok(read(&string(&a[0]), &string(&a[2]), &string(&a[1])))
    }),
    fixed("date", &[Text, Any], |environment, a| {
        let time = match &a[1] {
            Value::Time(time) => Moment { zone: zone_at("UTC", 0), ..Moment::clone(time) },
            Value::Int(seconds) | Value::Int64(seconds) => Moment::from_seconds(*seconds),
            // As in sprig: what is no time stands for now.
            _ => match environment.scope.now() {
                Some(now) => Moment::from_nanos(now.as_nanos()),
                None => return Err("the current time is not known here".to_owned()),
            },
        };
        Ok(Value::text(time_layout::format(&string(&a[0]), &time)))
    }),
    fixed("unixEpoch", &[Time], |_, a| on_time(&a[0], |time| time.seconds)),
    fixed("unixEpochMillis", &[Time], |_, a| on_time(&a[0], Moment::unix_millis)),
    fixed("unixEpochNanos", &[Time], |_, a| on_time(&a[0], Moment::unix_nanos)),
    fixed("unixToTime", &[Text], |_, a| from_unix(&string(&a[0]))),
];

fn moment(time: Moment) -> Value {
    Value::Time(Rc::new(time))
}

/// The time; Go's zero time when the text does not fit the layout.
fn read(layout: &str, text: &str, zone: &str) -> Value {
    moment(time_layout::parse(layout, text, zone).unwrap_or_else(Moment::zero))
}

fn on_time(value: &Value, number: impl Fn(&Moment) -> i64) -> Outcome {
    match value {
        Value::Time(time) => Ok(Value::text(number(time).to_string())),
        _ => Err("not a time".to_owned()),
    }
}

/// Days, seconds, milli-, micro- or nanoseconds since 1970, by the number of digits.
fn from_unix(text: &str) -> Outcome {
    let shown = |reason: &str| format!("unable to parse time '{text}': {reason}");
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number: i64 = match text.parse() {
        Ok(number) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => number,
        _ => {
            let quoted = super::quote_text(text);
            return Err(shown(&format!("strconv.ParseInt: parsing {quoted}: invalid syntax")));
        }
    };
    let time = match text.len() {
        5 => Moment::from_seconds(number.saturating_mul(86_400)),
        10 => Moment::from_seconds(number),
        13 => Moment::from_nanos(number.saturating_mul(1_000_000)),
        16 => Moment::from_nanos(number.saturating_mul(1000)),
        19 => Moment::from_nanos(number),
        _ => return Err(shown("%!w(<nil>)")),
    };
    Ok(moment(time))
}
