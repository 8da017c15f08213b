//! Bodies as they come over the wire, inflated under a cap.
//!
//! A body that would inflate beyond the cap is refused, and at no time is more memory held for
//! the output than the cap: sizes that a body claims are checked before they are believed. One
//! encoding a body; stacked encodings are refused.

use std::borrow::Cow;
use std::io::{self, Read};

use timberyard_model::buffer::Buffer;

use crate::error::DecodeError;

/// How a body is compressed: the values of `Content-Encoding` that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Identity,
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 1951, bare or in its RFC 1950 (zlib) wrapping: both are in use under this name.
    Deflate,
    /// RFC 8878.
    Zstd,
    /// Snappy, the block format or the framing format.
    Snappy,
}

impl Compression {
    /// From the value of a `Content-Encoding` header; the empty value is [`Compression::Identity`].
    pub fn from_content_encoding(value: &str) -> Result<Self, DecodeError> {
        let value = value.trim();
        let known = [
            ("", Self::Identity),
            ("identity", Self::Identity),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("zstd", Self::Zstd),
            ("snappy", Self::Snappy),
            ("x-snappy-framed", Self::Snappy),
        ];
        if let Some((_, compression)) = known.iter().find(|(name, _)| value.eq_ignore_ascii_case(name)) {
            return Ok(*compression);
        }
        let hint = if value.contains(',') { ": send one encoding, not several" } else { "" };
        Err(DecodeError::Unsupported(format!("Content-Encoding {value:?} not supported{hint}")))
    }
}

/// The body without its compression, at most `bytes_max` bytes of it.
pub fn inflate(
    body: &[u8],
    compression: Compression,
    bytes_max: usize,
) -> Result<Cow<'_, [u8]>, DecodeError> {
    // What bodies of logs usually inflate to, as a first guess of the buffer's size.
    let guess = body.len().saturating_mul(6);
    match compression {
        Compression::Identity if body.len() > bytes_max => Err(too_large(bytes_max)),
        Compression::Identity => Ok(Cow::Borrowed(body)),
        Compression::Gzip => {
            read_capped(flate2::read::MultiGzDecoder::new(body), "gzip", guess, bytes_max).map(Cow::Owned)
        }
        Compression::Deflate if has_zlib_header(body) => {
            read_capped(flate2::read::ZlibDecoder::new(body), "deflate", guess, bytes_max).map(Cow::Owned)
        }
        Compression::Deflate => {
            read_capped(flate2::read::DeflateDecoder::new(body), "deflate", guess, bytes_max).map(Cow::Owned)
        }
        Compression::Zstd => {
            let broken = |error: io::Error| DecodeError::malformed(format!("zstd: {error}"));
            if let Ok(Some(claimed)) = zstd::zstd_safe::get_frame_content_size(body)
                && claimed > bytes_max as u64
            {
                return Err(too_large(bytes_max));
            }
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(broken)?;
            decoder.window_log_max(window_log_max(bytes_max)).map_err(broken)?;
            read_capped(decoder, "zstd", guess, bytes_max).map(Cow::Owned)
        }
        Compression::Snappy if body.starts_with(SNAPPY_STREAM_HEADER) => {
            read_capped(snap::read::FrameDecoder::new(body), "snappy", guess, bytes_max).map(Cow::Owned)
        }
        Compression::Snappy => {
            inflate_snappy_block(body, bytes_max).map(|bytes| Cow::Owned(bytes.into_bytes()))
        }
    }
}

/// The chunk that a stream in Snappy's framing format begins with.
const SNAPPY_STREAM_HEADER: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// The best that Snappy can do: three bytes that stand for 64.
const SNAPPY_RATIO_MAX: usize = 22;

/// Inflates one block of Snappy's raw format, as Loki's protobuf pushes are.
pub fn inflate_snappy_block(body: &[u8], bytes_max: usize) -> Result<Buffer, DecodeError> {
    let corrupt = |_| DecodeError::malformed("snappy: corrupt input");
    let claimed = snap::raw::decompress_len(body).map_err(corrupt)?;
    if claimed > bytes_max {
        return Err(too_large(bytes_max));
    }
    if claimed / SNAPPY_RATIO_MAX > body.len() {
        return Err(DecodeError::malformed("snappy: corrupt input"));
    }
    let mut bytes = Buffer::of_len(claimed);
    snap::raw::Decoder::new().decompress(body, bytes.bytes_mut()).map_err(corrupt)?;
    Ok(bytes)
}

fn too_large(bytes_max: usize) -> DecodeError {
    DecodeError::TooLarge { what: "inflated body", limit: bytes_max }
}

/// Whether a body begins as RFC 1950 says. A bare deflate stream that does would have to start with a
/// stored block whose padding is not zero, which no compressor writes.
fn has_zlib_header(body: &[u8]) -> bool {
    match body {
        [method, flags, ..] => {
            method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)).is_multiple_of(31)
        }
        _ => false,
    }
}

