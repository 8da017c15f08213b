//! Lines into the bytes of a group.

use zstd::bulk::Compressor;

use super::blob::Blob;
use super::classes::Classes;
use super::column_encoder::ColumnEncoder;
use super::frame::{Frame, Stamp};
use super::gate::{EncodedColumn, GateBuilder};
use super::group::VERSION;
use super::integer;
use super::stretches::Stretches;
use super::strings::{Span, Strings};
use super::template_tree::{Found, TemplateTree};
use super::templates::Template;
use super::tokenize::{Line, Reading};
use crate::codec::{checksum, put_u64, put_varint};

/// Columns smaller than this lie together in the head.
pub(super) const OWN_FRAME_BYTES: usize = 4096;
/// The zstd level: on such columns a higher one gains nothing worth its time.
const LEVEL: i32 = 1;
/// Templates that may exist before most lines must have a known one.
const FREE_TEMPLATES: usize = 512;
/// The template of lines that have none of their own: one variable, the whole line.
const WHOLE_LINE: u32 = 0;

/// Encodes groups of lines; keeps its memory and its compression context between groups.
pub(crate) struct Encoder {
    classes: Classes,
    tree: TemplateTree,
    filled: Vec<Filled>,
    /// The template of each line.
    ids: Vec<u32>,
    /// How many lines each template has.
    rows: Vec<u64>,
    parts: Vec<Span>,
    spare_columns: Vec<Vec<Span>>,
    columns: ColumnEncoder,
    gate: GateBuilder,
    compressor: Compressor<'static>,
    head: Vec<u8>,
    /// Of the head.
    stretches: Stretches,
    frames: Vec<u8>,
    blob: Vec<u8>,
}

/// A template with the values of each slot so far.
struct Filled {
    template: Template,
    columns: Vec<Vec<Span>>,
}

