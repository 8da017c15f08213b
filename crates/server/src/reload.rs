//! Settings read again while the server runs; `app` implements where from.

use std::sync::Arc;

use rustls::ServerConfig;
use timberyard_pipeline::process::rules::Rules;

use crate::limits::TenantLimits;

/// What can change while the server runs.
pub struct Reloaded {
    /// The limits in force from now on.
    pub limits: TenantLimits,
    /// The rules by which batches are processed from now on.
    pub processing: Rules,
    /// The certificates for connections from now on, where TLS is spoken.
    pub tls: Option<Arc<ServerConfig>>,
    /// Settings that have changed and count at the next start only, by their keys.
    pub at_next_start: Vec<String>,
}

/// Where settings come from.
pub trait Reload: Send + Sync {
    /// Reads them again. Blocks.
    ///
    /// # Errors
    /// What is wrong with them, all of it; those in force stay.
    fn read(&self) -> Result<Reloaded, String>;

    /// The settings as YAML, with where each came from; secrets are masked. Blocks.
    fn describe(&self) -> Result<String, String>;
}
