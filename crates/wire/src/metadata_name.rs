//! Names of structured metadata, made into label names as Loki does it on the way in.

use std::borrow::Cow;

/// A name that no label name can be made from: empty, or nothing but characters that are replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("structured metadata name {0:?} has no letter or digit")]
pub struct MetadataNameError(String);

/// The name under which Loki keeps `name`: every run of characters other than ASCII letters and digits
/// becomes one underscore, and a name that starts with a digit gets `key_` before it. A name of the
/// form `__…__` keeps its outer underscores.
pub fn sanitized(name: &str) -> Result<Cow<'_, str>, MetadataNameError> {
    if is_sanitized(name) {
        return Ok(Cow::Borrowed(name));
    }
    let reserved = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    let mut out = String::with_capacity(name.len() + 4);
    if reserved.is_some() {
        out.push_str("__");
    }
    let mut in_run = false;
    for c in reserved.unwrap_or(name).chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !in_run {
            out.push('_');
        }
        in_run = !c.is_ascii_alphanumeric();
    }
    if reserved.is_some() {
        out.push_str("__");
    }
    if !out.contains(|c: char| c != '_') {
        return Err(MetadataNameError(name.to_owned()));
    }
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert_str(0, "key_");
    }
    Ok(Cow::Owned(out))
}

/// Whether nothing needs to change, told without making the name.
fn is_sanitized(name: &str) -> bool {
    let bytes = name.as_bytes();
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    bytes.first().is_some_and(|byte| !byte.is_ascii_digit())
        && bytes.iter().all(allowed)
        && !bytes.windows(2).any(|pair| pair == b"__")
        && bytes != b"_"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_label_names() {
        let cases = [
            ("trace", "trace"),
            ("user.id", "user_id"),
            ("a__b", "a_b"),
            ("a.-b", "a_b"),
            ("_a", "_a"),
            ("__a", "_a"),
            ("__a.b__", "__a_b__"),
            ("9lives", "key_9lives"),
            ("größe", "gr_e"),
            ("a_", "a_"),
        ];
        for (name, expected) in cases {
            assert_eq!(sanitized(name).as_deref(), Ok(expected), "{name}");
        }
        for name in ["", "_", "__", "____", ".", "é"] {
            assert!(sanitized(name).is_err(), "{name}");
        }
    }
}
