//! What LogQL queries cost the store, summed up: which blocks were read or left alone and why, bytes, rows.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use timberyard_model::scan::ScanStatistics;

/// What became of a block.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BlockLabels {
    outcome: &'static str,
}

/// Counters of what queries cost.
#[derive(Debug, Default)]
pub struct QueryMetrics {
    blocks: Family<BlockLabels, Counter>,
    read_bytes: Counter,
    decompressed_bytes: Counter,
    scanned_rows: Counter,
    decoded_rows: Counter,
    matched_rows: Counter,
}

impl QueryMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "timberyard_query_blocks",
            "Blocks that queries met: with rows that may pass, ruled out once opened, or skipped",
            self.blocks.clone(),
        );
        let counters = [
            ("timberyard_query_read_bytes", "Bytes that queries read from segments", &self.read_bytes),
            ("timberyard_query_decompressed_bytes", "The same after decompression", &self.decompressed_bytes),
            (
                "timberyard_query_scanned_rows",
                "Rows that queries looked at, in columns or whole",
                &self.scanned_rows,
            ),
            ("timberyard_query_decoded_rows", "Rows put together from their columns", &self.decoded_rows),
            ("timberyard_query_matched_rows", "Rows that passed the filters of queries", &self.matched_rows),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
    }

    /// Adds what one query cost.
    pub fn count(&self, scan: &ScanStatistics) {
        let skipped = &scan.blocks_skipped;
        let ruled_out = scan.blocks_stamped_out + scan.blocks_filtered_out;
        for (outcome, blocks) in [
            ("read", scan.blocks_read.saturating_sub(ruled_out)),
            ("ruled_out_by_stamps", scan.blocks_stamped_out),
            ("ruled_out_by_filters", scan.blocks_filtered_out),
            ("skipped_by_time", skipped.by_time),
            ("skipped_by_labels", skipped.by_labels),
            ("skipped_by_counts", skipped.by_counts),
            ("skipped_by_gates", skipped.by_gates),
        ] {
            self.blocks.get_or_create(&BlockLabels { outcome }).inc_by(blocks);
        }
        self.read_bytes.inc_by(scan.compressed_bytes);
        self.decompressed_bytes.inc_by(scan.decompressed_bytes);
        self.scanned_rows.inc_by(scan.rows_scanned);
        self.decoded_rows.inc_by(scan.rows_decoded);
        self.matched_rows.inc_by(scan.rows_matched);
    }
}
