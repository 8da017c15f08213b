//! Promtail's stages as steps.
//!
//! Promtail keeps what stages extract beside the line; here it is structured metadata, of which only what a later stage names is taken.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use timberyard_pipeline::process::description::{ConditionDescription, StepDescription};

use super::{go_time, millis, pairs, text};
use crate::settings::{Format, LineTimeSettings, MultilineSettings, TargetSettings};

/// What stages came to.
#[derive(Default)]
pub(super) struct Stages {
    steps: Vec<StepDescription>,
    format: Option<Format>,
    multiline: Option<MultilineSettings>,
    time: Option<LineTimeSettings>,
    /// What later stages call a field, and what it is called here.
    fields: BTreeMap<String, String>,
    /// Names that some stage uses.
    used: BTreeSet<String>,
    pub(super) ignored: Vec<String>,
}

impl Stages {
    /// Takes up `pipeline_stages`.
    pub(super) fn read(&mut self, place: &str, list: Vec<Value>) {
        self.used = list.iter().flat_map(names_used).collect();
        self.list(place, list, None);
    }

    /// Takes up `relabel_configs`: the words are the same, for labels that are known here.
    pub(super) fn relabel(&mut self, place: &str, list: Vec<Value>) {
        let mut first = Vec::new();
        for (number, config) in list.into_iter().enumerate() {
            let place = format!("{place}[{number}]");
            let sources = config.get("source_labels").and_then(Value::as_array).into_iter().flatten();
            let named = sources.chain(config.get("target_label")).filter_map(Value::as_str);
            match named.filter(|name| name.starts_with("__")).map(str::to_owned).next() {
                Some(name) => self.ignored.push(format!("{place}: {name} is not known here")),
                None => match serde_json::from_value(json!({ "relabel": config })) {
                    Ok(step) => first.push(step),
                    Err(error) => self.ignored.push(format!("{place}: {error}")),
                },
            }
        }
        // Targets are relabelled before anything is read.
        self.steps.splice(0..0, first);
    }

    /// Gives a target what was read.
    pub(super) fn put_into(&self, target: &mut TargetSettings) {
        target.format = self.format.unwrap_or_default();
        target.multiline.clone_from(&self.multiline);
        target.time.clone_from(&self.time);
        target.steps.clone_from(&self.steps);
    }

    fn list(&mut self, place: &str, list: Vec<Value>, when: Option<&ConditionDescription>) {
        for (number, stage) in list.into_iter().enumerate() {
            let place = format!("{place}[{number}]");
            let Value::Object(stage) = stage else {
                self.ignored.push(place);
                continue;
            };
            for (kind, body) in stage {
                let place = format!("{place}.{kind}");
                let fields = body.as_object().cloned().unwrap_or_default();
                if let Err(reason) = self.stage(&place, &kind, &body, fields, when) {
                    let colon = if reason.is_empty() { "" } else { ": " };
                    self.ignored.push(format!("{place}{colon}{reason}"));
                }
            }
        }
    }

