//! A network between a client and a server that breaks where a test says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that are handed on at once, at most.
const BUFFER_BYTES: usize = 4096;

/// How often bytes that are held are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Hands bytes on to a server and back until a connection is to be cut: then both ends of it see it broken.
#[derive(Debug)]
pub struct CuttingRelay {
    port: u16,
    cuts: Arc<Cuts>,
}

/// Bytes until the next cut, in each direction; below 0 when there is none.
#[derive(Debug)]
struct Cuts {
    to_server: AtomicI64,
    to_client: AtomicI64,
    /// What is answered to requests that hold these bytes does not get through for now.
    held: Mutex<Option<Vec<u8>>>,
    is_dropped: AtomicBool,
}

impl CuttingRelay {
    /// A relay to a port of this machine, which cuts nothing yet.
    pub fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (to_server, to_client) = (AtomicI64::new(-1), AtomicI64::new(-1));
        let cuts = Arc::new(Cuts {
            to_server,
            to_client,
            held: Mutex::default(),
            is_dropped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&cuts);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.is_dropped.load(Ordering::Relaxed) {
                    return;
                }
                // A server that is not there is a connection that breaks.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) {
                    relay(&client, &server, &shared);
                }
            }
        });
        Self { port, cuts }
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts the connection that is the first to bring the server so many bytes more, once.
    pub fn cut_to_server_after(&self, bytes: u32) {
        self.cuts.to_server.store(i64::from(bytes), Ordering::SeqCst);
    }

    /// Cuts the connection that is the first to bring a client so many bytes more, once.
    pub fn cut_to_client_after(&self, bytes: u32) {
        self.cuts.to_client.store(i64::from(bytes), Ordering::SeqCst);
    }

    /// From now on, answers on connections that brought a request with these bytes do not get through, until others are named.
    pub fn hold_answers_to(&self, request: Option<&str>) {
        *self.cuts.held() = request.map(|request| request.as_bytes().to_vec());
    }

    /// Cuts nothing any more. Says whether there was a cut still to come.
    pub fn spare(&self) -> bool {
        let left = [&self.cuts.to_server, &self.cuts.to_client].map(|cut| cut.swap(-1, Ordering::SeqCst));
        left.iter().any(|left| *left >= 0)
    }
}

impl Cuts {
    fn held(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self, request: &[u8]) -> bool {
        let held = self.held();
        held.as_ref().is_some_and(|held| request.windows(held.len()).any(|bytes| bytes == held))
    }
}

impl Drop for CuttingRelay {
    fn drop(&mut self) {
        self.cuts.is_dropped.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn relay(client: &TcpStream, server: &TcpStream, cuts: &Arc<Cuts>) {
    let ends = |stream: &TcpStream| stream.try_clone().expect("a second handle");
    // Whether the request that is under way is one whose answer is held.
    let is_held = Arc::new(AtomicBool::new(false));
    for (from, to, is_to_server) in [(client, server, true), (server, client, false)] {
        let (from, to, cuts, is_held) = (ends(from), ends(to), Arc::clone(cuts), Arc::clone(&is_held));
        thread::spawn(move || {
            match is_to_server {
                true => hand_on(&from, &to, &cuts.to_server, |request| {
                    is_held.fetch_or(cuts.holds(request), Ordering::SeqCst);
                }),
                false => hand_on(&from, &to, &cuts.to_client, |_| {
                    while is_held.load(Ordering::SeqCst) && cuts.held().is_some() {
                        thread::sleep(LOOK_INTERVAL);
                    }
                    is_held.store(false, Ordering::SeqCst);
                }),
            }
            for stream in [&from, &to] {
                // It may be broken already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }
}

fn hand_on(mut from: &TcpStream, mut to: &TcpStream, cut: &AtomicI64, look_at: impl Fn(&[u8])) {
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer) else { return };
        look_at(&buffer[..count]);
        let left = cut.load(Ordering::SeqCst);
        if left >= 0 && left < count as i64 {
            cut.store(-1, Ordering::SeqCst);
            let _ = to.write_all(&buffer[..left as usize]);
            return;
        }
        if left >= 0 {
            cut.fetch_sub(count as i64, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}
