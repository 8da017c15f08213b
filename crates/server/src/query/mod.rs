//! Ways out, one file a question.

pub mod build_info;
pub mod form;
pub mod run;
