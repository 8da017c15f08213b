//! The HTTP surface in process: requests into the router, a memory source behind it.

mod harness;
mod rules;
mod watching;