    /// Takes up one stage, or says why not.
    fn stage(
        &mut self,
        place: &str,
        kind: &str,
        body: &Value,
        mut fields: Map<String, Value>,
        when: Option<&ConditionDescription>,
    ) -> Result<(), String> {
        let mut field = |name: &str| fields.remove(name).map(|value| text(Some(value)));
        match kind {
            "cri" | "docker" | "multiline" | "timestamp" if when.is_some() => {
                return Err("is only known outside of match".to_owned());
            }
            "cri" => self.format = Some(Format::Cri),
            "docker" => self.format = Some(Format::Docker),
            "multiline" => {
                let wait_ms = field("max_wait_time").and_then(|wait| millis(&wait)).unwrap_or(3000);
                let lines_max = field("max_lines").and_then(|lines| lines.parse().ok()).unwrap_or(128);
                let first_line = field("firstline");
                self.multiline = Some(MultilineSettings { first_line, preset: None, wait_ms, lines_max });
            }
            "timestamp" => {
                let source = field("source").ok_or("has no source")?;
                let layout = field("format").unwrap_or_default();
                let format = go_time::format(&layout).ok_or_else(|| format!("{layout} is not known here"))?;
                let zone = field("location").unwrap_or_else(|| "UTC".to_owned());
                self.time = Some(LineTimeSettings { field: self.name(&source), format, zone });
            }
            "json" => {
                let expressions = pairs(body.get("expressions").cloned());
                let mut refused = Vec::new();
                let taken = expressions.into_iter().filter_map(|(name, path)| {
                    let path = if path.is_empty() { name.clone() } else { path };
                    let is_plain =
                        path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte));
                    if !is_plain {
                        refused.push(path.clone());
                    }
                    is_plain.then(|| (name, path.replace('.', "_")))
                });
                let taken: Vec<(String, String)> = taken.collect();
                self.parse(json!({ "format": "json" }), field("source"), taken, when)?;
                if !refused.is_empty() {
                    return Err(format!("the expressions {}", refused.join(", ")));
                }
            }
            "logfmt" => {
                let mapping = pairs(body.get("mapping").cloned()).into_iter();
                let taken =
                    mapping.map(|(name, key)| (name.clone(), if key.is_empty() { name } else { key }));
                self.parse(json!({ "format": "logfmt" }), field("source"), taken.collect(), when)?;
            }
            "regex" => {
                let expression = field("expression").ok_or("has no expression")?;
                let compiled = regex::Regex::new(&expression).map_err(|error| error.to_string())?;
                let names = compiled.capture_names().flatten().map(|name| (name.to_owned(), name.to_owned()));
                let parse = json!({ "format": "regexp", "expression": expression });
                self.parse(parse, field("source"), names.collect(), when)?;
            }
            "labels" => {
                for (label, source) in pairs(Some(body.clone())) {
                    let source = self.name(if source.is_empty() { &label } else { &source });
                    self.relabel_step(&source, "(?s)(.+)", &label, "$1", when)?;
                }
            }
            "structured_metadata" => {
                for (name, source) in pairs(Some(body.clone())) {
                    let known = self.name(if source.is_empty() { &name } else { &source });
                    if known != name {
                        return Err(format!("{name} is kept as {known}"));
                    }
                }
            }
            "static_labels" => {
                for (label, value) in pairs(Some(body.clone())) {
                    let value = value.replace('$', "$$");
                    let step = json!({ "relabel": { "source_labels": ["_"], "target_label": label, "replacement": value } });
                    self.push(step, when)?;
                }
            }
            "labeldrop" | "labelallow" => {
                let names: Vec<String> = match body {
                    Value::Array(names) => names.iter().cloned().map(|name| text(Some(name))).collect(),
                    other => vec![text(Some(other.clone()))],
                };
                let names: Vec<String> = names.iter().map(|name| regex::escape(name)).collect();
                let action = if kind == "labeldrop" { "labeldrop" } else { "labelkeep" };
                self.push(json!({ "relabel": { "regex": names.join("|"), "action": action } }), when)?;
            }
            "output" => {
                let source = self.name(&field("source").ok_or("has no source")?);
                let expression = "(?s)^(?P<line>.*)$";
                let parse = json!({ "format": "regexp", "from": source, "expression": expression, "fields": ["_"], "line": "line" });
                self.push(json!({ "parse": parse }), when)?;
            }
            "drop" => {
                let condition = self.dropped(&mut fields)?;
                self.push(json!({ "drop": condition }), when)?;
            }
            "match" => return self.matching(place, fields, when),
            "replace" => {
                let expression = field("expression").ok_or("has no expression")?;
                if field("source").is_some_and(|source| !source.is_empty()) {
                    return Err("is only known for the line".to_owned());
                }
                let mark = field("replace").unwrap_or_default();
                if mark.contains("{{") {
                    return Err(format!("the template {mark}"));
                }
                self.redact(&secret_groups(&expression), &mark, when)?;
            }
            "decolorize" => self.redact("\u{1b}\\[[0-9;]*[A-Za-z]", "", when)?,
            "sampling" => {
                let rate = field("rate").and_then(|rate| rate.parse::<f64>().ok()).filter(|rate| *rate > 0.0);
                let rate = rate.ok_or("has no rate above 0")?;
                let keep_one_in = (1.0 / rate.min(1.0)).round() as u64;
                self.push(json!({ "sample": { "keep_one_in": keep_one_in } }), when)?;
            }
            _ => return Err(String::new()),
        }
        Ok(())
    }

    /// What a field is called here.
    fn name(&self, name: &str) -> String {
        self.fields.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    fn push(&mut self, mut step: Value, when: Option<&ConditionDescription>) -> Result<(), String> {
        if let Some(when) = when {
            step["when"] = serde_json::to_value(when).map_err(|error| error.to_string())?;
        }
        self.steps.push(serde_json::from_value(step).map_err(|error| error.to_string())?);
        Ok(())
    }

    fn relabel_step(
        &mut self,
        source: &str,
        regex: &str,
        label: &str,
        replacement: &str,
        when: Option<&ConditionDescription>,
    ) -> Result<(), String> {
        let relabel = json!({ "source_labels": [source], "regex": regex, "target_label": label, "replacement": replacement });
        self.push(json!({ "relabel": relabel }), when)
    }

    fn redact(&mut self, regex: &str, mark: &str, when: Option<&ConditionDescription>) -> Result<(), String> {
        let name = format!("replace_{}", self.steps.len());
        let patterns = json!([{ "name": name, "regex": regex, "mark": mark }]);
        self.push(json!({ "redact": { "patterns": patterns, "in": ["line"] } }), when)
    }

    fn parse(
        &mut self,
        mut parse: Value,
        source: Option<String>,
        taken: Vec<(String, String)>,
        when: Option<&ConditionDescription>,
    ) -> Result<(), String> {
        let taken: Vec<(String, String)> =
            taken.into_iter().filter(|(name, _)| self.used.contains(name)).collect();
        // What nobody asks for is not read.
        if taken.is_empty() {
            return Ok(());
        }
        if let Some(source) = source.filter(|source| !source.is_empty()) {
            parse["from"] = self.name(&source).into();
        }
        parse["fields"] = taken.iter().map(|(_, field)| field.clone()).collect();
        self.fields.extend(taken);
        self.push(json!({ "parse": parse }), when)
    }

    fn dropped(&self, fields: &mut Map<String, Value>) -> Result<Value, String> {
        for word in ["older_than", "longer_than"] {
            if fields.contains_key(word) {
                return Err(word.to_owned());
            }
        }
        let mut field = |name: &str| fields.remove(name).map(|value| text(Some(value)));
        let value = field("value").map(|value| regex::escape(&value));
        let is_value = value.is_some();
        let expression = value.or(field("expression"));
        match (field("source"), expression) {
            (None, Some(text)) if is_value => Ok(json!({ "line": format!("^(?:{text})$") })),
            (None, Some(text)) => Ok(json!({ "line": text })),
            (Some(source), text) => {
                let whole = match text {
                    Some(text) if is_value => text,
                    Some(text) => format!("(?s).*(?:{text}).*"),
                    None => "(?s).+".to_owned(),
                };
                let source = self.name(&source);
                Ok(json!({ "fields": { source: whole } }))
            }
            (None, None) => Err("has neither source nor expression".to_owned()),
        }
    }

    fn matching(
        &mut self,
        place: &str,
        mut fields: Map<String, Value>,
        when: Option<&ConditionDescription>,
    ) -> Result<(), String> {
        if when.is_some() {
            return Err("within another match".to_owned());
        }
        let condition = condition(&text(fields.remove("selector")))?;
        match (text(fields.remove("action")).as_str(), fields.remove("stages")) {
            ("drop", _) => self.push(json!({ "drop": condition }), None),
            (_, Some(Value::Array(stages))) => {
                let mut inner = std::mem::take(&mut self.used);
                inner.extend(stages.iter().flat_map(names_used));
                self.used = inner;
                self.list(&format!("{place}.stages"), stages, Some(&condition));
                Ok(())
            }
            _ => Err("has no stages".to_owned()),
        }
    }
}

