//! What is written about a PostgreSQL: where it is, and how patient one is with it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Password;

/// The most connections that one server keeps.
const CONNECTIONS_MAX: usize = 500;
/// The longest that anything is waited for, in milliseconds.
const TIMEOUT_MS_MAX: u64 = 600_000;
/// The longest name of a schema, in bytes: PostgreSQL cuts longer ones.
const SCHEMA_BYTES_MAX: usize = 63;

/// A PostgreSQL, 13 or later, with encoding UTF8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresSettings {
    /// A name or an address, or the folder of a Unix socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database, which must exist.
    pub database: String,
    /// Who connects.
    pub user: String,
    /// With which password.
    pub password: Password,
    /// The schema that the tables are in; made when it is not there.
    pub schema: String,
    /// Whether the connection is encrypted.
    pub tls: PostgresTls,
    /// Certificates (PEM) that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The most connections at a time, for writing and reading together; 2 to 500.
    pub connections_max: usize,
    /// How long a connection may take to come about, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a batch may take to be stored, with all retries, in milliseconds.
    pub write_timeout_ms: u64,
    /// Whether migrations that are not applied yet are applied at start.
    pub migrate: bool,
    /// A folder with migrations of one's own, applied with the built-in ones.
    pub migrations_dir: Option<PathBuf>,
    /// Days that events are kept by their timestamp; for ever when absent. A month goes as a whole.
    pub retention_days: Option<u32>,
    /// Days that rows of `server_metrics` are kept; 0 writes none.
    pub metrics_days: u32,
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PostgresTls {
    /// It is not.
    #[default]
    Off,
    /// It is, and the server's certificate is checked.
    Required,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 5432,
            database: "timberyard".to_owned(),
            user: "postgres".to_owned(),
            password: Password::default(),
            schema: "public".to_owned(),
            tls: PostgresTls::default(),
            ca_file: None,
            connections_max: 20,
            connect_timeout_ms: 5_000,
            write_timeout_ms: 10_000,
            migrate: true,
            migrations_dir: None,
            retention_days: None,
            metrics_days: 30,
        }
    }
}

impl PostgresSettings {
    /// What is wrong with them, as far as that can be told without connecting.
    ///
    /// # Errors
    /// The key, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        for (key, text) in [
            ("host", &self.host),
            ("database", &self.database),
            ("user", &self.user),
            ("schema", &self.schema),
        ] {
            if text.is_empty() || text.contains('\0') {
                return Err(format!("{key}: must not be empty"));
            }
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if self.schema.len() > SCHEMA_BYTES_MAX
            || !self.schema.bytes().all(plain)
            || self.schema.starts_with(|first: char| first.is_ascii_digit())
        {
            let rule = format!("1 to {SCHEMA_BYTES_MAX} of a-z, 0-9 and _, not a digit first");
            return Err(format!("schema: must be {rule}, not `{}`", self.schema));
        }
        if !(2..=CONNECTIONS_MAX).contains(&self.connections_max) {
            return Err(format!(
                "connections_max: must be 2 to {CONNECTIONS_MAX}, not {}",
                self.connections_max
            ));
        }
        for (key, value) in
            [("connect_timeout_ms", self.connect_timeout_ms), ("write_timeout_ms", self.write_timeout_ms)]
        {
            if !(1..=TIMEOUT_MS_MAX).contains(&value) {
                return Err(format!("{key}: must be 1 to {TIMEOUT_MS_MAX}, not {value}"));
            }
        }
        if self.port == 0 {
            return Err("port: must be 1 to 65535".to_owned());
        }
        if self.retention_days == Some(0) {
            return Err("retention_days: must be at least 1; leave it out to keep everything".to_owned());
        }
        if self.ca_file.is_some() && self.tls == PostgresTls::Off {
            return Err("ca_file: is of no use with `tls: off`".to_owned());
        }
        Ok(())
    }

    /// Where it is, for people: no password.
    pub fn address(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(super) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_named() {
        assert_eq!(PostgresSettings::default().check(), Ok(()));
        let wrong = [
            PostgresSettings { host: String::new(), ..Default::default() },
            PostgresSettings { schema: "a; drop".to_owned(), ..Default::default() },
            PostgresSettings { connections_max: 1, ..Default::default() },
            PostgresSettings { write_timeout_ms: 0, ..Default::default() },
            PostgresSettings { port: 0, ..Default::default() },
            PostgresSettings { retention_days: Some(0), ..Default::default() },
            PostgresSettings { ca_file: Some("ca.pem".into()), ..Default::default() },
        ];
        let keys =
            ["host", "schema", "connections_max", "write_timeout_ms", "port", "retention_days", "ca_file"];
        for (settings, key) in wrong.iter().zip(keys) {
            let error = settings.check().expect_err("wrong");
            assert!(error.starts_with(&format!("{key}: ")), "{error}");
        }
    }
}
