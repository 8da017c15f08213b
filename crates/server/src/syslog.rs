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
    /// Whose logs they are.
    pub tenant: TenantId,
}

/// Starts the listeners. They end when the server stops, and are waited for as its WebSockets are.
pub fn listen(listeners: SyslogListeners, state: &SharedState) {
    let SyslogListeners { udp, tcp, tls, tenant } = listeners;
    let receiver = Receiver::new(state, Surface::Syslog, tenant);
    if let Some(socket) = udp {
        state.sockets.spawn(receive(receiver.clone(), socket));
    }
    if let Some(listener) = tcp {
        state.sockets.spawn(receiver.clone().accept(listener, read));
    }
    if let Some(listener) = tls {
        state.sockets.spawn(receiver.accept(listener, read_tls));
    }
}

async fn read_tls(receiver: Receiver, stream: TcpStream) {
    let Some(tls) = &receiver.state.tls else { return };
    let patience = Duration::from_secs(receiver.state.settings.load.stall_seconds_max);
    let handshake = TlsAcceptor::from(tls.load_full()).accept(stream);
    match tokio::time::timeout(patience, handshake).await {
        Ok(Ok(stream)) => read(receiver, stream).await,
        Ok(Err(error)) => tracing::debug!(%error, peer = ?receiver.peer, "TLS handshake for syslog failed"),
        Err(_) => tracing::debug!(peer = ?receiver.peer, "TLS handshake for syslog took too long"),
    }
}

/// Reads a stream to its end.
async fn read(receiver: Receiver, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut messages = SyslogStream::default();
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
                let decoded = receiver.with_context(|context| messages.read(read, context));
                receiver.store(decoded).await;
            }
        }
    }
    let last = receiver.with_context(|context| messages.finish(context));
    receiver.store_batch(last).await;
    // A stream in TLS is ended in order. The sender may be gone, which changes nothing.
    stream.shutdown().await.ok();
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