impl Encoder {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            classes: Classes::default(),
            tree: TemplateTree::default(),
            filled: Vec::new(),
            ids: Vec::new(),
            rows: Vec::new(),
            parts: Vec::new(),
            spare_columns: Vec::new(),
            columns: ColumnEncoder::default(),
            gate: GateBuilder::default(),
            compressor: Compressor::new(LEVEL)?,
            head: Vec::new(),
            stretches: Stretches::default(),
            frames: Vec::new(),
            blob: Vec::new(),
        })
    }

    /// Appends the group of these lines: together less than 4 GiB.
    pub(crate) fn encode(&mut self, lines: &Strings, out: &mut Vec<u8>) -> std::io::Result<()> {
        self.clear();
        let text = &lines.bytes;
        let mut start = 0;
        for &end in &lines.ends {
            self.file(text, Span { start, len: end - start });
            start = end;
        }

        let Self { filled, ids, rows, columns, gate, compressor, head, stretches, frames, blob, .. } = self;
        put_varint(head, lines.len() as u64);
        put_varint(head, text.len() as u64);
        put_varint(head, filled.len() as u64);
        rows.clear();
        rows.resize(filled.len(), 0);
        ids.iter().for_each(|id| rows[*id as usize] += 1);
        for (filled, rows) in filled.iter().zip(rows.iter()) {
            put_varint(head, *rows);
            filled.template.write(head);
        }
        let planes = integer::encode(ids, blob);
        let mut places = Places { compressor, head, stretches, frames, apart: Stretches::default() };
        places.place(blob, None, |stretches, end| stretches.note_numbers(end, planes, ids.len()))?;
        for (Filled { template, columns: slots }, rows) in filled.iter().zip(rows.iter()) {
            let mut literals = template.literals();
            let first = literals.next().unwrap_or_default();
            gate.begin();
            if *rows > 0 {
                gate.literal(first);
            }
            for (values, literal) in slots.iter().zip(literals) {
                blob.clear();
                let classes = columns.encode(text, values, blob);
                let stamp = Stamp::of(classes, values);
                let (slots, slot_rows) = (columns.slot_stamps(), columns.slot_rows());
                if *rows > 0 {
                    gate.column(EncodedColumn { blob, count: values.len(), stamp, slots, slot_rows });
                    gate.literal(literal);
                }
                places.place(blob, Some((stamp, slots)), |stretches, end| {
                    stretches.note_column(end - blob.len(), blob, values.len(), slot_rows);
                })?;
            }
            gate.end();
        }
        let start = out.len();
        out.push(VERSION);
        Frame::write(compressor, head, stretches, out)?;
        put_u64(out, checksum(&out[start..]));
        out.extend_from_slice(frames);
        Ok(())
    }

    /// Appends the gate of the group that was encoded last, as large as it may be for so many bytes of lines; nothing if
    /// there is none worth having.
    pub(crate) fn write_gate(&mut self, line_bytes: usize, out: &mut Vec<u8>) {
        self.gate.finish(line_bytes, out);
    }

    /// About how much memory it keeps for the next group, in bytes.
    pub(crate) fn kept_bytes(&self) -> usize {
        let columns = self.filled.iter().flat_map(|filled| &filled.columns).chain(&self.spare_columns);
        let values: usize = columns.map(Vec::capacity).sum();
        let bytes = self.head.capacity() + self.frames.capacity() + self.blob.capacity();
        values * size_of::<Span>()
            + self.ids.capacity() * size_of::<u32>()
            + bytes
            + self.columns.kept_bytes()
    }

    /// Forgets everything but the template of whole lines, and keeps the memory for the next group.
    fn clear(&mut self) {
        self.tree.clear();
        self.gate.clear();
        self.ids.clear();
        self.head.clear();
        self.stretches.clear();
        self.frames.clear();
        self.blob.clear();
        for mut column in self.filled.drain(..).flat_map(|filled| filled.columns) {
            column.clear();
            self.spare_columns.push(column);
        }
        self.add(Template::whole());
    }

    fn add(&mut self, template: Template) {
        let columns = (0..template.slots()).map(|_| self.spare_columns.pop().unwrap_or_default()).collect();
        self.filled.push(Filled { template, columns });
    }

    /// Puts the variable parts of the line at `place` into the columns of its template.
    fn file(&mut self, text: &[u8], place: Span) {
        let room = self.filled.len() <= FREE_TEMPLATES.max(self.ids.len() / 4);
        let reading = Reading::of_line(place.of(text));
        self.classes.read(text, place, reading);
        let line = Line::new(text, place, &self.classes);
        let number = match self.tree.find(line, reading, room, &mut self.parts) {
            Found::Known(number) => number + 1,
            Found::New(number) => {
                self.add(Template::of(text, place, &self.parts));
                number + 1
            }
            Found::None => {
                self.parts.clear();
                self.parts.push(place);
                WHOLE_LINE
            }
        };
        self.ids.push(number);
        for (column, part) in self.filled[number as usize].columns.iter_mut().zip(&self.parts) {
            column.push(*part);
        }
    }
}

/// Where the columns of a group go.
struct Places<'e> {
    compressor: &'e mut Compressor<'static>,
    head: &'e mut Vec<u8>,
    /// Of the head.
    stretches: &'e mut Stretches,
    frames: &'e mut Vec<u8>,
    /// Of a column with a frame of its own.
    apart: Stretches,
}

impl Places<'_> {
    /// Puts a column into the head, or into a frame of its own with its outline in the head: with the stamps of its values,
    /// and of a nested column's slots. The numbers of templates have no outline. `note` is told where among other bytes the
    /// column ends.
    fn place(
        &mut self,
        blob: &[u8],
        outline: Option<(Stamp, &[Stamp])>,
        note: impl Fn(&mut Stretches, usize),
    ) -> std::io::Result<()> {
        if blob.len() < OWN_FRAME_BYTES {
            put_varint(self.head, blob.len() as u64 + 1);
            note(self.stretches, self.head.len() + blob.len());
            Blob::write_small(blob, outline.map_or(&[], |(_, slots)| slots), self.head);
            Ok(())
        } else {
            put_varint(self.head, 0);
            let outlined = match outline {
                Some((stamp, slots)) => Blob::write_outline(blob, stamp, slots, self.head),
                None => Blob::write_outline(&[], Stamp::default(), &[], self.head),
            };
            self.apart.clear();
            note(&mut self.apart, blob.len());
            Frame::write_apart(self.compressor, (blob, outlined, &self.apart), self.head, self.frames)
        }
    }
}
