//! Reading: scans, series, labels and volumes over one consistent state of heads and segments.
//!
//! A scan goes day by day, since segments never hold rows of two days. A day is planned as a whole (what
//! is pruned, which rows may be there twice) and then read unit by unit, newest or oldest first;
//! units are independent of each other, so that they can be decoded in parallel later.

mod contested;
mod counted;
mod day_plan;
mod estimate;
mod labels;
mod line_filters;
mod present;
mod query;
mod series;
mod snapshot;
mod store_scan;
mod unit;
mod volumes;

pub(crate) use estimate::estimate;
pub(crate) use labels::labels;
pub(crate) use line_filters::LineFilters;
pub(crate) use series::series;
pub(crate) use store_scan::StoreScan;
pub(crate) use volumes::volumes;
