//! The way to a ClickHouse server: one pool of HTTP connections, a time limit on every wait, and errors by what to do about them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clickhouse::query::BytesCursor;
use clickhouse::{Client, Compression};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use timberyard_model::scan::ScanError;
use timberyard_model::sink::SinkError;

use super::settings::ClickHouseSettings;
use super::statement::Statement;
use crate::client_tls::client_tls;

/// How long it may take until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// ClickHouse closes connections that were silent for 3 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
/// What an insert is sent in, in bytes.
const CHUNK_BYTES: usize = 256 << 10;
/// When a sender should try again after the server had too much to do, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// What a server answered instead of what was asked, or that it did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClickHouseError {
    /// It refused, with a number (<https://clickhouse.com/docs/sql-reference/table-functions/system> `system.errors`).
    #[error("clickhouse refused: {text}")]
    Refused {
        /// The number of the error; 0 when there is none.
        code: u32,
        /// Its own words, in one line.
        text: String,
    },
    /// It could not be reached, or the connection broke. What was asked may have been done.
    #[error("clickhouse is unreachable: {0}")]
    Unreachable(String),
    /// No answer within the limit. What was asked may still be done.
    #[error("clickhouse did not answer within {limit_ms} ms")]
    TimedOut {
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// The answer is none.
    #[error("clickhouse answered what cannot be read: {0}")]
    Malformed(String),
    /// A table that is there is not what it should be.
    #[error("{0}")]
    WrongTable(String),
    /// An answer that has to fit in memory does not.
    #[error("answer of clickhouse holds more than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl ClickHouseError {
    /// The server's number of the error.
    pub(super) fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same may succeed when it is asked again at once.
    pub(super) fn is_broken_connection(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// A table or its database is not there.
    pub(super) fn is_missing_table(&self) -> bool {
        matches!(self.code(), Some(UNKNOWN_TABLE | UNKNOWN_DATABASE))
    }
}

const UNKNOWN_TABLE: u32 = 60;
const UNKNOWN_DATABASE: u32 = 81;
const NOT_ENOUGH_SPACE: u32 = 243;
/// `TIMEOUT_EXCEEDED`, `TOO_MANY_SIMULTANEOUS_QUERIES`, `MEMORY_LIMIT_EXCEEDED`, `TOO_MANY_PARTS`, `CANNOT_SCHEDULE_TASK`.
const OVERLOADED: [u32; 5] = [159, 202, 241, 252, 439];

impl From<ClickHouseError> for SinkError {
    fn from(error: ClickHouseError) -> Self {
        match error.code() {
            Some(NOT_ENOUGH_SPACE) => Self::Full(error.to_string()),
            Some(code) if OVERLOADED.contains(&code) => {
                Self::Overloaded { reason: error.to_string(), retry_after_seconds: RETRY_AFTER_SECONDS }
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<ClickHouseError> for ScanError {
    fn from(error: ClickHouseError) -> Self {
        match error {
            ClickHouseError::Unreachable(_) | ClickHouseError::TimedOut { .. } => {
                Self::Unavailable(error.to_string())
            }
            ClickHouseError::TooLong { limit } => Self::Memory { limit },
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<clickhouse::error::Error> for ClickHouseError {
    fn from(error: clickhouse::error::Error) -> Self {
        match error {
            clickhouse::error::Error::BadResponse(text) => {
                let digits = text.split_once("Code: ").map_or("", |(_, rest)| rest);
                let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
                let line: Vec<&str> = text.split_whitespace().collect();
                Self::Refused { code: digits.parse().unwrap_or(0), text: line.join(" ") }
            }
            clickhouse::error::Error::Network(error) => Self::Unreachable(with_sources(&*error)),
            other => Self::Malformed(other.to_string()),
        }
    }
}

/// An error in one line with those that it stems from: the outermost says little.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

/// A server that is asked things.
#[derive(Clone)]
pub(super) struct Connection {
    client: Client,
    insert_timeout: Duration,
    query_timeout: Duration,
}

impl Connection {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// The system's certificates cannot be read, for an address that needs them.
    pub(super) fn new(settings: &ClickHouseSettings) -> Result<Self, String> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let mut builder = HttpClient::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE_TIMEOUT).pool_timer(hyper_util::rt::TokioTimer::new());
        let client = if settings.url.starts_with("https://") {
            connector.enforce_http(false);
            let https =
                hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(client_tls()?).https_or_http();
            Client::with_http_client(builder.build(https.enable_http1().wrap_connector(connector)))
        } else {
            Client::with_http_client(builder.build(connector))
        };
        let client = client
            .with_url(&settings.url)
            .with_user(&settings.user)
            .with_password(settings.password.reveal())
            .with_compression(Compression::Lz4);
        let millis = Duration::from_millis;
        Ok(Self {
            client,
            insert_timeout: millis(settings.insert_timeout_ms),
            query_timeout: millis(settings.query_timeout_ms),
        })
    }

    /// Does what has no answer.
    pub(super) async fn execute(&self, statement: &Statement) -> Result<(), ClickHouseError> {
        within(self.query_timeout, statement.query(&self.client).execute()).await
    }

    /// The whole answer as `RowBinary`, up to so many bytes.
    pub(super) async fn fetch(
        &self,
        statement: &Statement,
        bytes_max: usize,
    ) -> Result<Bytes, ClickHouseError> {
        let mut answer = self.stream(statement, &[])?;
        let mut bytes = BytesMut::new();
        while let Some(part) = answer.next().await? {
            bytes.extend_from_slice(&part);
            if bytes.len() > bytes_max {
                return Err(ClickHouseError::TooLong { limit: bytes_max });
            }
        }
        Ok(bytes.freeze())
    }

    /// The answer as `RowBinary`, as it comes.
    pub(super) fn stream(
        &self,
        statement: &Statement,
        settings: &[(&str, &str)],
    ) -> Result<AnswerStream, ClickHouseError> {
        let mut query = statement.query(&self.client);
        for (name, value) in settings {
            query = query.with_setting(*name, *value);
        }
        Ok(AnswerStream { cursor: query.fetch_bytes("RowBinary")?, timeout: self.query_timeout })
    }

    /// Inserts rows in `RowBinary`, all of them in one block. `Ok` when they are in the table. The server forgets an insert with a token that it had
    /// lately.
    pub(super) async fn insert(&self, sql: &str, token: u64, rows: Bytes) -> Result<(), ClickHouseError> {
        let sending = async {
            let mut insert = self
                .client
                .insert_formatted_with(sql)
                .with_setting("insert_deduplication_token", format!("{token:016x}"));
            for (name, value) in INSERT_SETTINGS {
                insert = insert.with_setting(name, value);
            }
            let mut rest = rows;
            while !rest.is_empty() {
                insert.send(rest.split_to(rest.len().min(CHUNK_BYTES))).await?;
            }
            insert.end().await
        };
        within(self.insert_timeout, sending).await
    }
}

/// An insert is one block, whatever the server's settings are otherwise, and its answer comes when the block is there.
const INSERT_SETTINGS: [(&str, &str); 8] = [
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    ("input_format_parallel_parsing", "0"),
    ("max_insert_block_size", "16777216"),
    ("min_insert_block_size_rows", "0"),
    ("min_insert_block_size_bytes", "0"),
    // Rows may be of any day, and each is a partition.
    ("max_partitions_per_insert_block", "0"),
    ("distributed_foreground_insert", "1"),
];

async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, clickhouse::error::Error>>,
) -> Result<T, ClickHouseError> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ClickHouseError::TimedOut { limit_ms: limit.as_millis() as u64 }),
    }
}

/// An answer that comes in parts.
pub(super) struct AnswerStream {
    cursor: BytesCursor,
    timeout: Duration,
}

impl AnswerStream {
    /// The next part; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ClickHouseError> {
        within(self.timeout, self.cursor.next()).await
    }

    /// Bytes that came over the network so far.
    pub(super) fn received_bytes(&self) -> u64 {
        self.cursor.received_bytes()
    }

    /// Bytes that they became.
    pub(super) fn decoded_bytes(&self) -> u64 {
        self.cursor.decoded_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_a_sender_what_to_do() {
        let refused =
            |text: &str| ClickHouseError::from(clickhouse::error::Error::BadResponse(text.to_owned()));
        let error = refused("Code: 252. DB::Exception: Too many parts (300).\n(TOO_MANY_PARTS)");
        assert_eq!(error.code(), Some(252));
        assert!(matches!(SinkError::from(error), SinkError::Overloaded { retry_after_seconds: 5, .. }));
        assert!(matches!(SinkError::from(refused("Code: 243. No space")), SinkError::Full(_)));
        assert!(matches!(SinkError::from(refused("<html>502</html>")), SinkError::Unavailable(_)));
        assert!(refused("Code: 60. Table logs.logs does not exist").is_missing_table());
    }
}
