//! What is done to a batch between the door and the sinks.

pub mod label_demotion;
