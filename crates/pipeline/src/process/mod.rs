//! What is done to a batch between the door and the sinks: steps that rules ask for, then the demotion of labels.
//!
//! [`description`] is how steps are written, [`rules`] makes them ready, [`chain`] applies them to a batch; each step is a
//! file. Steps depend on the row alone, so that a retry comes to the same rows and every server to the same decision.

pub mod chain;
mod condition;
pub mod counters;
pub mod description;
pub mod destinations;
mod draft;
mod drop_rows;
pub mod label_demotion;
mod parse;
mod redact;
mod relabel;
mod route;
pub mod rules;
mod sample;
mod step;
#[cfg(test)]
mod tests;

/// The names of the rules that `redact` knows.
pub fn redaction_rules() -> impl Iterator<Item = &'static str> {
    redact::names()
}