/// The largest window that is worth its memory: no body may inflate to more than the cap.
fn window_log_max(bytes_max: usize) -> u32 {
    bytes_max.max(1).next_power_of_two().ilog2().clamp(10, 27)
}

/// Reads to the end, refusing more than `bytes_max` bytes and never reserving more.
fn read_capped(
    mut reader: impl Read,
    format: &str,
    guess: usize,
    bytes_max: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    let mut filled = 0;
    loop {
        if filled == bytes.len() {
            let room = bytes_max - filled;
            if room == 0 {
                return match read_some(&mut reader, &mut [0; 1], format)? {
                    0 => Ok(bytes),
                    _ => Err(too_large(bytes_max)),
                };
            }
            let more = if filled == 0 { guess.max(4096) } else { filled }.min(room);
            bytes.reserve_exact(more);
            bytes.resize(filled + more, 0);
        }
        match read_some(&mut reader, bytes.get_mut(filled..).unwrap_or_default(), format)? {
            0 => {
                bytes.truncate(filled);
                return Ok(bytes);
            }
            read => filled += read,
        }
    }
}

fn read_some(reader: &mut impl Read, buffer: &mut [u8], format: &str) -> Result<usize, DecodeError> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(DecodeError::malformed(format!("{format}: {error}"))),
            Ok(read) => return Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const ALL: [&str; 6] = ["gzip", "zlib", "deflate", "zstd", "snappy", "snappy-framed"];

    fn compressed(format: &str, plain: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        let written = "writes to memory do not fail";
        match format {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(plain).expect(written);
                encoder.finish().expect(written)
            }
            "zlib" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(plain).expect(written);
                encoder.finish().expect(written)
            }
            "deflate" => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(plain).expect(written);
                encoder.finish().expect(written)
            }
            "zstd" => zstd::bulk::compress(plain, 3).expect(written),
            "snappy" => snap::raw::Encoder::new().compress_vec(plain).expect(written),
            _ => {
                let mut encoder = snap::write::FrameEncoder::new(Vec::new());
                encoder.write_all(plain).expect(written);
                encoder.into_inner().expect(written)
            }
        }
    }

    fn inflated(format: &str, body: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecodeError> {
        let encoding = match format {
            "zlib" => "deflate",
            "snappy-framed" => "Snappy",
            format => format,
        };
        inflate(body, Compression::from_content_encoding(encoding)?, bytes_max).map(Cow::into_owned)
    }

    #[test]
    fn every_encoding_gives_back_what_went_in() {
        for plain in [&b"x"[..], b"ab", &b"a log line\n".repeat(20_000)] {
            for format in ALL {
                let body = compressed(format, plain);
                assert_eq!(inflated(format, &body, plain.len()).expect(format), plain, "{format}");
            }
        }
        assert_eq!(inflated("identity", b"as it is", 8).expect("fits"), b"as it is");
    }

    #[test]
    fn a_bomb_is_refused_by_name_of_the_limit() {
        let plain = vec![b'x'; 10 << 20];
        for format in ALL {
            let error = inflated(format, &compressed(format, &plain), 1 << 20).expect_err(format);
            assert_eq!(error.to_string(), "inflated body is larger than the limit of 1048576 bytes");
        }
        assert!(inflated("", b"12345", 4).is_err());
        // A block that claims 4 GiB in a few bytes, within a limit that would let it.
        let claim = b"\xff\xff\xff\xff\x0fabc";
        assert_eq!(
            inflated("snappy", claim, usize::MAX),
            Err(DecodeError::malformed("snappy: corrupt input"))
        );
    }

    #[test]
    fn a_damaged_body_is_an_error() {
        let plain = b"a log line\n".repeat(100);
        for format in ALL {
            let body = compressed(format, &plain);
            assert!(inflated(format, &body[..body.len() - 3], 1 << 20).is_err(), "{format} cut short");
            assert!(inflated(format, b"\x00\x01 no such format \xff", 1 << 20).is_err(), "{format} garbage");
        }
        // A frame that wants a window of 2 GiB.
        let window = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
        assert!(inflated("zstd", window, 1 << 20).is_err());
    }

    #[test]
    fn unknown_and_stacked_encodings_are_refused() {
        let error = Compression::from_content_encoding("br").expect_err("unknown");
        assert_eq!(error.to_string(), "Content-Encoding \"br\" not supported");
        let error = Compression::from_content_encoding("gzip, zstd").expect_err("stacked");
        assert_eq!(
            error.to_string(),
            "Content-Encoding \"gzip, zstd\" not supported: send one encoding, not several"
        );
        assert_eq!(Compression::from_content_encoding(" GZip "), Ok(Compression::Gzip));
    }
}
