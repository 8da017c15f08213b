//! Reading: scans, series, labels and volumes over one consistent state of heads and segments.
//!
//! A scan goes day by day, since segments never hold rows of two days. A day is planned as a whole (what
//! is pruned, which rows may be there twice) and then read unit by unit, newest or oldest first;
//! units are independent of each other, so that chunks of them are read in parallel.

mod chunk;
mod contested;
mod counted;
mod day_plan;
mod estimate;
mod labels;
mod line_filters;
mod pool;
mod present;
mod query;
mod read_ahead;
mod series;
mod snapshot;
mod store_scan;
mod unit;
mod volumes;

pub(crate) use estimate::estimate;
pub(crate) use labels::labels;
pub(crate) use line_filters::LineFilters;
pub(crate) use pool::ReadPool;
pub(crate) use series::series;
pub(crate) use store_scan::StoreScan;
pub(crate) use volumes::count;

use timberyard_model::Cancellation;
use timberyard_model::scan::ScanError;

/// Ends work that nobody waits for any longer.
fn check(cancellation: &Cancellation) -> Result<(), ScanError> {
    cancellation.reason().map_or(Ok(()), |reason| Err(ScanError::Cancelled(reason)))
}
