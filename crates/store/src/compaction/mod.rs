//! Compaction: small segments of one tenant and day become one. What to merge is a pure choice; a
//! worker does it beside readers, which go on with the segments they hold. Deletions are carried out here too.

mod erase;
mod merge;
mod policy;
mod worker;

pub(crate) use erase::Clean;
pub(crate) use worker::Rewritten;
