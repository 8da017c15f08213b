//! How a call ended, as gRPC and OTLP tell it: a code, `google.rpc.Status`, and text in a header.
//!
//! ```text
//! Status    { 1: int32 code, 2: string message, 3: repeated Any details }
//! Any       { 1: string type_url, 2: bytes value }
//! RetryInfo { 1: Duration }
//! Duration  { 1: int64 seconds }
//! ```
//!
//! <https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto>, `error_details.proto` beside it.

use crate::protobuf::{write_bytes, write_number};

const RETRY_INFO: &[u8] = b"type.googleapis.com/google.rpc.RetryInfo";

/// How a call ended: the codes of gRPC that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Well; also when nothing is said about it.
    Ok = 0,
    /// The request is wrong, and stays so.
    InvalidArgument = 3,
    /// It took too long.
    DeadlineExceeded = 4,
    /// It is there already.
    AlreadyExists = 6,
    /// Whoever asks may not do this.
    PermissionDenied = 7,
    /// Over a limit; to be tried again only where it is said when.
    ResourceExhausted = 8,
    /// At odds with what is there.
    Aborted = 10,
    /// There is no such method, encoding or format.
    Unimplemented = 12,
    /// A fault of the server.
    Internal = 13,
    /// Not now.
    Unavailable = 14,
    /// Nobody knows who asks.
    Unauthenticated = 16,
}

impl Code {
    /// Its number.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// `google.rpc.Status`, with `RetryInfo` where it is known after how many seconds to try again.
pub fn encode(code: Code, message: &str, retry_after_seconds: Option<u64>) -> Vec<u8> {
    let mut status = Vec::new();
    if code != Code::Ok {
        write_number(&mut status, 1, code.number().into());
    }
    write_bytes(&mut status, 2, message.as_bytes());
    if let Some(seconds) = retry_after_seconds {
        let (mut duration, mut retry_info, mut any) = (Vec::new(), Vec::new(), Vec::new());
        write_number(&mut duration, 1, seconds);
        write_bytes(&mut retry_info, 1, &duration);
        write_bytes(&mut any, 1, RETRY_INFO);
        write_bytes(&mut any, 2, &retry_info);
        write_bytes(&mut status, 3, &any);
    }
    status
}

/// A message as the header `grpc-message` has it: bytes outside of printable ASCII, and `%`, as `%XX`.
pub fn header_text(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' | ..b' ' | 0x7f.. => {
                text.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(nibble.into(), 16).unwrap_or('0').to_ascii_uppercase());
                }
            }
            printable => text.push(printable.into()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_what_is_known_and_nothing_else() {
        assert_eq!(encode(Code::Ok, "no", None), b"\x12\x02no");
        let status = encode(Code::Unavailable, "later", Some(7));
        let any = [&b"\x0a\x28"[..], RETRY_INFO, b"\x12\x04\x0a\x02\x08\x07"].concat();
        assert_eq!(status, [&b"\x08\x0e\x12\x05later\x1a\x30"[..], &any].concat());
    }

    #[test]
    fn a_message_in_a_header_is_ascii() {
        assert_eq!(header_text("100 % é\n"), "100 %25 %C3%A9%0A");
    }
}
