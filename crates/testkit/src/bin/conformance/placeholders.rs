//! Times and long texts that steps leave open: `${ns:2h}`, `${now:+1h}`, `@repeat:300000:x`.

use serde_json::Value;

/// Nanoseconds of an offset such as `10m`, `-1h30m` or `61m1ns`.
pub(crate) fn offset_ns(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(letters);
        let nanos = match unit {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "d" => 86_400e9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * nanos;
        rest = next;
    }
    Some(sign * total as i64)
}

/// The value with everything filled in; `base_ns` is the time from which offsets count.
pub(crate) fn filled(value: &Value, base_ns: i64, now_ns: i64) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(filled_text(text, base_ns, now_ns)?),
        Value::Array(values) => {
            values.iter().map(|value| filled(value, base_ns, now_ns)).collect::<Result<_, _>>()?
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                Ok((filled_text(name, base_ns, now_ns)?, filled(value, base_ns, now_ns)?))
            };
            Value::Object(members.iter().map(member).collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

fn filled_text(text: &str, base_ns: i64, now_ns: i64) -> Result<String, String> {
    if let Some((times, unit)) = text.strip_prefix("@repeat:").and_then(|rest| rest.split_once(':')) {
        return Ok(unit.repeat(times.parse().map_err(|_| format!("no number of times: {text}"))?));
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let (inside, after) = behind.split_once('}').ok_or_else(|| format!("no end: {text}"))?;
        out.push_str(before);
        out.push_str(&time(inside, base_ns, now_ns).ok_or_else(|| format!("no time: {text}"))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn time(inside: &str, base_ns: i64, now_ns: i64) -> Option<String> {
    let (kind, offset) = inside.split_once(':').unwrap_or((inside, ""));
    let offset = if offset.is_empty() { 0 } else { offset_ns(offset)? };
    let at = base_ns + offset;
    Some(match kind {
        "now" => (now_ns + offset).to_string(),
        "ns" => at.to_string(),
        "ms" => (at / 1_000_000).to_string(),
        "s" => (at / 1_000_000_000).to_string(),
        "fs" => format!("{:.3}", at as f64 / 1e9),
        "rfc" => timberyard_model::Timestamp::from_nanos(at).to_string(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn offsets_are_read() {
        for (text, expected) in
            [("10m", 600_000_000_000), ("-1s", -1_000_000_000), ("61m1ns", 3_660_000_000_001)]
        {
            assert_eq!(offset_ns(text), Some(expected), "{text}");
        }
        assert_eq!(offset_ns("1x"), None);
    }

    #[test]
    fn everything_open_is_filled_in() {
        let value = json!({ "a": ["${ns:1s} ${now:-1s}", "@repeat:3:x"], "${s:0s}": 1 });
        let expected = json!({ "a": ["2000000000 4000000000", "xxx"], "1": 1 });
        assert_eq!(filled(&value, 1_000_000_000, 5_000_000_000), Ok(expected));
        assert!(filled(&json!("${week:1}"), 0, 0).is_err());
    }
}
