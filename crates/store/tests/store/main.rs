//! The store as its users see it: on a real file system, on one that crashes, and beside a plain vector.

mod batches;
mod capacity;
mod conditions;
mod crashes;
mod damage;
mod damaged_offsets;
mod deletions;
mod durability;
mod equal_rows;
mod fixtures;
mod harness;
mod origins;
mod random_operations;
mod record;
mod retention;
mod scans;
mod segments;
mod selectors;
mod simulated_disk;
mod snapshots;
mod soak;
mod unique_keys;
