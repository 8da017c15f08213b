//! Fields by a pattern of literals and captures, as LogQL's: `<ip> - <_> [<time>] "<method> <path>`.
//!
//! A capture goes up to where the literal behind it comes first. What lies before the first literal belongs to the first
//! capture, or is passed over when the pattern begins with a literal.

use memchr::memmem;
use timberyard_model::labels::is_label_name;

use super::super::draft::Fields;

pub(super) struct FieldPattern {
    /// What the text begins with before the first capture.
    before: Vec<u8>,
    captures: Vec<Capture>,
}

struct Capture {
    /// Nothing for `<_>`.
    name: Option<String>,
    /// What ends it; the end of the text when empty.
    until: Vec<u8>,
}

impl FieldPattern {
    pub(super) fn new(source: &str) -> Result<Self, String> {
        let (mut before, mut captures) = (Vec::new(), Vec::<Capture>::new());
        let mut rest = source;
        while let Some(next) = rest.chars().next() {
            let name = rest.strip_prefix('<').and_then(|from| from.split_once('>')).map(|(name, _)| name);
            if let Some(name) = name.filter(|name| is_label_name(name)) {
                if captures.last().is_some_and(|capture| capture.until.is_empty()) {
                    return Err(format!(
                        "expression: nothing stands between `<{name}>` and the capture before it"
                    ));
                }
                let is_there = |capture: &Capture| capture.name.as_deref() == Some(name);
                if captures.iter().any(is_there) {
                    return Err(format!("expression: `<{name}>` is there twice"));
                }
                let named = (name != "_").then(|| name.to_owned());
                captures.push(Capture { name: named, until: Vec::new() });
                rest = rest.get(name.len() + 2..).unwrap_or_default();
                continue;
            }
            let literal = captures.last_mut().map_or(&mut before, |capture| &mut capture.until);
            literal.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
        }
        match captures.iter().any(|capture| capture.name.is_some()) {
            true => Ok(Self { before, captures }),
            false => Err("expression has no capture, such as <status>".to_owned()),
        }
    }

    /// False where the text does not go on as the pattern does: the fields until there count.
    pub(super) fn read(&self, text: &[u8], fields: &mut Fields) -> bool {
        let start = memmem::find(text, &self.before).map(|start| start + self.before.len());
        let Some(mut rest) = start.and_then(|start| text.get(start..)) else { return false };
        for capture in &self.captures {
            let end = match capture.until.is_empty() {
                true => Some(rest.len()),
                false => memmem::find(rest, &capture.until),
            };
            let (value, after) = rest.split_at(end.unwrap_or(rest.len()));
            if let Some(name) = &capture.name {
                fields.push(name.as_bytes(), value);
            }
            if end.is_none() {
                return false;
            }
            rest = after.get(capture.until.len()..).unwrap_or_default();
        }
        true
    }
}
