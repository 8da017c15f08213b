//! Fields as `name=value name="a value" name`, as Go's logfmt writes them. Bytes that fit nowhere are passed over.

use super::super::draft::Fields;

/// False where nothing in the text is a field.
pub(super) fn read(text: &[u8], fields: &mut Fields) -> bool {
    let mut rest = text;
    let mut value = Vec::new();
    let mut any = false;
    loop {
        let start = rest.iter().position(|byte| is_name(*byte));
        let Some(from) = start.and_then(|start| rest.get(start..)) else { return any };
        let (name, after) = from.split_at(from.iter().position(|byte| !is_name(*byte)).unwrap_or(from.len()));
        rest = after;
        // A name alone says nothing that could be asked for.
        let Some(from) = rest.strip_prefix(b"=") else { continue };
        value.clear();
        rest = match from.strip_prefix(b"\"") {
            Some(quoted) => read_quoted(quoted, &mut value),
            None => {
                let end = from.iter().position(u8::is_ascii_whitespace).unwrap_or(from.len());
                let (plain, after) = from.split_at(end);
                value.extend_from_slice(plain);
                after
            }
        };
        fields.push(name, &value);
        any = true;
    }
}

fn is_name(byte: u8) -> bool {
    byte > b' ' && byte != b'=' && byte != b'"'
}

/// Reads up to the closing quote, or to the end where there is none; gives what is behind it.
fn read_quoted<'a>(text: &'a [u8], value: &mut Vec<u8>) -> &'a [u8] {
    let mut rest = text;
    while let Some(end) = memchr::memchr2(b'"', b'\\', rest) {
        let (plain, from) = rest.split_at(end);
        value.extend_from_slice(plain);
        match from {
            [b'\\', escaped, after @ ..] => {
                value.push(match escaped {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    other => *other,
                });
                rest = after;
            }
            [_, after @ ..] if from.first() == Some(&b'"') => return after,
            _ => {
                rest = &[];
            }
        }
    }
    value.extend_from_slice(rest);
    &[]
}
