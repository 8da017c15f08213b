//! What listeners beside HTTP have in common: places for their connections, whose logs come in, and storing them however
//! long that takes.
//!
//! A sender there is told nothing, or only that all is well. So what comes is held until the store has taken it: while it
//! cannot, a stream is not read, which its sender notices, and packets wait in the kernel's buffer, which drops what no
//! longer fits. What was read and not stored when the server stops is tried once more, then lost, and said to be.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Request};
use timberyard_model::{IngestRecord, Limits, LogBatch, Surface, TenantId};
use timberyard_wire::{DecodeContext, Decoded};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use crate::auth::gate::pusher;
use crate::auth::{Identity, Scopes, TenantAccess};
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// The longest packet (RFC 768), in bytes.
pub(crate) const PACKET_BYTES_MAX: usize = 65_535;
/// Bytes read of a stream at a time.
pub(crate) const READ_BYTES: usize = 64 << 10;
/// Of the connections that the server may have, one protocol has one in so many at most: its streams stay open for long.
const CONNECTIONS_PART: usize = 4;
/// The pause before the store is asked again, where it does not say how long.
const RETRY_SECONDS: u64 = 1;
/// What a key is handed to the gate in.
const API_KEY_HEADER: &str = "x-api-key";

/// One protocol, or one connection of it, and whose logs come in there.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) state: SharedState,
    surface: Surface,
    tenant: TenantId,
    /// Who sends, where a key has said so.
    sender: Option<Identity>,
    pub(crate) peer: Option<SocketAddr>,
    places: Arc<Semaphore>,
}

impl Receiver {
    /// Of one protocol, for all of its listeners.
    pub(crate) fn new(state: &SharedState, surface: Surface, tenant: TenantId) -> Self {
        let places = state.settings.load.connections_max.div_ceil(CONNECTIONS_PART);
        let places = Arc::new(Semaphore::new(places));
        Self { state: Arc::clone(state), surface, tenant, sender: None, peer: None, places }
    }

    /// Takes connections until the server stops, each to be served on a task of its own.
    pub(crate) async fn accept<S, F>(self, listener: TcpListener, serve: S)
    where
        S: Fn(Self, TcpStream) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        loop {
            let accepted = async {
                let own = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
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
                    let serving = serve(Self { peer: Some(peer), ..self.clone() }, stream);
                    self.state.sockets.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, protocol = %self.surface, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_secs(RETRY_SECONDS)).await;
                }
            }
        }
    }

    /// Waits for a packet and takes those that have come by then, at most so many, each with its sender; `None` when the
    /// server stops.
    pub(crate) async fn packets(
        &self,
        socket: &UdpSocket,
        buffer: &mut [u8],
        packets_max: usize,
    ) -> Option<Vec<(Vec<u8>, SocketAddr)>> {
        loop {
            let first = tokio::select! {
                () = self.state.stopping.cancelled() => return None,
                received = socket.recv_from(buffer) => received,
            };
            let packet = |buffer: &[u8], count| buffer.get(..count).unwrap_or_default().to_vec();
            let mut packets = match first {
                Ok((count, peer)) => vec![(packet(buffer, count), peer)],
                Err(error) => {
                    tracing::warn!(%error, protocol = %self.surface, "cannot receive a packet");
                    tokio::time::sleep(Duration::from_secs(RETRY_SECONDS)).await;
                    continue;
                }
            };
            while packets.len() < packets_max
                && let Ok((count, peer)) = socket.try_recv_from(buffer)
            {
                packets.push((packet(buffer, count), peer));
            }
            return Some(packets);
        }
    }

    /// Runs a decoder for what this peer sent.
    pub(crate) fn with_context<T>(&self, decode: impl FnOnce(&DecodeContext<'_>) -> T) -> T {
        let identity = self.identity();
        let client_ip = self.peer.map(|peer| peer.ip().to_canonical().to_string());
        decode(&self.state.decode_context(&identity, client_ip.as_deref()))
    }

    /// From now on whoever holds a key sends here, for the tenant that is the key's.
    ///
    /// # Errors
    /// That the key is not good, or may not push.
    pub(crate) async fn sent_with(&mut self, key: &str) -> Result<(), ErrorResponse> {
        let refused = |_| ErrorResponse::bad_request("invalid_key", "key is none that a header could carry");
        let key = HeaderValue::from_str(key).map_err(refused)?;
        let mut request = Request::new(());
        request.headers_mut().insert(API_KEY_HEADER, key);
        let address = self.peer.map(|peer| peer.ip().to_canonical());
        self.sender = Some(pusher(&self.state, address, &request.into_parts().0).await?);
        Ok(())
    }

    /// Whether a key has said who sends.
    pub(crate) fn has_sender(&self) -> bool {
        self.sender.is_some()
    }

    /// Whoever sends here.
    pub(crate) fn identity(&self) -> Identity {
        if let Some(sender) = &self.sender {
            return sender.clone();
        }
        let limits: Arc<Limits> = Arc::clone(self.state.limits.load().of(&self.tenant));
        Identity {
            tenant: self.tenant.clone(),
            read_together: None,
            tenants: TenantAccess::only(self.tenant.clone()),
            client: Some(self.surface.name().into()),
            scopes: Scopes::PUSH,
            labels: None,
            address: self.peer.map(|peer| peer.ip().to_canonical()),
            limits,
        }
    }

    /// Stores what was decoded, and says in the log what was refused. False when it could not be stored.
    pub(crate) async fn store(&self, decoded: Decoded) -> bool {
        if !decoded.rejected.is_empty() {
            let reasons = decoded.rejected.grouped();
            let (refused, protocol) = (decoded.rejected.count, self.surface);
            tracing::warn!(refused, %protocol, peer = ?self.peer, reasons, "messages were refused");
        }
        self.store_batch(decoded.batch).await
    }

    /// Stores a batch, however long that takes; when the server stops, it is tried once more. False when it is not stored.
    pub(crate) async fn store_batch(&self, batch: LogBatch) -> bool {
        if batch.rows.is_empty() {
            return true;
        }
        let record = IngestRecord::from(batch);
        loop {
            let is_last = self.state.stopping.is_cancelled();
            let stored = self.state.submit(&self.identity(), self.surface, record.clone()).await;
            let Err(error) = stored else { return true };
            if is_last || error.status.is_client_error() && error.status.as_u16() != 429 {
                let (rows, protocol) = (record.batch.rows.len(), self.surface);
                tracing::error!(rows, %protocol, error = error.message, "messages could not be stored");
                return false;
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
