//! Shows the plan of a query as text.

use std::fmt::Write;

use serde_json::Value;

/// The plan that a server answered, as paragraphs.
pub(super) fn plan_text(body: &[u8]) -> Result<String, String> {
    let root: Value =
        serde_json::from_slice(body).map_err(|error| format!("the answer is not JSON: {error}"))?;
    let data = root.get("data").ok_or("the answer has no `data`")?;
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut out = format!("{} query: {}\n", text(data, "kind"), text(data, "query"));
    for scan in data.get("scans").and_then(Value::as_array).into_iter().flatten() {
        let list = |name: &str| {
            let parts = scan.get(name).and_then(Value::as_array).into_iter().flatten();
            let parts: Vec<&str> = parts.filter_map(Value::as_str).collect();
            if parts.is_empty() { "nothing".to_owned() } else { parts.join(" ") }
        };
        let most = |name: &str| scan["atMost"][name].as_u64().unwrap_or(0);
        let part = text(scan, "part");
        // Writing into a text cannot fail.
        let _ = write!(
            out,
            "\nscan for {part}\n  streams        {} of {}\n  time           {} to {}, {}\n  by the store   {}\n  \
             afterwards     {}\n  columns        {}\n",
            most("streams"),
            text(scan, "selector"),
            text(scan, "start"),
            text(scan, "end"),
            text(scan, "direction"),
            list("pushedDown"),
            list("stages"),
            list("columns"),
        );
        if list("fields") != "nothing" {
            let _ = writeln!(out, "  fields         {}", list("fields"));
        }
        if let Some(statement) = scan.get("statement").and_then(Value::as_str) {
            let _ = writeln!(out, "  statement      {statement}");
        }
        let _ = write!(
            out,
            "  segments       {} of {}\n  blocks         {} with {} rows, {} bytes; {} passed over\n  in memory      {} \
             rows, {} bytes\n",
            most("segments"),
            most("segmentsTotal"),
            most("blocks"),
            most("storedRows"),
            most("storedBytes"),
            most("blocksSkipped"),
            most("memoryRows"),
            most("memoryBytes"),
        );
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_shown_scan_by_scan() {
        let body = br#"{"data":{"kind":"logs","query":"{a=\"b\"}","scans":[{"part":"{a=\"b\"}","selector":"{a=\"b\"}",
            "start":"s","end":"e","direction":"backward","pushedDown":["|= \"x\""],"stages":[],"columns":["line"],
            "fields":[],"statement":"SELECT 1","atMost":{"streams":2,"blocks":3}}]}}"#;
        let text = plan_text(body).expect("a plan");
        assert!(text.starts_with("logs query: {a=\"b\"}\n"), "{text}");
        assert!(text.contains("  by the store   |= \"x\"\n  afterwards     nothing\n"), "{text}");
        assert!(text.contains("  statement      SELECT 1\n"), "{text}");
        assert!(text.contains("  blocks         3 with 0 rows"), "{text}");
        assert!(plan_text(b"{}").is_err());
    }
}
