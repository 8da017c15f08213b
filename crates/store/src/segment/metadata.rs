//! The structured metadata of a block, as columns.
//!
//! Rows with the same names in the same order have one *shape*; each place of a shape is a column. Rows without
//! metadata cost nothing when all are without, and one number otherwise.

use std::collections::HashMap;

use super::frame::{Frame, FrameWriter};
use crate::codec::{Malformed, Reader, put_bytes, put_varint};
use crate::columnar::{
    Column, ColumnEncoder, Matches, Span, Stretches, Strings, column_budget, decode_numbers, encode_numbers,
};

/// Pairs that one row may have: far more than the record limits allow.
const PAIRS_MAX: usize = 1 << 16;

/// Collects the metadata of the rows of a block.
#[derive(Default)]
pub(super) struct MetadataBuilder {
    names: Vec<Box<str>>,
    name_numbers: HashMap<Box<str>, u32>,
    shapes: Vec<Shape>,
    shape_numbers: HashMap<Box<[u32]>, u32>,
    /// The shape of each row.
    rows: Vec<u64>,
    values: Vec<u8>,
    row: Vec<u32>,
}

#[derive(Default)]
struct Shape {
    names: Box<[u32]>,
    columns: Vec<Vec<Span>>,
}

impl MetadataBuilder {
    /// Adds the next row; gives the number of its shape.
    pub(super) fn push<'m>(
        &mut self,
        metadata: impl ExactSizeIterator<Item = (&'m str, &'m [u8])> + Clone,
    ) -> u32 {
        let number = match self.rows.last() {
            // Neighbours mostly have the same names, and then nothing is hashed.
            Some(last) if self.has_shape(*last as u32, metadata.clone()) => *last as u32,
            _ => self.shape(metadata.clone()),
        };
        self.rows.push(u64::from(number));
        if let Some(shape) = self.shapes.get_mut(number as usize) {
            for (column, (_, value)) in shape.columns.iter_mut().zip(metadata) {
                column.push(Span { start: self.values.len() as u32, len: value.len() as u32 });
                self.values.extend_from_slice(value);
            }
        }
        number
    }

    /// The names of all rows' metadata, when they are needed no longer here.
    pub(super) fn take_names(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.names)
    }

    fn has_shape<'m>(
        &self,
        shape: u32,
        metadata: impl ExactSizeIterator<Item = (&'m str, &'m [u8])>,
    ) -> bool {
        self.shapes.get(shape as usize).is_some_and(|shape| {
            shape.names.len() == metadata.len()
                && shape
                    .names
                    .iter()
                    .zip(metadata)
                    .all(|(number, (name, _))| &*self.names[*number as usize] == name)
        })
    }

    /// The number of the shape with these names, adding it if it is new.
    fn shape<'m>(&mut self, metadata: impl Iterator<Item = (&'m str, &'m [u8])>) -> u32 {
        self.row.clear();
        for (name, _) in metadata {
            let number = match self.name_numbers.get(name) {
                Some(number) => *number,
                None => {
                    let number = self.names.len() as u32;
                    self.names.push(name.into());
                    self.name_numbers.insert(name.into(), number);
                    number
                }
            };
            self.row.push(number);
        }
        if let Some(number) = self.shape_numbers.get(self.row.as_slice()) {
            return *number;
        }
        let number = self.shapes.len() as u32;
        let names: Box<[u32]> = self.row.as_slice().into();
        self.shapes.push(Shape { names: names.clone(), columns: vec![Vec::new(); names.len()] });
        self.shape_numbers.insert(names, number);
        number
    }

    /// Bytes of all values so far.
    pub(super) fn bytes(&self) -> usize {
        self.values.len()
    }

    /// Appends the section to a file; it is empty when no row has any metadata.
    pub(super) fn write(&self, frames: &mut FrameWriter, file: &mut Vec<u8>) -> Result<Frame, Malformed> {
        let (mut out, mut stretches) = (Vec::new(), Stretches::default());
        self.encode(&mut out, &mut stretches);
        frames.write_stretches(&out, &stretches, file)
    }

    fn encode(&self, out: &mut Vec<u8>, stretches: &mut Stretches) {
        if self.names.is_empty() {
            return;
        }
        put_varint(out, self.names.len() as u64);
        self.names.iter().for_each(|name| put_bytes(out, name.as_bytes()));
        put_varint(out, self.shapes.len() as u64);
        for shape in &self.shapes {
            put_varint(out, shape.names.len() as u64);
            shape.names.iter().for_each(|name| put_varint(out, u64::from(*name)));
        }
        let planes = encode_numbers(&self.rows, out);
        stretches.note_numbers(out.len(), planes, self.rows.len());
        let mut encoder = ColumnEncoder::default();
        for column in self.shapes.iter().flat_map(|shape| &shape.columns) {
            let start = out.len();
            encoder.encode(&self.values, column, out);
            stretches.note_column(start, &out[start..], column.len(), encoder.slot_rows());
        }
    }
}