/// A selector with at most one filter of lines.
fn condition(selector: &str) -> Result<ConditionDescription, String> {
    let end = selector.rfind('}').ok_or("has no selector")?;
    // A brace may stand in a filter too; then the first one ends the labels.
    let end = selector.find("} |").or_else(|| selector.find("} !")).unwrap_or(end);
    let (stream, filter) = selector.split_at(end + 1);
    let stream = Some(stream.to_owned());
    let mut condition = ConditionDescription { stream, ..ConditionDescription::default() };
    let filter = filter.trim();
    if filter.is_empty() {
        return Ok(condition);
    }
    let refused = || format!("the selector {selector}");
    let (operator, value) = filter.split_at_checked(2).ok_or_else(refused)?;
    let value = value.trim();
    let quoted = value.strip_prefix('`').and_then(|value| value.strip_suffix('`')).map(str::to_owned);
    let value = quoted.or_else(|| serde_json::from_str::<String>(value).ok()).ok_or_else(refused)?;
    match operator {
        "|=" => condition.line = Some(regex::escape(&value)),
        "|~" => condition.line = Some(value),
        "!=" => condition.not_line = Some(regex::escape(&value)),
        "!~" => condition.not_line = Some(value),
        _ => return Err(refused()),
    }
    Ok(condition)
}

/// An expression whose groups are those that are replaced.
fn secret_groups(expression: &str) -> String {
    let mut out = String::new();
    let (mut rest, mut number) = (expression, 0);
    while let Some(place) = rest.find('(') {
        let is_escaped =
            rest.as_bytes().iter().take(place).rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        let (before, behind) = rest.split_at(place + 1);
        out.push_str(before);
        rest = behind;
        if is_escaped {
            continue;
        }
        let named = ["?P<", "?<"].iter().find(|start| behind.starts_with(**start));
        match named {
            Some(_) => rest = behind.split_once('>').map_or("", |(_, rest)| rest),
            None if behind.starts_with('?') => continue,
            None => {}
        }
        number += 1;
        out.push_str(&format!("?P<secret{number}>"));
    }
    out.push_str(rest);
    out
}

