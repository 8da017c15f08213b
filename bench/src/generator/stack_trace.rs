//! Java stack traces: one record of many lines, from a code base whose call sites come back.

use std::fmt::Write as _;

use fastrand::Rng;

use super::draw::{Skewed, pick};
use super::{Generator, NEEDLE, Place, RARE_WORD, StreamLabels};

const APPS: usize = 8;
const PODS: usize = 3;
/// Faults of the code base: each is thrown from the same place every time.
const FAULTS: usize = 400;

const PACKAGES: [&str; 16] = [
    "com.acme.orders.service",
    "com.acme.orders.repository",
    "com.acme.ledger.core",
    "com.acme.ledger.booking",
    "com.acme.identity.session",
    "com.acme.platform.web",
    "com.acme.platform.retry",
    "org.springframework.web.servlet",
    "org.springframework.aop.framework",
    "org.hibernate.engine.internal",
    "org.apache.catalina.core",
    "org.apache.tomcat.util.net",
    "io.netty.channel",
    "io.grpc.internal",
    "com.zaxxer.hikari.pool",
    "java.util.concurrent",
];
const STEMS: [&str; 18] = [
    "Order",
    "Ledger",
    "Session",
    "Account",
    "Invoice",
    "Basket",
    "Filter",
    "Dispatcher",
    "Connection",
    "Channel",
    "Transaction",
    "Proxy",
    "Request",
    "Executor",
    "Retry",
    "Entity",
    "Message",
    "Pool",
];
const KINDS: [&str; 10] = [
    "Service",
    "Repository",
    "Handler",
    "Controller",
    "Chain",
    "Worker",
    "Interceptor",
    "Factory",
    "Processor",
    "Base",
];
const METHODS: [&str; 20] = [
    "handle",
    "doFilter",
    "invoke",
    "proceed",
    "execute",
    "run",
    "call",
    "findAll",
    "save",
    "commit",
    "getConnection",
    "doGet",
    "doPost",
    "channelRead",
    "fireChannelRead",
    "process",
    "resolve",
    "apply",
    "lambda$load$0",
    "access$300",
];
const EXCEPTIONS: [&str; 8] = [
    "java.lang.NullPointerException: Cannot invoke \"Order.id()\" because \"order\" is null",
    "java.sql.SQLTransientConnectionException: pool-1 - connection is not available, request timed out after 30000ms",
    "java.net.SocketTimeoutException: Read timed out",
    "java.lang.IllegalStateException: basket is already closed",
    "java.util.concurrent.CompletionException: deadline exceeded",
    "org.hibernate.StaleObjectStateException: row was updated or deleted by another transaction",
    "io.grpc.StatusRuntimeException: UNAVAILABLE: io exception",
    "java.io.IOException: Broken pipe",
];

/// Call sites of a code base.
pub(super) struct Frames {
    sites: Vec<String>,
}

impl Frames {
    pub(super) fn new(rng: &mut Rng, sites: usize) -> Self {
        let sites = (0..sites)
            .map(|_| {
                let class = format!("{}{}", pick(rng, &STEMS), pick(rng, &KINDS));
                format!(
                    "\tat {}.{class}.{}({class}.java:{})",
                    pick(rng, &PACKAGES),
                    pick(rng, &METHODS),
                    rng.u16(20..900)
                )
            })
            .collect();
        Self { sites }
    }

    /// Writes an exception with its frames and up to two causes; lines in between end with a line feed.
    pub(super) fn write_trace(&self, rng: &mut Rng, out: &mut String) {
        out.push_str(pick(rng, &EXCEPTIONS));
        for cause in 0..=rng.u8(0..3) {
            if cause > 0 {
                let _ = write!(out, "\nCaused by: {}", pick(rng, &EXCEPTIONS));
            }
            for _ in 0..rng.usize(8..32) {
                out.push('\n');
                out.push_str(&self.sites[rng.usize(0..self.sites.len())]);
            }
            if cause > 0 {
                let _ = write!(out, "\n\t... {} more", rng.u8(10..60));
            }
        }
    }
}

pub(super) struct StackTrace {
    rng: Rng,
    faults: Vec<String>,
    frequency: Skewed,
    frames: Frames,
}

impl StackTrace {
    pub(super) fn new(mut rng: Rng) -> Self {
        let frames = Frames::new(&mut rng, 2_000);
        let faults = (0..FAULTS)
            .map(|_| {
                let mut trace = String::new();
                frames.write_trace(&mut rng, &mut trace);
                trace
            })
            .collect();
        Self { rng, faults, frequency: Skewed::new(FAULTS, 0.8), frames }
    }
}

impl Generator for StackTrace {
    fn streams(&self) -> Vec<StreamLabels> {
        (0..APPS * PODS)
            .map(|stream| {
                let app = format!("java-{}", stream / PODS);
                vec![("app", app.clone()), ("pod", format!("{app}-{}", stream % PODS))]
            })
            .collect()
    }

    fn write(&mut self, place: Place, text: &mut String) -> usize {
        let rng = &mut self.rng;
        let trace = if place.has_needle() { NEEDLE.to_owned() } else { format!("{:032x}", rng.u128(..)) };
        let _ = writeln!(
            text,
            "2026-11-01 {},{:03} ERROR [http-nio-8080-exec-{}] {}.{}{} [trace={trace}] request {} failed after {} ms{}",
            place.time_of_day(),
            place.millisecond(),
            rng.u8(1..64),
            pick(rng, &PACKAGES),
            pick(rng, &STEMS),
            pick(rng, &KINDS),
            rng.u32(1..1_000_000),
            rng.u16(1..30_000),
            if place.has_rare_word() { format!(" {RARE_WORD}") } else { String::new() },
        );
        // One in ten is thrown from a place that has not been seen before.
        if rng.u8(0..10) == 0 {
            self.frames.write_trace(rng, text);
        } else {
            text.push_str(&self.faults[self.frequency.draw(rng)]);
        }
        rng.usize(0..APPS * PODS)
    }
}
