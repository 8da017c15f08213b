//! Short questions to services that are not ours: an OpenID provider, Kubernetes.

use std::path::Path;
use std::time::Duration;

use ureq::http::Response;

use super::trust::TrustFiles;
use crate::failure::Failure;

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// A client that follows no redirects and believes the system's roots, or those of a file.
///
/// # Errors
/// When the roots cannot be read, where TLS is spoken.
pub(super) fn client(url: &str, roots: Option<&Path>) -> Result<ureq::Agent, Failure> {
    let mut config = ureq::Agent::config_builder();
    if url.starts_with("https:") {
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
    Ok(agent.into())
}

/// The body of a success. An answer may hold secrets, and is in no message.
pub(super) fn body(
    url: &str,
    response: Result<Response<ureq::Body>, ureq::Error>,
) -> Result<Vec<u8>, String> {
    let mut response = response.map_err(|error| format!("{url}: {error}"))?;
    if !response.status().is_success() {
        return Err(format!("{url}: status {}", response.status().as_u16()));
    }
    let read = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    read.map_err(|error| format!("{url}: {error}"))
}
