//! The text of LogQL and its tree.
//!
//! The language is that of Loki 3.8. What cannot run is refused here, with the place in the text;
//! a tree that [`parse`] returns is well formed. Text and nesting are bounded by
//! [`QueryLimits`](timberyard_model::limits::QueryLimits), so that no query overflows the stack.

pub mod ast;
mod check;
pub mod error;
mod lexer;
mod parser;
mod printer;
#[cfg(test)]
mod round_trip;
mod token;

pub use ast::Expression;
pub use error::SyntaxError;
pub(crate) use parser::read as parse_unchecked;
pub use parser::{parse, parse_selector};
pub use printer::pretty;
