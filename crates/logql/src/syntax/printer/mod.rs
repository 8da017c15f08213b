//! Writes a tree as text: on one line, as Loki's `String()` does, or broken over lines, as its
//! query formatter does.
//!
//! What is written reads back as the same tree. Where Loki's own output does not (a size it rounds,
//! parentheses it forgets between lines), this one is exact instead.

mod inline;
mod pretty;

pub use pretty::pretty;
