//! Range aggregations for which numbers of rows do as well as rows.
//!
//! Those count entries or their bytes, and have no stage that looks at lines: then rows of one stream with the
//! same metadata, as far as it is looked at, need not be told apart between two ends of windows.

use timberyard_model::counting::{CountedCell, CountedRows};

use super::grid::Windows;
use super::row_reader::SampleSink;
use super::samples::TimedSample;
use super::series_labels::SeriesIndex;
use crate::budget::Budget;
use crate::error::QueryError;
use crate::stage::{Pipeline, Verdict, WorkingRow};
use crate::syntax::ast::{LabelFormatSource, PipelineStage, RangeAggregation, RangeOperation};

/// Whether the aggregation only adds up entries or bytes, and none of the stages that the source leaves over looks at lines.
pub(super) fn only_counts(aggregation: &RangeAggregation, stages: &[PipelineStage]) -> bool {
    let RangeAggregation { operation, range, .. } = aggregation;
    let adds_up = matches!(
        operation,
        RangeOperation::Count
            | RangeOperation::Rate
            | RangeOperation::Bytes
            | RangeOperation::BytesRate
            | RangeOperation::Absent
    );
    adds_up && range.unwrap.is_none() && stages.iter().all(leaves_line_alone)
}

fn leaves_line_alone(stage: &PipelineStage) -> bool {
    match stage {
        PipelineStage::LabelFilter(_) | PipelineStage::Drop(_) | PipelineStage::Keep(_) => true,
        PipelineStage::LabelFormat(formats) => {
            formats.iter().all(|format| matches!(format.source, LabelFormatSource::Rename(_)))
        }
        _ => false,
    }
}

/// Puts rows that were counted into `sink`, as samples of which each stands for many.
pub(super) fn add_counted(
    counted: &CountedRows,
    pipeline: &Pipeline,
    value: impl Fn(&CountedCell) -> f64,
    windows: &mut Windows,
    (index, budget): (&mut SeriesIndex, &mut Budget),
    sink: &mut impl SampleSink,
) -> Result<(), QueryError> {
    let Some(first) = counted.cells.first() else { return Ok(()) };
    let mut row = WorkingRow::new(&counted.labels);
    let metadata = counted.metadata.iter().map(|(name, value)| (&**name, &**value));
    row.reset(first.time, b"", &counted.labels, metadata);
    if pipeline.process(&mut row) == Verdict::Drop {
        return Ok(());
    }
    let mut series = None;
    for cell in &counted.cells {
        let Some(span) = windows.span_of(cell.time) else { continue };
        let series = match series {
            Some(series) => series,
            // A stream without a row in any window has no series.
            None => *series.insert(index.number_of(&row, budget)?),
        };
        sink.add(series, TimedSample { nanos: cell.time.as_nanos(), value: value(cell), span }, budget)?;
    }
    Ok(())
}
