//! Several sources as one: every row is in one of them, and a query sees all.
//!
//! Scans advance together: the next block always comes from the scan that is behind, so that the common frontier moves
//! and a query that has its fill can stop.

use std::sync::Arc;

use timberyard_model::counting::Cuts;
use timberyard_model::label_values::{LabelCollector, LabelQuestion, LabelValues};
use timberyard_model::scan::{
    BlockStream, CountVisitor, Direction, LogSource, RowBlock, ScanError, ScanEstimate, ScanRequest,
    ScanStatistics, SeriesRequest,
};
use timberyard_model::{Labels, Timestamp};

/// Sources that share no row. Of rows of one stream and time, those of an earlier source count as stored before.
pub struct JoinedSource(Vec<Arc<dyn LogSource>>);

impl JoinedSource {
    /// All of these.
    pub fn new(sources: Vec<Arc<dyn LogSource>>) -> Self {
        Self(sources)
    }
}

/// One scan of several.
struct Part<'a> {
    blocks: Box<dyn BlockStream + 'a>,
    /// How far it has come; `None` at its end.
    frontier: Option<Timestamp>,
}

struct JoinedScan<'a> {
    parts: Vec<Part<'a>>,
    direction: Direction,
}

impl JoinedScan<'_> {
    /// The number of the part that is furthest behind, and how far that has come; `None` when all are at their ends.
    fn last(&self) -> Option<(usize, Timestamp)> {
        let going = self.parts.iter().enumerate().filter_map(|(number, part)| Some((number, part.frontier?)));
        match self.direction {
            Direction::Backward => going.max_by_key(|(number, frontier)| (*frontier, *number)),
            Direction::Forward => going.min_by_key(|(number, frontier)| (*frontier, *number)),
        }
    }
}

impl BlockStream for JoinedScan<'_> {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        while let Some((number, _)) = self.last() {
            let Some(part) = self.parts.get_mut(number) else { break };
            let Some(block) = part.blocks.next_block()? else {
                part.frontier = None;
                continue;
            };
            part.frontier = Some(block.frontier);
            let frontier = self.last().map_or(block.frontier, |(_, frontier)| frontier);
            return Ok(Some(RowBlock { frontier, ..block }));
        }
        Ok(None)
    }

    fn statistics(&self) -> ScanStatistics {
        let mut sum = ScanStatistics::default();
        for part in &self.parts {
            sum += part.blocks.statistics();
        }
        sum
    }
}

impl LogSource for JoinedSource {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        let direction = request.direction;
        let start = match direction {
            Direction::Backward => Timestamp::MAX,
            Direction::Forward => Timestamp::MIN,
        };
        let part = |source: &'a Arc<dyn LogSource>| {
            Ok(Part { blocks: source.scan(request)?, frontier: Some(start) })
        };
        let parts = self.0.iter().map(part).collect::<Result<_, ScanError>>()?;
        Ok(Box::new(JoinedScan { parts, direction }))
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        let mut sum = ScanEstimate::default();
        for source in &self.0 {
            sum += source.estimate(request)?;
        }
        Ok(sum)
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        let mut all = Vec::new();
        for source in &self.0 {
            all.extend(source.series(request)?);
        }
        all.sort();
        all.dedup();
        let bytes: usize = all.iter().map(|labels| labels.bytes()).sum();
        match bytes > request.memory_bytes_max {
            true => Err(ScanError::Memory { limit: request.memory_bytes_max }),
            false => Ok(all),
        }
    }

    fn labels(
        &self,
        request: &SeriesRequest,
        question: &LabelQuestion,
    ) -> Result<Vec<LabelValues>, ScanError> {
        let mut collector = LabelCollector::new(question, request.memory_bytes_max);
        for source in &self.0 {
            for LabelValues { name, values } in source.labels(request, question)? {
                // A name without values is one whose values were not asked for.
                values
                    .is_empty()
                    .then_some("")
                    .into_iter()
                    .chain(values.iter().map(|value| &**value))
                    .try_for_each(|value| collector.add(&name, value))?;
            }
        }
        Ok(collector.finish())
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        self.0.iter().try_for_each(|source| source.count(request, cuts, visit))
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::{TenantId, TimeRange};
    use timberyard_testkit::memory_source::MemorySource;

    use super::*;

    /// 600 rows in one source, and the same ones dealt out to three.
    fn whole_and_parts() -> (MemorySource, JoinedSource) {
        let whole = MemorySource::default();
        let parts: [Arc<MemorySource>; 3] =
            [7, 50, 400].map(|rows| Arc::new(MemorySource::default().with_block_rows(rows)));
        for number in 0..600_i64 {
            let labels = Labels::from_pairs([("app", ["api", "web"][(number % 2) as usize]), ("n", "1")]);
            let time = Timestamp::from_nanos(number * 37 % 601);
            let line = format!("line {number}");
            whole.push(&labels, time, line.as_bytes(), &[]);
            parts[(number % 7 % 3) as usize].push(&labels, time, line.as_bytes(), &[]);
        }
        (whole, JoinedSource::new(parts.map(|part| part as Arc<dyn LogSource>).into()))
    }

    #[test]
    fn every_row_is_there_once_and_none_comes_beyond_the_frontier() {
        let (whole, joined) = whole_and_parts();
        for direction in [Direction::Backward, Direction::Forward] {
            let request = ScanRequest { direction, ..ScanRequest::all(TenantId::default(), TimeRange::ALL) };
            let mut scan = joined.scan(&request).expect("starts");
            let (mut lines, mut before) = (Vec::new(), None);
            while let Some(block) = scan.next_block().expect("readable") {
                for row in block.rows.iter() {
                    let is_late = |frontier: Timestamp| match direction {
                        Direction::Backward => row.timestamp() > frontier,
                        Direction::Forward => row.timestamp() < frontier,
                    };
                    assert!(before.is_none_or(|frontier| !is_late(frontier)), "{direction:?}");
                    lines.push(row.line().to_vec());
                }
                before = Some(block.frontier);
            }
            assert_eq!(scan.statistics().rows_matched, 600);
            let mut expected: Vec<Vec<u8>> = whole.entries().into_iter().map(|entry| entry.line).collect();
            lines.sort();
            expected.sort();
            assert_eq!(lines, expected);
        }
    }

    #[test]
    fn questions_about_labels_and_counts_are_answered_as_by_one_source() {
        let (whole, joined) = whole_and_parts();
        let request = SeriesRequest {
            tenant: TenantId::default(),
            range: TimeRange::ALL,
            selectors: Vec::new(),
            memory_bytes_max: 1 << 20,
            cancellation: Default::default(),
        };
        assert_eq!(joined.series(&request), whole.series(&request));
        for question in [LabelQuestion::Names, LabelQuestion::All, LabelQuestion::ValuesOf("app".into())] {
            assert_eq!(joined.labels(&request, &question), whole.labels(&request, &question));
        }
        assert_eq!(joined.volumes(&request), whole.volumes(&request));
        let small = SeriesRequest { memory_bytes_max: 1, ..request };
        assert_eq!(joined.series(&small), Err(ScanError::Memory { limit: 1 }));
    }
}
