//! `printf`: Go's verbs and flags.

use super::functions::quote_text;
use super::value::Value;
use super::{Scope, TEXT_BYTES_MAX};
use crate::quantity::number;

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// What `fmt.Sprintf` makes of the arguments; mistakes show up in the text, as in Go.
pub(super) fn sprintf(format: &[u8], arguments: &[Value], scope: &dyn Scope) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    let mut rest = format;
    let mut next = 0;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        output.extend_from_slice(&rest[..percent]);
        rest = &rest[percent + 1..];
        let flags = read_flags(&mut rest);
        let limit = flags.width.unwrap_or(0).max(flags.precision.unwrap_or(0));
        if limit > TEXT_BYTES_MAX {
            return Err(format!("width is {limit}, limit is {TEXT_BYTES_MAX}"));
        }
        let Some(verb) = take_char(&mut rest) else {
            output.extend_from_slice(b"%!(NOVERB)");
            break;
        };
        if verb == '%' {
            output.push(b'%');
        } else if let Some(argument) = arguments.get(next) {
            next += 1;
            print(&mut output, verb, flags, argument, scope);
        } else {
            output.extend_from_slice(format!("%!{verb}(MISSING)").as_bytes());
        }
        if output.len() > TEXT_BYTES_MAX {
            return Err(format!("text is longer than {TEXT_BYTES_MAX} bytes"));
        }
    }
    output.extend_from_slice(rest);
    if next < arguments.len() {
        output.extend_from_slice(b"%!(EXTRA ");
        for (index, argument) in arguments[next..].iter().enumerate() {
            if index > 0 {
                output.extend_from_slice(b", ");
            }
            output.extend_from_slice(argument.type_name().as_bytes());
            output.push(b'=');
            argument.print(scope, &mut output);
        }
        output.push(b')');
    }
    Ok(output)
}

fn take_char(rest: &mut &[u8]) -> Option<char> {
    let first = *rest.first()?;
    let len = match first {
        0..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let (taken, behind) = rest.split_at(len.min(rest.len()));
    *rest = behind;
    Some(
        std::str::from_utf8(taken)
            .ok()
            .and_then(|text| text.chars().next())
            .unwrap_or(char::REPLACEMENT_CHARACTER),
    )
}

fn read_flags(rest: &mut &[u8]) -> Flags {
    let mut flags = Flags::default();
    while let [flag @ (b'-' | b'+' | b'#' | b' ' | b'0'), behind @ ..] = *rest {
        match flag {
            b'-' => flags.minus = true,
            b'+' => flags.plus = true,
            b'#' => flags.sharp = true,
            b' ' => flags.space = true,
            _ => flags.zero = true,
        }
        *rest = behind;
    }
    flags.width = read_number(rest);
    if let [b'.', behind @ ..] = *rest {
        *rest = behind;
        flags.precision = Some(read_number(rest).unwrap_or(0));
    }
    flags
}

fn read_number(rest: &mut &[u8]) -> Option<usize> {
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, behind) = rest.split_at(len);
    *rest = behind;
    if len == 0 {
        return None;
    }
    Some(std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX))
}

fn print(output: &mut Vec<u8>, verb: char, flags: Flags, argument: &Value, scope: &dyn Scope) {
    if verb == 'T' {
        pad(output, flags, argument.type_name().as_bytes());
        return;
    }
    let printed = match (verb, argument) {
        ('v', Value::Float(value)) => float(*value, 'v', flags),
        ('v', Value::Int(value) | Value::Int64(value)) => integer(*value, 10, false, flags),
        ('v', Value::Nil) => b"<nil>".to_vec(),
        ('v', Value::Text(text)) | ('s', Value::Text(text)) => cut(text, flags),
        ('v', _) => argument.printed(scope),
        ('t', Value::Bool(value)) => value.to_string().into_bytes(),
        ('d', Value::Int(value) | Value::Int64(value)) => integer(*value, 10, false, flags),
        ('d', Value::Byte(value)) => integer(i64::from(*value), 10, false, flags),
        ('b', Value::Int(value) | Value::Int64(value)) => integer(*value, 2, false, flags),
        ('o', Value::Int(value) | Value::Int64(value)) => integer(*value, 8, false, flags),
        ('x', Value::Int(value) | Value::Int64(value)) => integer(*value, 16, false, flags),
        ('X', Value::Int(value) | Value::Int64(value)) => integer(*value, 16, true, flags),
        ('c', Value::Int(value) | Value::Int64(value)) => character(*value).to_string().into_bytes(),
        ('q', Value::Int(value) | Value::Int64(value)) => format!("'{}'", character(*value)).into_bytes(),
        ('U', Value::Int(value) | Value::Int64(value)) => format!("U+{value:04X}").into_bytes(),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(value)) => float(*value, verb, flags),
        ('q', Value::Text(text)) => quote_text(&String::from_utf8_lossy(&cut(text, flags))).into_bytes(),
        ('x', Value::Text(text)) => {
            text.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()
        }
        ('X', Value::Text(text)) => {
            text.iter().map(|byte| format!("{byte:02X}")).collect::<String>().into_bytes()
        }
        ('s', Value::Time(time)) => time.to_string().into_bytes(),
        ('s' | 'd' | 'f' | 'q' | 'x', Value::List(list)) => {
            let mut joined = vec![b'['];
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    joined.push(b' ');
                }
                print(&mut joined, verb, flags, item, scope);
            }
            joined.push(b']');
            output.extend_from_slice(&joined);
            return;
        }
        ('s', Value::Map(_) | Value::Labels) => argument.printed(scope),
        _ => mistake(verb, argument, scope),
    };
    // Numbers have their zeros already, as far as they get any.
    let is_number = matches!(argument, Value::Int(_) | Value::Int64(_) | Value::Byte(_) | Value::Float(_));
    pad(output, Flags { zero: flags.zero && !is_number, ..flags }, &printed);
}

