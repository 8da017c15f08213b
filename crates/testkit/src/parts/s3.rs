//! S3 as a child process: everything that is put there is in its memory, and goes with it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::eventually::eventually;
use crate::http::Request;
use crate::server_process::free_address;

/// Who may ask: anybody, who has to say something.
pub const ACCESS_KEY: &str = "testing";

/// Ends with its standard input.
const PROGRAM: &str = "import os, sys, threading
def wait():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=wait, daemon=True).start()
from moto.server import main
main(['-H', '127.0.0.1', '-p', sys.argv[1]])";

/// A running store. Killed when dropped, or when the process of the test ends.
#[derive(Debug)]
pub struct S3 {
    address: String,
    child: Child,
}

impl S3 {
    /// Starts it on a free port with an empty bucket of that name. Panics when `make deps` has not set it up.
    pub fn start(bucket: &str) -> Self {
        let address = free_address();
        let mut store = Self { child: spawn(&address), address };
        store.make(bucket);
        store
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        self.child.kill().expect("the store can be killed");
        self.child.wait().expect("the store ends");
    }

    /// Starts it again on the same port, with an empty bucket of that name.
    pub fn start_again(&mut self, bucket: &str) {
        self.child = spawn(&self.address);
        self.make(bucket);
    }

    fn make(&mut self, bucket: &str) {
        let make = Request::new("PUT", &format!("{}/{bucket}", self.url()));
        eventually("the bucket", || make.try_send().is_ok_and(|answer| answer.status == 200).then_some(()));
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(address: &str) -> Child {
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.tools/python/bin/python");
    assert!(python.exists(), "{} is missing: run `make deps`", python.display());
    let (_, port) = address.rsplit_once(':').expect("an address with a port");
    Command::new(python)
        .args(["-c", PROGRAM, port])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("python starts")
}
