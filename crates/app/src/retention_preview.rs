//! `timberyard retention preview`: which rule would free how much, before it happens.

use std::io::{self, Write};

use serde_json::Value;
use timberyard_model::Timestamp;
use timberyard_server::operations::{FreedByRule, RetentionPreview};
use timberyard_store::retention::{FreedBy, preview};

use crate::cli::{RetentionPreviewArguments, SettingsArguments};
use crate::client::{Client, Endpoint, with_parameters};
use crate::data_directory;
use crate::failure::Failure;
use crate::server::load;
use crate::time_argument::{now, parse_span, parse_time};
use crate::wiring::store_options;

/// Shows a preview of a data directory under the settings, or the one that a running server makes.
pub(crate) fn run(arguments: &RetentionPreviewArguments) -> Result<(), Failure> {
    let at = at(arguments)?;
    let preview = if arguments.client.url.is_some() {
        of_server(arguments, at)?
    } else {
        let configuration = load(&SettingsArguments {
            config: arguments.config.clone(),
            env_file: arguments.env_file.clone(),
            listen: None,
            data_dir: arguments.data_dir.clone(),
            role: None,
        })?;
        let settings = &configuration.settings;
        let directory = &settings.data_dir;
        data_directory::require(directory)?;
        let made = preview(directory, &store_options(settings), at)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", directory.display())))?;
        serde_json::to_value(shown(&made)).map_err(|error| Failure::new(error.to_string()))?
    };
    let text = if arguments.json { format!("{preview}\n") } else { table(&preview, at) };
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::output(&error))
}

/// The time that is looked at.
fn at(arguments: &RetentionPreviewArguments) -> Result<Timestamp, Failure> {
    match (&arguments.at, &arguments.after) {
        (Some(text), _) => parse_time("--at", text, now()),
        (None, Some(text)) => Ok(now().saturating_add_nanos(parse_span("--after", text)?)),
        (None, None) => Ok(now()),
    }
}

fn of_server(arguments: &RetentionPreviewArguments, at: Timestamp) -> Result<Value, Failure> {
    let client = Client::new(Endpoint::from_process(&arguments.client)?)?;
    let path = with_parameters("/retention/preview", &[("at", &at.to_string())]);
    let url = client.endpoint().url("http", &path);
    let answer = client.get(&path, &[]).map_err(|error| Failure::new(format!("{url}: {error}")))?;
    if !answer.is_success() {
        return Err(Failure::new(format!("{url}: {}", answer.problem())));
    }
    let said: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::new(format!("{url}: the answer is not JSON: {error}")))?;
    Ok(said["data"].clone())
}

/// A preview in the server's words.
pub(crate) fn shown(preview: &timberyard_store::RetentionPreview) -> RetentionPreview {
    let freed = preview.freed.iter().map(|freed| FreedByRule {
        tenant: freed.tenant.to_string(),
        rule: match &freed.by {
            FreedBy::Age => "age".to_owned(),
            FreedBy::Streams(selector) => selector.to_string(),
            FreedBy::TenantBytes => "bytes of the tenant".to_owned(),
            FreedBy::AllBytes => "bytes of all tenants".to_owned(),
        },
        segments_dropped: freed.segments_dropped,
        segments_rewritten: freed.segments_rewritten,
        rows: freed.rows,
        line_bytes: freed.line_bytes,
        file_bytes: freed.file_bytes,
    });
    RetentionPreview { freed: freed.collect(), segments_damaged: preview.segments_damaged }
}

/// The columns after tenant and rule: the field, and its heading.
const COLUMNS: [(&str, &str); 5] = [
    ("segments_dropped", "dropped"),
    ("segments_rewritten", "rewritten"),
    ("rows", "rows"),
    ("line_bytes", "line bytes"),
    ("file_bytes", "bytes on disk"),
];

fn table(preview: &Value, at: Timestamp) -> String {
    let freed = preview["freed"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let names = ["tenant", "rule"].into_iter().chain(COLUMNS.map(|(_, heading)| heading));
    rows.push(names.map(str::to_owned).collect());
    for one in freed {
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let numbers = COLUMNS.map(|(name, _)| one[name].as_u64().unwrap_or_default().to_string());
        rows.push([text("tenant"), text("rule")].into_iter().chain(numbers).collect());
    }
    let sum = |name: &str| freed.iter().filter_map(|one| one[name].as_u64()).sum::<u64>().to_string();
    // A segment that two rules rewrite is in both lines, so there is no sum of segments.
    let sums = COLUMNS.map(|(name, _)| if name.starts_with("segments") { String::new() } else { sum(name) });
    rows.push(["total".to_owned(), String::new()].into_iter().chain(sums).collect());
    let widths: Vec<usize> = (0..COLUMNS.len() + 2)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut out =
        format!("what retention takes away if it is {at}; segments by how many go whole or in part\n");
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    if let Some(damaged @ 1..) = preview["segments_damaged"].as_u64() {
        out.push_str(&format!("{damaged} segments cannot be read and are left out\n"));
    }
    out
}
