//! Which server, and as whom: from flags, then the environment.

use super::trust::TrustFiles;
use crate::cli::ClientArguments;
use crate::failure::Failure;

/// Where a server listens when nothing is said.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// A server and the credentials for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `HOST:PORT`.
    pub(crate) authority: String,
    /// The path of the URL without a slash at its end; empty for a server at the root.
    pub(crate) path: String,
    /// Whom to believe, where TLS is spoken.
    pub(crate) tls: Option<TrustFiles>,
    /// The API key.
    pub(crate) api_key: Option<String>,
    /// The tenant.
    pub(crate) tenant: Option<String>,
}

impl Endpoint {
    /// What the flags mean; `variable` reads the environment.
    pub(crate) fn new(
        arguments: &ClientArguments,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let first = |typed: &Option<String>, names: &[&str]| {
            let set = |name: &&str| variable(name).filter(|value| !value.trim().is_empty());
            typed.clone().or_else(|| names.iter().find_map(set))
        };
        let url = first(&arguments.url, &["TIMBERYARD_URL", "LOGPULSE_SERVER_URL"])
            .unwrap_or_else(|| DEFAULT_URL.to_owned());
        let (scheme, authority, path) = parse(url.trim())?;
        let tls = match scheme {
            Scheme::Plain => None,
            Scheme::Tls => Some(TrustFiles::from_environment(|name| first(&None, &[name]))?),
        };
        Ok(Self {
            authority,
            path,
            tls,
            api_key: first(&arguments.api_key, &["TIMBERYARD_API_KEY", "LOGPULSE_API_KEY"]),
            tenant: first(&arguments.tenant, &["TIMBERYARD_TENANT"]),
        })
    }

    /// From flags and the process's environment.
    pub(crate) fn from_process(arguments: &ClientArguments) -> Result<Self, Failure> {
        Self::new(arguments, |name| std::env::var(name).ok())
    }

    /// The URL of a path of the server, with `http` or `ws` before it, or either with `s`.
    pub(crate) fn url(&self, scheme: &str, path_and_query: &str) -> String {
        let secure = if self.tls.is_some() { "s" } else { "" };
        format!("{scheme}{secure}://{}{}{path_and_query}", self.authority, self.path)
    }

    /// Host and port to connect to.
    pub(crate) fn address(&self) -> String {
        let authority = &self.authority;
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        match (has_port, &self.tls) {
            (true, _) => authority.clone(),
            (false, None) => format!("{authority}:80"),
            (false, Some(_)) => format!("{authority}:443"),
        }
    }

    /// The headers that say who asks.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let key = self.api_key.as_deref().map(|key| ("X-API-Key", key));
        let tenant = self.tenant.as_deref().map(|tenant| ("X-Scope-OrgID", tenant));
        key.into_iter().chain(tenant)
    }
}

/// How bytes get to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Plain,
    Tls,
}

fn parse(url: &str) -> Result<(Scheme, String, String), Failure> {
    let refuse = |reason: &str| Failure::usage(format!("--url `{url}`: {reason}"));
    let (scheme, rest) = match url.split_once("://") {
        Some(("http", rest)) => (Scheme::Plain, rest),
        Some(("https", rest)) => (Scheme::Tls, rest),
        Some(_) => return Err(refuse("must begin with http:// or https://")),
        None => (Scheme::Plain, url),
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    if authority.is_empty() || authority.contains(['@', '?', '#']) || path.contains(['?', '#']) {
        return Err(refuse("must be like http://HOST:PORT"));
    }
    Ok((scheme, authority.to_owned(), path.trim_end_matches('/').to_owned()))
}

/// Percent-encodes everything but unreserved characters (RFC 3986, section 2.3).
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A path with its parameters.
pub(crate) fn with_parameters(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut out = path.to_owned();
    for (i, (name, value)) in parameters.iter().enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        out.push_str(&percent_encode(value));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_count_before_the_environment() {
        let environment = |name: &str| match name {
            "LOGPULSE_SERVER_URL" => Some("http://pulse:1/".to_owned()),
            "TIMBERYARD_API_KEY" => Some(String::new()),
            "LOGPULSE_API_KEY" => Some("k".to_owned()),
            _ => None,
        };
        let from_environment = Endpoint::new(&ClientArguments::default(), environment).expect("valid");
        assert_eq!(from_environment.url("http", "/x"), "http://pulse:1/x");
        assert_eq!(from_environment.headers().collect::<Vec<_>>(), [("X-API-Key", "k")]);
        let typed = ClientArguments { url: Some("h:2/base/".to_owned()), ..ClientArguments::default() };
        assert_eq!(Endpoint::new(&typed, environment).expect("valid").url("ws", "/x"), "ws://h:2/base/x");
        let nothing = Endpoint::new(&ClientArguments::default(), |_| None).expect("valid");
        assert_eq!(nothing.url("http", ""), DEFAULT_URL);
        assert_eq!(nothing.address(), "127.0.0.1:8080");
    }

    #[test]
    fn a_secure_url_is_kept_and_its_port_is_443() {
        let typed = ClientArguments { url: Some("https://h/base".to_owned()), ..ClientArguments::default() };
        let endpoint = Endpoint::new(&typed, |_| None).expect("valid");
        assert_eq!(
            (endpoint.url("ws", "/x"), endpoint.address()),
            ("wss://h/base/x".to_owned(), "h:443".to_owned())
        );
        let half = |name: &str| (name == "TIMBERYARD_CLIENT_CERT_FILE").then(|| "c.pem".to_owned());
        assert_eq!(Endpoint::new(&typed, half).expect_err("no key").exit_code(), 2);
    }

    #[test]
    fn urls_that_cannot_be_meant_are_refused() {
        for url in ["https://", "ftp://h", "http://", "http://u@h", "http://h/?a=b"] {
            let typed = ClientArguments { url: Some(url.to_owned()), ..ClientArguments::default() };
            assert_eq!(Endpoint::new(&typed, |_| None).expect_err(url).exit_code(), 2, "{url}");
        }
    }

    #[test]
    fn parameters_are_encoded() {
        assert_eq!(
            with_parameters("/q", &[("query", "{a=\"b\"}"), ("n", "1")]),
            "/q?query=%7Ba%3D%22b%22%7D&n=1"
        );
    }
}