/// A verb that does not fit: `%!d(string=x)`.
fn mistake(verb: char, argument: &Value, scope: &dyn Scope) -> Vec<u8> {
    let mut text = format!("%!{verb}(").into_bytes();
    if !matches!(argument, Value::Nil) {
        text.extend_from_slice(argument.type_name().as_bytes());
        text.push(b'=');
    }
    argument.print(scope, &mut text);
    text.push(b')');
    text
}

fn cut(text: &[u8], flags: Flags) -> Vec<u8> {
    match flags.precision {
        None => text.to_vec(),
        Some(count) => String::from_utf8_lossy(text).chars().take(count).collect::<String>().into_bytes(),
    }
}

fn character(value: i64) -> char {
    u32::try_from(value).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn sign(negative: bool, flags: Flags) -> &'static str {
    match negative {
        true => "-",
        false if flags.plus => "+",
        false if flags.space => " ",
        false => "",
    }
}

fn integer(value: i64, radix: u32, upper: bool, flags: Flags) -> Vec<u8> {
    let magnitude = value.unsigned_abs();
    let digits = match (radix, upper) {
        (2, _) => format!("{magnitude:b}"),
        (8, _) => format!("{magnitude:o}"),
        (16, false) => format!("{magnitude:x}"),
        (16, true) => format!("{magnitude:X}"),
        _ => magnitude.to_string(),
    };
    let prefix = match (flags.sharp, radix, upper) {
        (true, 2, _) => "0b",
        (true, 8, _) => "0",
        (true, 16, false) => "0x",
        (true, 16, true) => "0X",
        _ => "",
    };
    let sign = sign(value < 0, flags);
    let least = match (flags.precision, flags.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(sign.len()),
        _ => 0,
    };
    format!("{sign}{prefix}{digits:0>least$}").into_bytes()
}

fn float(value: f64, verb: char, flags: Flags) -> Vec<u8> {
    let magnitude = value.abs();
    let sign = sign(value.is_sign_negative() && !value.is_nan(), flags);
    let digits = if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        let sign = if sign.is_empty() { "+" } else { sign };
        return format!("{sign}Inf").into_bytes();
    } else {
        match verb {
            'f' | 'F' => format!("{magnitude:.*}", flags.precision.unwrap_or(6)),
            'e' | 'E' => exponent_form(magnitude, flags.precision.unwrap_or(6)),
            _ => general_form(magnitude, flags.precision),
        }
    };
    let digits = if verb == 'E' || verb == 'G' { digits.to_uppercase() } else { digits };
    let least = match flags.width {
        Some(width) if flags.zero && !flags.minus => width.saturating_sub(sign.len()),
        _ => 0,
    };
    format!("{sign}{digits:0>least$}").into_bytes()
}

fn exponent_form(magnitude: f64, precision: usize) -> String {
    let text = format!("{magnitude:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn general_form(magnitude: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else { return number::format(magnitude) };
    let precision = precision.max(1);
    let exponential = format!("{magnitude:.*e}", precision - 1);
    let exponent: i32 = exponential.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= i32::try_from(precision).unwrap_or(i32::MAX) {
        let text = exponent_form(magnitude, precision - 1);
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "+00"));
        return format!("{}e{power}", trim(mantissa));
    }
    let decimals = usize::try_from(i32::try_from(precision).unwrap_or(i32::MAX) - 1 - exponent).unwrap_or(0);
    trim(&format!("{magnitude:.decimals$}"))
}

fn pad(output: &mut Vec<u8>, flags: Flags, text: &[u8]) {
    let width = flags.width.unwrap_or(0);
    let shown = String::from_utf8_lossy(text).chars().count();
    // Texts are filled up with zeros, too.
    let fill = if flags.zero && !flags.minus { b'0' } else { b' ' };
    let blanks = vec![fill; width.saturating_sub(shown)];
    if flags.minus {
        output.extend_from_slice(text);
        output.extend_from_slice(&blanks);
    } else {
        output.extend_from_slice(&blanks);
        output.extend_from_slice(text);
    }
}
