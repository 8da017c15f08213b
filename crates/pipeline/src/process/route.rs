//! The step `route`: says which sinks get a row. No other one does: what is not routed to the store is not stored.

use super::description::RouteDescription;
use super::destinations::Destinations;
use super::draft::Draft;
use super::step::{Outcome, Step};

pub(super) struct Route(Destinations);

impl Route {
    /// `known` are the names of all destinations, by their numbers.
    pub(super) fn new(description: &RouteDescription, known: &[String]) -> Result<Self, String> {
        if description.to.is_empty() {
            return Err("to is empty: rows that go nowhere are dropped with `drop`".to_owned());
        }
        let mut destinations = Destinations::NONE;
        for name in &description.to {
            let number = known.iter().position(|known| known == name);
            let number = number
                .ok_or_else(|| format!("to: there is no sink `{name}`; there are {}", known.join(", ")))?;
            destinations = destinations.with(number);
        }
        Ok(Self(destinations))
    }
}

impl Step for Route {
    fn apply(&self, row: &mut Draft<'_>) -> Outcome {
        if row.destinations == self.0 {
            return Outcome::Same;
        }
        row.destinations = self.0;
        Outcome::Changed
    }
}