/// The names that a stage reads.
fn names_used(stage: &Value) -> Vec<String> {
    let Some((kind, body)) = stage.as_object().and_then(|stage| stage.iter().next()) else {
        return Vec::new();
    };
    match kind.as_str() {
        "labels" | "structured_metadata" => {
            let named = pairs(Some(body.clone())).into_iter();
            named.map(|(name, source)| if source.is_empty() { name } else { source }).collect()
        }
        "match" => {
            body.get("stages").and_then(Value::as_array).into_iter().flatten().flat_map(names_used).collect()
        }
        _ => body.get("source").and_then(Value::as_str).map(str::to_owned).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::rows::RowsBuilder;
    use timberyard_model::{Labels, Timestamp};

    use super::*;
    use crate::steps::Steps;

    /// What stages make of lines: labels, lines and times in seconds; and what they ignore.
    fn run(stages: &str, lines: &[&str]) -> (Vec<(String, String, i64)>, Vec<String>) {
        let list: Vec<Value> = serde_saphyr::from_str(stages).expect("YAML");
        let mut read = Stages::default();
        read.read("stages", list);
        let steps = Steps::new(read.steps, read.time.as_ref()).expect("valid").expect("some");
        let mut rows = RowsBuilder::default();
        let stream = rows.stream(&Labels::from_pairs([("app", "shop")]));
        for line in lines {
            rows.push(stream, Timestamp::from_nanos(0), line.as_bytes(), None).expect("small");
        }
        let mut left = Vec::new();
        steps.apply(rows.finish(), &mut |row, time| {
            let line = String::from_utf8_lossy(row.line()).into_owned();
            left.push((row.labels().to_string(), line, time.as_nanos() / 1_000_000_000));
        });
        (left, read.ignored)
    }

    #[test]
    fn stages_do_what_they_do_in_promtail() {
        let (left, ignored) = run(
            r"
- json: {expressions: {level: lvl, at: ts, message: msg.text, unused: x}}
- labels: {level: ''}
- timestamp: {source: at, format: Unix}
- drop: {source: level, value: debug}
- match:
    selector: '{app=`shop`} |= `card`'
    stages:
      - replace: {expression: 'card=(\d+)', replace: '***'}
- output: {source: message}
- static_labels: {env: prod}
- labeldrop: [app]
",
            &[
                r#"{"lvl":"info","ts":12,"msg":{"text":"hello"}}"#,
                r#"{"lvl":"debug","ts":13,"msg":{"text":"no"}}"#,
                r#"{"lvl":"warn","ts":14,"msg":{"text":"x"},"y":"card=4111"}"#,
                "plain card=4111",
            ],
        );
        let expected = [
            (r#"{env="prod", level="info"}"#, "hello", 12),
            (r#"{env="prod", level="warn"}"#, "x", 14),
            (r#"{env="prod"}"#, "plain card=***", 0),
        ];
        assert_eq!(left, expected.map(|(labels, line, time)| (labels.to_owned(), line.to_owned(), time)));
        assert_eq!(ignored, Vec::<String>::new());
    }

    #[test]
    fn expressions_and_pairs_are_read_and_what_is_not_known_is_named() {
        let (left, ignored) = run(
            r"
- regex: {expression: '^(?P<verb>\w+) (?P<path>\S+)'}
- logfmt: {mapping: {team: ''}}
- labels: {verb: '', team: '', where: path}
- drop: {expression: healthz}
- drop: {older_than: 24h}
- template: {source: x, template: y}
- metrics: {}
- match: {selector: '{verb=`PUT`}', action: drop}
",
            &["GET /a team=pay", "GET /healthz", "PUT /b"],
        );
        assert_eq!(
            left,
            [(
                r#"{app="shop", team="pay", verb="GET", where="/a"}"#.to_owned(),
                "GET /a team=pay".to_owned(),
                0
            )]
        );
        assert_eq!(ignored, ["stages[4].drop: older_than", "stages[5].template", "stages[6].metrics"]);
    }

    #[test]
    fn groups_are_what_is_replaced() {
        assert_eq!(secret_groups(r"a\((b)(?:c)(?P<n>d)(?i)"), r"a\((?P<secret1>b)(?:c)(?P<secret2>d)(?i)");
    }
}
