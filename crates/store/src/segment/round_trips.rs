//! Properties of the encoding: what goes in comes out, and bytes that are not a block are an error.

use std::sync::Arc;

use proptest::prelude::*;
use timberyard_model::level::DETECTED_LEVEL;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::{Labels, Rows, Timestamp};

use super::block::{Block, Decoded, Wanted};
use super::block_builder::{BuiltGroup, GroupBuilder};
use super::counts::Counts;
use super::footer;
use super::frame::{Frame, FrameWriter};
use super::handle::{SegmentSummary, Sequences};
use super::index::{BlockEntry, SegmentIndex};
use super::label_index::LabelIndex;
use crate::codec::checksum;

type Metadata = Vec<(String, Vec<u8>)>;

#[derive(Clone, Debug)]
struct PlainRow {
    time: i64,
    stream: u8,
    line: Vec<u8>,
    metadata: Metadata,
    merges: bool,
}

fn plain_row() -> impl Strategy<Value = PlainRow> {
    let time = prop_oneof![
        any::<i64>(),
        0..3i64,
        (0..1000i64).prop_map(|second| second * 1_000_000_000),
        (0..1000i64).prop_map(|milli| milli * 1_000_000),
    ];
    let line = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "[a-z]{0,8} [a-z]{0,8}".prop_map(String::into_bytes),
        Just(Vec::new()),
    ];
    let pair = ("[a-c]{0,2}", prop::collection::vec(any::<u8>(), 0..9));
    let level =
        "(info|warn|error|[a-z])".prop_map(|level| vec![(DETECTED_LEVEL.to_owned(), level.into_bytes())]);
    let metadata = prop_oneof![Just(Vec::new()), level, prop::collection::vec(pair, 0..4)];
    (time, 0..5u8, line, metadata, any::<bool>())
        .prop_map(|(time, stream, line, metadata, merges)| PlainRow { time, stream, line, metadata, merges })
}

fn plain_rows() -> impl Strategy<Value = Vec<PlainRow>> {
    let rows = prop::collection::vec(plain_row(), 1..200);
    (rows, 0..3u8).prop_map(|(mut rows, merging)| {
        rows.sort_by_key(|row| row.time);
        for row in &mut rows {
            row.merges = match merging {
                0 => false,
                1 => true,
                _ => row.merges,
            };
        }
        rows
    })
}

fn rows_of(plain: &[PlainRow]) -> Rows {
    let mut rows = RowsBuilder::default();
    for row in plain {
        let name = format!("stream-{}", row.stream);
        let stream = rows.stream(&Labels::from_pairs([("service_name", "api"), ("name", &*name)]));
        let metadata = row.metadata.iter().map(|(name, value)| (&**name, &**value));
        rows.push(stream, Timestamp::from_nanos(row.time), &row.line, metadata).expect("fits");
    }
    rows.finish()
}

fn encode(plain: &[PlainRow], block_bytes: usize) -> (BuiltGroup, Vec<u8>) {
    let mut frames = FrameWriter::new();
    let mut builder = GroupBuilder::new("api", block_bytes, (0, 0));
    let mut out = Vec::new();
    for (row, plain) in rows_of(plain).iter().zip(plain) {
        builder.push(row, plain.merges, &mut frames, 0, &mut out).expect("fits");
    }
    let built = builder.finish(&mut frames, 0, &mut out).expect("fits").expect("there are rows");
    (built, out)
}

fn stored<'a>(bytes: &'a [u8], entry: &BlockEntry) -> &'a [u8] {
    &bytes[entry.offset as usize..][..entry.stored_bytes() as usize]
}

