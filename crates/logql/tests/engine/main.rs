//! Whole queries over rows in memory: answers worked out by hand, and answers compared with those of
//! an engine too simple to be wrong.

mod differential;
mod explain;
mod fields;
mod limits;
mod log_queries;
mod metric_queries;
mod pages;
mod patterns;
mod run;
mod stored_patterns;
mod tail;
mod watched_source;
