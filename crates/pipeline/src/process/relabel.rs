//! The step `relabel`: changes the labels of a row, in the words and with the meaning of Prometheus' `relabel_config`.
//!
//! A source that is no label is looked for in structured metadata, so that a field that was parsed can become a label. What
//! labels and sources come to is remembered for the rows that follow: rows of one stream cost one look-up each.

use regex::bytes::Captures;
use timberyard_model::Labels;
use timberyard_model::labels::is_label_name;
use timberyard_model::pattern::Pattern;
use xxhash_rust::xxh3::xxh3_64;

use super::condition::text_of;
use super::description::{RelabelAction, RelabelDescription};
use super::draft::{Draft, Relabelled};
use super::step::{Outcome, Step};

pub(super) struct Relabel {
    number: usize,
    source_labels: Vec<String>,
    separator: String,
    pattern: Pattern,
    target_label: String,
    replacement: String,
    modulus: u64,
    action: RelabelAction,
}

impl Relabel {
    /// The step with this number in its chain.
    pub(super) fn new(description: &RelabelDescription, number: usize) -> Result<Self, String> {
        use RelabelAction::{
            DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace, Uppercase,
        };
        let action = description.action;
        let pattern = Pattern::whole(&description.regex).map_err(|error| format!("regex: {error}"))?;
        let target = description.target_label.as_deref();
        if matches!(action, Replace | Lowercase | Uppercase | HashMod | KeepEqual | DropEqual) {
            let target = target.ok_or("target_label is missing")?;
            // The target of `replace` may have groups in it.
            let has_groups = action == Replace && target.contains('$');
            if !is_label_name(target) && !has_groups {
                return Err(format!("target_label: `{target}` cannot be a label's name"));
            }
        } else if target.is_some() {
            return Err("target_label says nothing for this action".to_owned());
        }
        let is_of_names = matches!(action, LabelMap | LabelDrop | LabelKeep);
        if is_of_names != description.source_labels.is_empty() {
            return Err(match is_of_names {
                true => "source_labels says nothing for this action".to_owned(),
                false => "source_labels is missing".to_owned(),
            });
        }
        let modulus = match (action, description.modulus) {
            (HashMod, None | Some(0)) => return Err("modulus must be at least 1".to_owned()),
            (HashMod, Some(modulus)) => modulus,
            (_, None) => 1,
            (_, Some(_)) => return Err("modulus says nothing for this action".to_owned()),
        };
        Ok(Self {
            number,
            source_labels: description.source_labels.clone(),
            separator: description.separator.clone(),
            pattern,
            target_label: target.unwrap_or_default().to_owned(),
            replacement: description.replacement.clone(),
            modulus,
            action,
        })
    }

    fn joined(&self, row: &Draft<'_>, out: &mut Vec<u8>) {
        for (number, name) in self.source_labels.iter().enumerate() {
            if number > 0 {
                out.extend_from_slice(self.separator.as_bytes());
            }
            out.extend_from_slice(row.field(name).unwrap_or_default());
        }
        if matches!(self.action, RelabelAction::KeepEqual | RelabelAction::DropEqual) {
            // What is remembered depends on all that was looked at.
            out.push(0);
            out.extend_from_slice(row.field(&self.target_label).unwrap_or_default());
        }
    }

    fn change(&self, labels: &Labels, joined: &[u8]) -> Relabelled {
        let set = |value: &str| Relabelled::To(labels.with(&self.target_label, value));
        let keep_if = |keep: bool| if keep { Relabelled::Same } else { Relabelled::Dropped };
        let named = |keep: &dyn Fn(&str) -> bool| {
            Relabelled::To(Labels::from_pairs(labels.iter().filter(|(name, _)| keep(name))))
        };
        let is_match = |name: &str| self.pattern.is_match(name.as_bytes());
        let is_equal = || {
            let (value, target) = joined.split_at(joined.iter().rposition(|byte| *byte == 0).unwrap_or(0));
            target.get(1..) == Some(value)
        };
        match self.action {
            RelabelAction::Replace => self.replace(labels, joined),
            RelabelAction::Lowercase => set(&text_of(joined).to_lowercase()),
            RelabelAction::Uppercase => set(&text_of(joined).to_uppercase()),
            RelabelAction::HashMod => set(&(xxh3_64(joined) % self.modulus).to_string()),
            RelabelAction::Keep => keep_if(self.pattern.is_match(joined)),
            RelabelAction::Drop => keep_if(!self.pattern.is_match(joined)),
            RelabelAction::KeepEqual => keep_if(is_equal()),
            RelabelAction::DropEqual => keep_if(!is_equal()),
            RelabelAction::LabelMap => {
                let copied = labels.iter().filter_map(|(name, value)| {
                    let captures = self.pattern.regex().captures(name.as_bytes())?;
                    let to = expanded(&captures, &self.replacement);
                    is_label_name(&to).then(|| (to, value.to_owned()))
                });
                let own = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
                Relabelled::To(Labels::from_pairs(own.chain(copied)))
            }
            RelabelAction::LabelDrop => named(&|name| !is_match(name)),
            RelabelAction::LabelKeep => named(&is_match),
        }
    }

    fn replace(&self, labels: &Labels, joined: &[u8]) -> Relabelled {
        let Some(captures) = self.pattern.regex().captures(joined) else { return Relabelled::Same };
        let target = match self.target_label.contains('$') {
            true => expanded(&captures, &self.target_label),
            false => self.target_label.clone(),
        };
        match is_label_name(&target) {
            // A label without a value is none: the empty text takes it away.
            true => Relabelled::To(labels.with(&target, &expanded(&captures, &self.replacement))),
            false => Relabelled::Same,
        }
    }
}

fn expanded(captures: &Captures<'_>, template: &str) -> String {
    let mut out = Vec::new();
    captures.expand(template.as_bytes(), &mut out);
    text_of(&out).into_owned()
}

impl Step for Relabel {
    fn apply(&self, row: &mut Draft<'_>) -> Outcome {
        let to = row.relabel(
            self.number,
            |row, out| self.joined(row, out),
            |labels, joined| self.change(labels, joined),
        );
        match to {
            Relabelled::Same => Outcome::Same,
            Relabelled::To(_) => Outcome::Changed,
            Relabelled::Dropped => Outcome::Dropped,
            Relabelled::Refused => Outcome::Failed { changed: false },
        }
    }
}
