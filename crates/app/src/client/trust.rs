//! Whom a client believes, and who it says it is, over TLS: the system's roots or a file of them, and a certificate of
//! its own where a server wants one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use timberyard_server::tls;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::failure::Failure;

/// The files that the environment names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustFiles {
    /// Roots to believe instead of the system's.
    pub(crate) roots: Option<PathBuf>,
    /// The client's certificate and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// What the files hold.
pub(crate) struct Trust {
    roots: Vec<CertificateDer<'static>>,
    /// Certificates, and the key as PEM: either library reads it for itself.
    identity: Option<(Vec<CertificateDer<'static>>, Vec<u8>)>,
}

impl TrustFiles {
    /// From `TIMBERYARD_CA_FILE`, `TIMBERYARD_CLIENT_CERT_FILE` and `TIMBERYARD_CLIENT_KEY_FILE`.
    pub(crate) fn from_environment(
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let path = |name| variable(name).map(PathBuf::from);
        let identity = match (path("TIMBERYARD_CLIENT_CERT_FILE"), path("TIMBERYARD_CLIENT_KEY_FILE")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                return Err(Failure::usage(
                    "TIMBERYARD_CLIENT_CERT_FILE and TIMBERYARD_CLIENT_KEY_FILE need each other",
                ));
            }
        };
        Ok(Self { roots: path("TIMBERYARD_CA_FILE"), identity })
    }

    /// Reads the files, or the system's roots.
    pub(crate) fn read(&self) -> Result<Trust, Failure> {
        let roots = match &self.roots {
            Some(path) => certificates(path)?,
            None => {
                let found = rustls_native_certs::load_native_certs();
                if found.certs.is_empty() {
                    let reasons = found.errors.iter().map(|error| format!(": {error}")).collect::<String>();
                    return Err(Failure::new(format!(
                        "this system has no root certificates{reasons}; name a file of them in TIMBERYARD_CA_FILE"
                    )));
                }
                found.certs
            }
        };
        let identity = match &self.identity {
            None => None,
            Some((certificate, key)) => {
                let read = std::fs::read(key).map_err(|error| {
                    Failure::usage(format!("cannot read a private key in {}: {error}", key.display()))
                })?;
                Some((certificates(certificate)?, read))
            }
        };
        Ok(Trust { roots, identity })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    tls::certificates(path, "certificate").map_err(|error| Failure::usage(error.to_string()))
}

impl Trust {
    /// For HTTP requests.
    pub(crate) fn of_requests(&self) -> Result<TlsConfig, Failure> {
        let owned = |der: &CertificateDer<'_>| Certificate::from_der(der).to_owned();
        let roots: Vec<_> = self.roots.iter().map(owned).collect();
        let identity = match &self.identity {
            None => None,
            Some((chain, key)) => {
                let chain: Vec<_> = chain.iter().map(owned).collect();
                let key = PrivateKey::from_pem(key).map_err(|error| {
                    Failure::usage(format!("cannot use the client's private key: {error}"))
                })?;
                Some(ClientCert::new_with_certs(&chain, key))
            }
        };
        Ok(TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .client_cert(identity)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build())
    }

    /// For WebSockets.
    pub(crate) fn of_sockets(self) -> Result<Arc<ClientConfig>, Failure> {
        let unusable = |error: rustls::Error| Failure::new(format!("cannot speak TLS: {error}"));
        let mut roots = RootCertStore::empty();
        // Systems keep some that nobody can use; a server that is signed by none of the others is refused by name.
        roots.add_parsable_certificates(self.roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots);
        let config = match self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| {
                    Failure::usage(format!("cannot use the client's private key: {error}"))
                })?;
                builder.with_client_auth_cert(chain, key).map_err(unusable)?
            }
        };
        Ok(Arc::new(config))
    }
}
