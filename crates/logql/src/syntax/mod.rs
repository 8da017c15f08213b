//! The text of LogQL and its tree.
//!
//! The language is that of Loki 3.8. What cannot run is refused here, with the place in the text;
//! a tree that the parser returns is well formed.

pub mod ast;
