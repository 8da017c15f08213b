//! Binds the listeners for syslog that the settings name.

use std::io;

use timberyard_model::TenantId;
use timberyard_server::syslog::SyslogListeners;
use tokio::net::{TcpListener, UdpSocket};

use crate::config::Settings;
use crate::failure::Failure;

/// All of them, or the first that cannot be had.
pub(crate) async fn bind(settings: &Settings) -> Result<SyslogListeners, Failure> {
    let syslog = &settings.syslog;
    let cannot = |address: &String, error: io::Error| {
        Failure::new(format!("cannot listen for syslog on {address}: {error}"))
    };
    let udp = match &syslog.udp {
        None => None,
        Some(address) => Some(UdpSocket::bind(address).await.map_err(|error| cannot(address, error))?),
    };
    let mut streams = [None, None];
    for (place, address) in streams.iter_mut().zip([&syslog.tcp, &syslog.tls]) {
        if let Some(address) = address {
            *place = Some(TcpListener::bind(address).await.map_err(|error| cannot(address, error))?);
        }
    }
    let [tcp, tls] = streams;
    let tenant = TenantId::new(&syslog.tenant).map_err(|error| Failure::usage(error.to_string()))?;
    let listeners = SyslogListeners { udp, tcp, tls, tenant };
    for (name, address) in listeners.addresses() {
        tracing::info!(%address, "listens for syslog over {name}");
    }
    Ok(listeners)
}
