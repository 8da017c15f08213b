//! Lines on their way to a process of a loop: streams first, then each line with its length, so that reading them costs next to
//! nothing.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use crate::generator::{Line, StreamLabels};

/// Writes streams and lines.
pub(crate) fn write(path: &Path, streams: &[StreamLabels], lines: &[Line]) -> Result<(), String> {
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(told)?);
    let head = serde_json::to_vec(streams).map_err(|e| e.to_string())?;
    let text = |file: &mut BufWriter<File>, text: &[u8]| {
        file.write_all(&(text.len() as u64).to_le_bytes()).and_then(|()| file.write_all(text)).map_err(told)
    };
    text(&mut file, &head)?;
    for line in lines {
        let place = [line.stream as u64, line.timestamp_ns.cast_unsigned()];
        place.iter().try_for_each(|part| file.write_all(&part.to_le_bytes())).map_err(told)?;
        text(&mut file, line.text.as_bytes())?;
    }
    file.flush().map_err(told)
}

/// Reads lines one after the other.
pub(crate) struct LineReader {
    file: BufReader<File>,
    /// What [`Line::stream`] counts.
    pub(crate) streams: Vec<Vec<(String, String)>>,
}

impl LineReader {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let told = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(told)?);
        let head = text(&mut file).map_err(told)?;
        let streams = serde_json::from_slice(&head).map_err(|e| e.to_string())?;
        Ok(Self { file, streams })
    }
}

fn number(file: &mut BufReader<File>) -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn text(file: &mut BufReader<File>) -> std::io::Result<Vec<u8>> {
    let mut text = vec![0; number(file)? as usize];
    file.read_exact(&mut text)?;
    Ok(text)
}

impl Iterator for LineReader {
    type Item = Line;

    /// The file ends where a line would begin.
    fn next(&mut self) -> Option<Line> {
        let stream = number(&mut self.file).ok()? as usize;
        let timestamp_ns = number(&mut self.file).ok()?.cast_signed();
        let text = String::from_utf8(text(&mut self.file).ok()?).ok()?;
        Some(Line { stream, timestamp_ns, text })
    }
}
