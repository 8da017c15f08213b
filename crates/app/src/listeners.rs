//! Binds the listeners beside HTTP that the settings name: for syslog, GELF and Fluent's forward protocol.

use std::io;

use timberyard_model::TenantId;
use timberyard_server::SharedState;
use timberyard_server::auth::Secret;
use timberyard_server::fluent::{self, FluentListener};
use timberyard_server::gelf::{self, GelfListeners};
use timberyard_server::syslog::{self, SyslogListeners};
use tokio::net::{TcpListener, UdpSocket};

use crate::config::Settings;
use crate::failure::Failure;

/// All of them, bound.
pub(crate) struct Listeners {
    syslog: SyslogListeners,
    gelf: GelfListeners,
    fluent: Option<FluentListener>,
}

impl Listeners {
    /// Binds what the settings name, or fails with the first that cannot be had.
    pub(crate) async fn bind(settings: &Settings) -> Result<Self, Failure> {
        let (syslog, gelf, fluent) = (&settings.syslog, &settings.gelf, &settings.fluent);
        let syslog = SyslogListeners {
            udp: udp("syslog", syslog.udp.as_deref()).await?,
            tcp: tcp("syslog over TCP", syslog.tcp.as_deref()).await?,
            tls: tcp("syslog over TLS", syslog.tls.as_deref()).await?,
            // A certificate says as much as a key.
            tls_needs_key: settings.is_authenticated() && settings.tls.client_ca_file.is_none(),
            tenant: tenant(&syslog.tenant)?,
        };
        let gelf = GelfListeners {
            udp: udp("GELF", gelf.udp.as_deref()).await?,
            tcp: tcp("GELF over TCP", gelf.tcp.as_deref()).await?,
            tenant: tenant(&gelf.tenant)?,
        };
        let stream = tcp("Fluent's forward protocol", fluent.tcp.as_deref()).await?;
        let shared_key = fluent.shared_key.as_deref().map(Secret::new);
        let tenant = tenant(&fluent.tenant)?;
        let fluent = stream.map(|tcp| FluentListener { tcp, shared_key, tenant });
        Ok(Self { syslog, gelf, fluent })
    }

    /// Starts them.
    pub(crate) fn listen(self, state: &SharedState) {
        syslog::listen(self.syslog, state);
        gelf::listen(self.gelf, state);
        if let Some(fluent) = self.fluent {
            fluent::listen(fluent, state);
        }
    }
}

async fn udp(what: &str, address: Option<&str>) -> Result<Option<UdpSocket>, Failure> {
    let Some(address) = address else { return Ok(None) };
    let socket = UdpSocket::bind(address).await.map_err(|error| cannot(what, address, &error))?;
    if let Ok(address) = socket.local_addr() {
        tracing::info!(%address, "listens for {what} over UDP");
    }
    Ok(Some(socket))
}

async fn tcp(what: &str, address: Option<&str>) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await.map_err(|error| cannot(what, address, &error))?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "listens for {what}");
    }
    Ok(Some(listener))
}

fn cannot(what: &str, address: &str, error: &io::Error) -> Failure {
    Failure::new(format!("cannot listen for {what} on {address}: {error}"))
}

fn tenant(name: &str) -> Result<TenantId, Failure> {
    TenantId::new(name).map_err(|error| Failure::usage(error.to_string()))
}
