//! Which members lead to a field that `json` found.

use serde_json::Value;

use crate::stage::label_name::{is_blank, push_sanitized};
use crate::stage::row::EXTRACTED_SUFFIX;

/// The names that `json` makes of the members of a line, each with and without the ending of a name that the
/// stream has taken, and the members that lead there. Nothing for a line that is not JSON through and through.
pub(super) fn paths(line: &[u8]) -> Vec<(String, Vec<String>)> {
    let mut paths = Vec::new();
    if let Ok(value) = serde_json::from_slice(line) {
        walk(&value, &mut String::new(), &mut Vec::new(), &mut paths);
    }
    paths
}

/// Recursion is bounded by the parser, which refuses deep nesting.
fn walk<'v>(
    value: &'v Value,
    name: &mut String,
    path: &mut Vec<&'v str>,
    paths: &mut Vec<(String, Vec<String>)>,
) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let prefix = name.len();
                if !is_blank(key.as_bytes()) {
                    if prefix > 0 {
                        name.push('_');
                    }
                    push_sanitized(name, key.as_bytes());
                }
                path.push(key);
                walk(member, name, path, paths);
                path.pop();
                name.truncate(prefix);
            }
        }
        Value::Array(_) | Value::Null => {}
        _ if name.is_empty() => {}
        _ => {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            paths.push((format!("{name}{EXTRACTED_SUFFIX}"), path.clone()));
            paths.push((name.clone(), path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_own_names() {
        for (line, name, path) in [
            (r#"{"a":1}"#, "a", Some("a")),
            (r#"{"client.ip":"x"}"#, "client_ip", Some("client.ip")),
            (r#"{"user":{"geo":{"lat":1}}}"#, "user_geo_lat", Some("user>geo>lat")),
            (r#"{"a":1}"#, "a_extracted", Some("a")),
            (r#"{"a":[1],"b":null}"#, "a", None),
            (r#"{"a":1} rest"#, "a", None),
            ("a=1", "a", None),
        ] {
            let found = paths(line.as_bytes()).into_iter().find(|(own, _)| own == name);
            assert_eq!(found.map(|(_, path)| path.join(">")).as_deref(), path, "{line} {name}");
        }
    }
}
