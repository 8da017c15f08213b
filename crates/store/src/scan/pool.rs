//! The threads that read for scans before these ask for it: a few for the whole store, however many scans there are.
//!
//! Turns are taken in the order in which they were asked for, and a scan may only ask for as many as it reads ahead, so
//! that scans share the threads evenly. Nobody depends on them: a scan reads by itself what no thread has begun with.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::core::lock;

/// Something of which a part can be done.
pub(crate) trait Work: Send + Sync {
    /// Does a part, if there is one left. Must not panic.
    fn do_part(&self);
}

/// Turns that wait for a thread.
pub(crate) struct ReadPool {
    threads: usize,
    turns: Mutex<Turns>,
    arrived: Condvar,
}

#[derive(Default)]
struct Turns {
    waiting: VecDeque<Arc<dyn Work>>,
    closed: bool,
}

impl ReadPool {
    /// For so many threads, each of which is to [run](ReadPool::run).
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, turns: Mutex::default(), arrived: Condvar::new() }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Asks for a part to be done when a thread is free.
    pub(super) fn ask(&self, work: Arc<dyn Work>) {
        let mut turns = lock(&self.turns);
        if !turns.closed {
            turns.waiting.push_back(work);
            self.arrived.notify_one();
        }
    }

    /// Works until the pool is closed.
    pub(crate) fn run(&self) {
        while let Some(work) = self.next() {
            work.do_part();
        }
    }

    fn next(&self) -> Option<Arc<dyn Work>> {
        let mut turns = lock(&self.turns);
        loop {
            if turns.closed {
                return None;
            }
            if let Some(work) = turns.waiting.pop_front() {
                return Some(work);
            }
            turns = self.arrived.wait(turns).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Makes the threads end once they are through with what they do.
    pub(crate) fn close(&self) {
        let mut turns = lock(&self.turns);
        turns.closed = true;
        turns.waiting.clear();
        self.arrived.notify_all();
    }
}
