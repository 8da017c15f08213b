//! Whole queries over rows in memory: answers worked out by hand, and answers compared with those of
//! an engine too simple to be wrong.

mod differential;
mod fields;
mod limits;
mod log_queries;
mod metric_queries;
mod patterns;
mod run;
mod tail;
