//! Listeners for GELF: packets over UDP, streams over TCP. What comes is held as [`crate::receiver`] says.

use timberyard_model::{Surface, TenantId};
use timberyard_wire::gelf;
use timberyard_wire::gelf_framing::{GelfPackets, GelfStream};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::receiver::{PACKET_BYTES_MAX, READ_BYTES, Receiver};
use crate::state::SharedState;

/// The most packets in one batch: each may inflate to the longest message.
const PACKETS_MAX: usize = 64;

/// Where GELF comes in, and whose it is.
#[derive(Debug)]
pub struct GelfListeners {
    /// Packets.
    pub udp: Option<UdpSocket>,
    /// Streams.
    pub tcp: Option<TcpListener>,
    /// Whose logs they are.
    pub tenant: TenantId,
}

/// Starts the listeners. They end when the server stops, and are waited for as its WebSockets are.
pub fn listen(listeners: GelfListeners, state: &SharedState) {
    let GelfListeners { udp, tcp, tenant } = listeners;
    let receiver = Receiver::new(state, Surface::Gelf, tenant);
    if let Some(socket) = udp {
        state.sockets.spawn(receive(receiver.clone(), socket));
    }
    if let Some(listener) = tcp {
        state.sockets.spawn(receiver.accept(listener, read));
    }
}

/// Reads a stream to its end.
async fn read(receiver: Receiver, mut stream: TcpStream) {
    let mut messages = GelfStream::default();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let read = tokio::select! {
            () = receiver.state.stopping.cancelled() => Ok(0),
            read = stream.read(&mut bytes) => read,
        };
        let Ok(count @ 1..) = read else { break };
        let ended = messages.read(bytes.get(..count).unwrap_or_default());
        if ended.too_long > 0 {
            tracing::warn!(messages = ended.too_long, peer = ?receiver.peer, "messages of GELF are over the limit");
        }
        store(&receiver, ended.messages).await;
    }
    store(&receiver, messages.finish().into_iter().collect()).await;
}

async fn store(receiver: &Receiver, messages: Vec<Vec<u8>>) {
    let messages = messages.iter().map(Vec::as_slice);
    let decoded = receiver.with_context(|context| gelf::decode(messages, context));
    receiver.store(decoded).await;
}

/// Reads packets until the server stops.
async fn receive(receiver: Receiver, socket: UdpSocket) {
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    let mut waiting = GelfPackets::default();
    while let Some(packets) = receiver.packets(&socket, &mut buffer, PACKETS_MAX).await {
        let lost = waiting.lost();
        let mut messages = Vec::new();
        for (packet, peer) in &packets {
            match waiting.take(packet, Some(peer.ip()), receiver.state.now()) {
                Ok(Some(message)) => messages.push(message.into_owned()),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, %peer, "a packet of GELF was refused"),
            }
        }
        if waiting.lost() > lost {
            tracing::warn!(messages = waiting.lost() - lost, "parts of messages of GELF never came");
        }
        store(&receiver, messages).await;
    }
}
