//! Ways out, one file a question.

pub mod build_info;

pub mod context_lines;
pub mod ordered_rows;
