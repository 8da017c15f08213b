//! TLS of HTTP clients: the tree's one provider, and the system's certificates.

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::ClientConfig;

/// Settings of a client that shows no certificate of its own.
///
/// # Errors
/// The system's certificates cannot be read.
pub(crate) fn client_tls() -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_native_roots()
        .map_err(|error| format!("cannot read the system's certificates: {error}"))?
        .with_no_client_auth())
}
