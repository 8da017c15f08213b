//! Rules made ready: every expression compiled, every name known.

use std::collections::BTreeSet;
use std::sync::Arc;

use timberyard_model::matcher::LabelMatcher;
use timberyard_model::{Surface, TenantId};

use super::condition::Condition;
use super::counters::{CountersByStep, StepCounters};
use super::description::{RuleDescription, StepDescription};
use super::destinations::DESTINATIONS_MAX;
use super::drop_rows::DropRows;
use super::parse::Parse;
use super::redact::Redact;
use super::relabel::Relabel;
use super::route::Route;
use super::sample::Sample;
use super::step::Step;

/// Reads a selector as LogQL writes it, or says what is wrong with it.
pub type SelectorReader<'a> = &'a dyn Fn(&str) -> Result<Vec<LabelMatcher>, String>;

/// The most rules, and the most steps of all rules together.
const RULES_MAX: usize = 256;
const STEPS_MAX: usize = 1024;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A description that cannot be made ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} {reason}")]
pub struct ProcessingError {
    /// Which rule and step.
    pub place: String,
    /// What is wrong there.
    pub reason: String,
}

/// Rules, ready to be applied.
#[derive(Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

struct Rule {
    tenants: BTreeSet<TenantId>,
    surfaces: Vec<Surface>,
    steps: Vec<NamedStep>,
}

/// A step with its condition and counters.
pub(super) struct NamedStep {
    name: String,
    pub(super) counters: Arc<StepCounters>,
    pub(super) when: Condition,
    pub(super) step: Box<dyn Step>,
}

impl Rules {
    /// Compiles what is described. `sinks` are the names that `route` may say, by their numbers.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn new(
        descriptions: &[RuleDescription],
        sinks: &[String],
        read_selector: SelectorReader<'_>,
    ) -> Result<Self, ProcessingError> {
        let wrong = |place: &str, reason: String| ProcessingError { place: place.to_owned(), reason };
        let steps: usize = descriptions.iter().map(|rule| rule.steps.len()).sum();
        if descriptions.len() > RULES_MAX || steps > STEPS_MAX || sinks.len() > DESTINATIONS_MAX {
            let reason = format!(
                "holds {} rules with {steps} steps, limit is {RULES_MAX} rules with {STEPS_MAX} steps",
                descriptions.len()
            );
            return Err(wrong("processing", reason));
        }
        let mut compiling = Compiling { sinks, read_selector, number: 0, names: BTreeSet::new() };
        let mut rules = Vec::with_capacity(descriptions.len());
        for (number, description) in descriptions.iter().enumerate() {
            let place = match &description.name {
                Some(name) => format!("rule `{name}`"),
                None => format!("rule {}", number + 1),
            };
            let tenants = description.tenants.iter().map(|name| TenantId::new(name));
            let tenants: Result<_, _> = tenants.collect();
            let surfaces: Result<_, _> = description.sources.iter().map(|name| name.parse()).collect();
            if description.steps.is_empty() {
                return Err(wrong(&place, "has no steps".to_owned()));
            }
            let mut rule = Rule {
                tenants: tenants.map_err(|error| wrong(&place, format!("tenants: {error}")))?,
                surfaces: surfaces.map_err(|error| wrong(&place, format!("sources: {error}")))?,
                steps: Vec::new(),
            };
            let rule_name = description.name.clone().unwrap_or_else(|| (number + 1).to_string());
            for (number, step) in description.steps.iter().enumerate() {
                let place = format!("{place}, step {}", number + 1);
                let compiled = compiling.step(&rule_name, number + 1, step);
                rule.steps.push(compiled.map_err(|reason| wrong(&place, reason))?);
            }
            rules.push(rule);
        }
        Ok(Self { rules })
    }

    /// Whether there is nothing to do for anybody.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The steps for a tenant's rows that come by a surface, in their order; without one all of the tenant's.
    pub(super) fn steps_for(&self, tenant: &TenantId, surface: Option<Surface>) -> Vec<&NamedStep> {
        let is_for = |rule: &&Rule| {
            (rule.tenants.is_empty() || rule.tenants.contains(tenant))
                && (rule.surfaces.is_empty()
                    || surface.is_some_and(|surface| rule.surfaces.contains(&surface)))
        };
        self.rules.iter().filter(is_for).flat_map(|rule| &rule.steps).collect()
    }

    /// The counters of all steps, by name.
    pub fn counters(&self) -> CountersByStep {
        let steps = self.rules.iter().flat_map(|rule| &rule.steps);
        steps.map(|step| (step.name.clone(), Arc::clone(&step.counters))).collect()
    }

    /// Goes on counting where steps of the same names were.
    #[must_use]
    pub fn counting_on(mut self, earlier: &CountersByStep) -> Self {
        for step in self.rules.iter_mut().flat_map(|rule| &mut rule.steps) {
            if let Some(counters) = earlier.get(&step.name) {
                step.counters = Arc::clone(counters);
            }
        }
        self
    }
}

/// A step, or what is wrong with its description.
type Compiled = Result<Box<dyn Step>, String>;

struct Compiling<'a> {
    sinks: &'a [String],
    read_selector: SelectorReader<'a>,
    /// Of the next step, among all rules.
    number: usize,
    names: BTreeSet<String>,
}

impl Compiling<'_> {
    fn step(&mut self, rule: &str, number: usize, described: &StepDescription) -> Result<NamedStep, String> {
        let (kind, step) = self.action(described)?;
        self.number += 1;
        let name = described.name.clone().unwrap_or_else(|| format!("{rule}/{number}/{kind}"));
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(format!("has a name of {} bytes, limit is 1 to {NAME_BYTES_MAX}", name.len()));
        }
        if !self.names.insert(name.clone()) {
            return Err(format!("has the name `{name}`, which another step has"));
        }
        let when = described.when.as_ref().map(|when| Condition::new(when, self.read_selector));
        let when = when.transpose().map_err(|error| format!("when: {error}"))?.unwrap_or_default();
        Ok(NamedStep { name, counters: Arc::default(), when, step })
    }

    fn action(&self, described: &StepDescription) -> Result<(&'static str, Box<dyn Step>), String> {
        let mut actions: Vec<(&'static str, Compiled)> = Vec::new();
        let StepDescription { name: _, when: _, relabel, parse, redact, drop, sample, route } = described;
        if let Some(relabel) = relabel {
            actions.push(("relabel", Relabel::new(relabel, self.number).map(boxed)));
        }
        if let Some(parse) = parse {
            actions.push(("parse", Parse::new(parse).map(boxed)));
        }
        if let Some(redact) = redact {
            actions.push(("redact", Redact::new(redact, self.number).map(boxed)));
        }
        if let Some(drop) = drop {
            let condition = Condition::new(drop, self.read_selector);
            actions.push(("drop", condition.map(|condition| boxed(DropRows(condition)))));
        }
        if let Some(sample) = sample {
            actions.push(("sample", Sample::new(sample).map(boxed)));
        }
        if let Some(route) = route {
            actions.push(("route", Route::new(route, self.sinks).map(boxed)));
        }
        let words = "relabel, parse, redact, drop, sample or route";
        match (actions.pop(), actions.pop()) {
            (None, _) => Err(format!("has nothing to do: write one of {words}")),
            (Some(_), Some(_)) => Err(format!("has more than one of {words}: write a step for each")),
            (Some((kind, action)), None) => {
                Ok((kind, action.map_err(|reason| format!("({kind}): {reason}"))?))
            }
        }
    }
}

fn boxed(step: impl Step + 'static) -> Box<dyn Step> {
    Box::new(step)
}
