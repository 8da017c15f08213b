//! Addresses of e-mail in the form that is in use: `local@host.domain`, in ASCII.

use std::ops::Range;

use super::Detector;

/// The longest part before the `@` and the longest host (RFC 5321, 4.5.3.1), in bytes.
const LOCAL_BYTES_MAX: usize = 64;
const HOST_BYTES_MAX: usize = 255;

pub(super) struct Email;

impl Detector for Email {
    fn find(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        let mut at = from;
        loop {
            let sign = at + memchr::memchr(b'@', text.get(at..)?)?;
            if let (Some(start), Some(end)) = (local_start(text, from, sign), host_end(text, sign + 1)) {
                return Some(start..end);
            }
            at = sign + 1;
        }
    }
}

fn local_start(text: &[u8], from: usize, sign: usize) -> Option<usize> {
    let before = text.get(from..sign)?;
    let is_local = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte);
    let length = before.iter().rev().take(LOCAL_BYTES_MAX).take_while(is_local).count();
    let mut start = sign - length;
    // In JSON the letter behind a backslash belongs to it.
    if start > from && text.get(start - 1) == Some(&b'\\') {
        start += 1;
    }
    (start < sign).then_some(start)
}

/// The end of the longest host with at least two names, the last of two letters or more.
fn host_end(text: &[u8], start: usize) -> Option<usize> {
    let from = text.get(start..)?;
    let is_host = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let length = from.iter().take(HOST_BYTES_MAX).take_while(is_host).count();
    let mut host = from.get(..length)?;
    loop {
        let dot = memchr::memrchr(b'.', host)?;
        let (names, last) = (host.get(..dot)?, host.get(dot + 1..)?);
        let letters = last.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let ends = last.get(letters).is_none_or(|byte| *byte == b'-');
        if letters >= 2 && ends && names.first().is_some_and(u8::is_ascii_alphanumeric) {
            return Some(start + dot + 1 + letters);
        }
        host = names;
    }
}
