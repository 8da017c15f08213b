//! Turns any key into a label name.

/// Appends `key` to a name: blanks around it are cut, a digit at the very start gets `_` in front,
/// and every character that a label name cannot hold becomes `_`. Nothing is appended for a blank key.
pub(crate) fn push_sanitized(name: &mut String, key: &[u8]) {
    if let Some(proper) = as_label_name(key)
        && !(name.is_empty() && key[0].is_ascii_digit())
    {
        name.push_str(proper);
        return;
    }
    // What is not UTF-8 cannot be part of a name either.
    for chunk in trimmed(key).utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_ascii_digit() && name.is_empty() {
                name.push('_');
            }
            name.push(if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' });
        }
        for _ in chunk.invalid() {
            name.push('_');
        }
    }
}

/// The key, when it needs no change but perhaps in front. Never empty.
fn as_label_name(key: &[u8]) -> Option<&str> {
    let is_proper = !key.is_empty() && key.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    is_proper.then(|| std::str::from_utf8(key).ok()).flatten()
}

/// Whether nothing but blanks is in the key.
pub(crate) fn is_blank(key: &[u8]) -> bool {
    if key.first().is_some_and(u8::is_ascii_graphic) {
        return false;
    }
    trimmed(key).is_empty()
}

fn trimmed(key: &[u8]) -> &[u8] {
    match std::str::from_utf8(key) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => key.trim_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_label_names() {
        for (key, name) in [
            ("app", "app"),
            ("with-dash.dot", "with_dash_dot"),
            (" spaced key ", "spaced_key"),
            ("1digit", "_1digit"),
            ("ünï", "_n_"),
            ("", ""),
            (" \t", ""),
            ("$", "_"),
        ] {
            let mut sanitized = String::new();
            push_sanitized(&mut sanitized, key.as_bytes());
            assert_eq!(sanitized, name, "{key:?}");
            assert_eq!(is_blank(key.as_bytes()), name.is_empty());
        }
        let mut nested = String::from("a_");
        push_sanitized(&mut nested, b"1\xff");
        assert_eq!(nested, "a_1_");
    }
}
