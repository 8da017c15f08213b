//! One row of a decoded block, as conditions look at it.

use timberyard_model::row_condition::RowView;
use timberyard_model::{Labels, Timestamp};

use super::block::Block;
use super::index::{Group, SegmentIndex};

/// A row that is there, with the labels of its stream.
#[derive(Clone, Copy)]
pub(crate) struct BlockRow<'a> {
    block: &'a Block,
    row: usize,
    labels: &'a Labels,
    timestamp: Timestamp,
}

impl<'a> BlockRow<'a> {
    /// A row of a block of this group; `None` when the block has no such row, or names a stream that is not there.
    pub(crate) fn of(index: &'a SegmentIndex, group: &Group, block: &'a Block, row: usize) -> Option<Self> {
        let timestamp = block.timestamps().get(row).copied()?;
        let member = group.streams.get(block.stream(row) as usize)?;
        let labels = index.streams.get(member.stream as usize)?;
        Some(Self { block, row, labels, timestamp })
    }
}

impl RowView for BlockRow<'_> {
    fn labels(&self) -> &Labels {
        self.labels
    }

    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    fn line(&self) -> &[u8] {
        self.block.line(self.row)
    }

    fn for_each_metadata<'r>(&'r self, visit: &mut dyn FnMut(&'r str, &'r [u8])) {
        self.block.metadata(self.row).for_each(|(name, value)| visit(name, value));
    }
}
