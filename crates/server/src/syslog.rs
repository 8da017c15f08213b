//! Listeners for syslog: packets over UDP, streams over TCP and over TLS. What comes is held as [`crate::receiver`] says.

use std::time::Duration;

use timberyard_model::{Surface, TenantId};
use timberyard_wire::syslog_stream::{SyslogStream, decode_packets};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;

use crate::receiver::{PACKET_BYTES_MAX, READ_BYTES, Receiver};
use crate::state::SharedState;

/// The most packets in one batch.
const PACKETS_MAX: usize = 1024;

/// Where syslog comes in, and whose it is.
#[derive(Debug)]
pub struct SyslogListeners {
    /// Packets.
    pub udp: Option<UdpSocket>,
    /// Streams.
    pub tcp: Option<TcpListener>,
    /// Streams in the server's TLS.
    pub tls: Option<TcpListener>,
    /// Whether what comes over TLS needs a key.
    pub tls_needs_key: bool,
    /// Whose logs they are.
    pub tenant: TenantId,
}

/// Starts the listeners. They end when the server stops, and are waited for as its WebSockets are.
pub fn listen(listeners: SyslogListeners, state: &SharedState) {
    let SyslogListeners { udp, tcp, tls, tls_needs_key, tenant } = listeners;
    let receiver = Receiver::new(state, Surface::Syslog, tenant);
    if let Some(socket) = udp {
        state.sockets.spawn(receive(receiver.clone(), socket));
    }
    if let Some(listener) = tcp {
        state
            .sockets
            .spawn(receiver.clone().accept(listener, |receiver, stream| read(receiver, stream, false)));
    }
    if let Some(listener) = tls {
        state.sockets.spawn(
            receiver.accept(listener, move |receiver, stream| read_tls(receiver, stream, tls_needs_key)),
        );
    }
}

async fn read_tls(receiver: Receiver, stream: TcpStream, needs_key: bool) {
    let Some(tls) = &receiver.state.tls else { return };
    let patience = Duration::from_secs(receiver.state.settings.load.stall_seconds_max);
    let handshake = TlsAcceptor::from(tls.load_full()).accept(stream);
    match tokio::time::timeout(patience, handshake).await {
        Ok(Ok(stream)) => read(receiver, stream, needs_key).await,
        Ok(Err(error)) => tracing::debug!(%error, peer = ?receiver.peer, "TLS handshake for syslog failed"),
        Err(_) => tracing::debug!(peer = ?receiver.peer, "TLS handshake for syslog took too long"),
    }
}

/// Reads a stream to its end. With `needs_key`, nothing of it is stored before a message has brought a good one.
async fn read(mut receiver: Receiver, mut stream: impl AsyncRead + AsyncWrite + Unpin, needs_key: bool) {
    let mut messages = SyslogStream::default();
    let mut key = None;
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let read = tokio::select! {
            () = receiver.state.stopping.cancelled() => Ok(0),
            read = stream.read(&mut bytes) => read,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                let read = bytes.get(..count).unwrap_or_default();
                let mut decoded = receiver.with_context(|context| messages.read(read, context));
                let is_empty = decoded.batch.rows.is_empty() && decoded.rejected.is_empty();
                key = messages.take_key().or(key);
                if !is_empty && !admitted(&mut receiver, key.as_deref(), needs_key).await {
                    return;
                }
                decoded.batch.tenant = receiver.identity().tenant;
                receiver.store(decoded).await;
            }
        }
    }
    let mut last = receiver.with_context(|context| messages.finish(context));
    key = messages.take_key().or(key);
    if last.rows.is_empty() || admitted(&mut receiver, key.as_deref(), needs_key).await {
        last.tenant = receiver.identity().tenant;
        receiver.store_batch(last).await;
    }
    // A stream in TLS is ended in order. The sender may be gone, which changes nothing.
    stream.shutdown().await.ok();
}

/// Whether what came may be stored, as things are now: a key may be revoked while a stream is open.
async fn admitted(receiver: &mut Receiver, key: Option<&str>, needs_key: bool) -> bool {
    let refused = match key {
        // Who needs none may still say whose logs they are.
        Some(key) if receiver.state.authenticator.enabled() => match receiver.sent_with(key).await {
            Ok(()) => return true,
            Err(refused) => refused.message,
        },
        _ if needs_key && !receiver.has_sender() => {
            "a key is needed, as [timberyard@32473 key=\"KEY\"] in structured data".to_owned()
        }
        _ => return true,
    };
    tracing::warn!(peer = ?receiver.peer, reason = refused, "a stream of syslog was ended");
    false
}

/// Reads packets until the server stops.
async fn receive(receiver: Receiver, socket: UdpSocket) {
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    while let Some(packets) = receiver.packets(&socket, &mut buffer, PACKETS_MAX).await {
        let packets = packets.iter().map(|(packet, _)| packet.as_slice());
        let decoded = receiver.with_context(|context| decode_packets(packets, context));
        receiver.store(decoded).await;
    }
}