proptest! {
    #[test]
    fn blocks_give_back_the_rows_they_were_built_from(plain in plain_rows(), block_bytes in 1..2000usize) {
        let (built, bytes) = encode(&plain, block_bytes);
        let group = &built.group;
        let mut expected = plain.iter();
        for entry in &group.blocks {
            let stored = stored(&bytes, entry);
            let decode = |stored, wanted| Block::decode(entry, stored, wanted, group.streams.len());
            let block = decode(stored, &Wanted::ALL).expect("decodes").rows().expect("nothing is filtered");
            let bare = Wanted { lines: false, metadata: false, ..Wanted::ALL };
            let rows_only = &stored[..bare.stored_bytes(entry) as usize];
            let times = decode(rows_only, &bare).expect("decodes").rows().expect("nothing is filtered");
            prop_assert_eq!(times.timestamps(), block.timestamps());
            for row in 0..block.rows() {
                let plain = expected.next().expect("no row more than there were");
                prop_assert_eq!(block.timestamps()[row].as_nanos(), plain.time);
                let labels = &built.labels[block.stream(row) as usize];
                let name = format!("stream-{}", plain.stream);
                prop_assert_eq!(labels.get("name"), Some(&*name));
                prop_assert_eq!(block.line(row), &plain.line[..]);
                prop_assert_eq!(block.merges(row), plain.merges);
                let metadata: Metadata =
                    block.metadata(row).map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
                prop_assert_eq!(&metadata, &plain.metadata);
            }
        }
        prop_assert!(expected.next().is_none());
        prop_assert_eq!(group.rows(), plain.len() as u64);
    }

    #[test]
    fn counts_are_those_of_the_rows(plain in plain_rows(), minutes in prop_oneof![Just(0), 1..30i64, 1..3000i64]) {
        let mut plain = plain;
        for (place, row) in plain.iter_mut().enumerate() {
            // Within some minutes, so that counting is worth it more often than not.
            row.time = row.time.rem_euclid(1_000_000) + place as i64 * minutes * 60_000_000_000 / 200;
        }
        plain.sort_by_key(|row| row.time);
        let (built, bytes) = encode(&plain, 2000);
        let group = &built.group;
        let Some(entry) = group.counts else { return Ok(()) };
        let section = entry.frame.read(&bytes[entry.offset as usize..][..entry.frame.stored as usize]);
        let counts = Counts::decode(&section.expect("checks"), group).expect("decodes");
        let levels_clear = !counts.names().any(|name| name == DETECTED_LEVEL);
        for (number, member) in group.streams.iter().enumerate() {
            let name = built.labels[number].get("name").expect("named");
            let of_stream = |row: &&PlainRow| format!("stream-{}", row.stream) == name;
            let stream = counts.stream(number, member).expect("counted");
            for unit in 0..stream.units() {
                let (first, last) = stream.bounds(unit);
                let inside = |row: &&PlainRow| first.as_nanos() <= row.time && row.time <= last.as_nanos();
                let rows: Vec<&PlainRow> = plain.iter().filter(of_stream).filter(inside).collect();
                let line_bytes: usize = rows.iter().map(|row| row.line.len()).sum();
                prop_assert_eq!(stream.line_bytes()[unit], line_bytes as u64);
                for (level, counted) in stream.levels() {
                    let of_level = |row: &&&PlainRow| {
                        let found = row.metadata.iter().find(|(name, _)| name == DETECTED_LEVEL);
                        !levels_clear || found.map(|(_, value)| value.as_slice()) == level
                    };
                    prop_assert_eq!(counted[unit], rows.iter().filter(of_level).count() as u64);
                }
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_a_block_is_noticed(plain in plain_rows(), place in any::<usize>(), bit in 0..8u8) {
        let (built, mut bytes) = encode(&plain, usize::MAX);
        let entry = &built.group.blocks[0];
        bytes.truncate(entry.stored_bytes() as usize);
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        prop_assert!(Block::decode(entry, &bytes, &Wanted::ALL, built.group.streams.len()).is_err());
    }

    /// With checksums that hold, so that the decoders behind them see the bytes.
    #[test]
    fn any_bytes_are_a_block_or_an_error(
        sections in prop::collection::vec(prop::collection::vec(0..6u8, 0..60), 3),
        rows in 0..40u32,
        streams in 0..4usize,
    ) {
        let frame = |bytes: &[u8]| {
            Frame { stored: bytes.len() as u32, raw: bytes.len() as u32, checksum: checksum(bytes) }
        };
        let entry = BlockEntry {
            offset: 0,
            rows,
            first: Timestamp::from_nanos(0),
            last: Timestamp::from_nanos(0),
            row_frame: frame(&sections[0]),
            line_frame: frame(&sections[1]),
            metadata_frame: frame(&sections[2]),
            gate: Frame::default(),
        };
        if let Ok(Decoded::Rows(block)) = Block::decode(&entry, &sections.concat(), &Wanted::ALL, streams) {
            for row in 0..block.rows() {
                let _ = (block.line(row), block.merges(row), block.stream(row), block.metadata(row).count());
            }
        }
    }

    #[test]
    fn a_changed_footer_is_a_footer_or_an_error(
        plain in plain_rows(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let (built, _) = encode(&plain, 300);
        let mut order: Vec<usize> = (0..built.labels.len()).collect();
        order.sort_by(|a, b| built.labels[*a].cmp(&built.labels[*b]));
        let streams: Vec<Labels> = order.iter().map(|place| built.labels[*place].clone()).collect();
        let mut group = built.group;
        for stream in &mut group.streams {
            let place = order.iter().position(|place| *place == stream.stream as usize);
            stream.stream = place.expect("every stream is there") as u32;
        }
        let index = SegmentIndex::new(Arc::new(LabelIndex::of(&streams)), Arc::new([group]));
        let summary = SegmentSummary {
            tenant: timberyard_model::TenantId::default(),
            day: 3,
            id: 4,
            file_bytes: 0,
            rows: plain.len() as u64,
            line_bytes: index.groups[0].line_bytes(),
            first: index.groups[0].first,
            last: index.groups[0].last,
            groups: 1,
            keys: 0,
            sequences: Sequences::of(5),
            compared: false,
        };
        let mut bytes = footer::encode(&summary, &index);
        let decoded = footer::decode(&bytes, footer::Version::NEWEST).expect("decodes");
        prop_assert_eq!(&decoded.index.labels, &index.labels);
        prop_assert_eq!(&decoded.index.groups, &index.groups);
        prop_assert_eq!((decoded.rows, decoded.day, decoded.id), (summary.rows, 3, 4));
        for (place, value) in changes {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        // Whatever it says now: reading it neither panics nor asks for more memory than there is.
        if let Ok(changed) = footer::decode(&bytes, footer::Version::NEWEST) {
            changed.index.select(&[]);
            changed.index.streams.get(0);
        }
    }
}
