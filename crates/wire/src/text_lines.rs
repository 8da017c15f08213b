//! The lines of a body.

/// What lies between line feeds, the feeds left out, as `split` gives it: an empty body has one empty line.
pub(crate) fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr::memchr(b'\n', text) else { return rest.take() };
        let (line, after) = text.split_at(end);
        rest = after.get(1..);
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_split() {
        for body in ["", "\n", "a", "a\n", "\na", "a\n\nb\r\n", "one\ntwo"] {
            let split = body.as_bytes().split(|byte| *byte == b'\n');
            assert!(lines(body.as_bytes()).eq(split), "{body:?}");
        }
    }
}