/// The shape of rows whose metadata nobody wants.
const NO_SHAPE: u32 = u32::MAX;

/// The rows of one shape.
#[derive(Clone, Default)]
struct RowsOfShape {
    count: usize,
    /// Those that are wanted, by their number among all of the shape.
    wanted: Vec<usize>,
}

/// The metadata of the rows of a block.
#[derive(Debug)]
pub(crate) struct Metadata {
    names: Vec<Box<str>>,
    shapes: Vec<(Vec<u32>, Vec<Strings>)>,
    /// The shape of each row, and its place among the rows of that shape that are wanted.
    rows: Vec<(u32, u32)>,
}

impl Metadata {
    /// Of a block whose metadata nobody wants.
    pub(super) const NONE: Self = Self { names: Vec::new(), shapes: Vec::new(), rows: Vec::new() };

    /// Reads a section of `rows` rows. Rows that do not match are given no metadata; when only pairs of certain names are
    /// wanted, others may be left out.
    pub(super) fn decode(
        bytes: &[u8],
        rows: usize,
        matches: &Matches,
        wanted: Option<&[Box<str>]>,
    ) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let names =
            (0..reader.count()?).map(|_| Ok(reader.text()?.into())).collect::<Result<Vec<Box<str>>, _>>()?;
        if wanted.is_some_and(|wanted| !names.iter().any(|name| wanted.contains(name))) {
            return Ok(Self::NONE);
        }
        let mut shapes = Vec::new();
        for _ in 0..reader.count()? {
            let pairs = reader.bounded(PAIRS_MAX)?;
            let known = |name: u32| ((name as usize) < names.len()).then_some(name);
            let shape = (0..pairs)
                .map(|_| known(reader.varint_u32()?).ok_or(Malformed("metadata name is not in the block")))
                .collect::<Result<Vec<u32>, _>>()?;
            shapes.push((shape, Vec::new()));
        }
        let mut of_shapes = vec![RowsOfShape::default(); shapes.len()];
        let mut places = Vec::with_capacity(rows);
        for (row, shape) in decode_numbers(&mut reader, rows)?.into_iter().enumerate() {
            let of_shape =
                of_shapes.get_mut(shape as usize).ok_or(Malformed("metadata shape is not in the block"))?;
            if matches.has(row) {
                places.push((shape as u32, of_shape.wanted.len() as u32));
                of_shape.wanted.push(of_shape.count);
            } else {
                places.push((NO_SHAPE, 0));
            }
            of_shape.count += 1;
        }
        let mut budget = column_budget(bytes.len());
        for ((pairs, columns), RowsOfShape { count, wanted: rows }) in shapes.iter_mut().zip(of_shapes) {
            let all = std::mem::take(pairs);
            for name in all {
                let column = Column::open(&mut reader, count, 0, &mut budget)?;
                if wanted.is_none_or(|wanted| wanted.contains(&names[name as usize])) {
                    columns.push(column.spell(&rows, &mut budget)?);
                    pairs.push(name);
                }
            }
        }
        reader.end()?;
        Ok(Self { names, shapes, rows: places })
    }

    /// Whether rows may have a pair of that name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|known| **known == *name)
    }

    /// Name and value of each pair of a row, in the order sent.
    pub(super) fn of_row(&self, row: usize) -> impl ExactSizeIterator<Item = (&str, &[u8])> + Clone {
        let (shape, place) = self.rows.get(row).copied().unwrap_or_default();
        let (names, columns) = self
            .shapes
            .get(shape as usize)
            .map_or((&[][..], &[][..]), |(names, columns)| (names.as_slice(), columns.as_slice()));
        names.iter().zip(columns).map(move |(name, column)| {
            let name = self.names.get(*name as usize).map_or("", |name| name);
            (name, column.get(place as usize))
        })
    }
}
