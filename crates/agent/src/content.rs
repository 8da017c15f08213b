//! The bytes of a log, whatever file they lie in: plain, gzip or Zstandard. Offsets are those of the plain text.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::fingerprint::FINGERPRINT_BYTES_MAX;

/// How a file's name says that it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    pub(crate) fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// An open file.
pub(crate) struct Content {
    file: File,
    packing: Packing,
    /// The reader of a compressed file, and where in the text it stands.
    inflating: Option<(Box<dyn Read + Send>, u64)>,
}

impl Content {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, packing: Packing::of(path), inflating: None })
    }

    pub(crate) fn is_packed(&self) -> bool {
        self.packing != Packing::Plain
    }

    /// Device, inode, bytes of the file, and how many names it has.
    pub(crate) fn identity(&self) -> io::Result<(u64, u64, u64, u64)> {
        let metadata = self.file.metadata()?;
        Ok((metadata.dev(), metadata.ino(), metadata.len(), metadata.nlink()))
    }

    /// The first bytes of the text, at most as many as a fingerprint has. Those of a compressed file that is not complete may be
    /// fewer.
    pub(crate) fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = vec![0; FINGERPRINT_BYTES_MAX];
        let mut filled = 0;
        if self.is_packed() {
            let mut reader = self.inflate()?;
            while filled < head.len() {
                match reader.read(&mut head[filled..]) {
                    Ok(0) | Err(_) => break,
                    Ok(bytes) => filled += bytes,
                }
            }
        } else {
            while filled < head.len() {
                match self.file.read_at(&mut head[filled..], filled as u64)? {
                    0 => break,
                    bytes => filled += bytes,
                }
            }
        }
        head.truncate(filled);
        Ok(head)
    }

    /// Reads from a place of the text; 0 at its end. A compressed file that breaks off is an error of the kind `UnexpectedEof`.
    pub(crate) fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if !self.is_packed() {
            return self.file.read_at(buffer, offset);
        }
        let (mut reader, mut at) = match self.inflating.take() {
            Some((reader, at)) if at <= offset => (reader, at),
            _ => (self.inflate()?, 0),
        };
        while at < offset {
            let step = usize::try_from(offset - at).unwrap_or(usize::MAX).min(buffer.len());
            match reader.read(&mut buffer[..step])? {
                0 => return Ok(0),
                bytes => at += bytes as u64,
            }
        }
        let bytes = reader.read(buffer)?;
        self.inflating = Some((reader, at + bytes as u64));
        Ok(bytes)
    }

    /// A reader from the beginning of the text.
    fn inflate(&self) -> io::Result<Box<dyn Read + Send>> {
        let file = FromStart { file: self.file.try_clone()?, at: 0 };
        Ok(match self.packing {
            Packing::Zstd => Box::new(zstd::Decoder::new(file)?),
            _ => Box::new(flate2::bufread::MultiGzDecoder::new(io::BufReader::new(file))),
        })
    }
}

/// Reads a file without moving the place that others of the same file share.
struct FromStart {
    file: File,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read_at(buffer, self.at)?;
        self.at += bytes as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read_all(content: &mut Content) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut buffer = [0; 700];
        loop {
            match content.read_at(&mut buffer, out.len() as u64)? {
                0 => return Ok(out),
                bytes => out.extend_from_slice(&buffer[..bytes]),
            }
        }
    }

    #[test]
    fn a_text_is_the_same_in_every_packing() {
        let folder = tempfile::tempdir().expect("a folder");
        let text: Vec<u8> = (0..2000).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).expect("in memory");
        let gzip = gzip.finish().expect("in memory");
        let zstd = zstd::encode_all(&text[..], 1).expect("in memory");
        for (name, bytes) in [("a.log", &text), ("a.log.gz", &gzip), ("a.log.zst", &zstd)] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            let mut content = Content::open(&path).expect("opened");
            assert_eq!(content.head().expect("read"), text[..FINGERPRINT_BYTES_MAX], "{name}");
            assert_eq!(read_all(&mut content).expect("read"), text, "{name}");
            let mut buffer = [0; 9];
            assert_eq!(content.read_at(&mut buffer, 7).expect("read back"), 9, "{name}");
            assert_eq!(buffer, text[7..16], "{name}");
            assert_eq!(content.read_at(&mut buffer, 1 << 30).expect("behind the end"), 0, "{name}");
            if name != "a.log" {
                std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("cut");
                let mut content = Content::open(&path).expect("opened");
                assert!(read_all(&mut content).is_err(), "{name} breaks off");
            }
        }
    }
}
