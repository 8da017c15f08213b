//! Listeners for syslog: packets over UDP, streams over TCP and over TLS.
//!
//! A sender of syslog is told nothing. So what comes is held until the store has taken it: while it cannot, a stream is not
//! read, which its sender notices, and packets wait in the kernel's buffer, which drops what no longer fits. What was read
//! and not stored when the server stops is tried once more, then lost, and said to be.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use timberyard_model::{IngestRecord, Limits, LogBatch, Surface, TenantId};
use timberyard_wire::syslog_stream::{SyslogStream, decode_packets};
use timberyard_wire::{DecodeContext, Decoded};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::auth::{Identity, Scopes, TenantAccess};
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// The longest packet (RFC 768), in bytes.
const PACKET_BYTES_MAX: usize = 65_535;
/// The most packets in one batch.
const PACKETS_MAX: usize = 1024;
/// Bytes read of a stream at a time.
const READ_BYTES: usize = 64 << 10;
/// Of the connections that the server may have, syslog has one in so many at most: its streams stay open for long.
const CONNECTIONS_PART: usize = 4;
/// The pause before the store is asked again, where it does not say how long.
const RETRY_SECONDS: u64 = 1;

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

impl SyslogListeners {
    /// How each is spoken to, and where.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let udp = self.udp.as_ref().map(|socket| ("UDP", socket.local_addr()));
        let tcp = self.tcp.as_ref().map(|listener| ("TCP", listener.local_addr()));
        let tls = self.tls.as_ref().map(|listener| ("TLS", listener.local_addr()));
        let bound = [udp, tcp, tls].into_iter().flatten();
        bound.filter_map(|(name, address)| Some((name, address.ok()?))).collect()
    }
}

/// Starts the listeners. They end when the server stops, and are waited for as its WebSockets are.
pub fn listen(listeners: SyslogListeners, state: &SharedState) {
    let SyslogListeners { udp, tcp, tls, tenant } = listeners;
    let receiver = |peer| Receiver { state: Arc::clone(state), tenant: tenant.clone(), peer };
    if let Some(socket) = udp {
        state.sockets.spawn(receiver(None).receive(socket));
    }
    let places = Arc::new(Semaphore::new(state.settings.load.connections_max.div_ceil(CONNECTIONS_PART)));
    for (listener, is_tls) in [(tcp, false), (tls, true)] {
        if let Some(listener) = listener {
            state.sockets.spawn(receiver(None).accept(listener, is_tls, Arc::clone(&places)));
        }
    }
}

/// One socket, and whose logs come in there.
#[derive(Clone)]
struct Receiver {
    state: SharedState,
    tenant: TenantId,
    peer: Option<SocketAddr>,
}

impl Receiver {
    async fn accept(self, listener: TcpListener, is_tls: bool, places: Arc<Semaphore>) {
        loop {
            let accepted = async {
                let own = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
                let shared = Arc::clone(&self.state.connections).acquire_owned();
                let place = (own, shared.await.map_err(io::Error::other)?);
                listener.accept().await.map(|(stream, peer)| (stream, peer, place))
            };
            let accepted = tokio::select! {
                () = self.state.stopping.cancelled() => return,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    let receiver = Self { peer: Some(peer), ..self.clone() };
                    self.state.sockets.spawn(async move {
                        match is_tls {
                            false => receiver.read(stream).await,
                            true => receiver.read_tls(stream).await,
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection for syslog");
                    tokio::time::sleep(Duration::from_secs(RETRY_SECONDS)).await;
                }
            }
        }
    }

    async fn read_tls(self, stream: tokio::net::TcpStream) {
        let Some(tls) = &self.state.tls else { return };
        let patience = Duration::from_secs(self.state.settings.load.stall_seconds_max);
        let handshake = TlsAcceptor::from(tls.load_full()).accept(stream);
        match tokio::time::timeout(patience, handshake).await {
            Ok(Ok(stream)) => self.read(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, peer = ?self.peer, "TLS handshake for syslog failed"),
            Err(_) => tracing::debug!(peer = ?self.peer, "TLS handshake for syslog took too long"),
        }
    }

    /// Reads a stream to its end.
    async fn read(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut messages = SyslogStream::default();
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let read = tokio::select! {
                () = self.state.stopping.cancelled() => Ok(0),
                read = stream.read(&mut bytes) => read,
            };
            match read {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let read = bytes.get(..count).unwrap_or_default();
                    let decoded = self.with_context(|context| messages.read(read, context));
                    self.store(decoded).await;
                }
            }
        }
        let last = self.with_context(|context| messages.finish(context));
        self.store_batch(last).await;
        // A stream in TLS is ended in order. The sender may be gone, which changes nothing.
        stream.shutdown().await.ok();
    }

