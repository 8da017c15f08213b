//! The address of a server as variables of other systems give it: a host, a URL, or a data source name.

use super::settings::ClickHouseSettings;
use crate::Password;

/// Ports of the native protocol, and those of HTTP on the same server.
const HTTP_PORTS: [(&str, &str); 2] = [("9000", "8123"), ("9440", "8443")];

impl ClickHouseSettings {
    /// Takes address, user, password and database from `HOST`, `HOST:PORT`, `http://HOST:PORT`, or
    /// `clickhouse://USER:PASSWORD@HOST:PORT/DATABASE`; of what is not there nothing changes. A port of the native protocol
    /// stands for that of HTTP.
    ///
    /// # Errors
    /// That it is none of these. The text is not part of the error: it may hold a password.
    pub fn take_address(&mut self, address: &str) -> Result<(), String> {
        let refused = || "is not a host, a URL, or clickhouse://USER:PASSWORD@HOST:PORT/DATABASE".to_owned();
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, Some(port)),
            Some(_) => return Err(refused()),
            None => (place, None),
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(refused());
        }
        let encrypted = match scheme {
            "https" | "clickhouses" => true,
            "" | "http" | "clickhouse" | "tcp" => port == Some("9440") || port == Some("8443"),
            _ => return Err(refused()),
        };
        let usual = if encrypted { "8443" } else { "8123" };
        let port = port.unwrap_or(usual);
        let port = HTTP_PORTS.iter().find(|(native, _)| *native == port).map_or(port, |(_, http)| http);
        self.url = format!("{}://{host}:{port}", if encrypted { "https" } else { "http" });
        if let Some(login) = login {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            self.user = user.to_owned();
            self.password = Password::new(password);
        }
        if !database.trim_matches('/').is_empty() {
            self.database = database.trim_matches('/').to_owned();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_form_are_read() {
        for (address, url, user, database) in [
            ("ch", "http://ch:8123", "default", "default"),
            ("ch:9000", "http://ch:8123", "default", "default"),
            ("http://ch:8124/", "http://ch:8124", "default", "default"),
            ("https://ch", "https://ch:8443", "default", "default"),
            ("clickhouse://me:a@b@ch:9440/logs?x=1", "https://ch:8443", "me", "logs"),
            ("tcp://ch:9000", "http://ch:8123", "default", "default"),
        ] {
            let mut settings = ClickHouseSettings::default();
            settings.take_address(address).expect(address);
            assert_eq!(
                (&*settings.url, &*settings.user, &*settings.database),
                (url, user, database),
                "{address}"
            );
        }
        let mut settings = ClickHouseSettings::default();
        settings.take_address("clickhouse://me:hush@ch/x").expect("valid");
        assert_eq!(settings.password.reveal(), "hush");
        for address in ["", "http://", "ftp://ch", "ch:port", "a b"] {
            assert!(settings.take_address(address).is_err(), "{address}");
        }
    }
}
