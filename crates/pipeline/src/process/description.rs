//! Steps as they are written, by a server's settings and an agent's file alike.
//!
//! A rule says whose rows it is for and what is done to them, in order. A step is a mapping with exactly one of the six
//! words, and perhaps a name and a condition beside it. Words that are not known are refused. What a description means is
//! in [`super::rules`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Steps for the rows of some tenants that come by some surfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleDescription {
    /// What it is called in metrics; its number when nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tenants; all of them when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<String>,
    /// The surfaces, such as `loki` and `syslog`; all of them when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// What is done, in this order.
    pub steps: Vec<StepDescription>,
}

/// One step: exactly one of the six is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepDescription {
    /// What it is called in metrics; its number and kind when nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which rows it is for; all of them when nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<ConditionDescription>,
    /// Changes labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relabel: Option<RelabelDescription>,
    /// Takes fields out of a text into structured metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parse: Option<ParseDescription>,
    /// Puts a mark in the place of secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redact: Option<RedactDescription>,
    /// Drops the rows for which this holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop: Option<ConditionDescription>,
    /// Keeps some of the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleDescription>,
    /// Says which sinks get the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteDescription>,
}

/// What must hold of a row; all that is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionDescription {
    /// A selector as in LogQL, such as `{app="api", env=~"dev|test"}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// An expression that occurs in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// An expression that does not occur in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_line: Option<String>,
    /// Labels or structured metadata, each with an expression for its whole value; what is not there is empty.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// A change of labels in the words of Prometheus' `relabel_config`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelabelDescription {
    /// Labels, or else structured metadata, whose values are looked at, joined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_labels: Vec<String>,
    /// What joins them.
    pub separator: String,
    /// The whole value, or for the actions on names the whole name.
    pub regex: String,
    /// The label that is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_label: Option<String>,
    /// What it is set to; `$1` and `${name}` are groups of `regex`.
    pub replacement: String,
    /// For `hashmod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modulus: Option<u64>,
    /// What is done.
    pub action: RelabelAction,
}

impl Default for RelabelDescription {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            regex: "(.*)".to_owned(),
            target_label: None,
            replacement: "$1".to_owned(),
            modulus: None,
            action: RelabelAction::default(),
        }
    }
}

/// What a relabelling does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelabelAction {
    /// Sets a label where the expression matches.
    #[default]
    Replace,
    /// Sets a label to the joined values in small letters.
    Lowercase,
    /// Sets a label to the joined values in capitals.
    Uppercase,
    /// Sets a label to the remainder of a hash of the joined values.
    HashMod,
    /// Drops rows where the expression does not match.
    Keep,
    /// Drops rows where the expression matches.
    Drop,
    /// Drops rows unless the joined values equal the target label.
    KeepEqual,
    /// Drops rows if the joined values equal the target label.
    DropEqual,
    /// Copies labels whose names match to the names that `replacement` gives.
    LabelMap,
    /// Takes labels away whose names match.
    LabelDrop,
    /// Takes labels away whose names do not match.
    LabelKeep,
}

/// What is taken out of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParseDescription {
    /// How the text is written.
    pub format: ParseFormat,
    /// For `regexp` an expression with named groups, for `pattern` a pattern with `<name>` and `<_>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// The structured metadata or label that is read; the line when nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The fields that are taken; all of them when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// What goes before the names of fields.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The field that takes the line's place, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParseFormat {
    /// A JSON object; what lies in objects is named with `_` between, as by LogQL's `json`.
    Json,
    /// `name=value name="value"`.
    Logfmt,
    /// A regular expression with named groups.
    Regexp,
    /// A pattern as LogQL's.
    Pattern,
}

/// What is looked for, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedactDescription {
    /// Rules that are known by name, such as `card` and `email`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Expressions of one's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<RedactPattern>,
    /// Where it is looked for; everywhere when empty.
    #[serde(rename = "in", skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<RedactPlace>,
}

/// An expression of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactPattern {
    /// What it is called: the mark is this in angle brackets.
    pub name: String,
    /// What is found; of an expression with groups whose names begin with `secret` those alone are replaced.
    pub regex: String,
    /// The mark, where it is to be another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

/// A part of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedactPlace {
    /// The line.
    Line,
    /// The values of structured metadata.
    Metadata,
    /// The values of labels.
    Labels,
}

/// How many rows are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleDescription {
    /// One in so many.
    pub keep_one_in: u64,
    /// Labels or structured metadata: rows with the same values are kept or dropped together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

/// Where rows go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteDescription {
    /// The names of sinks; no other one gets the rows.
    pub to: Vec<String>,
}