    /// Reads packets until the server stops.
    async fn receive(self, socket: UdpSocket) {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        loop {
            let first = tokio::select! {
                () = self.state.stopping.cancelled() => return,
                received = socket.recv(&mut buffer) => received,
            };
            let mut packets: Vec<Vec<u8>> = Vec::new();
            match first {
                Ok(count) => packets.push(buffer.get(..count).unwrap_or_default().to_vec()),
                Err(error) => {
                    tracing::warn!(%error, "cannot receive a packet of syslog");
                    tokio::time::sleep(Duration::from_secs(RETRY_SECONDS)).await;
                    continue;
                }
            }
            while packets.len() < PACKETS_MAX
                && let Ok(count) = socket.try_recv(&mut buffer)
            {
                packets.push(buffer.get(..count).unwrap_or_default().to_vec());
            }
            let packets = packets.iter().map(Vec::as_slice);
            let decoded = self.with_context(|context| decode_packets(packets, context));
            self.store(decoded).await;
        }
    }

    fn with_context<T>(&self, decode: impl FnOnce(&DecodeContext<'_>) -> T) -> T {
        let identity = self.identity();
        let client_ip = self.peer.map(|peer| peer.ip().to_canonical().to_string());
        decode(&self.state.decode_context(&identity, client_ip.as_deref()))
    }

    fn identity(&self) -> Identity {
        let limits: Arc<Limits> = Arc::clone(self.state.limits.load().of(&self.tenant));
        Identity {
            tenant: self.tenant.clone(),
            read_together: None,
            tenants: TenantAccess::only(self.tenant.clone()),
            client: Some("syslog".into()),
            scopes: Scopes::PUSH,
            labels: None,
            address: self.peer.map(|peer| peer.ip().to_canonical()),
            limits,
        }
    }

    async fn store(&self, decoded: Decoded) {
        if !decoded.rejected.is_empty() {
            let reasons = decoded.rejected.grouped();
            tracing::warn!(refused = decoded.rejected.count, peer = ?self.peer, reasons, "syslog messages were refused");
        }
        self.store_batch(decoded.batch).await;
    }

    /// Stores a batch, however long that takes; when the server stops, it is tried once more.
    async fn store_batch(&self, batch: LogBatch) {
        if batch.rows.is_empty() {
            return;
        }
        let record = IngestRecord::from(batch);
        loop {
            let is_last = self.state.stopping.is_cancelled();
            let Err(error) = self.state.submit(&self.identity(), Surface::Syslog, record.clone()).await
            else {
                return;
            };
            if is_last || error.status.is_client_error() && error.status.as_u16() != 429 {
                let rows = record.batch.rows.len();
                tracing::error!(
                    rows,
                    error = error.message,
                    "syslog messages could not be stored and are lost"
                );
                return;
            }
            tokio::select! {
                () = self.state.stopping.cancelled() => {}
                () = tokio::time::sleep(pause_after(&error)) => {}
            }
        }
    }
}

fn pause_after(error: &ErrorResponse) -> Duration {
    let seconds = error.header().filter(|(name, _)| **name == RETRY_AFTER);
    let seconds = seconds.and_then(|(_, value)| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(RETRY_SECONDS))
}
