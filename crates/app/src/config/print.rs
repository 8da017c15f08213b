//! Shows the settings as a YAML file that gives the same settings, each with a comment on where it came from.

use std::fmt::Write as _;

use super::apply::{Shown, show};
use super::keys::{KEYS, Place};
use super::lookup::Found;
use super::stream_retention::StreamRetention;
use super::{Configuration, Origin};

/// What is shown for a secret.
const MASK: &str = "********";
/// The column that the comments start in, when the value leaves room.
const COMMENT_COLUMN: usize = 48;

impl Configuration {
    /// Every key with its value, for comparing; secrets are not masked.
    pub(crate) fn values(&self) -> Vec<(String, String)> {
        let mut settings = self.settings.clone();
        let value = |(number, key): (usize, &super::keys::Key)| {
            let found = Found { number, tenant: None };
            let shown = match key.place {
                // Of all tenants that have one.
                Place::OfTenant(..) | Place::StreamRetentionsOfTenant => {
                    let tenants: Vec<String> = settings.tenants.keys().cloned().collect();
                    let own = tenants.iter().map(|tenant| {
                        let found = Found { number, tenant: Some(tenant.clone()) };
                        (tenant, show(&mut settings, &found))
                    });
                    let nothing = [Shown::Nothing, Shown::StreamRetentions(Vec::new())];
                    let own: Vec<_> = own.filter(|(_, shown)| !nothing.contains(shown)).collect();
                    Shown::Text(format!("{own:?}"))
                }
                _ => show(&mut settings, &found),
            };
            (key.path.to_owned(), text(&shown))
        };
        KEYS.iter().enumerate().map(value).collect()
    }

    /// The settings as YAML, each with what it means when `describe` is set. Secrets are masked.
    pub(crate) fn to_yaml(&self, describe: bool) -> String {
        let mut settings = self.settings.clone();
        let mut lines: Vec<PrintedSetting> = Vec::new();
        for (number, key) in KEYS.iter().enumerate() {
            let tenants: Vec<Option<String>> = match key.place {
                Place::OfTenant(..) | Place::StreamRetentionsOfTenant => {
                    self.settings.tenants.keys().cloned().map(Some).collect()
                }
                _ => {
                    let names = self.settings.tenant_limits.iter();
                    let own = names.filter(|(_, limits)| limits.iter().any(|limit| limit.key == number));
                    std::iter::once(None).chain(own.map(|(name, _)| Some(name.clone()))).collect()
                }
            };
            for tenant in tenants {
                let found = Found { number, tenant };
                let shown = show(&mut settings, &found);
                let shown = if key.secret { mask(&shown) } else { shown };
                let path = if found.is_tenant_limit() {
                    key.path.replacen("limits.", "limits.tenants.*.", 1)
                } else {
                    key.path.to_owned()
                };
                let segments = path
                    .split('.')
                    .map(|segment| match (&found.tenant, segment) {
                        (Some(tenant), "*") => quoted(tenant),
                        _ => segment.to_owned(),
                    })
                    .collect();
                lines.push(PrintedSetting {
                    segments,
                    value: text(&shown),
                    origin: self.origin(&found.path()),
                    meaning: describe.then_some(key.meaning),
                });
            }
        }
        render(&lines)
    }
}

/// One line of the output.
struct PrintedSetting {
    /// The key's path.
    segments: Vec<String>,
    value: String,
    origin: Origin,
    meaning: Option<&'static str>,
}

/// Nests the paths. Paths with a common beginning need not be neighbours, so each level is grouped.
fn render(lines: &[PrintedSetting]) -> String {
    let mut out = String::new();
    render_level(&mut out, &lines.iter().collect::<Vec<_>>(), 0);
    out
}

