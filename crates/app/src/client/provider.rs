//! Talks to an OpenID provider for the server.

use std::path::Path;

use timberyard_server::auth::ProviderClient;

use super::questions;
use crate::failure::Failure;

/// A client of one provider.
pub(crate) struct HttpProviderClient(ureq::Agent);

impl HttpProviderClient {
    /// # Errors
    /// When the roots cannot be read, where TLS is spoken.
    pub(crate) fn new(issuer: &str, roots: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self(questions::client(issuer, roots)?))
    }
}

impl ProviderClient for HttpProviderClient {
    fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        questions::body(url, self.0.get(url).call())
    }

    fn post_form(&self, url: &str, form: &str, authorization: Option<&str>) -> Result<Vec<u8>, String> {
        let request = self.0.post(url).header("Content-Type", "application/x-www-form-urlencoded");
        let request = request.header("Accept", "application/json");
        let request = match authorization {
            Some(value) => request.header("Authorization", value),
            None => request,
        };
        questions::body(url, request.send(form))
    }
}
