//! The certificates that the server shows and asks for, read from PEM files.
//!
//! Files are read at the start and at every reload, never for a connection: a connection keeps what it began with,
//! and files that are wrong leave what is in force as it is. TLS 1.2 and 1.3, with the ciphers of `ring`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

/// The protocols that are spoken inside, by their names in RFC 7301, best first.
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
pub(crate) const HTTP_2: &[u8] = b"h2";

/// Which files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and those between it and a root, in this order.
    pub certificates: PathBuf,
    /// The private key of the first certificate: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// Roots that sign certificates of clients; when there is one, every client needs a certificate.
    pub client_roots: Option<PathBuf>,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {what} in {}: {}", .path.display(), reason(.source))]
    Unreadable {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// A file holds nothing of what it should.
    #[error("there is no {what} in {}", .path.display())]
    Absent {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A root is no certificate.
    #[error("root certificate {number} in {} cannot be used: {source}", .path.display())]
    BadRoot {
        /// Which of the file, from 1.
        number: usize,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Roots that nothing can be checked with.
    #[error("root certificates in {} cannot be used: {source}", .path.display())]
    BadRoots {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
    /// Certificate and key are not usable together.
    #[error("the certificate in {} and the key in {} cannot be used: {source}", .certificates.display(), .key.display())]
    BadPair {
        /// The file of certificates.
        certificates: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// What a person can do something about; the library's words for a missing file name no reason.
fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

impl TlsFiles {
    /// Reads the files into what connections are made with. Blocks.
    ///
    /// # Errors
    /// The first file that is not what it should be, and why.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates(&self.certificates, "certificate")?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|source| match source {
            pem::Error::NoItemsFound => {
                TlsError::Absent { what: "unencrypted private key", path: self.key.clone() }
            }
            source => TlsError::Unreadable { what: "a private key", path: self.key.clone(), source },
        })?;
        let bad_pair = |source| TlsError::BadPair {
            certificates: self.certificates.clone(),
            key: self.key.clone(),
            source,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(bad_pair)?;
        let builder = match &self.client_roots {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(roots(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|source| TlsError::BadRoots { path: path.clone(), source })?,
                )
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(bad_pair)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(config))
    }
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// That the file cannot be read, or holds none; `what` says what was looked for.
pub fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { what, path: path.to_owned(), source };
    let read = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let found: Vec<_> = read.collect::<Result<_, _>>().map_err(unreadable)?;
    match found.is_empty() {
        true => Err(TlsError::Absent { what, path: path.to_owned() }),
        false => Ok(found),
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(certificates(path, "root certificate")?) {
        roots.add(certificate).map_err(|source| TlsError::BadRoot {
            number,
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(roots)
}
