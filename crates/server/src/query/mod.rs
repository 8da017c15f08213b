//! Ways out, one file a question.

pub mod build_info;
pub mod form;
pub mod format_query;
pub mod loki_labels;
mod loki_parameters;
pub mod loki_query;
mod loki_reply;
pub mod loki_tail;
pub mod run;
