//! What is written about a ClickHouse server, and what is refused of it before anything is connected.

use serde::{Deserialize, Serialize};

use timberyard_model::TenantId;

use super::layout::Layout;
use crate::{ByteSize, Password};

/// A ClickHouse server, the table in it, and how rows are put together into inserts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClickHouseSettings {
    /// Its HTTP interface: `http://HOST:8123` or `https://HOST:8443`.
    pub url: String,
    /// The database of the table; made when it is not there.
    pub database: String,
    /// Whose columns the table has.
    pub layout: Layout,
    /// The table; the layout has one that counts when none is written. Others that belong to it have its name and more:
    /// `TABLE_streams`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Whose rows another system's table holds.
    pub tenant: String,
    /// Who logs in.
    pub user: String,
    /// With what.
    pub password: Password,
    /// A cluster of ClickHouse: tables are made on all of its nodes, replicated, with a distributed one in front.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Whether tables are made and brought up to date when they are first used; `timberyard migrate` does it too.
    pub create: bool,
    /// Days that rows are kept in tables that are made; 0 keeps them for ever.
    pub retention_days: u32,
    /// The most rows of an insert that is put together from several batches.
    pub batch_rows_max: usize,
    /// The most bytes of such an insert, before compression.
    pub batch_bytes_max: ByteSize,
    /// How long the first batch of an insert waits for others, in milliseconds.
    pub batch_age_ms: u64,
    /// How long an insert may take, in milliseconds.
    pub insert_timeout_ms: u64,
    /// How long a query may go without an answer or a part of it, in milliseconds.
    pub query_timeout_ms: u64,
}

impl Default for ClickHouseSettings {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8123".to_owned(),
            database: "default".to_owned(),
            layout: Layout::Timberyard,
            table: None,
            tenant: TenantId::default().as_str().to_owned(),
            user: "default".to_owned(),
            password: Password::default(),
            cluster: None,
            create: true,
            retention_days: 0,
            batch_rows_max: 100_000,
            batch_bytes_max: ByteSize(16 << 20),
            batch_age_ms: 100,
            insert_timeout_ms: 30_000,
            query_timeout_ms: 60_000,
        }
    }
}

impl ClickHouseSettings {
    /// The table.
    pub fn table(&self) -> &str {
        self.table.as_deref().unwrap_or(self.layout.table_default())
    }

    /// What is wrong with them, beginning with the setting's name.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), String> {
        let host = self.url.strip_prefix("http://").or_else(|| self.url.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['?', '#', '@', ' '])) {
            // It may hold a password.
            let shown = if self.url.contains('@') { "what is written" } else { &*format!("`{}`", self.url) };
            return Err(format!("url: {shown} is not http://HOST:PORT or https://HOST:PORT"));
        }
        let cluster = self.cluster.as_deref();
        for (name, value) in
            [("database", Some(&*self.database)), ("table", Some(self.table())), ("cluster", cluster)]
        {
            if let Some(value) = value.filter(|value| !is_identifier(value)) {
                return Err(format!(
                    "{name}: `{value}` is not 1 to {NAME_BYTES_MAX} letters, digits or `_`, no digit first"
                ));
            }
        }
        TenantId::new(&self.tenant).map_err(|error| format!("tenant: {error}"))?;
        let ranges = [
            ("batch_rows_max", self.batch_rows_max as u64, 1, 1_000_000),
            ("batch_bytes_max", self.batch_bytes_max.0, 1, 1 << 30),
            ("batch_age_ms", self.batch_age_ms, 0, 60_000),
            ("insert_timeout_ms", self.insert_timeout_ms, 1, 600_000),
            ("query_timeout_ms", self.query_timeout_ms, 1, 3_600_000),
        ];
        for (name, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(format!("{name}: {value} is not {least} to {most}"));
            }
        }
        Ok(())
    }
}

const NAME_BYTES_MAX: usize = 128;

/// Names stand in SQL as they are: nothing in them may need quoting.
fn is_identifier(name: &str) -> bool {
    let is_start = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.as_bytes().first().is_some_and(is_start)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_with_their_setting() {
        let with = |change: fn(&mut ClickHouseSettings)| {
            let mut settings = ClickHouseSettings::default();
            change(&mut settings);
            settings.check().err().unwrap_or_default()
        };
        assert_eq!(with(|_| ()), "");
        assert_eq!(
            with(|s| s.url = "tcp://x:9000".into()),
            "url: `tcp://x:9000` is not http://HOST:PORT or https://HOST:PORT"
        );
        assert!(with(|s| s.url = "http://me:secret@x".into()).starts_with("url: what is written"));
        assert!(with(|s| s.table = Some("logs; DROP TABLE x".into())).starts_with("table: `logs; DROP"));
        assert!(with(|s| s.cluster = Some(String::new())).starts_with("cluster: "));
        assert_eq!(with(|s| s.batch_rows_max = 0), "batch_rows_max: 0 is not 1 to 1000000");
    }
}
