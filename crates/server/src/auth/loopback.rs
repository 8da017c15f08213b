//! Whether a `Host` or an `Origin` belongs to this machine, or to the page this server served itself.
//!
//! Without keys the server trusts everything on this machine, and a browser on this machine runs pages of
//! strangers: a foreign `Host` is a rebound name, a foreign `Origin` a stranger's page.

use std::net::IpAddr;

/// Whether the value of a `Host` header names this machine: `localhost`, a name under it, or a loopback address.
///
/// What is not written as `name`, `name:port`, `[address]` or `[address]:port` names nobody.
pub(super) fn is_loopback_host(host: &str) -> bool {
    if !is_well_formed(host) {
        return false;
    }
    let name = host_name(host);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// Whether a page of `origin` belongs to the server reached as `host`: the same host and port, or both
/// loopback names and the same port.
pub(super) fn is_own_origin(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => "80",
        "https" => "443",
        _ => return false,
    };
    let same_port = port(authority).unwrap_or(default_port) == port(host).unwrap_or(default_port);
    let same_name = host_name(authority).eq_ignore_ascii_case(host_name(host));
    same_port && (same_name || (is_loopback_host(authority) && is_loopback_host(host)))
}

/// Whether the brackets of an address are closed, with nothing but a port behind them, and a name has
/// the characters of a name only.
fn is_well_formed(authority: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let (name_is_well_formed, rest) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((_, rest)) => (true, rest),
            None => return false,
        },
        None => {
            let (name, rest) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (name.bytes().all(in_name), rest)
        }
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    name_is_well_formed && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// The name without port and brackets.
fn host_name(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.rsplit_once(':').map_or(authority, |(name, _)| name)
}

fn port(authority: &str) -> Option<&str> {
    let after_brackets = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    after_brackets.rsplit_once(':').map(|(_, port)| port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts_are_told_from_others() {
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::1]",
            "a.localhost",
            "localhost.",
        ] {
            assert!(is_loopback_host(good), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "127.0.0.1.example.org",
            "localhost.example.org",
            "10.0.0.1:8080",
            "[::2]",
            "0.0.0.0",
            "[::1].example.org",
            "[::1",
            "example.org#.localhost",
            "example.org/.localhost",
            "localhost:80@example.org",
            "example.org:80@localhost",
        ] {
            assert!(!is_loopback_host(bad), "{bad}");
        }
    }

    #[test]
    fn a_page_of_the_server_itself_is_no_stranger() {
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://localhost:8080", "127.0.0.1:8080"),
            ("https://logs.example.org", "logs.example.org"),
            ("http://[::1]:80", "localhost"),
        ] {
            assert!(is_own_origin(origin, host), "{origin} at {host}");
        }
        for (origin, host) in [
            ("http://evil.example", "127.0.0.1:8080"),
            ("http://127.0.0.1:9999", "127.0.0.1:8080"),
            ("null", "127.0.0.1:8080"),
            ("file://", "127.0.0.1:8080"),
        ] {
            assert!(!is_own_origin(origin, host), "{origin} at {host}");
        }
    }
}