fn render_level(out: &mut String, lines: &[&PrintedSetting], depth: usize) {
    let indent = "  ".repeat(depth);
    let mut names: Vec<&String> = Vec::new();
    for line in lines {
        if let Some(name) = line.segments.get(depth).filter(|name| !names.contains(name)) {
            names.push(name);
        }
    }
    for name in names {
        let inside: Vec<_> =
            lines.iter().copied().filter(|line| line.segments.get(depth) == Some(name)).collect();
        // Writing to a string does not fail.
        let _ = match inside.as_slice() {
            [line] if line.segments.len() == depth + 1 => {
                let meaning =
                    line.meaning.map(|meaning| format!("{indent}# {meaning}\n")).unwrap_or_default();
                let entry = format!("{indent}{name}: {}", line.value);
                writeln!(out, "{meaning}{entry:<COMMENT_COLUMN$} # {}", line.origin)
            }
            _ => {
                let section = writeln!(out, "{indent}{name}:");
                render_level(out, &inside, depth + 1);
                section
            }
        };
    }
}

fn mask(shown: &Shown) -> Shown {
    match shown {
        Shown::Nothing
        | Shown::StreamRetentions(_)
        | Shown::Processing(_)
        | Shown::Sinks(_)
        | Shown::Inputs(_) => Shown::Nothing,
        Shown::Text(_) | Shown::Bare(_) => Shown::Text(MASK.to_owned()),
        Shown::List(items) => Shown::List(items.iter().map(|_| MASK.to_owned()).collect()),
    }
}

fn text(shown: &Shown) -> String {
    match shown {
        Shown::Nothing => "null".to_owned(),
        Shown::Bare(text) => text.clone(),
        Shown::Text(text) => quoted(text),
        Shown::StreamRetentions(rules) => {
            format!("[{}]", rules.iter().map(rule).collect::<Vec<_>>().join(", "))
        }
        // Their strings and numbers make JSON, which is YAML too; passwords mask themselves.
        Shown::Sinks(sinks) => serde_json::json!(sinks).to_string(),
        Shown::Inputs(inputs) => serde_json::json!(inputs).to_string(),
        Shown::Processing(rules) => serde_json::json!(rules).to_string(),
        Shown::List(items) => {
            format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A rule as YAML writes it in one line.
fn rule(rule: &StreamRetention) -> String {
    let StreamRetention { selector, priority, period_seconds } = rule;
    format!("{{selector: {}, priority: {priority}, period: {period_seconds}s}}", quoted(selector))
}

/// JSON's quotes are YAML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{Configuration, Sources};

    fn load(yaml: &str) -> Configuration {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("t.yaml");
        std::fs::write(&file, yaml).expect("written");
        Configuration::load(Sources { file: Some(file), ..Sources::default() }).expect("valid")
    }

    #[test]
    fn what_is_printed_gives_the_same_settings() {
        for yaml in [
            "",
            "listen: '[::1]:99'\nnode_id: 'a \"b\"'\nlimits:\n  query:\n    series_max: 2000\n",
            "storage:\n  retention_streams:\n    - selector: '{env=\"dev\"}'\n      priority: 1\n      period: 24h\n  tenants:\n    a:\n      retention_streams: [{selector: '{a=\"b\"}', period: 9d}]\n",
            "limits:\n  rate:\n    burst: 9\n  tenants:\n    a.b:\n      rate:\n        burst: 7\n      query:\n        series_max: 3\n",
            "processing:\n  - tenants: [a]\n    steps:\n      - drop: {line: 'a\\d: # \"b'}\n",
            "storage:\n  retention_days: 3\n  tenants:\n    a.b:\n      retention_days: 1\ncors:\n  allowed_origins: [https://a, http://b:1]\n",
        ] {
            let first = load(yaml);
            for describe in [false, true] {
                let printed = first.to_yaml(describe);
                assert_eq!(first.settings, load(&printed).settings, "{printed}");
            }
        }
    }

    #[test]
    fn origins_are_shown_and_secrets_are_not() {
        let text = load("auth:\n  secret: hush\n  api_keys: [one, two]\n").to_yaml(false);
        assert!(!text.contains("hush") && !text.contains("one"), "{text}");
        let line = text.lines().find(|line| line.contains("  secret:")).expect("shown");
        assert!(line.starts_with("  secret: \"********\"") && line.ends_with("t.yaml:2"), "{line}");
        assert!(text.lines().any(|line| line.starts_with("port: 8080") && line.ends_with("# default")));
    }
}
