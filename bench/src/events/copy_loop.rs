//! The loop: bodies of events from a file, read as JSON, copied into a table as text.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::SinkExt as _;
use serde_json::Value;
use tokio_postgres::{Client, Config, NoTls};

/// The table, as Change66's README names its columns, with an index for each that its endpoints filter by, as ours has.
pub(super) const TABLE: &str = "CREATE TABLE copied (event_id text PRIMARY KEY, timestamp timestamptz, event_type text, \
     event_name text, properties jsonb, user_id text, session_id text, app_version text, device_info jsonb, \
     sequence_number bigint, priority text); \
     CREATE INDEX ON copied (timestamp); CREATE INDEX ON copied (event_type); CREATE INDEX ON copied (event_name); \
     CREATE INDEX ON copied (user_id); CREATE INDEX ON copied (session_id); \
     CREATE INDEX ON copied USING gin (properties jsonb_path_ops)";

/// The columns, in the order in which they are copied, and of each whether it is JSON.
const COLUMNS: [(&str, bool); 11] = [
    ("event_id", false),
    ("timestamp", false),
    ("event_type", false),
    ("event_name", false),
    ("properties", true),
    ("user_id", false),
    ("session_id", false),
    ("app_version", false),
    ("device_info", true),
    ("sequence_number", true),
    ("priority", false),
];

/// The process of the loop.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CopyLoopArguments {
    /// Bodies, one a line.
    #[arg(long)]
    from: PathBuf,
    #[arg(long)]
    port: u16,
    #[arg(long)]
    database: String,
}

/// Copies everything and ends.
pub(crate) fn run(arguments: &CopyLoopArguments) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(copy_all(arguments))
}

async fn copy_all(arguments: &CopyLoopArguments) -> Result<(), String> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(arguments.port).user("postgres").dbname(&arguments.database);
    let (client, connection) = config.connect(NoTls).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    let file = std::fs::File::open(&arguments.from).map_err(|e| e.to_string())?;
    for body in BufReader::new(file).lines() {
        let body: Value =
            serde_json::from_str(&body.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
        let mut rows = String::new();
        for event in body["logs"].as_array().into_iter().flatten() {
            put_row(&mut rows, event)?;
        }
        copy(&client, rows).await.map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Appends a row of COPY's text form.
fn put_row(rows: &mut String, event: &Value) -> Result<(), String> {
    for (number, (column, is_json)) in COLUMNS.into_iter().enumerate() {
        if number > 0 {
            rows.push('\t');
        }
        let value = &event[column];
        let text = if is_json { value.to_string() } else { value.as_str().unwrap_or_default().to_owned() };
        for c in text.chars() {
            match c {
                '\\' => rows.push_str("\\\\"),
                '\n' => rows.push_str("\\n"),
                '\t' => rows.push_str("\\t"),
                c => rows.push(c),
            }
        }
    }
    writeln!(rows).map_err(|e| e.to_string())
}

async fn copy(client: &Client, rows: String) -> Result<(), tokio_postgres::Error> {
    let columns: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let sink = client.copy_in(&format!("COPY copied ({}) FROM STDIN", columns.join(", "))).await?;
    let mut sink = std::pin::pin!(sink);
    sink.send(Bytes::from(rows)).await?;
    sink.finish().await?;
    Ok(())
}
