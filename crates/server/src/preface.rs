//! Which protocol a client speaks where nobody has agreed on one: HTTP/2 when it begins with that protocol's preface (RFC 9113,
//! 3.4), anything else is for HTTP/1.1 to judge.
//!
//! Reads no more than the preface is long. What was read belongs to the connection and is handed on with it.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The version of HTTP that is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// One request after the other, and WebSockets.
    Http1,
    /// Many requests beside each other.
    Http2,
}

/// The protocol, and the bytes that tell it.
///
/// # Errors
/// That the connection cannot be read.
pub(crate) async fn recognise(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Protocol, Bytes)> {
    let mut begun = BytesMut::with_capacity(PREFACE.len());
    while PREFACE.starts_with(&begun) {
        if begun.len() == PREFACE.len() {
            return Ok((Protocol::Http2, begun.freeze()));
        }
        let left = (PREFACE.len() - begun.len()) as u64;
        if (&mut *stream).take(left).read_buf(&mut begun).await? == 0 {
            break;
        }
    }
    Ok((Protocol::Http1, begun.freeze()))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_preface_is_known_however_it_is_cut_and_everything_else_is_not_http_2() {
        // `|` is where it is cut.
        let cases = [
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n|rest", Protocol::Http2),
            ("P|RI * HTTP/2.0\r\n\r\nSM\r\n|\r\nrest", Protocol::Http2),
            ("P|UT / HTTP/1.1\r\n", Protocol::Http1),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r", Protocol::Http1),
            ("", Protocol::Http1),
        ];
        for (text, protocol) in cases {
            let (mut client, mut server) = tokio::io::duplex(64);
            let sending = async move {
                for piece in text.split('|') {
                    client.write_all(piece.as_bytes()).await.expect("room");
                    tokio::task::yield_now().await;
                }
            };
            let (found, ()) = tokio::join!(recognise(&mut server), sending);
            let (found, bytes) = found.expect("readable");
            assert_eq!(found, protocol, "{text:?}");
            assert!(text.replace('|', "").as_bytes().starts_with(&bytes), "{text:?}");
            assert!(protocol == Protocol::Http1 || *bytes == *PREFACE, "{text:?}");
        }
    }
}
