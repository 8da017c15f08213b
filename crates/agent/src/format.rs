//! What a line of a file is: itself, or an envelope that a container runtime has put around it.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp as JiffTimestamp;
use serde::Deserialize;

use crate::journal;

/// How lines of a target are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// As they are.
    #[default]
    Plain,
    /// As containerd and CRI-O write them: `TIME STREAM F|P TEXT`.
    Cri,
    /// As Docker's `json-file` driver writes them.
    Docker,
    /// As `journalctl` writes them as JSON.
    #[serde(skip)]
    Journal,
}

/// What was in the envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content<'a> {
    /// The line itself.
    pub(crate) text: Cow<'a, [u8]>,
    /// When the runtime got it, in nanoseconds since 1970.
    pub(crate) nanos: Option<i64>,
    /// `stdout` or `stderr`.
    pub(crate) stream: Option<&'static str>,
    /// Whether the next one goes on with this line.
    pub(crate) partial: bool,
    /// What else was there.
    pub(crate) fields: Option<Arc<Fields>>,
    /// Whether it is not to be sent.
    pub(crate) passed_over: bool,
}

/// Labels and structured metadata of a line's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) metadata: Vec<(String, Vec<u8>)>,
}

impl Content<'static> {
    /// Nothing that is to be sent.
    pub(crate) fn passed_over() -> Self {
        Self { passed_over: true, ..Self::default() }
    }
}

#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    stream: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
}

impl Format {
    /// The content of a line. One that is not of the format is its own content.
    pub(crate) fn read<'a>(self, line: &'a [u8]) -> Content<'a> {
        let read = match self {
            Self::Plain => None,
            Self::Cri => cri(line),
            Self::Docker => docker(line),
            Self::Journal => Some(journal::content(line)),
        };
        read.unwrap_or(Content { text: Cow::Borrowed(line), ..Content::default() })
    }
}

fn cri(line: &[u8]) -> Option<Content<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let (time, stream, tags) = (parts.next()?, parts.next()?, parts.next()?);
    let text = parts.next().unwrap_or_default();
    let nanos = nanos(std::str::from_utf8(time).ok()?)?;
    // Tags are separated by colons; the first one says whether the line is whole.
    let partial = match tags.split(|byte| *byte == b':').next()? {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    let stream = stream_name(stream)?;
    Some(Content {
        text: Cow::Borrowed(text),
        nanos: Some(nanos),
        stream: Some(stream),
        partial,
        ..Content::default()
    })
}

fn docker(line: &[u8]) -> Option<Content<'_>> {
    let line: DockerLine<'_> = serde_json::from_slice(line).ok()?;
    let partial = !line.log.ends_with('\n');
    let text = match line.log {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix('\n').unwrap_or(text).as_bytes()),
        Cow::Owned(mut text) => {
            if text.ends_with('\n') {
                text.pop();
            }
            Cow::Owned(text.into_bytes())
        }
    };
    Some(Content {
        text,
        nanos: line.time.and_then(|time| nanos(&time)),
        stream: line.stream.and_then(|stream| stream_name(stream.as_bytes())),
        partial,
        ..Content::default()
    })
}

fn stream_name(stream: &[u8]) -> Option<&'static str> {
    match stream {
        b"stdout" => Some("stdout"),
        b"stderr" => Some("stderr"),
        _ => None,
    }
}

fn nanos(time: &str) -> Option<i64> {
    i64::try_from(time.parse::<JiffTimestamp>().ok()?.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_taken_off() {
        let cri = Format::Cri.read(b"2026-11-21T10:00:00.000000001Z stderr F  two  words");
        assert_eq!((&*cri.text, cri.stream, cri.partial), (&b" two  words"[..], Some("stderr"), false));
        assert_eq!(cri.nanos.map(|nanos| nanos % 1_000_000_000), Some(1));
        assert!(Format::Cri.read(b"2026-11-21T10:00:00+01:00 stdout P:x half").partial);
        let docker = Format::Docker
            .read(br#"{"log":"say \"hi\"\n","stream":"stdout","time":"2026-11-21T10:00:00.5Z","attrs":{}}"#);
        assert_eq!(
            (&*docker.text, docker.stream, docker.partial),
            (&b"say \"hi\""[..], Some("stdout"), false)
        );
        assert!(Format::Docker.read(br#"{"log":"half","stream":"stdout"}"#).partial);
    }

    #[test]
    fn a_line_without_envelope_is_itself() {
        for line in [&b"plain"[..], b"2026-11-21T10:00:00Z stdout X y", b"{}", b"\xff", b""] {
            for format in [Format::Plain, Format::Cri, Format::Docker] {
                assert_eq!(&*format.read(line).text, line);
            }
        }
    }
}
