//! How a connection to the brokers is encrypted, and who we are on it.

use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};

use crate::Password;

/// What is written about it. Nothing: in the clear, as nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecuritySettings {
    /// Whether connections are encrypted; the system's roots are believed unless `ca_file` names others.
    pub tls: bool,
    /// Certificates that the brokers' are signed by, PEM.
    pub ca_file: Option<String>,
    /// Our own certificate, PEM.
    pub client_cert_file: Option<String>,
    /// Its key, PEM, not encrypted.
    pub client_key_file: Option<String>,
    /// How we say who we are; nobody when absent.
    pub sasl: Option<SaslMechanism>,
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: Password,
}

/// How a user is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaslMechanism {
    /// Name and password as they are.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of the password by SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// A proof of the password by SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl SecuritySettings {
    /// What is wrong, as far as that is seen without a connection.
    pub(super) fn check(&self) -> Result<(), String> {
        let files = [&self.ca_file, &self.client_cert_file, &self.client_key_file];
        if !self.tls && files.iter().any(|file| file.is_some()) {
            return Err("security: files of certificates need `tls: true`".to_owned());
        }
        if self.client_cert_file.is_some() != self.client_key_file.is_some() {
            return Err("security: `client_cert_file` and `client_key_file` belong together".to_owned());
        }
        match (self.sasl, self.user.is_empty(), self.password.is_empty()) {
            (Some(_), true, _) => Err("security.user: must be written with `sasl`".to_owned()),
            (Some(_), _, true) => Err("security.password: must be written with `sasl`".to_owned()),
            (None, false, _) | (None, _, false) => {
                Err("security.sasl: must be written with `user` or `password`: PLAIN, SCRAM-SHA-256 or \
                     SCRAM-SHA-512"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn apply(&self, config: &mut ClientConfig) {
        let protocol = match (self.tls, self.sasl.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        let files = [
            ("ssl.ca.location", &self.ca_file),
            ("ssl.certificate.location", &self.client_cert_file),
            ("ssl.key.location", &self.client_key_file),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                config.set(name, file);
            }
        }
        if let Some(mechanism) = self.sasl {
            config.set("sasl.mechanism", mechanism.name());
            config.set("sasl.username", &self.user);
            config.set("sasl.password", self.password.reveal());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let user = || SecuritySettings {
            sasl: Some(SaslMechanism::Plain),
            user: "u".to_owned(),
            password: Password::new("p"),
            ..SecuritySettings::default()
        };
        let cases = [
            (SecuritySettings::default(), None),
            (user(), None),
            (SecuritySettings { sasl: None, ..user() }, Some("security.sasl: must be written")),
            (SecuritySettings { user: String::new(), ..user() }, Some("security.user: must be written")),
            (SecuritySettings { password: Password::default(), ..user() }, Some("security.password: must")),
            (SecuritySettings { ca_file: Some("ca".to_owned()), ..user() }, Some("security: files")),
            (
                SecuritySettings { tls: true, client_key_file: Some("key".to_owned()), ..user() },
                Some("security: `client_cert_file` and"),
            ),
        ];
        for (settings, expected) in cases {
            match (settings.check(), expected) {
                (Ok(()), None) => {}
                (Err(reason), Some(expected)) => assert!(reason.starts_with(expected), "{reason}"),
                other => panic!("{settings:?} {other:?}"),
            }
        }
    }

    #[test]
    fn the_client_is_told_what_is_written() {
        let mut config = ClientConfig::new();
        let settings = SecuritySettings {
            tls: true,
            ca_file: Some("/ca.pem".to_owned()),
            sasl: Some(SaslMechanism::ScramSha512),
            user: "u".to_owned(),
            password: Password::new("p"),
            ..SecuritySettings::default()
        };
        settings.apply(&mut config);
        for (name, value) in [
            ("security.protocol", "sasl_ssl"),
            ("ssl.ca.location", "/ca.pem"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.password", "p"),
        ] {
            assert_eq!(config.get(name), Some(value));
        }
        // The library that the program is linked with knows all of this.
        config.create_native_config().expect("TLS and SCRAM are there");
    }
}
