//! Text for label values out of bytes that need not be UTF-8.

/// Appends bytes as text, a blank for each U+FFFD and each byte that is not UTF-8.
pub(crate) fn push_clean(bytes: &[u8], text: &mut String) {
    if bytes.is_ascii()
        && let Ok(ascii) = std::str::from_utf8(bytes)
    {
        text.push_str(ascii);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find(char::REPLACEMENT_CHARACTER) {
            text.push_str(&rest[..at]);
            text.push(' ');
            rest = &rest[at + char::REPLACEMENT_CHARACTER.len_utf8()..];
        }
        text.push_str(rest);
        for _ in chunk.invalid() {
            text.push(' ');
        }
    }
}
