//! The page for people, and the few questions that only the page asks; everything else it asks as any client would.

pub mod about;
pub mod files;
pub mod saved_searches;
pub mod searches;
