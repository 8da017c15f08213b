//! What a request asks events to be, and whether a row is that.

use timberyard_model::RowRef;
use timberyard_model::events::{EventConditions, EventPageRequest};
use timberyard_model::matcher::{LabelMatcher, ValueTest};
use timberyard_model::pattern::Pattern;
use timberyard_model::scan::ScanRequest;
use timberyard_wire::change66::{EVENT_TYPES, PRIORITIES};
use timberyard_wire::change66_event::Event;

use super::plain_parameters::{inclusive_range, present, time};
use crate::error_response::ErrorResponse;
use crate::form::Form;

/// Reads the conditions of a request.
pub(super) fn read(form: &Form) -> Result<EventConditions, ErrorResponse> {
    let owned = |name: &str| present(form, name).map(str::to_owned);
    Ok(EventConditions {
        event_type: one_of(form, "event_type", &EVENT_TYPES)?,
        range: inclusive_range(time(form, "start_time")?, time(form, "end_time")?),
        priority: one_of(form, "priority", &PRIORITIES)?,
        event_name: owned("event_name"),
        fields: ["user_id", "session_id", "app_version"]
            .into_iter()
            .filter_map(|name| Some((name, owned(name)?)))
            .collect(),
        provider_name: owned("provider_name"),
    })
}

/// The rows among which the events of a page are.
pub(super) fn scan_request(page: &EventPageRequest) -> ScanRequest {
    ScanRequest {
        cancellation: page.cancellation.clone(),
        matchers: matchers(&page.conditions),
        ..ScanRequest::all(page.tenant.clone(), page.conditions.range)
    }
}

/// What the labels of a stream must be for it to have events that pass: not one of the other words. A stream without the
/// label may have rows of other systems.
fn matchers(conditions: &EventConditions) -> Vec<LabelMatcher> {
    let others = |name: &str, wanted: Option<&'static str>, known: &[&'static str]| {
        let others: Vec<&str> = known.iter().copied().filter(|word| Some(*word) != wanted).collect();
        let test = ValueTest::NotMatches(Pattern::whole(&others.join("|")).ok()?);
        wanted.map(|_| LabelMatcher { name: name.into(), test })
    };
    let event_type = others("event_type", conditions.event_type, &EVENT_TYPES);
    let priority = others("priority", conditions.priority, &PRIORITIES);
    event_type.into_iter().chain(priority).collect()
}

/// Whether a row is such an event.
pub(super) fn accept(conditions: &EventConditions, row: RowRef<'_>) -> bool {
    let event = Event::new(row);
    let is = |wanted: &Option<String>, has: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(has);
    conditions.event_type.is_none_or(|wanted| event.event_type() == wanted)
        && conditions.priority.is_none_or(|wanted| event.priority() == wanted)
        && is(&conditions.event_name, &|wanted| event.event_name() == wanted)
        && conditions.fields.iter().all(|(name, wanted)| event.field(name).as_deref() == Some(wanted))
        && is(&conditions.provider_name, &|wanted| event.has_property("provider_name", wanted))
}

fn one_of(form: &Form, name: &str, words: &[&'static str]) -> Result<Option<&'static str>, ErrorResponse> {
    let Some(text) = present(form, name) else { return Ok(None) };
    let word = words.iter().find(|word| **word == text).copied();
    if word.is_none() {
        let message = format!("{name} must be one of {}", words.join(", "));
        return Err(ErrorResponse::bad_request(format!("invalid_{name}"), message));
    }
    Ok(word)
}
