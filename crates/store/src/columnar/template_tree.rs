//! Finds the template of a line while reading the line, by what was read before.
//!
//! Templates are the leaves of a tree. A node is a place in a line at which a literal begins, an edge a literal and the
//! kind of part that follows. A line that has a known template is never read for its literals: at each node the edges
//! taken last are compared with it, and only the variable part behind the one that fits is measured. Where none of these
//! fits, the literal is read and its edge looked up by hash, or added.
//!
//! Invariant: the parts found are those that [`Reading`] finds, whatever the tree knows.

use std::collections::HashMap;

use timberyard_model::prehashed::Prehashed;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::strings::Span;
use super::tokenize::{Line, Part, Reading, SLOTS_MAX};
use super::words::{low_bytes, stands_at, word_at};

/// Edges of a node that are compared before the literal is read.
const HOT_EDGES: usize = 4;
const NO_EDGE: u32 = u32::MAX;
/// Bytes of a literal that are compared as one word.
const HEAD_BYTES: usize = 8;

/// All templates of one group, or of one column.
#[derive(Default)]
pub(super) struct TemplateTree {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    literals: Vec<u8>,
    /// Edges by their node, literal and part.
    known: HashMap<u64, u32, Prehashed>,
    templates: u32,
}

/// A place in a line where a literal begins.
#[derive(Clone, Copy)]
struct Node {
    /// What ends there.
    before: Part,
    /// The edges taken last, the last one first.
    hot: [u32; HOT_EDGES],
}

#[derive(Clone, Copy)]
struct Edge {
    from: u32,
    /// The node after the part, or the number of the template when the line ends.
    to: u32,
    /// The first bytes of the literal, and which bits of them it has.
    head: u64,
    head_mask: u64,
    literal_start: u32,
    literal_len: u32,
    part: Part,
}

/// What the tree says of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The number of its template, counted from 0 in the order of first lines.
    Known(u32),
    /// It is the first line of this template.
    New(u32),
    /// It has too many parts, or a template that is not known and for which there is no room.
    None,
}

