//! JSON of 60 keys a line, as event pipelines write it: ids, enumerations, numbers, flags, nulls, a nested
//! object and an array. Optional keys are absent in some lines, so there is more than one template.

use std::fmt::Write as _;

use fastrand::Rng;

use super::draw::{Skewed, duration_ms, pick, private_address, public_address};
use super::{Generator, NEEDLE, Place, RARE_WORD, StreamLabels};

const APPS: usize = 12;
const PODS: usize = 4;
/// Counters and gauges that bring the keys to sixty.
const GAUGES: [&str; 24] = [
    "rows_read",
    "rows_written",
    "bytes_in",
    "bytes_out",
    "cache_hits",
    "cache_misses",
    "retries",
    "queue_depth",
    "heap_mb",
    "threads",
    "open_files",
    "gc_ms",
    "db_ms",
    "render_ms",
    "auth_ms",
    "dns_us",
    "tls_us",
    "upstream_ms",
    "items",
    "price_cents",
    "discount_cents",
    "tax_cents",
    "weight_g",
    "score",
];
const REGIONS: [&str; 5] = ["eu-west-1", "eu-central-1", "us-east-1", "us-west-2", "ap-south-1"];
const COUNTRIES: [&str; 10] = ["DE", "FR", "PL", "US", "GB", "IN", "BR", "JP", "ES", "NL"];
const ACTIONS: [&str; 8] = ["view", "search", "add", "remove", "checkout", "pay", "login", "logout"];
const LEVELS: [&str; 8] = ["info", "info", "info", "info", "info", "debug", "warn", "error"];
const PLANS: [&str; 4] = ["free", "team", "business", "enterprise"];
const AGENTS: [&str; 4] = ["web/7.1.3", "ios/5.20.0", "android/5.19.2", "partner-api/2"];

pub(super) struct WideJson {
    rng: Rng,
    users: Skewed,
}

impl WideJson {
    pub(super) fn new(rng: Rng) -> Self {
        Self { rng, users: Skewed::new(50_000, 1.0) }
    }

    fn write_members(&mut self, place: Place, text: &mut String) -> std::fmt::Result {
        let rng = &mut self.rng;
        let trace = if place.has_needle() { NEEDLE.to_owned() } else { format!("{:032x}", rng.u128(..)) };
        let status: u16 = [200, 200, 200, 200, 201, 204, 302, 400, 404, 500][rng.usize(0..10)];
        write!(
            text,
            "{{\"@timestamp\":\"2026-11-01T{}.{:06}Z\",\"level\":\"{}\",\"logger\":\"events.{}\",\"message\":\"{}{}\",",
            place.time_of_day(),
            place.microsecond(),
            pick(rng, &LEVELS),
            pick(rng, &ACTIONS),
            pick(rng, &ACTIONS),
            if place.has_rare_word() { format!(" {RARE_WORD}") } else { String::new() },
        )?;
        write!(
            text,
            "\"trace_id\":\"{trace}\",\"span_id\":\"{:016x}\",\"parent_id\":\"{:016x}\",\"request_id\":\"{:08x}-{:04x}\",\
             \"session_id\":\"{:024x}\",\"user_id\":{},\"account_id\":\"acc_{}\",\"plan\":\"{}\",\"action\":\"{}\",",
            rng.u64(..),
            rng.u64(..),
            rng.u32(..),
            rng.u16(..),
            rng.u128(..) >> 32,
            self.users.draw(rng),
            rng.u16(1..4_000),
            pick(rng, &PLANS),
            pick(rng, &ACTIONS),
        )?;
        write!(
            text,
            "\"method\":\"{}\",\"path\":\"/v2/{}/{}\",\"status\":{status},\"duration_ms\":{},\"success\":{},\
             \"region\":\"{}\",\"country\":\"{}\",\"client_ip\":\"{}\",\"pod_ip\":\"{}\",\"agent\":\"{}\",\
             \"experiment\":{},\"canary\":{},\"cached\":{},",
            if rng.bool() { "GET" } else { "POST" },
            pick(rng, &ACTIONS),
            rng.u32(1..100_000),
            duration_ms(rng),
            status < 400,
            pick(rng, &REGIONS),
            pick(rng, &COUNTRIES),
            public_address(rng),
            private_address(rng),
            pick(rng, &AGENTS),
            if rng.u8(0..4) == 0 { format!("\"exp-{}\"", rng.u8(1..40)) } else { "null".to_owned() },
            rng.u8(0..20) == 0,
            rng.bool(),
        )?;
        for gauge in GAUGES {
            let bound = 10_u32.pow(1 + gauge.len() as u32 % 5);
            write!(text, "\"{gauge}\":{},", rng.u32(0..bound))?;
        }
        write!(
            text,
            "\"build\":{{\"version\":\"3.{}.{}\",\"commit\":\"{:07x}\",\"branch\":\"main\"}},\"tags\":[\"{}\",\"{}\"],\
             \"host\":\"node-{:02}.example\",\"zone\":\"{}{}\",\"cluster\":\"prod\",\"tenant\":\"t-{}\",\
             \"amount\":{}.{:02},\"currency\":\"{}\",\"schema\":3,\"partition\":{}",
            rng.u8(0..4),
            rng.u8(0..10),
            // Ten commits are deployed at a time.
            0x3f_29c1_u32 + rng.u32(0..10) * 0x11_0f0d,
            pick(rng, &ACTIONS),
            pick(rng, &PLANS),
            rng.u8(0..40),
            pick(rng, &REGIONS),
            if rng.bool() { 'a' } else { 'b' },
            rng.u16(1..900),
            rng.u16(0..2_000),
            rng.u8(0..100),
            if rng.bool() { "EUR" } else { "USD" },
            rng.u8(0..64),
        )?;
        if status >= 400 {
            write!(
                text,
                ",\"error\":{{\"code\":\"E{}\",\"detail\":\"{} refused by {}\"}}",
                rng.u16(100..140),
                pick(rng, &ACTIONS),
                private_address(rng)
            )?;
        }
        text.push('}');
        Ok(())
    }
}

impl Generator for WideJson {
    fn streams(&self) -> Vec<StreamLabels> {
        (0..APPS * PODS)
            .map(|stream| {
                let app = format!("events-{:02}", stream / PODS);
                vec![("app", app.clone()), ("pod", format!("{app}-{}", stream % PODS))]
            })
            .collect()
    }

    fn write(&mut self, place: Place, text: &mut String) -> usize {
        let written = self.write_members(place, text);
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
        self.rng.usize(0..APPS * PODS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Workload;

    #[test]
    fn every_line_is_json_of_sixty_keys_or_one_more() {
        for line in Workload::WideJson.lines(200, 1) {
            let value: serde_json::Value = serde_json::from_str(&line.text).expect("JSON");
            let keys = value.as_object().expect("an object").len();
            assert!((60..=61).contains(&keys), "{keys} keys");
        }
    }
}
