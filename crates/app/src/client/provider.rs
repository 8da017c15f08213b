//! Talks to an OpenID provider for the server.

use std::path::Path;
use std::time::Duration;

use timberyard_server::auth::ProviderClient;
use ureq::http::Response;

use super::trust::TrustFiles;
use crate::failure::Failure;

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// A client that follows no redirects and believes the system's roots, or those of a file.
pub(crate) struct HttpProviderClient(ureq::Agent);

impl HttpProviderClient {
    /// # Errors
    /// When the roots cannot be read, where TLS is spoken.
    pub(crate) fn new(issuer: &str, roots: Option<&Path>) -> Result<Self, Failure> {
        let mut config = ureq::Agent::config_builder();
        if issuer.starts_with("https:") {
            let files = TrustFiles { roots: roots.map(Path::to_owned), identity: None };
            config = config.tls_config(files.read()?.of_requests()?);
        }
        let agent = config
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("timberyard/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self(agent.into()))
    }
}

impl ProviderClient for HttpProviderClient {
    fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        body(url, self.0.get(url).call())
    }

    fn post_form(&self, url: &str, form: &str, authorization: Option<&str>) -> Result<Vec<u8>, String> {
        let request = self.0.post(url).header("Content-Type", "application/x-www-form-urlencoded");
        let request = request.header("Accept", "application/json");
        let request = match authorization {
            Some(value) => request.header("Authorization", value),
            None => request,
        };
        body(url, request.send(form))
    }
}

/// The body of a success. An answer of the provider may hold secrets, and is in no message.
fn body(url: &str, response: Result<Response<ureq::Body>, ureq::Error>) -> Result<Vec<u8>, String> {
    let mut response = response.map_err(|error| format!("{url}: {error}"))?;
    if !response.status().is_success() {
        return Err(format!("{url}: status {}", response.status().as_u16()));
    }
    let read = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    read.map_err(|error| format!("{url}: {error}"))
}
