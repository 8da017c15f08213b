//! Reads a running server's settings again: on SIGHUP, and when an administrator asks.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use timberyard_server::SharedState;
use timberyard_server::limits::TenantLimits;
use timberyard_server::reload::{Reload, Reloaded};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::SettingsArguments;
use crate::config::{Configuration, Retention, compile_processing};
use crate::server::load;
use crate::wiring::server_settings;

/// The files, variables and flags that a server was started with.
pub(crate) struct SettingsSource {
    arguments: SettingsArguments,
    /// What the server runs with, but for what can be reloaded.
    at_start: Vec<(String, String)>,
    /// What its store keeps: what is older than that is refused until the next start, whatever is written now.
    kept: (Retention, BTreeMap<String, Retention>),
    /// What its rules can route to.
    destinations: Vec<String>,
    /// Whether it speaks TLS.
    has_tls: bool,
}

impl SettingsSource {
    /// The source of what `started` was loaded from.
    pub(crate) fn new(arguments: SettingsArguments, started: &Configuration) -> Arc<Self> {
        let has_tls = started.settings.tls.files().is_some();
        let kept = (started.settings.retention.clone(), started.settings.tenants.clone());
        let destinations = started.settings.destinations();
        Arc::new(Self { arguments, at_start: fixed(started), kept, destinations, has_tls })
    }

    fn load(&self) -> Result<Configuration, String> {
        load(&self.arguments).map_err(|failure| failure.to_string())
    }
}

impl Reload for SettingsSource {
    fn read(&self) -> Result<Reloaded, String> {
        let mut configuration = self.load()?;
        let now = fixed(&configuration);
        let differ = now.iter().filter(|setting| !self.at_start.contains(setting));
        let mut at_next_start: Vec<String> = differ.map(|(key, _)| key.clone()).collect();
        let tls = configuration.settings.tls.files();
        if tls.is_some() != self.has_tls {
            at_next_start.push("server.tls.cert_file".to_owned());
        }
        let tls = tls.map(|files| files.load()).transpose().map_err(|error| error.to_string())?;
        (configuration.settings.retention, configuration.settings.tenants) = self.kept.clone();
        let settings = server_settings(&configuration.settings);
        Ok(Reloaded {
            processing: compile_processing(&configuration.settings.processing, &self.destinations)
                .map_err(|error| error.to_string())?,
            limits: TenantLimits::new(settings.limits, settings.tenant_limits),
            tls,
            at_next_start,
        })
    }

    fn describe(&self) -> Result<String, String> {
        self.load().map(|configuration| configuration.to_yaml(false))
    }
}

/// Settings that a reload does not put in force, with their values, which are never shown.
fn fixed(configuration: &Configuration) -> Vec<(String, String)> {
    configuration.values().into_iter().filter(|(key, _)| !is_reloaded(key)).collect()
}

fn is_reloaded(key: &str) -> bool {
    // How many tails, and values of a label, there may be in all is settled at the start.
    let at_start = ["limits.load.", "limits.query.tails_max", "limits.record.label_values_max"];
    let is_limit = key.starts_with("limits.") && !at_start.iter().any(|fixed| key.starts_with(fixed));
    is_limit || key == "processing" || key.starts_with("server.tls.")
}

/// Takes SIGHUP over from the system's default, which is to die.
pub(crate) fn reload_signal() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Reads the settings again whenever the signal comes, until the server stops.
pub(crate) async fn reload_on(mut hangup: Signal, state: SharedState) {
    loop {
        tokio::select! {
            () = state.stopping.cancelled() => return,
            signalled = hangup.recv() => if signalled.is_none() { return },
        }
        match state.reload_settings().await {
            Ok(at_next_start) if at_next_start.is_empty() => {
                tracing::info!("limits, steps of processing and certificates were read again");
            }
            Ok(at_next_start) => {
                tracing::warn!(
                    ?at_next_start,
                    "limits, steps of processing and certificates were read again; other settings count at the next start"
                );
            }
            Err(error) => {
                tracing::error!(error = %error.message, "settings were not read again; those before stay in force");
            }
        }
    }
}