impl TemplateTree {
    /// Forgets all templates and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.edges.clear();
        self.literals.clear();
        self.known.clear();
        self.templates = 0;
        // A root for each way of reading.
        self.nodes.resize(3, Node { before: Part::End, hot: [NO_EDGE; HOT_EDGES] });
    }

    /// Finds the template of the line, or adds it where there is room, and leaves the line's variable parts in `parts`.
    /// Time is linear in the line's length.
    #[inline]
    pub(super) fn find(
        &mut self,
        line: Line<'_>,
        reading: Reading,
        room: bool,
        parts: &mut Vec<Span>,
    ) -> Found {
        parts.clear();
        let mut node = reading as u32;
        let mut at = line.start();
        loop {
            let taken = self.hot_edge(node, line, at);
            let taken = taken.or_else(|| self.read_edge(node, line, at, reading, room));
            let Some((number, part_end)) = taken else { return Found::None };
            let edge = &self.edges[number as usize];
            if edge.part == Part::End {
                return match edge.to {
                    NO_EDGE => self.add_template(number),
                    template => Found::Known(template),
                };
            }
            if parts.len() == SLOTS_MAX {
                return Found::None;
            }
            let start = at + edge.literal_len as usize;
            parts.push(Span { start: start as u32, len: (part_end - start) as u32 });
            node = edge.to;
            at = part_end;
        }
    }

    /// The edge among those taken last that the line takes, and where the part behind it ends.
    #[inline]
    fn hot_edge(&mut self, node: u32, line: Line<'_>, at: usize) -> Option<(u32, usize)> {
        let number = self.nodes[node as usize].hot[0];
        match self.taken(number, line, at) {
            Some(part_end) => Some((number, part_end)),
            None => self.warm_edge(node, line, at),
        }
    }

    /// The same for all but the last edge, which becomes the last.
    #[inline(never)]
    fn warm_edge(&mut self, node: u32, line: Line<'_>, at: usize) -> Option<(u32, usize)> {
        for rank in 1..HOT_EDGES {
            let number = self.nodes[node as usize].hot[rank];
            if let Some(part_end) = self.taken(number, line, at) {
                self.nodes[node as usize].hot[..=rank].rotate_right(1);
                return Some((number, part_end));
            }
        }
        None
    }

    /// Where the part behind an edge ends, when the line takes that edge.
    #[inline]
    fn taken(&self, edge: u32, line: Line<'_>, at: usize) -> Option<usize> {
        let edge = self.edges.get(edge as usize)?;
        let start = at + edge.literal_len as usize;
        let stands = (word_at(line.text(), at) ^ edge.head) & edge.head_mask == 0
            && start <= line.end()
            && (edge.literal_len as usize <= HEAD_BYTES || self.tail_stands(edge, line.text(), at));
        if stands { line.part_end(edge.part, start) } else { None }
    }

    /// Whether the literal of an edge goes on at `at` as it begins there.
    #[inline]
    fn tail_stands(&self, edge: &Edge, text: &[u8], at: usize) -> bool {
        let literal = &self.literals[edge.literal_start as usize..][..edge.literal_len as usize];
        stands_at(text, at + HEAD_BYTES, &literal[HEAD_BYTES..])
    }

    /// Reads the literal and looks its edge up, or adds it where there is room.
    #[inline(never)]
    fn read_edge(
        &mut self,
        node: u32,
        line: Line<'_>,
        at: usize,
        reading: Reading,
        room: bool,
    ) -> Option<(u32, usize)> {
        let before = self.nodes[node as usize].before;
        let (start, end, part) = line.next_part(reading, at, before);
        let literal = &line.text()[at..start];
        // Spread over all bits, since the seed is but added to a short literal.
        let seed = (u64::from(node) << 3 | part as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = xxh3_64_with_seed(literal, seed);
        let number = match self.known.get(&hash) {
            Some(number) => {
                let edge = &self.edges[*number as usize];
                let known = &self.literals[edge.literal_start as usize..][..edge.literal_len as usize];
                // Two edges with one hash: the later one goes without.
                if (edge.from, edge.part) != (node, part) || known != literal {
                    return None;
                }
                *number
            }
            None if !room => return None,
            None => self.add_edge(node, literal, part, hash),
        };
        let hot = &mut self.nodes[node as usize].hot;
        hot.rotate_right(1);
        hot[0] = number;
        Some((number, end))
    }

    fn add_edge(&mut self, from: u32, literal: &[u8], part: Part, hash: u64) -> u32 {
        let number = self.edges.len() as u32;
        let to = if part == Part::End {
            NO_EDGE
        } else {
            self.nodes.push(Node { before: part, hot: [NO_EDGE; HOT_EDGES] });
            (self.nodes.len() - 1) as u32
        };
        let (head, head_mask) = (word_at(literal, 0), low_bytes(literal.len()));
        let (literal_start, literal_len) = (self.literals.len() as u32, literal.len() as u32);
        self.literals.extend_from_slice(literal);
        self.edges.push(Edge { from, to, head, head_mask, literal_start, literal_len, part });
        self.known.insert(hash, number);
        number
    }

    fn add_template(&mut self, edge: u32) -> Found {
        let number = self.templates;
        self.templates += 1;
        self.edges[edge as usize].to = number;
        Found::New(number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::classes::Classes;
    use super::*;

    /// However much the tree knows, the parts are those of reading the line from its beginning.
    #[test]
    fn a_known_template_has_the_parts_that_reading_finds() {
        let mut rng = fastrand::Rng::with_seed(7);
        let pieces: [&[u8]; 21] = [
            b"a",
            b"b1",
            b"=",
            b" ",
            b"\"",
            b"\\",
            b"{",
            b"}",
            b":",
            b",",
            b"12",
            b"key",
            b"[",
            b"\"k\":",
            b"\xff",
            b"=x ",
            b" a literal of more than a word ",
            b"123456789",
            b"c0ffee99",
            b"-",
            b"f",
        ];
        for reading in [Reading::Text, Reading::Json, Reading::Value] {
            let mut tree = TemplateTree::default();
            tree.clear();
            let mut parts = Vec::new();
            let mut classes = Classes::default();
            for _ in 0..100_000 {
                let mut text = b"before".to_vec();
                (0..rng.usize(..12)).for_each(|_| text.extend_from_slice(pieces[rng.usize(..pieces.len())]));
                let place = Span { start: 6, len: text.len() as u32 - 6 };
                (0..rng.usize(..3)).for_each(|_| text.extend_from_slice(pieces[rng.usize(..pieces.len())]));
                classes.read(&text, place, reading);
                let line = Line::new(&text, place, &classes);
                assert_ne!(tree.find(line, reading, true, &mut parts), Found::None);
                let (mut at, mut before) = (place.start as usize, Part::End);
                let mut read = Vec::new();
                loop {
                    let (start, end, part) = line.next_part(reading, at, before);
                    if part == Part::End {
                        break;
                    }
                    read.push(Span { start: start as u32, len: (end - start) as u32 });
                    (at, before) = (end, part);
                }
                assert_eq!(parts, read, "{reading:?} {:?}", String::from_utf8_lossy(place.of(&text)));
            }
        }
    }
}
