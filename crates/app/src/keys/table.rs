//! Keys as a table for a terminal.

use serde_json::Value;

const COLUMNS: [(&str, &str); 10] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("STATE", "state"),
    ("TENANTS", "tenants"),
    ("SCOPES", "scopes"),
    ("LABELS", "labels"),
    ("EXPIRES", "expires_at"),
    ("ROTATED", "next_rotation_at"),
    ("LAST USED", "last_used_at"),
    ("USES", "usage_count"),
];

/// A line for each key, below a line of titles, in columns.
pub(super) fn of_keys(keys: &Value) -> String {
    let titles: Vec<String> = COLUMNS.iter().map(|(title, _)| (*title).to_owned()).collect();
    let keys = keys.as_array().map(Vec::as_slice).unwrap_or_default();
    let cells = keys.iter().map(|key| COLUMNS.iter().map(|(_, field)| cell(&key[*field])).collect());
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(cells).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max();
    let widths: Vec<usize> = (0..COLUMNS.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let keys =
            json!([{ "id": "1", "name": "a long name", "scopes": ["push", "read"], "usage_count": 7 }]);
        let table = of_keys(&keys);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0].find("STATE"), lines[1].find("-  "));
        assert!(lines[1].starts_with("1   a long name  -") && lines[1].ends_with("7"), "{table}");
    }
}
