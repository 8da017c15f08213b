//! The store as its users see it: on a real file system, on one that crashes, and beside a plain vector.

mod crashes;
mod deletions;
mod durability;
mod fixtures;
mod harness;
mod random_operations;
mod record;
mod retention;
mod selectors;
mod simulated_disk;
