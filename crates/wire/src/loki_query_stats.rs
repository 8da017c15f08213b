//! The `stats` object that Loki puts beside every query result.
//!
//! Grafana reads `summary`; the other parts are there with their fields, since clients expect them, filled
//! where Timberyard has such a figure (a segment counts as a chunk) and 0 where it has none. What Loki has no word for is in
//! the part `timberyard`.

use std::io::Write;

use timberyard_model::scan::ScanStatistics;

/// What a query cost, in the terms that Loki reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueryStats {
    /// Seconds from the request to the result.
    pub execution_seconds: f64,
    /// Seconds of these spent waiting for a turn.
    pub queue_seconds: f64,
    /// Bytes of lines that were looked at.
    pub bytes_processed: u64,
    /// Lines that were looked at.
    pub lines_processed: u64,
    /// Lines or points in the answer.
    pub entries_returned: u64,
    /// What reading cost the store.
    pub scan: ScanStatistics,
}

/// Appends the object.
pub fn write_stats(out: &mut Vec<u8>, stats: &QueryStats) {
    let per_second = |amount: u64| match stats.execution_seconds {
        seconds if seconds > 0.0 => (amount as f64 / seconds) as u64,
        _ => 0,
    };
    let QueryStats { bytes_processed, lines_processed, scan, .. } = stats;
    // Writing to a vector does not fail.
    let _ = write!(
        out,
        concat!(
            r#"{{"summary":{{"bytesProcessedPerSecond":{},"linesProcessedPerSecond":{},"#,
            r#""totalBytesProcessed":{},"totalLinesProcessed":{},"execTime":{},"queueTime":{},"subqueries":0,"#,
            r#""totalEntriesReturned":{},"splits":0,"shards":0,"totalPostFilterLines":{},"#,
            r#""totalStructuredMetadataBytesProcessed":0}},"querier":{{"store":"#
        ),
        per_second(*bytes_processed),
        per_second(*lines_processed),
        bytes_processed,
        lines_processed,
        finite(stats.execution_seconds),
        finite(stats.queue_seconds),
        stats.entries_returned,
        scan.rows_matched,
    );
    write_store(out, stats);
    out.extend_from_slice(
        br#","querierExecTime":0},"ingester":{"totalReached":0,"totalChunksMatched":0,"totalBatches":0,"totalLinesSent":0,"store":"#,
    );
    write_store(out, &QueryStats::default());
    out.extend_from_slice(br#"},"cache":{"#);
    const CACHES: [&str; 8] = [
        "chunk",
        "index",
        "result",
        "statsResult",
        "volumeResult",
        "seriesResult",
        "labelResult",
        "instantMetricResult",
    ];
    for (i, cache) in CACHES.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(
            out,
            concat!(
                r#"{}"{}":{{"entriesFound":0,"entriesRequested":0,"entriesStored":0,"bytesReceived":0,"#,
                r#""bytesSent":0,"requests":0,"downloadTime":0,"queryLengthServed":0}}"#
            ),
            comma, cache
        );
    }
    let _ = write!(
        out,
        r#"}},"index":{{"totalChunks":{},"postFilterChunks":{},"shardsDuration":0,"usedBloomFilters":false}},"timberyard":"#,
        scan.segments_total, scan.segments_read
    );
    write_scan(out, scan);
    out.push(b'}');
}

/// What Loki's part about the store cannot say.
fn write_scan(out: &mut Vec<u8>, scan: &ScanStatistics) {
    let skipped = &scan.blocks_skipped;
    let _ = write!(
        out,
        concat!(
            r#"{{"segments":{{"total":{},"read":{},"damaged":{}}},"#,
            r#""blocks":{{"read":{},"ruledOutByStamps":{},"ruledOutByFilters":{},"#,
            r#""skippedByTime":{},"skippedByLabels":{},"skippedByCounts":{},"skippedByGates":{}}},"#,
            r#""bytes":{{"read":{},"decompressed":{}}},"rows":{{"scanned":{},"decoded":{},"matched":{}}}}}"#
        ),
        scan.segments_total,
        scan.segments_read,
        scan.segments_damaged,
        scan.blocks_read,
        scan.blocks_stamped_out,
        scan.blocks_filtered_out,
        skipped.by_time,
        skipped.by_labels,
        skipped.by_counts,
        skipped.by_gates,
        scan.compressed_bytes,
        scan.decompressed_bytes,
        scan.rows_scanned,
        scan.rows_decoded,
        scan.rows_matched,
    );
}

fn write_store(out: &mut Vec<u8>, stats: &QueryStats) {
    let scan = &stats.scan;
    let _ = write!(
        out,
        concat!(
            r#"{{"totalChunksRef":{},"totalChunksDownloaded":{},"chunksDownloadTime":0,"#,
            r#""queryReferencedStructuredMetadata":false,"chunk":{{"headChunkBytes":0,"headChunkLines":0,"#,
            r#""decompressedBytes":{},"decompressedLines":{},"compressedBytes":{},"totalDuplicates":0,"#,
            r#""postFilterLines":{},"headChunkStructuredMetadataBytes":0,"decompressedStructuredMetadataBytes":0}},"#,
            r#""chunkRefsFetchTime":0,"congestionControlLatency":0,"pipelineWrapperFilteredLines":0}}"#
        ),
        scan.segments_total,
        scan.segments_read,
        scan.decompressed_bytes,
        stats.lines_processed,
        scan.compressed_bytes,
        scan.rows_matched,
    );
}

/// JSON has no word for infinity.
fn finite(seconds: f64) -> f64 {
    if seconds.is_finite() { seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use timberyard_model::scan::SkippedBlocks;

    use super::*;

    #[test]
    fn the_object_has_the_shape_that_clients_expect() {
        let mut out = Vec::new();
        let stats = QueryStats {
            execution_seconds: 0.5,
            bytes_processed: 1000,
            lines_processed: 10,
            entries_returned: 2,
            queue_seconds: f64::NAN,
            scan: ScanStatistics {
                segments_total: 7,
                segments_read: 4,
                rows_matched: 3,
                blocks_skipped: SkippedBlocks { by_labels: 5, ..SkippedBlocks::default() },
                ..ScanStatistics::default()
            },
        };
        write_stats(&mut out, &stats);
        let json: serde_json::Value = serde_json::from_slice(&out).expect("valid JSON");
        assert_eq!(json["summary"]["bytesProcessedPerSecond"], 2000);
        assert_eq!(json["summary"]["totalLinesProcessed"], 10);
        assert_eq!(json["summary"]["execTime"], 0.5);
        assert_eq!(json["querier"]["store"]["chunk"]["postFilterLines"], 3);
        assert_eq!(json["ingester"]["store"]["totalChunksRef"], 0);
        assert_eq!(json["cache"]["labelResult"]["requests"], 0);
        assert_eq!(json["index"]["postFilterChunks"], 4);
        assert_eq!(json["timberyard"]["blocks"]["skippedByLabels"], 5);
        assert_eq!(json["timberyard"]["rows"]["matched"], 3);
    }
}
