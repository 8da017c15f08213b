//! The store, with an eye on what it hands over.

use std::sync::atomic::{AtomicUsize, Ordering};

use timberyard_model::Labels;
use timberyard_model::counting::Cuts;
use timberyard_model::scan::{
    BlockStream, CountVisitor, LogSource, RowBlock, ScanError, ScanEstimate, ScanRequest, ScanStatistics,
    SeriesRequest,
};
use timberyard_testkit::stored_source::StoredSource;

/// The store, asked as it is or never for fields; counts rows that came with fields where they might, and those that
/// came with lines.
pub(crate) struct Watched<'s> {
    source: &'s StoredSource,
    declines: bool,
    rows: [AtomicUsize; 2],
}

impl<'s> Watched<'s> {
    pub(crate) fn new(source: &'s StoredSource, declines: bool) -> Self {
        Self { source, declines, rows: Default::default() }
    }

    /// How many rows came with fields, and how many with lines.
    pub(crate) fn rows(self) -> (usize, usize) {
        self.rows.map(AtomicUsize::into_inner).into()
    }
}

pub(crate) struct WatchedScan<'s> {
    scan: Box<dyn BlockStream + 's>,
    rows: &'s [AtomicUsize; 2],
}

impl BlockStream for WatchedScan<'_> {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        let block = self.scan.next_block()?;
        for row in block.iter().flat_map(|block| block.rows.iter()) {
            assert!(row.fields().is_none() || row.line().is_empty());
            self.rows[usize::from(row.fields().is_none())].fetch_add(1, Ordering::Relaxed);
        }
        Ok(block)
    }

    fn statistics(&self) -> ScanStatistics {
        self.scan.statistics()
    }
}

impl LogSource for Watched<'_> {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        let mut request = request.clone();
        if self.declines {
            request.fields = None;
            request.metadata_names = None;
        }
        let scan = self.source.scan(&request)?;
        match request.fields {
            Some(fields) if fields.instead_of_line => Ok(Box::new(WatchedScan { scan, rows: &self.rows })),
            _ => Ok(scan),
        }
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        self.source.estimate(request)
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        self.source.series(request)
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        self.source.count(request, cuts, visit)
    }
}
