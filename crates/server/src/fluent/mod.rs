//! The listener for Fluent's forward protocol over TCP, with the handshake by a shared key when one is set.
//!
//! A message is acknowledged when it is stored, if its sender asks for it. What comes is held as [`crate::receiver`] says; a
//! message counts against the budget for request bodies while it comes, and a connection whose message has no room there or
//! is over the limit is closed: its sender sends it again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use timberyard_model::{Surface, TenantId};
use timberyard_wire::DecodeError;
use timberyard_wire::fluent::{self, FluentMessage};
use timberyard_wire::fluent_handshake::{Ping, decode_ping, encode_helo, encode_pong};
use timberyard_wire::msgpack::ValueEnd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::auth::Secret;
use crate::body::INLINE_BYTES_MAX;
use crate::error_response::ErrorResponse;
use crate::receiver::{READ_BYTES, Receiver};
use crate::state::SharedState;

mod shared_key;

/// Bytes of the nonce of a handshake.
const NONCE_BYTES: usize = 16;

/// Where Fluent's protocol comes in, and whose logs they are.
#[derive(Debug)]
pub struct FluentListener {
    /// Streams.
    pub tcp: TcpListener,
    /// What senders must know; nothing when `None`.
    pub shared_key: Option<Secret>,
    /// Whose logs they are.
    pub tenant: TenantId,
}

/// Why a connection ends before its sender ends it.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("message is over the limit of {0} bytes")]
    TooLong(usize),
    #[error("{}", .0.message)]
    NoRoom(ErrorResponse),
    #[error("the shared key of `{0}` is not ours")]
    SharedKey(String),
    #[error("the store did not take a message")]
    NotStored,
}

/// Starts the listener. It ends when the server stops, and is waited for as its WebSockets are.
pub fn listen(listener: FluentListener, state: &SharedState) {
    let FluentListener { tcp, shared_key, tenant } = listener;
    let shared_key = shared_key.map(Arc::new);
    let receiver = Receiver::new(state, Surface::Fluent, tenant);
    state.sockets.spawn(receiver.accept(tcp, move |receiver, stream| {
        let shared_key = shared_key.clone();
        async move {
            let peer = receiver.peer;
            let mut connection = Connection { receiver, stream, buffer: Vec::new() };
            if let Err(fault) = connection.serve(shared_key.as_deref()).await {
                tracing::warn!(error = %fault, ?peer, "a connection of Fluent's protocol was closed");
            }
        }
    }));
}

struct Connection {
    receiver: Receiver,
    stream: TcpStream,
    /// What was read and not yet taken.
    buffer: Vec<u8>,
}

impl Connection {
    async fn serve(&mut self, shared_key: Option<&Secret>) -> Result<(), Fault> {
        if let Some(key) = shared_key {
            let patience = Duration::from_secs(self.receiver.state.settings.load.stall_seconds_max);
            let handshake = tokio::time::timeout(patience, self.shake_hands(key));
            handshake.await.map_err(io::Error::from)??;
        }
        while let Some(message) = self.message().await? {
            let FluentMessage { events, chunk } = decode(&self.receiver, message).await?;
            if !self.receiver.store(events).await {
                return Err(Fault::NotStored);
            }
            if let Some(chunk) = chunk {
                self.stream.write_all(&fluent::acknowledgement(&chunk)).await?;
            }
        }
        Ok(())
    }

    /// The next message; `None` when the sender, or the server, has come to its end.
    async fn message(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let state = Arc::clone(&self.receiver.state);
        let identity = self.receiver.identity();
        let mut held = state.body_budget.share(&identity.tenant, 0);
        held.grow(self.buffer.len()).map_err(Fault::NoRoom)?;
        let bytes_max = identity.limits.request.body_bytes_max;
        let mut end = ValueEnd::default();
        let mut bytes = vec![0; READ_BYTES];
        loop {
            if let Some(end) = end.find(&self.buffer)? {
                let rest = self.buffer.split_off(end);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            if self.buffer.len() > bytes_max {
                return Err(Fault::TooLong(bytes_max));
            }
            let count = tokio::select! {
                () = state.stopping.cancelled() => return Ok(None),
                read = self.stream.read(&mut bytes) => read?,
            };
            if count == 0 {
                return Ok(None);
            }
            held.grow(count).map_err(Fault::NoRoom)?;
            self.buffer.extend_from_slice(bytes.get(..count).unwrap_or_default());
        }
    }

    /// Greets the sender, and believes it when it knows the key.
    async fn shake_hands(&mut self, key: &Secret) -> Result<(), Fault> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        self.stream.write_all(&encode_helo(&nonce)).await?;
        let Some(message) = self.message().await? else { return Ok(()) };
        let ping: Ping = decode_ping(&message)?;
        let is_known = shared_key::is_right(key, &ping, &nonce);
        let name = &*self.receiver.state.settings.node_id;
        let digest = shared_key::digest(key, &ping.salt, name.as_bytes(), &nonce);
        self.stream.write_all(&encode_pong(is_known, name, &digest)).await?;
        match is_known {
            true => Ok(()),
            false => Err(Fault::SharedKey(String::from_utf8_lossy(&ping.host).into_owned())),
        }
    }
}

/// Decodes a message: a small one at once, a large one on a thread of its own.
async fn decode(receiver: &Receiver, message: Vec<u8>) -> Result<FluentMessage, Fault> {
    let receiver = receiver.clone();
    let is_small = message.len() <= INLINE_BYTES_MAX;
    let decode = move || receiver.with_context(|context| fluent::decode(&message, context));
    let decoded = match is_small {
        true => decode(),
        false => tokio::task::spawn_blocking(decode).await.map_err(io::Error::other)?,
    };
    Ok(decoded?)
}
