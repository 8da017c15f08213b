//! Ways out, one file a question.

pub mod build_info;
mod context_lines;
mod event_page;
pub mod events;
pub mod form;
pub mod format_query;
mod json_answer;
pub mod logpulse;
pub mod logpulse_stream;
pub mod logstream;
pub mod logtopus_status;
pub mod loki_detected;
pub mod loki_index;
pub mod loki_labels;
pub mod loki_limits;
pub mod loki_patterns;
pub mod loki_query;
mod loki_reply;
pub mod loki_rules;
pub mod loki_tail;
mod ordered_rows;
mod plain_parameters;
pub mod run;
mod text_condition;
pub mod v1_logs;
